"""
Defines what the emulated tenant holds.

The seed file, the state of the control API and the directory share this one definition; keys are
the fields in camelCase.
"""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import ValidationError, convert, field

from local.emulator.odd_jobs import JobOddity
from local.emulator.odd_logs import AuditOddity, RowOddity
from local.emulator.status import (
    Cycle,
    Execution,
    JobError,
    Lag,
    Quarantine,
    QuarantineRules,
    Status,
    Value,
)

__all__ = [
    "Account",
    "ClockState",
    "Cycle",
    "Event",
    "Execution",
    "Initiator",
    "Job",
    "JobError",
    "Lag",
    "Matching",
    "PlannedRestart",
    "Quarantine",
    "QuarantineRules",
    "ServicePrincipal",
    "State",
    "Status",
    "ThrottleRules",
    "User",
]

type SourceAttribute = Literal[
    "userPrincipalName",
    "mail",
    "employeeId",
    "displayName",
    "mailNickname",
]


class User(Value):
    id: str
    user_principal_name: str
    display_name: str = ""
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    mail_nickname: str | None = None
    employee_id: str | None = None
    account_enabled: bool = True
    #: Provisioning this user fails each time.
    fails: bool = False
    #: What a delta query would go by; None is longer ago than anything.
    modified: datetime | None = None


class Account(Value):
    """A user as the target application has it; `id` is the target anchor."""

    id: str
    attributes: dict[str, str] = field(default_factory=dict)
    active: bool = True


class Matching(Value):
    """One pair of matching attributes; a job's list is in order of precedence."""

    source: SourceAttribute = "userPrincipalName"
    target: str = "userName"


class Initiator(Value):
    """Whom an audit row names: an application by its service principal, or a user."""

    kind: Literal["app", "user"] = "app"
    #: The object id of the service principal or of the user.
    id: str | None = None
    app_id: str | None = None
    #: The display name of the application, or the user's principal name.
    name: str = ""


class PlannedRestart(Value):
    """A restart that takes effect later: a slow one of ours, or one of somebody else."""

    at: datetime
    flags: int
    by: Initiator


class Job(Value):
    id: str
    template_id: str = "scim"
    interval: str = "PT40M"
    schedule_state: Literal["Active", "Paused", "Disabled"] = "Active"
    matching: list[Matching] = field(default_factory=lambda: [Matching()])
    seconds_per_user: float = 1.0
    #: Ids of the users in scope; None is everybody.
    scope: list[str] | None = None

    #: Source anchor -> target anchor: the cache that only ConnectorDataStore clears.
    links: dict[str, str] = field(default_factory=dict)
    #: User -> error code of the last failure; retried in every cycle.
    escrows: dict[str, str] = field(default_factory=dict)
    #: Changes up to here have been seen; None makes the next cycle an initial one.
    watermark: datetime | None = None
    #: Absent in a seed: a healthy job whose last cycle began half an interval ago.
    status: Status | None = None
    cycle: Cycle | None = None
    next_cycle_at: datetime | None = None
    lag: Lag | None = None

    #: Seconds for which GET shows the old status after a restart.
    status_lag: float = 0
    #: A cycle that runs when a restart comes goes on to its end, and only then the new one begins.
    old_cycle_ends_after_restart: bool = False
    #: How synchronizedEntryCountByType is left out.
    counts_absent: Literal["missing", "empty"] | None = None
    #: Shown in place of status.code.
    unknown_code: str | None = None
    #: An initial cycle ends as Paused with escrowsPruned.
    pause_after_cycle: bool = False
    #: Whether a restart sets a paused or disabled job going.
    restart_enables: bool = True
    quarantine_rules: QuarantineRules = field(default_factory=QuarantineRules)
    #: The application refuses the credentials, with this error, until it is null again.
    sign_in_fails: JobError | None = None
    #: Ids of users whose removal accidental-deletion prevention holds back.
    held_deletes: list[str] = field(default_factory=list)
    #: Restarts to come, in the order of time.
    restarts: list[PlannedRestart] = field(default_factory=list)
    #: Seconds from a restart's answer until it takes effect.
    effect_delay: float = 0
    #: Until then a GET by id answers 404, as a new job does for some minutes.
    visible_from: datetime | None = None
    #: "never": no cycle reaches the steady state, however it ends.
    steady_state: Literal["reached", "never"] = "reached"
    #: Whether the preview API objectConnections knows this job.
    object_connections: bool = True
    #: Absent status, and true: the log tells the links of the day before.
    history: bool = False
    #: Odd but legal ways in which this job is written.
    oddities: list[JobOddity] = field(default_factory=list)
    #: What clearing the connector data store does to them.
    cleared_store_and_held_deletes: Literal["forgotten", "carriedOut"] = "forgotten"

    def __post_init__(self) -> None:
        try:
            positive = self.every > timedelta(0)
        except ValidationError as error:
            raise ValueError(f"interval: {error}") from error
        if not positive:
            raise ValueError("interval must be longer than nothing")
        if self.seconds_per_user <= 0:
            raise ValueError("secondsPerUser must be more than 0")

    @property
    def every(self) -> timedelta:
        return convert(self.interval, timedelta)

    @property
    def each(self) -> timedelta:
        return timedelta(seconds=self.seconds_per_user)


