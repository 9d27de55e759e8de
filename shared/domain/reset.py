"""Values of the engine: a reset, its states, and the rows that are kept beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.names import REMEDIATE

ROW_VERSION: Final = 2
"""
Of the rows' layout. Code leaves rows of a higher version alone (rolling deployment).

Version 2 has an index by time and one by Behind. In version 1 the row `due:reset:` held both.
"""


class Scope(StrEnum):
    """What a reset clears. Only FULL breaks links."""

    FULL = "full"
    SUBJECTS = "subjects"
    QUARANTINE = "quarantine"


ON_THE_WIRE: Final[Mapping[Scope, str]] = {
    Scope.FULL: '{"criteria":{"resetScope":"Full"}}',
    Scope.QUARANTINE: '{"criteria":{"resetScope":"Watermark, Escrows, QuarantineState"}}',
}
"""The body of a restart, for people to read; the gateway's test holds it against the wire."""


class State(StrEnum):
    ACCEPTED = "accepted"
    WAITING = "waiting"
    AWAITING_APPROVAL = "awaiting_approval"
    SENDING = "sending"
    UNKNOWN = "unknown"
    RESTARTED = "restarted"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PREVIEWED = "previewed"
    JOINED = "joined"


BEFORE_SENDING: Final = frozenset({State.ACCEPTED, State.WAITING, State.AWAITING_APPROVAL})
"""Before any intent was written: nothing has been sent."""


class WaitingFor(StrEnum):
    """What an open reset waits for."""

    COOLDOWN = "cooldown"
    OTHER = "other"
    WINDOW = "window"
    BUDGET = "budget"
    SWITCH = "switch"
    GRAPH = "graph"
    PERSON = "person"


OPEN: Final = BEFORE_SENDING | {State.SENDING, State.UNKNOWN, State.RESTARTED}
ENDED: Final = frozenset(State) - OPEN


class Claim(Struct, frozen=True, kw_only=True):
    """A row of the ids table: where the reset of an id lies. Inserted once, never updated."""

    id: str
    target: str
    requested_at: datetime
    content_hash: str


class Reset(Struct, frozen=True, kw_only=True):
    """
    One reset, flat, a field a column.

    Columns are in CamelCase; `id` is RequestId there, `operator_asked` is Asked. `told` is until
    when the ticket was told that the reset waits; empty where it was not told of this wait. A
    person may have lifted the cooldown, or the budget, that ends at `…_lifted_until`. `asker_id` is
    who asked, where the platform vouched for that. `questions` are the keys of what a person was
    last asked to approve, and `approvals` is what was answered (see `approvals`), as JSON.
    """

    id: str
    target: str
    requested_at: datetime
    state: State = State.ACCEPTED
    service_principal_id: str = ""
    job_id: str = ""
    scope: Scope = Scope.FULL
    requested_by: str = ""
    asker_id: str = ""
    via: str = ""
    reason: str = ""
    ticket_system: str = ""
    ticket_id: str = ""
    ticket_url: str = ""
    subjects: tuple[str, ...] = ()
    dry_run: bool = False
    not_before: datetime | None = None
    sent_at: datetime | None = None
    snapshot_at: datetime | None = None
    client_request_id: str = ""
    restarted_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str = ""
    detail: str = ""
    graph_request_id: str = ""
    before: str = ""
    after: str = ""
    seen_number: int | None = None
    number: int | None = None
    leader: str = ""
    due_at: datetime | None = None
    behind: str = ""
    waiting_for: WaitingFor | None = None
    waiting_since: datetime | None = None
    told: datetime | None = None
    cooldown_lifted_until: datetime | None = None
    budget_lifted_until: datetime | None = None
    deadline: datetime | None = None
    tries: int = 0
    operator_asked: bool = False
    questions: tuple[str, ...] = ()
    approvals: str = ""
    approved: bool = False
    approved_by: str = ""
    approver_signed_in: bool = False
    approved_at: datetime | None = None
    expected_minutes: str = ""
    progress: str = ""
    missing_since: datetime | None = None
    warnings: tuple[str, ...] = ()
    sequence: int = 0
    write_id: str = ""
    version: int = ROW_VERSION


class LastFull(Struct, frozen=True, kw_only=True):
    """The last full restart that was sent and has ended: what later requests may join."""

    number: int
    id: str
    outcome: str
    service_principal_id: str
    job_id: str
    detail: str = ""


class JobRow(Struct, frozen=True, kw_only=True):
    """
    The lock, the number and the fence of one target's job.

    `last_job_id` is the id of the job that was last restarted, as Graph had it: times and
    approvals speak of that job only (see `policy.of_job`).
    `last_steady_at`: when, by Graph's clock, the cycle of our last restart reached its steady
    state. A job that shows another moment was restarted by somebody else since.
    `last_refused_at`: when Graph last refused a restart for good.
    """

    target: str
    head: str = ""
    number: int = 0
    last_full: LastFull | None = None
    last_job_id: str = ""
    last_restart_at: datetime | None = None
    last_refused_at: datetime | None = None
    last_approved_at: datetime | None = None
    last_steady_at: datetime | None = None
    version: int = ROW_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored[Row]:
    """A row as read, with the ETag that its next write must name. No ETag: it is not there yet."""

    row: Row
    etag: str = ""
    job_etag: str = field(default="", compare=False)
    """Of the job row that the same transaction wrote, where that is known."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One line of a reset's append-only history."""

    sequence: int
    at: datetime
    state: State
    by: str
    detail: str


