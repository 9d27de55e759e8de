"""
Declare what the use cases need of the world: one port for each role.

A use case may touch what it is handed, and nothing else.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.keys import SearchKind
from shared.domain.links import ConnectionRead, EntriesRead, MappingsRead, Subject
from shared.domain.pace import Pace
from shared.domain.requests import Received
from shared.domain.reset import (
    Budget,
    BudgetPlace,
    Claim,
    DueRow,
    Fleet,
    GivenUp,
    HistoryEntry,
    JobObservation,
    JobRow,
    Link,
    Notification,
    OpenReset,
    PoisonMessage,
    Reset,
    Scope,
    SenderCount,
    Stored,
    Unreadable,
)
from shared.domain.sync_job import AuditTrail, GraphObservation, StaleLinks, SyncJob


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, aware, in UTC."""


class Resets(Protocol):
    """The resets and the job rows: what accepts, advances and decides may read and write."""

    async def remember_target(self, alias: str, *, at: datetime) -> None:
        """Make sure that the sweep finds *alias*; cheap when repeated."""

    async def claim(self, claim: Claim) -> Claim:
        """Insert the ids row; return *claim* itself, or another one that was there first."""

    async def find(self, reset_id: str) -> Claim | None:
        """Return where the reset of this id lies."""

    async def find_reset(self, reset_id: str) -> Stored[Reset] | None:
        """Return the reset of this id; None where there is none, or its ids row alone."""

    async def read_reset(self, claim: Claim) -> Stored[Reset] | None:
        """Return the reset, or None where only its ids row was written."""

    async def read_job(self, target: str) -> Stored[JobRow]:
        """Return the target's job row; one that is not there yet has no ETag."""

    async def insert(
        self,
        reset: Reset,
        event: HistoryEntry,
        answers: Sequence[Notification],
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
    ) -> Stored[Reset]:
        """
        Write a reset with its first event, its due row and, where given, the job row, in one
        transaction.

        Where the reset is there already, that one is returned. Raise Conflict where the job row
        has changed since it was read.
        """

    async def commit(
        self,
        before: Stored[Reset],
        after: Reset,
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
        event: HistoryEntry | None = None,
        answers: Sequence[Notification] = (),
        given_up: Stored[Notification] | None = None,
    ) -> Stored[Reset]:
        """
        Write reset, due row, event, answers and, where given, the job row in one transaction;
        take an answer that was given up out of the outbox.

        Raise Conflict where the reset or the job row has changed since it was read. A write
        whose answer was lost is recognised by its WriteId and counts as done.
        """


class ResetReader(Protocol):
    """Resets as people look them up; nothing is written."""

    async def find_reset(self, reset_id: str) -> Stored[Reset] | None:
        """Return the reset of this id; None where there is none, or its ids row alone."""

    async def events(self, reset: Reset) -> list[HistoryEntry]:
        """Return the history of a reset, oldest first."""

    async def links(self, reset: Reset) -> list[Link]:
        """Return what was found out about the links of a reset's subjects."""

    async def resets(self, target: str, *, after: str, most: int) -> list[Reset]:
        """Return the target's resets after the row key *after*, newest first; no other is read."""

    async def targets(self) -> list[str]:
        """Return every alias that was ever used."""

    async def open_resets(self, target: str, *, after: str, most: int) -> list[OpenReset]:
        """Return the target's open resets in the order of their ids, after the id *after*."""

    async def found(
        self, target: str, kind: SearchKind, value: str, *, after: str, before: str, most: int
    ) -> list[OpenReset]:
        """
        Return resets of the target with this ticket, asker or subject, newest first.

        *after* is the place of the last one seen, *before* the one to stop at (empty: none).
        A place is the end of a reset's key: inverted time, colon, id.
        """

    async def read_open(self, there: OpenReset) -> Stored[Reset] | None:
        """Return the reset of an entry of that list; None where it is gone."""

    async def unreadable_of(self, request_id: str) -> Unreadable | None:
        """Return the last message that gave this request's id and became no reset."""


class StatusKeys(Protocol):
    """The key from which the tokens of status addresses are made."""

    async def status_key(self, new: Callable[[], str]) -> str:
        """Return the one key of all processes; the first that asks keeps what *new* gives."""


