"""
Name what can be found out about a reset: by reading Graph, by asking the policy, by a person.

The rows named are those of the protocol (docs/design/states.md).
"""

from datetime import datetime

from msgspec import Struct

from shared.domain.reset import WaitingFor


class WindowShut(Struct, frozen=True, kw_only=True):
    """Row 1: the change window is still to come."""


class WindowOpened(Struct, frozen=True, kw_only=True):
    """Row 1: the change window has just opened; the request counts as come now."""


class Previewed(Struct, frozen=True, kw_only=True):
    """Row 2: a dry run's answer."""

    detail: str
    before: str
    snapshot_at: datetime | None
    expected_minutes: str = ""


class LeaderEnded(Struct, frozen=True, kw_only=True):
    """Row 3: a full restart that began after this request came has ended."""


class LinksAwaited(Struct, frozen=True, kw_only=True):
    """Row 3 a little later: first the users' links are read, which a limit of Graph holds up."""

    until: datetime


class HeadTaken(Struct, frozen=True, kw_only=True):
    """Row 4: another reset may act on this job. `reason` names it and what it waits for."""

    reason: str


class HeadFree(Struct, frozen=True, kw_only=True):
    """The reset takes the empty Head before it asks the policy, the budget and Graph."""


class TooOld(Struct, frozen=True, kw_only=True):
    """Row 5: older than RESET_MAX_AGE, or nobody decided in time."""

    reason: str


class MustWait(Struct, frozen=True, kw_only=True):
    """
    Row 5, and row 2's: the policy says wait, or Graph could not be read (`failed`), or did not
    show the job (`missing`).
    """

    waiting_for: WaitingFor
    reason: str
    until: datetime
    failed: bool = False
    missing: bool = False


class MustAsk(Struct, frozen=True, kw_only=True):
    """Row 6: the policy asks a person. `before` is the job as it is shown to that person."""

    reason: str
    expires: datetime
    questions: tuple[str, ...] = ()
    before: str = ""
    expected_minutes: str = ""


class Refused(Struct, frozen=True, kw_only=True):
    """Row 7: the policy says no, or Graph does."""

    reason: str


class ReadyToSend(Struct, frozen=True, kw_only=True):
    """Row 8: go. What the intent records."""

    before: str
    snapshot_at: datetime
    client_request_id: str
    expected_minutes: str = ""
    warnings: tuple[str, ...] = ()


class RestartAccepted(Struct, frozen=True, kw_only=True):
    """Row 9: 204, or shown or confirmed to have happened. `number` is the intent's."""

    number: int
    restarted_at: datetime
    ends_by: datetime
    look_at: datetime
    graph_request_id: str = ""
    detail: str = ""
    warning: str = ""
    by: str = ""


class SendPrevented(Struct, frozen=True, kw_only=True):
    """Row 10: 429, 401, 403, 409, 423, no connection, no token, too late to begin."""

    number: int
    reason: str
    until: datetime


class RestartRejected(Struct, frozen=True, kw_only=True):
    """Row 11: any other 4xx but 408."""

    number: int
    reason: str
    graph_request_id: str = ""


class ResponseLost(Struct, frozen=True, kw_only=True):
    """Row 12: 408, 5xx, a lost answer."""

    number: int
    reason: str
    look_at: datetime


class SenderDied(Struct, frozen=True, kw_only=True):
    """Row 13: nobody wrote the POST's answer in time."""


class ShownNotSent(Struct, frozen=True, kw_only=True):
    """Row 14: the restart is shown not to have happened."""

    reason: str


class FateStillUnknown(Struct, frozen=True, kw_only=True):
    """Rows 14 to 16: neither shown; what follows depends on the time since SentAt and on Asked."""

    look_at: datetime
    expires: datetime
    reason: str = ""
    failed: bool = False


class CycleEnded(Struct, frozen=True, kw_only=True):
    """Row 17: the initial cycle was watched to its end, good or bad."""

    completed: bool
    outcome: str
    detail: str
    after: str
    steady_at: datetime | None = None


class CycleRuns(Struct, frozen=True, kw_only=True):
    """
    Row 17: watch on; so it does where Graph could not be read (`failed`) or did not show the job
    (`missing`). `overdue` is what is to be said if the deadline has passed.
    """

    look_at: datetime
    progress: str = ""
    overdue: str = ""
    failed: bool = False
    missing: bool = False


class Decided(Struct, frozen=True, kw_only=True):
    """
    A person's decision: approve, reject, cancel or resend (`confirm` is RestartAccepted).

    `signed_in` says whether the platform vouched for the name. With an approval come all that were
    given, this one among them, as the column keeps them, and of how many it is which.
    """

    decision: str
    by: str
    signed_in: bool = False
    reason: str = ""
    approvals: str = ""
    given: int = 1
    needed: int = 1

    @property
    def words(self) -> str:
        """Whose word it is, and why."""
        why = f": {self.reason}" if self.reason else ""
        return f"({'signed in' if self.signed_in else 'name as claimed'}){why}"


Event = (
    WindowShut
    | WindowOpened
    | Previewed
    | LeaderEnded
    | LinksAwaited
    | HeadTaken
    | HeadFree
    | TooOld
    | MustWait
    | MustAsk
    | Refused
    | ReadyToSend
    | RestartAccepted
    | SendPrevented
    | RestartRejected
    | ResponseLost
    | SenderDied
    | ShownNotSent
    | FateStillUnknown
    | CycleEnded
    | CycleRuns
    | Decided
)
