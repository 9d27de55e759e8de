"""
Judge whether the initial cycle that our restart began has ended, and how. Pure.

All comparisons are between Graph's own times: T is the Date header of the snapshot's answer.
https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationstatus
"""

from datetime import datetime, timedelta
from typing import Final

from shared.domain.events import CycleEnded, CycleRuns
from shared.domain.evidence import (
    AUDIT_SLACK,
    SHOWN_BY_JOB,
    SHOWN_NOT_BEFORE,
    audit_since,
    dump,
    load,
    others,
    told_of_others,
)
from shared.domain.sync_job import AuditTrail, Execution, SyncJob

MINUTES_PER_ENTRY: Final = (0.01, 0.08)
"""https://learn.microsoft.com/entra/identity/app-provisioning/application-provisioning-when-will-provisioning-finish-specific-user"""

ENDED_STATES: Final = frozenset({"Succeeded", "EntryLevelErrors"})
SHORTEST_DEADLINE: Final = timedelta(hours=6)
DEADLINE_WITHOUT_SIZE: Final = timedelta(hours=48)
DEADLINE_FACTOR: Final = 4
LONGEST_DETAIL: Final = 1000

NOT_RUN: Final = "NotRun"


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
    job: SyncJob,
    *,
    before: SyncJob | None,
    snapshot_at: datetime,
    look_at: datetime,
    seen: str = "",
) -> CycleEnded | CycleRuns:
    """
    Apply the done rule: the new cycle ended well, ended badly, or runs on.

    *seen* is the progress as it was last shown: it remembers that the job was once NotRun.
    """
    shown = progress(job, seen=seen)
    not_run_seen = shown.startswith(NOT_RUN)
    if why := _quarantined(job, before, snapshot_at, not_run_seen=not_run_seen):
        return _ended(job, "quarantined", f"the job is in quarantine after the restart: {why}")
    pruned_before = before is not None and before.escrows_pruned
    if job.code == "Paused" and job.escrows_pruned and not pruned_before:
        return _ended(
            job,
            "paused with pruned errors",
            "too many entries failed: Entra pruned the errors and paused the job",
        )
    last, steady = job.last_execution, job.steady_state_last
    ended = _ended_since(job, snapshot_at, not_run_seen=not_run_seen)
    if (
        ended
        and job.code == "Active"
        and steady is not None
        and steady > snapshot_at
        and (before is None or steady != before.steady_state_last)
        and last.state in ENDED_STATES
    ):
        words = f"the initial cycle ended{_failed_entries(last)}{_fall(before, job)}"
        return _ended(job, "completed", words, completed=True)
    return CycleRuns(look_at=look_at, progress=shown, overdue=_overdue(job, ended=ended))


def whose_cycle(
    ended: CycleEnded,
    trail: AuditTrail,
    *,
    snapshot_at: datetime,
    sent_at: datetime,
    look_at: datetime,
    warnings: tuple[str, ...],
    now: datetime,
) -> CycleEnded | CycleRuns:
    """
    Say who else restarted the job meanwhile; and where only the job has shown that our restart
    took effect, hold it back until the audit log has had time to say whose restart it was.
    """
    since = snapshot_at - AUDIT_SLACK
    told = told_of_others(trail, since=since)
    # The snapshot's time is Graph's own, as that of the log: what was before it is told already.
    meanwhile = told_of_others(trail, since=snapshot_at)
    also = f"the job was also {meanwhile}" if meanwhile else ""
    if SHOWN_BY_JOB not in warnings or not ended.completed:
        return _with_words(ended, also)
    if any(seen.ours and seen.at >= since for seen in trail.restarts):
        return _with_words(ended, also)
    if others(trail, since=audit_since(snapshot_at)) or trail.unplaced:
        return CycleEnded(
            completed=False,
            outcome="fate unknown",
            detail=(
                f"fate unknown: Graph's answer to this restart was lost, and the job was "
                f"{told or 'restarted by somebody else, or so it may have been'}; the "
                "initial cycle that ended need not be that of this restart: ask again"
            )[:LONGEST_DETAIL],
            after=ended.after,
            steady_at=ended.steady_at,
        )
    # Somebody may have restarted the job long after our intent: their row comes as late.
    after = load(ended.after)
    began = after.last_execution.began if after is not None else None
    latest = max(sent_at, began) if began is not None else sent_at
    read = trail.readable and trail.whole
    if not read or now - latest < SHOWN_NOT_BEFORE:
        # Until the deadline: what was readable when the job showed it may be again.
        shows = "does not show yet" if read else "cannot be read to say"
        return CycleRuns(
            look_at=look_at,
            progress=f"ended; the audit log {shows} whose restart it was",
            overdue=f"the initial cycle ended, and the audit log {shows} whose restart it was",
        )
    return _with_words(ended, SHOWN_BY_JOB)


