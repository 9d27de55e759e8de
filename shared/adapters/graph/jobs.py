"""
A synchronization job as Graph writes it, read as a value of ours, and the lists of them.

https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationjob
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.words import in_own_words
from shared.domain.errors import FateUnknown, Rejected
from shared.domain.sync_job import Execution, Quarantine, SyncJob


def _spelled(*words: str) -> Mapping[str, str]:
    return {word.casefold(): word for word in words}


_CODES: Final = _spelled("NotConfigured", "NotRun", "Active", "Paused", "Quarantine")
_SCHEDULE_STATES: Final = _spelled("Active", "Disabled", "Paused")
_EXECUTION_STATES: Final = _spelled("Succeeded", "Failed", "EntryLevelErrors")
_NO_ERROR: Final = "None"


def only_job(service_principal_id: str, jobs: Sequence[object]) -> object:
    """Return the only job; raise Rejected, naming their ids, where there are several or none."""
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        raise Rejected(
            f"service principal {service_principal_id} has no provisioning job", status=404
        )
    ids = ", ".join(read.text(read.members(job).get("id")) or "?" for job in jobs)
    raise Rejected(
        f"service principal {service_principal_id} has {len(jobs)} provisioning jobs; set jobId "
        f"in RESET_TARGETS to one of: {ids}",
        status=400,
    )


def job_of(value: object, *, read_at: datetime) -> SyncJob:
    """Read one job; raise FateUnknown where the value is not a job at all."""
    job = read.members(value)
    job_id = read.text(job.get("id"))
    status = job.get("status")
    if not job_id or not isinstance(status, dict):
        raise FateUnknown("the answer of Microsoft Graph is not a synchronization job")
    return _Job(status).value(
        job_id=job_id,
        template_id=read.text(job.get("templateId")),
        schedule=read.members(job.get("schedule")),
        read_at=read_at,
    )


class _Job:
    """Reads one status, and remembers which fields it could not read."""

    def __init__(self, status: Mapping[str, object]) -> None:
        self._status = status
        self._unknown: list[str] = []

    def value(
        self, *, job_id: str, template_id: str, schedule: Mapping[str, object], read_at: datetime
    ) -> SyncJob:
        status = self._status
        steps = read.items(status.get("progress")) or ()
        step = read.members(steps[0]) if steps else {}
        pruned = read.flag(status.get("escrowsPruned"))
        if pruned is None:
            self._unknown.append("escrows_pruned")
        return SyncJob(
            id=job_id,
            read_at=read_at,
            template_id=template_id,
            code=read.word(status.get("code"), _CODES),
            schedule_state=read.word(schedule.get("state"), _SCHEDULE_STATES),
            interval=read.span(schedule.get("interval")),
            steady_state_first=self._moment("steady_state_first", "steadyStateFirstAchievedTime"),
            steady_state_last=self._moment("steady_state_last", "steadyStateLastAchievedTime"),
            last_execution=_execution(status.get("lastExecution")),
            escrows_pruned=bool(pruned),
            quarantine=self._quarantine(),
            counts=self._counts(),
            completed_units=read.whole_number(step.get("completedUnits")),
            total_units=read.whole_number(step.get("totalUnits")),
            unknown=tuple(self._unknown),
        )

    def _moment(self, field: str, member: str) -> datetime | None:
        found = read.moment(self._status.get(member))
        if found is None:
            self._unknown.append(field)
        return _or_none(found)

    def _quarantine(self) -> Quarantine | None:
        """Only `null` says that there is none; a value of another kind is one of which no more
        is known, and a member that is missing says nothing.
        """
        if "quarantine" not in self._status:
            self._unknown.append("quarantine")
            return None
        value = self._status["quarantine"]
        if value is None:
            return None
        shown = read.members(value)
        return Quarantine(
            reason=read.word(shown.get("reason")),
            began=_or_none(read.moment(shown.get("currentBegan"))),
            series_began=_or_none(read.moment(shown.get("seriesBegan"))),
            error=_error(shown.get("error")),
        )

    def _counts(self) -> Mapping[str, int]:
        """One count that cannot be read makes the sum unknown; a key that comes twice is summed."""
        rows = read.items(self._status.get("synchronizedEntryCountByType"))
        if rows is None:
            self._unknown.append("counts")
            return {}
        counts: dict[str, int] = {}
        for row in rows:
            key = read.text(read.members(row).get("key"))
            count = read.whole_number(read.members(row).get("value"))
            if not key or count is None:
                self._unknown.append("counts")
                return {}
            counts[key] = counts.get(key, 0) + count
        return counts


def _execution(value: object) -> Execution:
    shown = read.members(value)
    return Execution(
        state=read.word(shown.get("state"), _EXECUTION_STATES),
        began=_or_none(read.moment(shown.get("timeBegan"))),
        ended=_or_none(read.moment(shown.get("timeEnded"))),
        error=_error(shown.get("error")),
        escrowed=read.whole_number(shown.get("countEscrowed")),
    )


def _error(value: object) -> str:
    """`code: message` of an error of the service; a never-run job has one of the code None."""
    shown = read.members(value)
    code, message = read.text(shown.get("code")), in_own_words(read.text(shown.get("message")))
    if code == _NO_ERROR:
        return ""
    return ": ".join(filter(None, (in_own_words(code), message)))


def _or_none(found: datetime | read.Never | None) -> datetime | None:
    """Arithmetic on the year 1 overflows, so that it goes no further than here."""
    return None if isinstance(found, read.Never) else found