class ServicePrincipal(Value):
    id: str
    app_id: str
    display_name: str
    account_enabled: bool = True
    jobs: list[Job] = field(default_factory=list)
    #: The users of the application behind it, shared by its jobs.
    target_accounts: list[Account] = field(default_factory=list)


class Event(Value):
    """What happened, for the audit log and the provisioning log."""

    at: datetime
    name: Literal[
        "JobRestarted",
        "JobStarted",
        "JobPaused",
        "JobQuarantined",
        "QuarantineLifted",
        "JobDisabled",
        "CycleBegan",
        "CycleEnded",
        "EntryEvaluated",
        "EntryHeld",
        "EntryDisabled",
    ]
    service_principal_id: str
    job_id: str
    detail: dict[str, str] = field(default_factory=dict)
    #: None: the provisioning service itself.
    by: Initiator | None = None


class ClockState(Value):
    now: datetime | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.speed is not None and self.speed < 0:
            raise ValueError("speed must be 0 (standing still) or more")


class ThrottleRules(Value):
    """Requests answered in so many emulated seconds; more get 429."""

    requests: int = 5
    seconds: float = 10


class State(Value):
    users: list[User]
    service_principals: list[ServicePrincipal]
    tenant_id: str = "b7c2f0a4-5d1e-4f63-9a8b-2c4d6e8f0a1b"
    clock: ClockState = field(default_factory=ClockState)
    #: "missing": the caller may not use the synchronization API.
    permission: Literal["granted", "missing"] = "granted"
    #: Who calls: the requests carry no token that would tell, so that the ids are nobody's.
    caller: Initiator = field(
        default_factory=lambda: Initiator(id="00000000-0000-0000-0000-000000000000", name="relink")
    )
    #: Whether User.Read.All is granted.
    users_readable: bool = True
    #: Whether AuditLog.Read.All is granted.
    audit_readable: bool = True
    #: Seconds until an event shows in the audit log.
    audit_delay: float = 120
    #: Odd but legal ways in which audit rows are written.
    audit_oddities: list[AuditOddity] = field(default_factory=list)
    #: Whether ProvisioningLog.Read.All is granted.
    provisioning_log_readable: bool = True
    #: Seconds until an evaluated entry shows in the provisioning log, and days until it is gone.
    provisioning_log_delay: float = 120
    provisioning_log_days: float = 30
    #: Odd but legal ways in which rows of the provisioning log are written.
    provisioning_log_oddities: list[RowOddity] = field(default_factory=list)
    #: A page may be smaller than `$top` asks for.
    largest_page: int = 999
    #: Of both logs together, and of provision on demand by itself; None: no limit.
    throttle: ThrottleRules | None = None
    #: Whether SynchronizationMetadata.Read.All is granted, for objectConnections.
    object_connections_readable: bool = True
    #: The two documented shapes of a result of provision on demand.
    on_demand_shape: Literal["resultInKey", "listInValue"] = "resultInKey"
    #: Jobs on a page of a service principal's list; None: all on one.
    jobs_page: int | None = None
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.largest_page < 1:
            raise ValueError("largestPage must be at least 1")
        if self.jobs_page is not None and self.jobs_page < 1:
            raise ValueError("jobsPage must be at least 1")
