"""Defines what a job shows of itself: executions, quarantine, status, and the cycle that runs."""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field


class Value(Struct, rename="camel", forbid_unknown_fields=True):
    """Unknown keys are refused: a misspelt switch would otherwise do nothing, silently."""


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

    A series lasts from the first imposition until the quarantine is lifted; whether `currentBegan`
    moves each time that it is imposed again is a rule.
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
    #: After the first failure; later on again and again. Real answers have the five minutes, the
    #: article has the rest.
    retry_hours: list[float] = field(default_factory=lambda: [1 / 12, 6, 12, 24])
    then_every_hours: float = 24
    disabled_after_days: float = 28
    #: What too many failures do to an initial cycle.
    initial_cycle: Literal["prunes", "quarantines"] = "prunes"
    #: The code of a job that was disabled after all that time.
    disabled_code: Literal["Quarantine", "Paused"] = "Quarantine"
    #: What `currentBegan` does when the quarantine is imposed again. Real answers show both.
    current_began: Literal["moves", "stays", "alternates"] = "moves"

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