class Links(Protocol):
    """What was found out about the links of a reset's subjects, and the turns to ask Graph."""

    async def links(self, reset: Reset) -> list[Link]:
        """Return what was found out so far, in the order of the subjects."""

    async def write_link(self, reset: Reset, number: int, link: Link) -> None:
        """Insert or replace the row of the subject with this number, from 1."""

    async def keep_schema(self, reset: Reset, schema: bytes) -> bool:
        """Keep the job's schema beside the reset; False where it is too large to keep."""

    async def schema(self, reset: Reset) -> bytes:
        """Return the schema that was kept; empty where none was."""

    async def take_turn(self, name: str, *, at: datetime, most: int, per: timedelta) -> bool:
        """
        Take one of *most* calls in any *per*, over all instances; False where none is left.

        Microsoft Graph counts a tenant's calls, so that all instances share one row.
        """

    async def hold_turns(self, name: str, *, until: datetime) -> None:
        """Let nobody take a turn before then: Microsoft Graph has said so."""


class TargetRows(Protocol):
    """What the overview reads of each target."""

    async def read_job(self, target: str) -> Stored[JobRow]:
        """Return the target's job row; one that is not there yet has no ETag."""

    async def read_observation(self, target: str) -> Stored[JobObservation]:
        """Return what `remediate` last saw of the job; one not there yet has no ETag."""

    async def resets(self, target: str, *, after: str, most: int) -> list[Reset]:
        """Return the target's resets after the row key *after*, newest first; no other is read."""

    async def budget(self, day: str) -> Budget:
        """Return what is spent of this UTC date's budget."""


class WaitingRows(Protocol):
    """What waits for a person."""

    async def targets(self) -> list[str]:
        """Return every alias that was ever used."""

    async def read_job(self, target: str) -> Stored[JobRow]:
        """Return the target's job row; one that is not there yet has no ETag."""

    async def find_reset(self, reset_id: str) -> Stored[Reset] | None:
        """Return the reset of this id; None where there is none, or its ids row alone."""

    async def undelivered(self, *, most: int) -> list[GivenUp]:
        """Return the first of the notifications that were given up."""

    async def unreadable(self, *, after: str, most: int) -> list[Unreadable]:
        """Return messages after the place *after*, newest first; no other is read."""


class Schedule(Protocol):
    """The sweep's index: which rows are due."""

    async def targets(self) -> list[str]:
        """Return every alias that was ever used."""

    def due(self, target: str, *, now: datetime) -> AsyncGenerator[DueRow]:
        """
        Yield what is due by *now*, oldest first, then what waits behind a Head that has gone.

        Where many wait behind such a Head, these are the ones that the last full restart stands
        for, and while there is no other Head some of the rest: the rest would only write down whom
        they wait behind now.
        However much is open, nothing else is read, but for a first page of what waits.
        """

    async def mark_sent(self, rows: Sequence[DueRow], *, at: datetime) -> None:
        """
        Merge `Sent` alone under each row's ETag; gone or changed rows are left alone.

        *rows* are those of one target, a hundred at most.
        """


class Outbox(Protocol):
    """Notifications that are still to be delivered."""

    async def read_notification(
        self, target: str, reset_id: str, n: int
    ) -> Stored[Notification] | None:
        """Return a notification; None where it was delivered or given up."""

    async def put_off(
        self, before: Stored[Notification], after: Notification
    ) -> Stored[Notification]:
        """Replace the notification's row; raise Conflict where it has changed or is gone."""

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Put notifications of no reset into the outbox; those that are there stay as they are."""

    async def notifications(self, target: str, reset_id: str) -> list[Stored[Notification]]:
        """Return those of one reset that are still there, whatever their notifier."""

    async def take_out(self, notification: Stored[Notification]) -> None:
        """Delete the notification's row; one that has changed or is gone is left alone."""


class Paces(Protocol):
    """Where the turns of each notifier stand."""

    async def read_pace(self, notifier: str) -> Stored[Pace]:
        """Return the notifier's pace; one that was never kept has no ETag."""

    async def write_pace(self, before: Stored[Pace], after: Pace) -> Stored[Pace]:
        """Insert or replace the row; raise Conflict where it has changed since it was read."""


class Undelivered(Protocol):
    """Notifications that were given up, until they are sent again or their reset is forgotten."""

    async def keep_undelivered(self, notification: Notification, *, why: str, at: datetime) -> None:
        """Keep it whole; keeping the same one again changes nothing but the reason."""

    async def undelivered(self, *, most: int) -> list[GivenUp]:
        """Return the first of them."""

    async def put_back(self, notification: Notification) -> None:
        """Put it into the outbox again, and no longer keep it here."""