def _with_words(ended: CycleEnded, words: str) -> CycleEnded:
    if not words:
        return ended
    return CycleEnded(
        completed=ended.completed,
        outcome=ended.outcome,
        detail=f"{ended.detail}; {words}"[:LONGEST_DETAIL],
        after=ended.after,
        steady_at=ended.steady_at,
    )


def _ended(job: SyncJob, outcome: str, detail: str, *, completed: bool = False) -> CycleEnded:
    return CycleEnded(
        completed=completed,
        outcome=outcome,
        detail=detail[:LONGEST_DETAIL],
        after=dump(job),
        steady_at=job.steady_state_first,
    )


def _quarantined(
    job: SyncJob, before: SyncJob | None, snapshot_at: datetime, *, not_run_seen: bool
) -> str:
    """
    Graph's words where the quarantine is one of the new cycle's; empty where it may be an old one.

    Imposed again, it need not get a new `currentBegan`: what is still there when a cycle of after
    T has ended is the new cycle's too.
    """
    quarantine = job.quarantine
    if quarantine is None and job.code != "Quarantine":
        return ""
    began = quarantine.began if quarantine is not None else None
    was_there = before is not None and (before.quarantine is not None or before.code == job.code)
    is_new = (
        not was_there
        or (began is not None and began > snapshot_at)
        or _ended_since(job, snapshot_at, not_run_seen=not_run_seen)
    )
    if not is_new:
        return ""
    reason = quarantine.reason if quarantine is not None else ""
    error = quarantine.error if quarantine is not None else ""
    words = reason or "Graph gives no reason that can be read"
    return f"{words} ({error})" if error else words


def _ended_since(job: SyncJob, snapshot_at: datetime, *, not_run_seen: bool) -> bool:
    """
    Whether the last execution is one that began after T and has ended.

    Graph has been seen to write the year 1 for its beginning. Then its end counts, where the
    initial cycle is known to be one of after T.
    """
    last = job.last_execution
    if last.began is not None:
        return last.began > snapshot_at and (last.ended is not None or last.state in ENDED_STATES)
    if last.ended is None or last.ended <= snapshot_at:
        return False
    first = job.steady_state_first
    return not_run_seen or (first is not None and first > snapshot_at)


def _failed_entries(last: Execution) -> str:
    """Entries that failed are counted under any word: a cycle that Succeeded may have some."""
    if last.escrowed:
        entries = "entry" if last.escrowed == 1 else "entries"
        return f"; {last.escrowed:,} {entries} failed (see the provisioning logs)"
    if last.state == "EntryLevelErrors":
        return ", with errors on some entries (see the provisioning logs)"
    return ""


def _fall(before: SyncJob | None, after: SyncJob) -> str:
    """Name a fall of the managed entries: a sign of lost removals, or of a wrong match."""
    if before is None or before.size is None or after.size is None or after.size >= before.size:
        return ""
    return f"; {before.size - after.size:,} fewer accounts are managed than before"


def _overdue(job: SyncJob, *, ended: bool) -> str:
    """What is to be said if the deadline passes with the job like this."""
    late = "the initial cycle did not end in the time expected"
    last = job.last_execution
    if ended and job.steady_state_last is None:
        known = "never" if job.knows("steady_state_last") else "a date that cannot be read"
        at = f" at {last.ended:%Y-%m-%d %H:%M} UTC" if last.ended else ""
        return (
            f"{late}: an execution ended as {last.state or 'unknown'}{at}, but Graph shows {known} "
            f"for the steady state{f' ({last.error})' if last.error else ''}"
        )[:LONGEST_DETAIL]
    if ended and last.state not in ENDED_STATES:
        why = f": {last.error}" if last.error else ""
        return f"{late}: the last execution ended as {last.state or 'unknown'}{why}"[
            :LONGEST_DETAIL
        ]
    code = job.code or "in a state that cannot be read"
    return f"{late}: Graph still shows the job {code}"


def progress(job: SyncJob, *, seen: str = "") -> str:
    """`n of m` where Graph says so, else the job's state; NotRun, once *seen*, is kept in front."""
    if job.completed_units is not None and job.total_units:
        return f"{job.completed_units} of {job.total_units}"
    code = job.code or "a state that cannot be read"
    if seen.startswith(NOT_RUN) and code != NOT_RUN:
        return f"{NOT_RUN}, then {code}"
    return code
