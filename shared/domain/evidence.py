"""
What the job, as Graph shows it, says about our restart. Pure.

All comparisons are between Graph's own times: T is the Date header of the snapshot's answer.
https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationstatus
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from shared.domain.events import CycleEnded, CycleRuns
from shared.domain.states import SHOWN_NOT_BEFORE
from shared.domain.sync_job import AuditTrail, Execution, Quarantine, SyncJob

AUDIT_SLACK: Final = timedelta(minutes=2)
"""How far before T an audit row may lie and still be ours."""

MINUTES_PER_ENTRY: Final = (0.01, 0.08)
"""https://learn.microsoft.com/entra/identity/app-provisioning/application-provisioning-when-will-provisioning-finish-specific-user"""

ENDED_STATES: Final = frozenset({"Succeeded", "EntryLevelErrors"})
SHORTEST_DEADLINE: Final = timedelta(hours=6)
DEADLINE_WITHOUT_SIZE: Final = timedelta(hours=48)
DEADLINE_FACTOR: Final = 4


def expected_minutes(size: int | None) -> str:
    """`min-max` minutes of an initial cycle over *size* entries; empty without a size."""
    if size is None:
        return ""
    least, most = (max(1, round(size * each)) for each in MINUTES_PER_ENTRY)
    return f"{least}-{most}"


def ends_by(size: int | None, *, now: datetime) -> datetime:
    """
    When an initial cycle must have ended, else it counts as failed.

    Four times the documented worst case (creating all users takes twice as long as matching
    them, and a busy service again as long), never under six hours.
    """
    if size is None:
        return now + DEADLINE_WITHOUT_SIZE
    worst = timedelta(minutes=size * MINUTES_PER_ENTRY[1] * DEADLINE_FACTOR)
    return now + max(SHORTEST_DEADLINE, worst)


def judge_cycle(
    job: SyncJob, *, before: SyncJob | None, snapshot_at: datetime, look_at: datetime
) -> CycleEnded | CycleRuns:
    """The done rule: the new cycle ended well, ended badly, or runs on."""
    after = dump(job)
    quarantine = job.quarantine
    if quarantine is not None and quarantine.began is not None and quarantine.began > snapshot_at:
        why = quarantine.reason or "a reason that this version does not know"
        detail = f"the job went into quarantine after the restart: {why}"
        if quarantine.error:
            detail = f"{detail} ({quarantine.error})"
        return CycleEnded(
            completed=False,
            outcome="quarantined",
            detail=detail[:1000],
            after=after,
            steady_at=job.steady_state_first,
        )
    pruned_before = before is not None and before.escrows_pruned
    if job.code == "Paused" and job.escrows_pruned and not pruned_before:
        return CycleEnded(
            completed=False,
            outcome="paused with pruned errors",
            after=after,
            detail="too many entries failed: Entra pruned the errors and paused the job",
            steady_at=job.steady_state_first,
        )
    steady, last = job.steady_state_last, job.last_execution
    done = (
        job.code == "Active"
        and steady is not None
        and steady > snapshot_at
        and (before is None or steady != before.steady_state_last)
        and last.began is not None
        and last.began > snapshot_at
        and last.state in ENDED_STATES
    )
    if not done:
        return CycleRuns(look_at=look_at, progress=progress(job))
    words = "the initial cycle ended"
    if last.state == "EntryLevelErrors":
        words += ", with errors on some entries (see the provisioning logs)"
    return CycleEnded(
        completed=True,
        outcome="completed",
        after=after,
        detail=words + _fall(before, job),
        steady_at=job.steady_state_first,
    )


def _fall(before: SyncJob | None, after: SyncJob) -> str:
    """Name a fall of the managed entries: a sign of lost removals, or of a wrong match."""
    if before is None or before.size is None or after.size is None or after.size >= before.size:
        return ""
    return f"; {before.size - after.size:,} fewer accounts are managed than before"


def progress(job: SyncJob) -> str:
    """`n of m users` where Graph says so, else the job's state."""
    if job.completed_units is not None and job.total_units:
        return f"{job.completed_units} of {job.total_units}"
    return job.code or "a state that this version does not know"


def shown_happened(
    job: SyncJob, *, before: SyncJob | None, snapshot_at: datetime, trail: AuditTrail
) -> str:
    """Say what shows that the restart took effect; empty where nothing does."""
    for seen in trail.restarts:
        if seen.at >= snapshot_at - AUDIT_SLACK:
            return f"the audit log shows the restart at {seen.at:%H:%M:%S} UTC"
    if before is None:
        return ""
    if job.code == "NotRun" and before.code == "Active":
        return "the job was Active before and now waits for its initial cycle"
    if job.steady_state_last is None and before.steady_state_last is not None:
        return "the job had reached its steady state before and has lost it"
    return ""


def shown_not(
    job: SyncJob,
    *,
    before: SyncJob | None,
    sent_at: datetime,
    trail: AuditTrail,
    now: datetime,
) -> bool:
    """Only where the audit log is readable and silent, late enough, and the job is unchanged."""
    return (
        trail.readable
        and not trail.restarts
        and now - sent_at >= SHOWN_NOT_BEFORE
        and before is not None
        and _same(job, before)
    )


def _same(job: SyncJob, before: SyncJob) -> bool:
    """Equal but for the moment of reading. An incremental cycle in between makes them differ."""
    return _comparable(job) == _comparable(before)


def _comparable(job: SyncJob) -> dict[str, Any]:
    shape: dict[str, Any] = msgspec.to_builtins(job)
    shape.pop("read_at")
    return shape


def dump(job: SyncJob) -> str:
    """The job as JSON, as the Before and After columns keep it."""
    shape = msgspec.to_builtins(job)
    return json.dumps({_camel(k): v for k, v in shape.items()}, ensure_ascii=False)


def load(text: str) -> SyncJob | None:
    """The job that `dump` wrote; None for an empty column."""
    if not text:
        return None
    shape = {_snake(k): v for k, v in json.loads(text).items()}
    for name, kind in (("last_execution", Execution), ("quarantine", Quarantine)):
        if shape.get(name) is not None:
            shape[name] = msgspec.convert(shape[name], kind)
    return msgspec.convert(shape, SyncJob)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
