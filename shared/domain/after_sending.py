"""Say what an event makes of a reset whose restart was, or may have been, sent."""

from copy import replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain import events
from shared.domain.events import Event
from shared.domain.evidence import SHOWN_NOT_BEFORE
from shared.domain.reset import (
    JobRow,
    LastFull,
    NotificationKind,
    Reset,
    Scope,
    State,
    WaitingFor,
)
from shared.domain.transitions import (
    RELINK,
    Transition,
    end,
    found_job_id,
    move,
    read_counted,
    wait,
)

ASK_AFTER: Final = timedelta(minutes=30)

LOOK_AGAIN: Final = timedelta(hours=1)
"""How often evidence is looked for while a person is asked."""


def sending(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    """Rows 9 to 13: the sender's word about its own intent, or that the sender died."""
    match event:
        case events.RestartAccepted(number=number) if number == reset.number:
            return _start_monitoring(reset, event, now)
        case events.SendPrevented(number=number) if number == reset.number:
            tried = replace(reset, tries=reset.tries + 1)
            return wait(tried, WaitingFor.GRAPH, event.until, event.reason, now)
        case events.RestartRejected(number=number) if number == reset.number:
            rejected = replace(
                reset,
                state=State.FAILED,
                outcome="rejected by Graph",
                detail=event.reason,
                graph_request_id=event.graph_request_id,
            )
            refused = replace(_row_of_found(reset, job), last_refused_at=now)
            return _end_sent(reset, rejected, refused, now)
        case events.ResponseLost(number=number) if number == reset.number:
            lost = replace(reset, state=State.UNKNOWN, due_at=event.look_at, detail=event.reason)
            return move(reset, lost, now)
        case events.SenderDied():
            died = replace(
                reset,
                state=State.UNKNOWN,
                due_at=now,
                detail="the process that sent the restart did not report the result; "
                "evidence is being looked for",
            )
            return move(reset, died, now)
        case _:
            return None


def unknown(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    """Rows 9 and 14 to 16, and a person's word. What leaves `unknown` clears Asked."""
    resolved = replace(reset, operator_asked=False)
    match event:
        case events.RestartAccepted(number=number) if number == reset.number:
            return _start_monitoring(resolved, event, now)
        case events.ShownNotSent() if _since_sent(reset, now) >= SHOWN_NOT_BEFORE:
            again = replace(
                resolved,
                state=State.WAITING,
                waiting_for=None,
                due_at=now,
                detail=event.reason,
            )
            return move(reset, again, now)
        case events.FateStillUnknown() if reset.operator_asked:
            return _still_asked(reset, job, event, now)
        case events.FateStillUnknown():
            return _still_unknown(reset, event, now)
        case events.Decided(decision="resend") if reset.operator_asked:
            again = replace(
                resolved,
                state=State.WAITING,
                waiting_for=None,
                due_at=now,
                detail="a person says that the restart did not happen: it may be sent again "
                f"{event.words}",
            )
            return move(reset, again, now, by=event.by)
        case events.Decided(decision="cancel") if reset.operator_asked:
            why = f"given up by a person {event.words}"
            return _fate_unknown(reset, job, now, why, by=event.by)
        case _:
            return None


def _still_unknown(reset: Reset, event: events.FateStillUnknown, now: datetime) -> Transition:
    """Rows 14 and 15: a person is asked after half an hour."""
    if _since_sent(reset, now) < ASK_AFTER:
        unknown = replace(
            reset,
            due_at=event.look_at,
            detail=event.reason or reset.detail,
            tries=reset.tries + 1 if event.failed else 0,
        )
        return move(reset, unknown, now)
    told = f"; {event.reason}" if event.reason else ""
    asked = replace(
        reset,
        waiting_for=WaitingFor.PERSON,
        due_at=min(now + LOOK_AGAIN, event.expires),
        deadline=event.expires,
        operator_asked=True,
        detail=("a person must say whether the restart happened: confirm, resend or cancel" + told)[
            :1000
        ],
    )
    return replace(move(reset, asked, now), answer=NotificationKind.UNKNOWN)


def _still_asked(
    reset: Reset, job: JobRow, event: events.FateStillUnknown, now: datetime
) -> Transition:
    if reset.deadline is None or now >= reset.deadline:
        why = "nobody said in time whether the restart happened"
        return _fate_unknown(reset, job, now, f"{why}; {event.reason}" if event.reason else why)
    again = replace(
        reset,
        due_at=min(max(now + LOOK_AGAIN, event.look_at), reset.deadline),
        tries=reset.tries + 1 if event.failed else 0,
    )
    return move(reset, again, now)


def _fate_unknown(
    reset: Reset, job: JobRow, now: datetime, why: str, by: str = RELINK
) -> Transition:
    failed = replace(
        reset,
        state=State.FAILED,
        outcome="fate unknown",
        detail=f"fate unknown: {why}"[:1000],
        operator_asked=False,
    )
    restarted = replace(_restarted_row(reset, job), last_restart_at=reset.sent_at)
    return _end_sent(reset, failed, restarted, now, by=by)


def restarted(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    """Row 17."""
    match event:
        case events.CycleEnded():
            ended = replace(
                reset,
                state=State.COMPLETED if event.completed else State.FAILED,
                outcome=event.outcome,
                detail=event.detail,
                after=event.after,
            )
            restarted = replace(_restarted_row(reset, job), last_steady_at=event.steady_at)
            return _end_sent(reset, ended, restarted, now)
        case events.CycleRuns() if reset.deadline is not None and now >= reset.deadline:
            late = replace(
                reset,
                state=State.FAILED,
                outcome="not ended in time",
                detail=event.overdue or "the initial cycle did not end in the time expected",
            )
            return _end_sent(reset, late, _restarted_row(reset, job), now)
        case events.CycleRuns():
            counted = read_counted(reset, now, failed=event.failed, missing=event.missing)
            runs = replace(counted, due_at=event.look_at, progress=event.progress or reset.progress)
            return move(reset, runs, now)
        case _:
            return None


def _start_monitoring(reset: Reset, event: events.RestartAccepted, now: datetime) -> Transition:
    monitored = replace(
        reset,
        state=State.RESTARTED,
        due_at=event.look_at,
        deadline=event.ends_by,
        restarted_at=event.restarted_at,
        graph_request_id=event.graph_request_id,
        detail=event.detail or "Graph took the restart; the initial cycle is being watched",
        warnings=_with_warning(reset.warnings, event.warning),
        missing_since=None,
        tries=0,
    )
    step = move(reset, monitored, now, by=event.by or RELINK)
    return replace(step, answer=NotificationKind.RESTARTED)


def _with_warning(warnings: tuple[str, ...], warning: str) -> tuple[str, ...]:
    return warnings if not warning or warning in warnings else (*warnings, warning)


def _row_of_found(reset: Reset, job: JobRow) -> JobRow:
    """The job row as one of the job that the restart was sent to: another's past is dropped."""
    found = found_job_id(reset)
    if job.last_job_id in {"", found}:
        return replace(job, last_job_id=found)
    return replace(
        job, last_job_id=found, last_restart_at=None, last_steady_at=None, last_approved_at=None
    )


def _restarted_row(reset: Reset, job: JobRow) -> JobRow:
    return replace(
        _row_of_found(reset, job), last_restart_at=reset.restarted_at, last_steady_at=None
    )


def _since_sent(reset: Reset, now: datetime) -> timedelta:
    return now - reset.sent_at if reset.sent_at is not None else timedelta.max


def _end_sent(
    before: Reset, after: Reset, job: JobRow, now: datetime, *, by: str = RELINK
) -> Transition:
    """End a reset whose restart was sent: later requests may join a full one."""
    ended = end(before, after, None, now, by=by)
    freed = replace(job, head="")
    if before.scope is Scope.FULL and before.number is not None:
        last = LastFull(
            number=before.number,
            id=before.id,
            outcome=after.outcome,
            detail=after.detail,
            service_principal_id=before.service_principal_id,
            job_id=found_job_id(before),
        )
        freed = replace(freed, last_full=last)
    if before.approved:
        # Not the end: the approval did not cover a relapse caused by this restart.
        freed = replace(freed, last_approved_at=before.approved_at or now)
    return replace(ended, job=freed)
