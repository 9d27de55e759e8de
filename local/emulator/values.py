"""
Defines what the emulated tenant holds.

The seed file, the state of the control API and the directory share this one definition; keys are
the fields in camelCase.
"""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, ValidationError, convert, field

type SourceAttribute = Literal[
    "userPrincipalName",
    "mail",
    "employeeId",
    "displayName",
    "mailNickname",
]


class Value(Struct, rename="camel", forbid_unknown_fields=True):
    """Unknown keys are refused: a misspelt switch would otherwise do nothing, silently."""


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


class JobError(Value):
    """A `synchronizationError`."""

    code: str
    message: str = ""
    tenant_actionable: bool = True


class Execution(Value):
    began: datetime
    ended: datetime
    state: Literal["Succeeded", "Failed", "EntryLevelErrors"] = "Succeeded"
    entitled: int = 0
    imported: int = 0
    exported: int = 0
    escrowed: int = 0
    error: JobError | None = None


class Quarantine(Value):
    """
    Without `nextAttempt` it stays until it is lifted.

    A series lasts from the first imposition until the quarantine is lifted; `currentBegan` moves
    each time that it is imposed again.
    """

    #: Any text: Graph may come to know more than the eight of today.
    reason: str = "Unknown"
    current_began: datetime | None = None
    next_attempt: datetime | None = None
    series_began: datetime | None = None
    series_count: int = 0
    error: JobError | None = None


class QuarantineRules(Value):
    """
    As documented ("subject to change").

    https://learn.microsoft.com/entra/identity/app-provisioning/application-provisioning-quarantine-status
    """

    #: With fewer failures nothing is judged.
    least: int = 5_000
    proportion: float = 0.4
    base: int = 40_000
    total: int = 60_000
    #: After the first failure; later on again and again.
    retry_hours: list[float] = field(default_factory=lambda: [6, 12, 24])
    then_every_hours: float = 24
    disabled_after_days: float = 28
    #: What too many failures do to an initial cycle.
    initial_cycle: Literal["prunes", "quarantines"] = "prunes"
    #: The code of a job that was disabled after all that time.
    disabled_code: Literal["Quarantine", "Paused"] = "Quarantine"

    def __post_init__(self) -> None:
        if self.retry_hours != sorted(self.retry_hours) or any(h <= 0 for h in self.retry_hours):
            raise ValueError("retryHours must rise, from more than 0")
        if self.then_every_hours <= 0:
            raise ValueError("thenEveryHours must be more than 0")


class Status(Value):
    """What Graph tells of a job. None is shown as Graph shows "never"."""

    code: str = "Active"
    escrows_pruned: bool = False
    quarantine: Quarantine | None = None
    #: Cycles in a row that failed as a whole.
    complete_failures: int = 0
    steady_state_first_achieved: datetime | None = None
    steady_state_last_achieved: datetime | None = None
    last_execution: Execution | None = None
    last_successful_execution: Execution | None = None
    last_successful_execution_with_exports: Execution | None = None
    #: Counted at the end of a cycle; None while there is none.
    entries: int | None = None


class Lag(Value):
    """An old status that is still shown."""

    until: datetime
    status: Status


class Cycle(Value):
    """A run over *users*, of whom the first *done* have been evaluated."""

    began: datetime
    users: list[str]
    initial: bool
    done: int = 0
    exported: int = 0
    escrowed: int = 0
    #: A restart came while it ran: its end is not the new cycle's.
    superseded: bool = False


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


class ClockState(Value):
    now: datetime | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.speed is not None and self.speed < 0:
            raise ValueError("speed must be 0 (standing still) or more")


class State(Value):
    users: list[User]
    service_principals: list[ServicePrincipal]
    tenant_id: str = "b7c2f0a4-5d1e-4f63-9a8b-2c4d6e8f0a1b"
    clock: ClockState = field(default_factory=ClockState)
    #: "missing": the caller may not use the synchronization API.
    permission: Literal["granted", "missing"] = "granted"
    #: Whether AuditLog.Read.All is granted.
    audit_readable: bool = True
    #: Seconds until an event shows in the audit log.
    audit_delay: float = 120
    #: Whether ProvisioningLog.Read.All is granted.
    provisioning_log_readable: bool = True
    #: Seconds until an evaluated entry shows in the provisioning log, and days until it is gone.
    provisioning_log_delay: float = 120
    provisioning_log_days: float = 30
    #: A page may be smaller than `$top` asks for.
    largest_page: int = 999
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.largest_page < 1:
            raise ValueError("largestPage must be at least 1")
