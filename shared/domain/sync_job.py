"""Microsoft Graph's side: a synchronization job, its logs, and how Graph answered."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct, field


class Execution(Struct, frozen=True, kw_only=True):
    """
    A cycle of the job. A never-run job shows state Failed and year-1 dates: both None here.

    `escrowed`: entries that failed and are kept to be tried again; None where Graph gave no count.
    """

    state: str = ""
    began: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    escrowed: int | None = None


class Quarantine(Struct, frozen=True, kw_only=True):
    """
    `reason` is as Graph wrote it, several with commas, and empty where it cannot be read.

    `began` is when it was last imposed, which a retry that fails may do again or not;
    `series_began` is when it first was.
    """

    reason: str = ""
    began: datetime | None = None
    series_began: datetime | None = None
    error: str = ""


class SyncJob(Struct, frozen=True, kw_only=True):
    """
    A synchronization job at one moment of Graph's clock.

    `steady_state_first` is when the last initial cycle ended: a restart takes it away.
    Words that this version does not know stand as Graph wrote them, and an empty one could not be
    read: neither is ever to be taken for healthy. Year-1 dates are None ("never"), and so is a
    date that cannot be read; the names of such fields are in `unknown`.
    https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationstatus
    """

    id: str
    read_at: datetime
    template_id: str = ""
    code: str = ""
    schedule_state: str = ""
    interval: timedelta | None = None
    steady_state_first: datetime | None = None
    steady_state_last: datetime | None = None
    last_execution: Execution = field(default_factory=Execution)
    escrows_pruned: bool = False
    quarantine: Quarantine | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    completed_units: int | None = None
    total_units: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """Entries that the job keeps; None where Graph gave no count, or one cannot be read."""
        if not self.counts or "counts" in self.unknown:
            return None
        return sum(self.counts.values())

    def knows(self, *names: str) -> bool:
        """Whether Graph showed these fields in a way that could be read."""
        return not any(name in self.unknown for name in names)


class GraphStatus(StrEnum):
    """How Graph may be met, as far as the health report tells them apart."""

    ANSWERED = "answered"
    THROTTLED = "throttled"
    REFUSED = "refused"
    FAILED = "failed"
    AUDIT_LOG_UNREADABLE = "auditLogUnreadable"
    PROVISIONING_LOG_UNREADABLE = "provisioningLogUnreadable"
    USERS_UNREADABLE = "usersUnreadable"
    OBJECT_CONNECTIONS_UNREADABLE = "objectConnectionsUnreadable"
    AUDIT_LOG_READ = "auditLogRead"
    PROVISIONING_LOG_READ = "provisioningLogRead"
    USERS_READ = "usersRead"
    OBJECT_CONNECTIONS_READ = "objectConnectionsRead"


class GraphObservation(Struct, frozen=True, kw_only=True):
    """When Graph was last in this mood, at which call, and what it said."""

    mood: GraphStatus
    at: datetime
    call: str
    why: str = ""


class RestartSeen(Struct, frozen=True, kw_only=True):
    """
    An audit-log row `Enable/restart provisioning configuration` of the job's service principal.

    `ours` only where the row names this app's own identity as its initiator; `by` is who it names.
    """

    at: datetime
    ours: bool = False
    by: str = ""


class AuditTrail(Struct, frozen=True, kw_only=True):
    """
    Restarts that the directory audit log shows; not readable without AuditLog.Read.All.

    `unplaced` counts rows of which it cannot be said whose restart they show, or of which job.
    Not `whole` where there was more than was read. `why` says why it was not readable.
    """

    readable: bool
    restarts: tuple[RestartSeen, ...] = ()
    unplaced: int = 0
    whole: bool = True
    retry_after: timedelta = timedelta(0)
    why: str = ""

    def silent(self, *, since: datetime) -> bool:
        """Whether the log was read to its end and shows no restart since, nor one that may be."""
        shown = self.unplaced or any(seen.at >= since for seen in self.restarts)
        return self.readable and self.whole and not shown


class StaleLink(Struct, frozen=True, kw_only=True):
    """A row of the provisioning logs: this user's linked account no longer exists."""

    user_id: str
    at: datetime


class StaleLinks(Struct, frozen=True, kw_only=True):
    """
    One link a user, newest first. Not `whole` where the logs held more than was read: then there
    may be more of them, never fewer. `why` says why the logs were not `readable`.
    """

    readable: bool
    links: tuple[StaleLink, ...] = ()
    whole: bool = True
    why: str = ""