class Census(Protocol):
    """How much each sender has open, and what was refused for that."""

    async def targets(self) -> list[str]:
        """Return every alias that was ever used."""

    async def count_open(self, target: str, via: str) -> int:
        """Return how many open resets of this target came by *via*."""

    async def note_refused(self, via: str, count: int, *, at: datetime) -> None:
        """Add to the sender's count of refused requests."""

    async def note_unheard(self, via: str, count: int, *, at: datetime) -> None:
        """Add to the sender's count of requests whose ticket hears nothing."""


class Limits(Protocol):
    """What the policy is told beside the job row."""

    async def budget(self, day: str, *, limit: int | None = None) -> Budget:
        """
        Return what is spent of this UTC date's budget.

        Below *limit* it may be what this process last knew: `reserve` has the last word.
        """

    async def reserve(self, place: BudgetPlace, *, limit: int | None) -> bool:
        """
        Take the place; True where it is taken already, False where the day's budget is spent.

        Without a limit it is taken in any case.
        """

    async def give_back(self, place: BudgetPlace) -> None:
        """Free exactly this place; one that is not taken is left alone."""

    async def fleet(self) -> Fleet:
        """Return the sum of what was last seen of all targets; nothing seen where never noted."""

    async def read_observation(self, target: str) -> Stored[JobObservation]:
        """Return what `remediate` last saw of the job; one not there yet has no ETag."""


class Observations(Protocol):
    """What `remediate` saw of the jobs; it alone writes here."""

    async def read_observation(self, target: str) -> Stored[JobObservation]:
        """Return what `remediate` last saw of the job; one not there yet has no ETag."""

    async def write_observation(
        self, before: Stored[JobObservation], after: JobObservation
    ) -> Stored[JobObservation]:
        """Insert or replace the row; raise Conflict where it has changed since it was read."""

    async def note_fleet(self, fleet: Fleet, *, at: datetime) -> Fleet:
        """
        Keep the sum of what was last seen of all targets, so that it is one row to read.

        *at* is when the look began. Return what counts: a sum of a later look stays.
        """


class GraphRecord(Protocol):
    """How Microsoft Graph was, as last seen."""

    async def note_graph(self, seen: Sequence[GraphObservation]) -> None:
        """Record how Graph was; of each mood the last one given is kept."""

    async def graph_seen(self) -> list[GraphObservation]:
        """Return how Graph was last seen, one for each mood that it ever was in."""


class Heartbeats(Protocol):
    """When each timer last ran."""

    async def beat(self, timer: str, *, at: datetime) -> None:
        """Record that a timer has run."""

    async def last_beat(self, timer: str) -> datetime | None:
        """Return when a timer last ran."""


class Vitals(Protocol):
    """What the health report reads, beside what waits for a person."""

    async def refusals(self) -> list[SenderCount]:
        """Return of each sender what was refused because it had too many open."""

    async def unheard(self) -> list[SenderCount]:
        """Return of each sender how many requests named a ticket that hears nothing."""

    async def last_beat(self, timer: str) -> datetime | None:
        """Return when a timer last ran."""

    async def graph_seen(self) -> list[GraphObservation]:
        """Return how Graph was last seen, one for each mood that it ever was in."""

    async def fleet(self) -> Fleet:
        """Return the sum of what was last seen of all targets; nothing seen where never noted."""


class DeadLetters(Protocol):
    """Messages that became no reset."""

    async def keep_unreadable(
        self,
        key: str,
        body: bytes,
        *,
        reason: str,
        queue: str,
        at: datetime,
        request_id: str = "",
    ) -> str:
        """Keep a message whole; return its key. Keeping the same one again changes nothing."""


class KeptMessages(Protocol):
    """The same messages, as people list them and send them again."""

    async def read_unreadable(self, key: str) -> Stored[Unreadable] | None:
        """Return the message that is kept under this key."""

    async def unreadable(self, *, after: str, most: int) -> list[Unreadable]:
        """Return messages after the place *after*, newest first; no other is read."""

    async def note_sent_again(
        self, message: Stored[Unreadable], *, sent_as: str, at: datetime
    ) -> None:
        """Write down what it became; a message that has changed or is gone is left alone."""


class Archive(Protocol):
    """What retention deletes."""

    async def targets(self) -> list[str]:
        """Return every alias that was ever used."""

    async def outdated(self, target: str, *, before: datetime, most: int) -> list[Reset]:
        """Return resets that were asked for before then, without reading any younger one."""

    async def index_unreadable(self, *, most: int) -> int:
        """Index messages that an earlier version kept; return how many: 0 once all are."""

    async def forget_unreadable(self, *, before: datetime, most: int) -> int:
        """Delete unreadable messages that came before then; return how many there were."""

    async def forget(self, reset: Reset) -> None:
        """Delete a reset with all its rows; begun again after a crash, it goes on."""


