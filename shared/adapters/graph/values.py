"""Graph's answers as values of ours, and the body of a restart."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgraph.generated.models.synchronization_job import SynchronizationJob
from msgraph.generated.models.synchronization_job_restart_criteria import (
    SynchronizationJobRestartCriteria,
)
from msgraph.generated.models.synchronization_job_restart_scope import (
    SynchronizationJobRestartScope,
)
from msgspec import Struct, field

from shared.adapters.graph.errors import LONGEST_WORDS
from shared.domain.errors import FateUnknown, Rejected
from shared.domain.reset import Scope
from shared.domain.sync_job import Execution, Quarantine, StaleLink, SyncJob

STALE: Final = "InvalidAnchor"
"""https://learn.microsoft.com/entra/identity/monitoring-health/howto-analyze-provisioning-logs"""

_NEVER: Final = 1


def criteria_of(scope: Scope) -> SynchronizationJobRestartCriteria:
    """
    Only an enum member reaches the wire: the SDK drops a string or a list without a word, and an
    empty criteria is the portal's restart, which breaks no link.
    """
    if scope is Scope.FULL:
        return SynchronizationJobRestartCriteria(reset_scope=SynchronizationJobRestartScope.Full)
    if scope is Scope.QUARANTINE:
        # Flags cannot be combined in the SDK's enum.
        return SynchronizationJobRestartCriteria(
            additional_data={"resetScope": "Watermark, Escrows, QuarantineState"}
        )
    raise ValueError(f"scope {scope!r} is never sent")


def only_job(service_principal_id: str, jobs: list[SynchronizationJob]) -> SynchronizationJob:
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        raise Rejected(
            f"service principal {service_principal_id} has no provisioning job", status=404
        )
    ids = ", ".join(job.id or "?" for job in jobs)
    raise Rejected(
        f"service principal {service_principal_id} has {len(jobs)} provisioning jobs; set jobId "
        f"in RESET_TARGETS to one of: {ids}",
        status=409,
    )


def job_of(job: SynchronizationJob | None, *, read_at: datetime) -> SyncJob:
    if job is None or not job.id or job.status is None:
        raise FateUnknown("the answer of Microsoft Graph is no synchronization job")
    status, schedule = job.status, job.schedule
    last, quarantine = status.last_execution, status.quarantine
    step = next(iter(status.progress or []), None)
    return SyncJob(
        id=job.id,
        read_at=read_at,
        template_id=job.template_id or "",
        code=_text(status.code),
        schedule_state=_text(schedule.state if schedule else None),
        interval=schedule.interval if schedule else None,
        steady_state_first=time_of(status.steady_state_first_achieved_time),
        steady_state_last=time_of(status.steady_state_last_achieved_time),
        last_execution=Execution(
            state=_text(last.state) if last else "",
            began=time_of(last.time_began) if last else None,
            ended=time_of(last.time_ended) if last else None,
            error=_error_words(last.error) if last else "",
        ),
        escrows_pruned=bool(status.escrows_pruned),
        quarantine=None
        if quarantine is None
        else Quarantine(
            reason=_text(quarantine.reason),
            began=time_of(quarantine.current_began),
            series_began=time_of(quarantine.series_began),
            error=_error_words(quarantine.error),
        ),
        counts={
            count.key or "": count.value or 0
            for count in status.synchronized_entry_count_by_type or []
        },
        completed_units=step.completed_units if step else None,
        total_units=step.total_units if step else None,
    )


def _text(value: Any) -> str:
    """The enum's text; empty where the SDK met a value that it does not know and gave None."""
    return "" if value is None else str(value.value)


def time_of(value: datetime | None) -> datetime | None:
    """Year 1 means never; arithmetic on it overflows, so that it goes no further than here."""
    if value is None or value.year <= _NEVER:
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _error_words(error: Any) -> str:
    if error is None or not error.code or error.code == "None":
        return ""
    return f"{error.code}: {error.message or ''}"[:LONGEST_WORDS]


class _Identity(Struct):
    id: str | None = None


class _ErrorInformation(Struct, rename="camel"):
    error_code: str | None = None


class _StatusInfo(Struct, rename="camel"):
    error_information: _ErrorInformation | None = None


class LogRow(Struct, rename="camel"):
    """
    What is needed of a row.

    https://learn.microsoft.com/graph/api/resources/provisioningobjectsummary
    """

    activity_date_time: str | None = None
    source_identity: _Identity | None = None
    provisioning_status_info: _StatusInfo | None = None


class LogPage(Struct):
    value: list[LogRow]
    next_link: str = field(default="", name="@odata.nextLink")


def log_page(body: bytes) -> LogPage:
    """Raise msgspec.DecodeError where it is none."""
    return msgspec.json.decode(body, type=LogPage)


def newest_are_stale(rows: Iterable[LogRow], *, since: datetime) -> tuple[StaleLink, ...]:
    """
    The users whose newest row is an InvalidAnchor; *rows* come newest first.

    A row of another kind after it says that the link was broken, or that nobody knows better.
    """
    newest: dict[str, StaleLink | None] = {}
    for row in rows:
        at = _moment(row.activity_date_time)
        user = row.source_identity.id if row.source_identity else None
        if at is None or not user or at <= since or user in newest:
            continue
        info = row.provisioning_status_info
        error = info.error_information if info else None
        stale = error is not None and error.error_code == STALE
        newest[user] = StaleLink(user_id=user, at=at) if stale else None
    return tuple(link for link in newest.values() if link is not None)


def _moment(text: str | None) -> datetime | None:
    """Microsoft's own samples have rows without a date."""
    try:
        return time_of(datetime.fromisoformat(text or ""))
    except ValueError:
        return None