class Link(Struct, frozen=True, kw_only=True):
    """
    What was found out about one subject's link; empty where nothing was.

    `before` and `after` are target anchors. `looked_at` is when the link before the restart was
    looked up, `judged_at` when a verdict was first tried; `matching` holds the attributes that
    decide a match, in their order, as JSON. `problem` names what could not be read, and why.
    `read_on` leads to the page of the log at which the next look goes on, for the whole reset.
    `on_demand_at` is when the user was provisioned on demand.
    """

    subject: str
    object_id: str = ""
    verdict: str = ""
    before: str = ""
    before_at: datetime | None = None
    before_from: str = ""
    after: str = ""
    evidence: str = ""
    remedy: str = ""
    matching: str = ""
    problem: str = ""
    looked_at: datetime | None = None
    judged_at: datetime | None = None
    read_on: str = ""
    on_demand_at: datetime | None = None


class NotificationKind(StrEnum):
    """The moments of which a ticket may hear."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    RESTARTED = "restarted"
    AWAITING_APPROVAL = "awaiting_approval"
    UNKNOWN = "unknown"
    END = "end"


class Notification(Struct, frozen=True, kw_only=True):
    """
    One answer to one ticket, as the outbox keeps it until it is delivered or given up.

    `facts` is what its words are made of, as JSON. `tried_at` is its first try, from which the
    time until it is given up counts; `turn` is its place in its notifier's pace.
    """

    id: str
    target: str
    n: int
    kind: NotificationKind
    notifier: str
    ticket_id: str
    ticket_url: str
    state: State
    text: str
    at: datetime
    due_at: datetime
    attempts: int = 0
    version: int = ROW_VERSION
    facts: str = ""
    tried_at: datetime | None = None
    turn: datetime | None = None


class GivenUp(Struct, frozen=True, kw_only=True):
    """A notification that was given up, as it is kept until it is sent again: why, and when."""

    answer: Notification
    why: str
    at: datetime


class PoisonMessage(Struct, frozen=True, kw_only=True):
    """A message that failed maxDequeueCount times; `queue` is the one that it failed on."""

    queue: str
    id: str
    text: str
    receipt: str


class Unreadable(Struct, frozen=True, kw_only=True):
    """
    A message that became no reset, as it is kept.

    `request_id` is what it gives as its own, empty where that cannot be read. `sent_as` is the
    reset that it became once it was put right and sent again.
    """

    key: str
    body: bytes
    reason: str
    queue: str
    at: datetime
    request_id: str = ""
    sent_as: str = ""
    sent_at: datetime | None = None


class DueRow(Struct, frozen=True, kw_only=True):
    """
    An entry of the sweep's index that is due: a reset, or (with n) a notification.

    `reset_key` is the reset's row; empty for a notification, and in entries of before.
    """

    target: str
    id: str
    key: str
    reset_key: str = ""
    sent: datetime | None = None
    n: int | None = None
    etag: str = ""


class OpenReset(Struct, frozen=True, kw_only=True):
    """An entry of the list of what is open; `key` is the reset's row, empty in version 1."""

    target: str
    id: str
    key: str = ""


class SenderCount(Struct, frozen=True, kw_only=True):
    """How many requests of one sender met something, and when the last one did."""

    via: str
    count: int
    last_at: datetime


class Budget(Struct, frozen=True, kw_only=True):
    """What is spent of one UTC day's restarts."""

    spent: int = 0


class BudgetPlace(Struct, frozen=True, kw_only=True):
    """One restart's place in the budget of a UTC day: one intent of one reset."""

    day: str
    reset_id: str
    client_request_id: str


class JobObservation(Struct, frozen=True, kw_only=True):
    """
    What `remediate` last saw of a target's job, and since when; nobody else writes it.

    `since`: since when it is seen in quarantine for this reason, or in this state. `began` is
    Graph's currentBegan. `relapsed_at`: the last quarantine that began within a day after a
    reset; it stays, so that the breaker is open until a person approves.
    """

    target: str
    service_principal_id: str = ""
    job_id: str = ""
    code: str = ""
    quarantined: bool = False
    reason: str = ""
    began: datetime | None = None
    series_began: datetime | None = None
    since: datetime | None = None
    seen_at: datetime | None = None
    relapsed_at: datetime | None = None
    links_read_at: datetime | None = None
    version: int = ROW_VERSION


class Fleet(Struct, frozen=True, kw_only=True):
    """Of the catalogue's targets: how many have been seen, and in quarantine when last seen."""

    seen: int = 0
    quarantined: int = 0


def tag(reset: Reset) -> str:
    """The version of the row: another one after each write, for ETag and If-Match."""
    return reset.write_id or str(reset.sequence)


def asked_by_timer(reset: Reset) -> bool:
    """Whether a timer asked for it."""
    return reset.via == REMEDIATE


def vouched(signed_in: bool) -> str:
    """How the audit says whose word a name is."""
    return "signed in" if signed_in else "name as claimed"


def blocked_words(head: str, there: Reset | None) -> str:
    """Name the reset that may act on the job, and what that one waits for, where it is known."""
    if there is None or there.state in ENDED:
        return f"waits behind {head}, another reset of this job; one restart will do for both"
    state = there.state.value.replace("_", " ")
    if there.waiting_for is not None and there.due_at is not None:
        state += f" until {there.due_at:%Y-%m-%d %H:%M} UTC, for: {there.waiting_for}"
    return f"waits behind {head} ({state}); one restart will do for both"