class Store(
    Resets,
    ResetReader,
    StatusKeys,
    Schedule,
    Outbox,
    Paces,
    Undelivered,
    Limits,
    Links,
    Observations,
    GraphRecord,
    Heartbeats,
    Vitals,
    WaitingRows,
    Census,
    DeadLetters,
    KeptMessages,
    Archive,
    Protocol,
):
    """
    All roles at once, for what puts the use cases together.

    Every method raises StorageUnavailable where the tables do not answer after the client's own
    retries; then it is unknown whether a write took place.
    """


class Queues(Protocol):
    """Send messages that never expire. Raises StorageUnavailable."""

    async def open(self) -> None:
        """Have at hand what sending needs; the first message does so where nobody has before."""

    async def request(self, received: Received) -> None:
        """Send the request, with its id as `requestId`, to where `run_reset` reads."""

    async def follow_up(self, reset_id: str, *, target: str = "", key: str = "") -> None:
        """
        Ask for one `advance` of this reset.

        *target* and *key* say where its row is, where that is known: the ids row is not read then.
        """

    async def notification(self, target: str, reset_id: str, n: int) -> None:
        """Ask for the delivery of one answer."""


class QueueAges(Protocol):
    """How long messages have been waiting. Raises StorageUnavailable."""

    async def oldest(self) -> Mapping[str, datetime | None]:
        """Return of each queue when the oldest message that can be seen was put there."""


class PoisonQueues(Protocol):
    """Messages that failed too often. Raises StorageUnavailable."""

    def poisoned(self) -> AsyncIterator[PoisonMessage]:
        """Yield what lies on the poison queues, invisible to others for some minutes."""

    async def delete(self, message: PoisonMessage) -> None:
        """Delete a poison message; one that is gone is left alone."""


class AllQueues(Queues, QueueAges, PoisonQueues, Protocol):
    """All roles of the queues at once, for what puts the use cases together."""


class Notifier(Protocol):
    """One ticket system."""

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        """
        Bring the answer to its ticket, or raise NotDelivered.

        With *again* an earlier try may have got through: then it is not to appear twice.
        """


class Graph(Protocol):
    """
    Microsoft Graph, as the engine needs it.

    Reads raise NotSent or FateUnknown where a later one may succeed, Rejected where none will.
    """

    async def fetch_token(self) -> None:
        """Have a token at hand; raise NotSent where none is given."""

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        """
        Return the job; with an empty *job_id* the service principal's only one.

        Raise Rejected, naming their ids, where there are several.
        """

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool],
    ) -> str:
        """
        Send one restart, never repeated by the client; return Graph's request id.

        *may_begin* is asked last, with the token at hand. Raise NotSent where it says no and
        wherever the restart had no effect, FateUnknown where it may have had one, Rejected
        where Graph refused.
        """

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        """Return the restarts that the directory audit log shows since then."""

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        """
        Return the users whose links the provisioning logs show as InvalidAnchor after then.

        Not readable where Graph refuses (no ProvisioningLog.Read.All); a read that fails raises
        NotSent or FateUnknown. *job_id* is the one of the job as read, never empty. A user who
        succeeded afterwards is left out.
        """


class LinkGraph(Protocol):
    """
    What Microsoft Graph tells of users' links.

    A permission that is missing, an object that is not there, and whatever else Graph refuses for
    good is in the `problem` of what is returned. Every method raises NotSent (Throttled is one) or
    FateUnknown where Graph fails otherwise.
    """

    async def find_user(self, asked: str, attributes: Collection[str]) -> Subject:
        """Return the user of this object id or UPN, with those of *attributes* it has in Graph."""

    async def mappings(self, service_principal_id: str, job_id: str) -> MappingsRead:
        """Return the job's schema, and which attributes decide a match."""

    async def provisioning_page(
        self, job_id: str, *, since: datetime, user_id: str = "", link: str = ""
    ) -> EntriesRead:
        """Return a page of the job's provisioning log after then; *link* leads to a later one."""

    async def object_connection(
        self, service_principal_id: str, job_id: str, object_id: str
    ) -> ConnectionRead:
        """Return the link that the preview API for object connections shows."""

    async def provision_on_demand(
        self, service_principal_id: str, job_id: str, *, rule_id: str, user_id: str
    ) -> EntriesRead:
        """Provision one user at once; return what was done."""
