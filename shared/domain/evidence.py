"""
Judge what shows that our restart happened, or that it did not. Pure.

All comparisons are between Graph's own times: T is the Date header of the snapshot's answer.
https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationstatus
"""

import json
from copy import replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.domain.sync_job import AuditTrail, Execution, Quarantine, RestartSeen, SyncJob

AUDIT_SLACK: Final = timedelta(minutes=2)
"""How far before T an audit row may lie and still be ours."""

SHOWN_NOT_BEFORE: Final = timedelta(hours=2, minutes=15)
"""Audit rows have come two hours late, and the job's status may lag behind as well."""

SHOWN_BY_JOB: Final = (
    "that this restart took effect is shown by the job alone: Graph's answer to it was lost"
)
"""A warning of the reset, until its cycle has ended: see `whose_cycle`."""

PORTAL_OR_FULL: Final = (
    "the portal's button breaks no link, a Full sent by hand cannot be told from it"
)


class Happened(Struct, frozen=True, kw_only=True):
    """What shows that the restart took effect; `warning` where it may have been another's."""

    how: str
    warning: str = ""


def shown_happened(
    job: SyncJob, *, before: SyncJob | None, snapshot_at: datetime, trail: AuditTrail
) -> Happened | None:
    """
    Return what shows that the restart took effect; None where nothing does.

    An audit row that names our own identity does. So does the job itself, but not where the log
    cannot be read, or shows a restart by somebody else, or one of which it cannot be said whose
    it was.
    """
    since = snapshot_at - AUDIT_SLACK
    for seen in trail.restarts:
        if seen.ours and seen.at >= since:
            return Happened(how=f"the audit log shows the restart at {seen.at:%H:%M:%S} UTC")
    if before is None or not (trail.readable and trail.whole) or trail.unplaced:
        # The job does not tell whose restart it shows: without the log, a person has to.
        return None
    if others(trail, since=audit_since(snapshot_at)):
        # Also one of before the snapshot: the job shows a restart up to two hours late.
        return None
    if job.code == "NotRun" and before.code == "Active":
        how = "the job was Active before and now waits for its initial cycle"
    elif job.knows("steady_state_last") and _lost(job.steady_state_last, before.steady_state_last):
        how = "the job had reached its steady state before and has lost it"
    else:
        return None
    return Happened(how=how, warning=SHOWN_BY_JOB)


def _lost(now: datetime | None, before: datetime | None) -> bool:
    return now is None and before is not None


def shown_not(
    job: SyncJob,
    *,
    before: SyncJob | None,
    snapshot_at: datetime,
    sent_at: datetime,
    trail: AuditTrail,
    now: datetime,
) -> bool:
    """Only where the audit log is silent, late enough, and the job is as no restart leaves it."""
    return (
        trail.silent(since=snapshot_at - AUDIT_SLACK)
        and now - sent_at >= SHOWN_NOT_BEFORE
        and job.read_at - snapshot_at >= SHOWN_NOT_BEFORE
        and before is not None
        and not job.unknown
        and not before.unknown
        and (_shape(job) == _shape(before) or _only_ran_on(job, before))
    )


def _only_ran_on(job: SyncJob, before: SyncJob) -> bool:
    """
    Whether nothing but ordinary cycles have ended since *before*.

    A job runs every twenty to forty minutes: without this, none would ever equal its snapshot. A
    restart takes the first steady state away, and the end of the initial cycle sets another.
    """
    last, last_before = job.last_execution, before.last_execution
    return (
        job.code == before.code == "Active"
        and job.steady_state_first is not None
        and _later(job.steady_state_last, before.steady_state_last)
        and _later(last.began, last_before.began)
        and _later(last.ended, last_before.ended)
        and bool(job.counts) == bool(before.counts)
        and _shape(job, but=_MOVED_BY_A_CYCLE) == _shape(before, but=_MOVED_BY_A_CYCLE)
    )


def _later(now: datetime | None, before: datetime | None) -> bool:
    return now is not None and before is not None and now > before


_MOVED_BY_A_CYCLE: Final = frozenset(
    {"steady_state_last", "last_execution", "counts", "completed_units", "total_units"}
)


def _shape(job: SyncJob, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """All but the moment of reading, and but these members."""
    shape: dict[str, Any] = msgspec.to_builtins(job)
    return {name: value for name, value in shape.items() if name not in {"read_at", *but}}


def restarted_since(job: SyncJob, before: SyncJob) -> str:
    """Say what shows that the job was restarted, by anybody, since it was read as *before*."""
    if job.code == "NotRun" and before.code == "Active":
        return "it was Active before and now waits for its initial cycle"
    if before.steady_state_first is None or not job.knows("steady_state_first"):
        return ""
    if job.steady_state_first is None:
        return "it had ended an initial cycle before, and now shows none"
    if job.steady_state_first > before.steady_state_first:
        return f"it ended another initial cycle at {job.steady_state_first:%Y-%m-%d %H:%M} UTC"
    return ""


def others(trail: AuditTrail, *, since: datetime) -> list[RestartSeen]:
    return [seen for seen in trail.restarts if not seen.ours and seen.at >= since]


def audit_since(snapshot_at: datetime) -> datetime:
    """From when on the audit log is read: who else restarted the job may show in it late."""
    return snapshot_at - SHOWN_NOT_BEFORE


def told_of_others(trail: AuditTrail, *, since: datetime) -> str:
    """Say who else restarted the job; empty where the log shows nobody."""
    found = others(trail, since=since)
    if not found:
        return ""
    named = ", ".join(
        f"by {seen.by or 'somebody whom the audit log does not name'} at {seen.at:%Y-%m-%d %H:%M} "
        "UTC"
        for seen in found[:3]
    )
    more = f" and {len(found) - 3} more times" if len(found) > 3 else ""
    return f"restarted {named}{more} ({PORTAL_OR_FULL})"


def of_one_job(trail: AuditTrail, *, jobs: int) -> AuditTrail:
    """
    Return what the log says about one of *jobs* that this app restarts at a service principal.

    A row names the service principal, never the job: of several, ours may have been another's.
    """
    if jobs <= 1:
        return trail
    foreign = tuple(seen for seen in trail.restarts if not seen.ours)
    ours = len(trail.restarts) - len(foreign)
    return replace(trail, restarts=foreign, unplaced=trail.unplaced + ours)


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
