"""
Everything that can go wrong, by what the engine does about it.

* RelinkError
  * InvalidRequest        -- the message can never become a reset: keep it, say why, finish it
    * TooManyOpen         -- its sender has too many resets open: 429 over HTTP, told over the queue
    * IdReused            -- its id stands for a request with other content
  * BadSignature          -- a webhook is not shown to come from its sender, just now
  * NotReachable          -- this sender may not ask for that target
  * TooLarge, NotJson     -- a body that is not even looked at
  * SettingsError         -- a setting is missing or wrong: nothing is sent until it is put right
  * NewerRow              -- a later version of the app wrote it: left alone
  * Conflict              -- somebody else wrote the row first: read again, decide again
  * StorageUnavailable    -- tables or queues did not answer: the message comes back
  * NotDelivered          -- a ticket system did not take an answer: tried again later
  * Undeliverable         -- it never will: given up at once
    * ReceiverGone        -- and it wants no other answer either (410)
  * NotSignedIn           -- sign-in is on, and nobody is signed in
  * NotAllowed            -- the one who decides may not, or lacks the role
  * MovedOn               -- the reset is not as it was when the caller looked
  * NotPossible           -- the state does not allow the decision
  * NotFound              -- there is no such reset
  * GraphError
    * NotSent             -- Graph did nothing: no connection, no token
      * Throttled         -- Graph did nothing and says so: 429
      * RefusedForNow     -- Graph did nothing, for a cause that may pass: 401, 403, 409, 423
    * FateUnknown         -- the answer was lost or says nothing: it may have happened
    * Rejected            -- Graph understood and said no (any other 4xx)
"""

from datetime import timedelta


class RelinkError(Exception):
    """The root: nothing else is raised on purpose."""


class InvalidRequest(RelinkError):
    """Say which field is wrong and what to do about it."""


class IdReused(InvalidRequest):
    """The same request id came with other content."""


class TooManyOpen(InvalidRequest):
    """Its sender has left too many resets open: refused for now."""

    def __init__(self, reason: str, *, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class BadSignature(RelinkError):
    """Say which header is wrong. `why` is one of a few words, fit for a log."""

    def __init__(self, reason: str, *, why: str) -> None:
        super().__init__(reason)
        self.why = why


class NotReachable(RelinkError):
    """The target is catalogued, but not among those of this sender."""


class TooLarge(RelinkError):
    """A body of more bytes than are taken."""


class NotJson(RelinkError):
    """A body that says of itself that it is something else."""


class SettingsError(RelinkError):
    """Say which setting is wrong and what to do about it."""


class Conflict(RelinkError):
    """A conditional write found another version of the row."""


class NewerRow(RelinkError):
    """A row of a layout that this version does not know (rolling deployment)."""


class StorageUnavailable(RelinkError):
    """A table or queue call failed after the client's own retries."""


class NotDelivered(RelinkError):
    """
    An answer did not reach its ticket, or nobody knows whether it did.

    `retry_after` is the system's own word; `refused`: it did not take our credentials.
    """

    def __init__(
        self, reason: str, *, retry_after: timedelta | None = None, refused: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.refused = refused


class Undeliverable(RelinkError):
    """An answer that no later try would bring to its ticket."""


class ReceiverGone(Undeliverable):
    """The receiver at this address wants no more of them."""


class NotSignedIn(RelinkError):
    """People sign in here, and this caller has not."""


class NotAllowed(RelinkError):
    """Nobody decides on what they asked for themselves, nor without the role for it."""


class MovedOn(RelinkError):
    """The reset has changed since the caller read it."""


class NotPossible(RelinkError):
    """The reset is past, or not yet at, what the decision is about."""


class NotFound(RelinkError):
    """No reset has this id."""


class GraphError(RelinkError):
    """What became of a call to Microsoft Graph, other than its success."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class NotSent(GraphError):
    """The request had no effect: 429, no connection, no token."""


class Throttled(NotSent):
    """Graph has had too much of us (429)."""


class RefusedForNow(NotSent):
    """
    Graph refused, for a cause that may pass: a token, a permission that spreads for up to a day,
    a concurrent write. `permission` says whether granting one may remove the cause.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int,
        code: str = "",
        permission: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(reason, retry_after=retry_after)
        self.status = status
        self.code = code
        self.permission = permission


class FateUnknown(GraphError):
    """The request may have had its effect: 408, 5xx, a lost or unreadable answer."""


class Rejected(GraphError):
    """Graph refused: any other 4xx, with its status, code and request id."""

    def __init__(self, reason: str, *, status: int, code: str = "", request_id: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.request_id = request_id
