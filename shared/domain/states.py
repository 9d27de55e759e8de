"""
The state machine: (state, event) -> the rows of one transaction. Pure and total.

An event says what was found out (by reading Graph, by asking the policy, by a person); `transition`
says which rows that makes, or None where the event does not fit the state, and then nothing is
written. Tests check the diagram in docs/design/states.md against ALLOWED, and ALLOWED
against `transition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.events import (
    CycleEnded,
    CycleRuns,
    Decided,
    Event,
    FateStillUnknown,
    HeadTaken,
    LeaderEnded,
    MustAsk,
    MustWait,
    Previewed,
    ReadyToSend,
    Refused,
    ResponseLost,
    RestartAccepted,
    RestartRejected,
    SenderDied,
    SendPrevented,
    ShownNotSent,
    TooOld,
    WindowOpened,
    WindowShut,
)
from shared.domain.reset import (
    BEFORE_SENDING,
    ENDED,
    OPEN,
    HistoryEntry,
    JobRow,
    LastFull,
    NotificationKind,
    Reset,
    Scope,
    State,
    vouched,
)

POST_BEGINS_WITHIN: Final = timedelta(seconds=10)
POST_TAKES_AT_MOST: Final = timedelta(seconds=30)
TAKEOVER_AFTER: Final = timedelta(minutes=2)
"""How long after the POST's deadline another delivery leaves `sending` alone."""

BACKSTOP: Final = timedelta(hours=1)
SHOWN_NOT_BEFORE: Final = timedelta(minutes=15)
ASK_AFTER: Final = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """One transaction: the reset, where changed the job row, and at most one event and answer."""

    reset: Reset
    job: JobRow | None = None
    event: HistoryEntry | None = None
    answer: NotificationKind | None = None


def transition(reset: Reset, job: JobRow, event: Event, *, now: datetime) -> Transition | None:
    """
    Return what *event* makes of *reset*, or None where it does not fit (protocol rows 1 to 17).

    Only `reset.behind` set by HeadTaken survives a transition; Asked is gone with `unknown`.
    """
    if reset.state in BEFORE_SENDING:
        return _before_intent(reset, job, event, now)
    match reset.state:
        case State.SENDING:
            return _sending(reset, job, event, now)
        case State.UNKNOWN:
            return _unknown(reset, job, event, now)
        case State.RESTARTED:
            return _restarted(reset, job, event, now)
        case _:
            return None


def _before_intent(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case WindowShut() if reset.not_before is not None:
            opens = f"the change window opens at {reset.not_before:%Y-%m-%d %H:%M} UTC"
            return _move(reset, State.WAITING, now, due_at=reset.not_before, detail=opens)
        case WindowOpened():
            return _move(
                reset,
                State.WAITING,
                now,
                due_at=now,
                seen_number=job.number,
                detail="the change window is open",
            )
        case Previewed() if reset.dry_run:
            return _end(
                reset,
                None,
                State.PREVIEWED,
                now,
                outcome="previewed",
                detail=event.detail,
                before=event.before,
                snapshot_at=event.snapshot_at,
                expected_minutes=event.expected_minutes,
            )
        case LeaderEnded() if job.last_full is not None:
            last = job.last_full
            return _end(
                reset,
                job,
                State.JOINED,
                now,
                outcome=last.outcome,
                leader=last.id,
                detail=f"the restart of {last.id}, sent after this request came, stands for it",
            )
        case HeadTaken() if job.head not in {"", reset.id}:
            return _move(
                reset,
                State.WAITING,
                now,
                due_at=now + BACKSTOP,
                behind=job.head,
                detail="another reset of this job is under way",
            )
        case Decided():
            return _decided(reset, job, event, now)
        case TooOld() | MustWait() | MustAsk() | Refused() | ReadyToSend():
            return _policy_said(reset, job, event, now)
        case _:
            return None


def _policy_said(
    reset: Reset,
    job: JobRow,
    event: TooOld | MustWait | MustAsk | Refused | ReadyToSend,
    now: datetime,
) -> Transition | None:
    if reset.dry_run:
        return _dry_run_could_not(reset, event, now)
    match event:
        case TooOld():
            return _end(reset, job, State.EXPIRED, now, outcome="expired", detail=event.reason)
        case Refused():
            return _end(reset, job, State.REFUSED, now, outcome="refused", detail=event.reason)
        case _ if job.head not in {"", reset.id}:
            return None
        case MustWait():
            tries = reset.tries + 1 if event.failed else reset.tries
            moved = _move(
                reset, State.WAITING, now, due_at=event.until, detail=event.reason, tries=tries
            )
            return replace(moved, job=replace(job, head=reset.id))
        case MustAsk():
            moved = _move(
                reset, State.AWAITING_APPROVAL, now, due_at=event.expires, detail=event.reason
            )
            return replace(
                moved, job=replace(job, head=reset.id), answer=NotificationKind.AWAITING_APPROVAL
            )
        case ReadyToSend():
            return _intent(reset, job, event, now)


def _dry_run_could_not(reset: Reset, event: Event, now: datetime) -> Transition | None:
    """A dry run never touches the job row, so that it neither waits for one nor stops one."""
    match event:
        case Refused():
            return _end(reset, None, State.REFUSED, now, outcome="refused", detail=event.reason)
        case TooOld():
            return _end(reset, None, State.EXPIRED, now, outcome="expired", detail=event.reason)
        case MustWait():
            return _move(
                reset,
                State.WAITING,
                now,
                due_at=event.until,
                detail=event.reason,
                tries=reset.tries + 1,
            )
        case _:
            return None


def _decided(reset: Reset, job: JobRow, event: Decided, now: datetime) -> Transition | None:
    how = vouched(event.signed_in)
    match event.decision:
        case "approve" if reset.state is State.AWAITING_APPROVAL:
            return _move(
                reset,
                State.ACCEPTED,
                now,
                due_at=now,
                approved=True,
                approved_by=event.by,
                approver_signed_in=event.signed_in,
                approved_at=now,
                detail=f"approved ({how})",
                by=event.by,
            )
        case "reject":
            return _end(
                reset,
                job,
                State.REJECTED,
                now,
                outcome="rejected",
                detail=f"rejected ({how})",
                by=event.by,
            )
        case "cancel":
            return _end(
                reset,
                job,
                State.CANCELLED,
                now,
                outcome="cancelled",
                detail=f"cancelled ({how})",
                by=event.by,
            )
        case _:
            return None


def _intent(reset: Reset, job: JobRow, event: ReadyToSend, now: datetime) -> Transition:
    number = job.number + 1
    deadline = now + POST_BEGINS_WITHIN + POST_TAKES_AT_MOST
    moved = _move(
        reset,
        State.SENDING,
        now,
        due_at=deadline + TAKEOVER_AFTER,
        deadline=deadline,
        sent_at=now,
        number=number,
        before=event.before,
        snapshot_at=event.snapshot_at,
        client_request_id=event.client_request_id,
        expected_minutes=event.expected_minutes,
        detail=f"intent {number} written; the restart is sent at once",
    )
    return replace(moved, job=replace(job, head=reset.id, number=number))


def _sending(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case RestartAccepted(number=number) if number == reset.number:
            return _watch(reset, event, now)
        case SendPrevented(number=number) if number == reset.number:
            return _move(
                reset,
                State.WAITING,
                now,
                due_at=event.until,
                detail=event.reason,
                tries=reset.tries + 1,
            )
        case RestartRejected(number=number) if number == reset.number:
            return _end_sent(
                reset,
                job,
                State.FAILED,
                now,
                outcome="rejected by Graph",
                detail=event.reason,
                last_restart_at=job.last_restart_at,
                last_steady_at=job.last_steady_at,
                graph_request_id=event.graph_request_id,
            )
        case ResponseLost(number=number) if number == reset.number:
            return _move(reset, State.UNKNOWN, now, due_at=event.look_at, detail=event.reason)
        case SenderDied():
            return _move(
                reset,
                State.UNKNOWN,
                now,
                due_at=now,
                detail="whoever sent the restart did not report back; looking whether it happened",
            )
        case _:
            return None


def _unknown(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case RestartAccepted(number=number) if number == reset.number:
            return _watch(reset, event, now)
        case ShownNotSent() if _since_sent(reset, now) >= SHOWN_NOT_BEFORE:
            return _move(reset, State.WAITING, now, due_at=now, detail=event.reason, asked=False)
        case FateStillUnknown():
            return _still_unknown(reset, job, event, now)
        case Decided(decision="resend") if reset.asked:
            return _move(
                reset,
                State.WAITING,
                now,
                due_at=now,
                asked=False,
                detail="a person says that the restart did not happen: it may be sent again "
                f"({vouched(event.signed_in)})",
                by=event.by,
            )
        case Decided(decision="cancel") if reset.asked:
            why = f"given up by a person ({vouched(event.signed_in)})"
            return _fate_unknown(reset, job, now, why, by=event.by)
        case _:
            return None


def _still_unknown(
    reset: Reset, job: JobRow, event: FateStillUnknown, now: datetime
) -> Transition | None:
    if reset.asked:
        return _fate_unknown(reset, job, now, "nobody said in time whether the restart happened")
    if _since_sent(reset, now) < ASK_AFTER:
        return _move(
            reset,
            State.UNKNOWN,
            now,
            due_at=event.look_at,
            detail=event.reason or reset.detail,
            tries=reset.tries + 1 if event.failed else 0,
        )
    asked = _move(
        reset,
        State.UNKNOWN,
        now,
        due_at=event.expires,
        asked=True,
        detail="a person must say whether the restart happened: confirm, resend or cancel",
    )
    return replace(asked, answer=NotificationKind.UNKNOWN)


def _fate_unknown(reset: Reset, job: JobRow, now: datetime, why: str, by: str = "") -> Transition:
    return _end_sent(
        reset,
        job,
        State.FAILED,
        now,
        outcome="fate unknown",
        detail=f"fate unknown: {why}",
        last_restart_at=reset.sent_at,
        asked=False,
        by=by,
    )


def _restarted(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case CycleEnded():
            return _end_sent(
                reset,
                job,
                State.COMPLETED if event.completed else State.FAILED,
                now,
                outcome=event.outcome,
                detail=event.detail,
                after=event.after,
                last_restart_at=reset.restarted_at,
                last_steady_at=event.steady_at,
            )
        case CycleRuns():
            if reset.deadline is not None and now >= reset.deadline:
                return _end_sent(
                    reset,
                    job,
                    State.FAILED,
                    now,
                    outcome="not ended in time",
                    detail=event.reason or "the initial cycle did not end in the time expected",
                    last_restart_at=reset.restarted_at,
                )
            return _move(
                reset,
                State.RESTARTED,
                now,
                due_at=event.look_at,
                progress=event.progress or reset.progress,
                detail=event.reason or reset.detail,
                tries=reset.tries + 1 if event.failed else 0,
            )
        case _:
            return None


def _watch(reset: Reset, event: RestartAccepted, now: datetime) -> Transition:
    return _move(
        reset,
        State.RESTARTED,
        now,
        due_at=event.look_at,
        deadline=event.ends_by,
        restarted_at=event.restarted_at,
        graph_request_id=event.graph_request_id,
        asked=False,
        detail=event.detail or "Graph took the restart; the initial cycle is being watched",
        tries=0,
        by=event.by,
    )


def _since_sent(reset: Reset, now: datetime) -> timedelta:
    return now - reset.sent_at if reset.sent_at is not None else timedelta.max


def _move(
    reset: Reset, state: State, now: datetime, *, by: str = "", **changes: object
) -> Transition:
    """One event where the state or its reason changes; Behind is emptied unless given."""
    changes.setdefault("behind", "")
    moved = replace(reset, state=state, **changes)  # type: ignore[arg-type]
    if (moved.state, moved.detail, moved.number) == (reset.state, reset.detail, reset.number):
        return Transition(reset=moved)
    moved = replace(moved, sequence=reset.sequence + 1)
    event = HistoryEntry(
        sequence=moved.sequence, at=now, state=state, by=by or "relink", detail=moved.detail
    )
    return Transition(reset=moved, event=event)


def _end(
    reset: Reset, job: JobRow | None, state: State, now: datetime, **changes: object
) -> Transition:
    moved = _move(
        reset,
        state,
        now,
        finished_at=now,
        due_at=None,
        **changes,  # type: ignore[arg-type]
    )
    headless = replace(job, head="") if job is not None and job.head == reset.id else None
    return replace(moved, job=headless, answer=NotificationKind.END)


def _end_sent(
    reset: Reset,
    job: JobRow,
    state: State,
    now: datetime,
    *,
    last_restart_at: datetime | None,
    last_steady_at: datetime | None = None,
    **changes: object,
) -> Transition:
    ended = _end(reset, None, state, now, **changes)
    last = job.last_full
    if reset.scope is Scope.FULL and reset.number is not None:
        last = LastFull(
            number=reset.number,
            id=reset.id,
            outcome=ended.reset.outcome,
            service_principal_id=reset.service_principal_id,
            job_id=reset.job_id,
        )
    row = replace(
        job,
        head="",
        last_full=last,
        last_restart_at=last_restart_at,
        last_steady_at=last_steady_at,
        # Not the end: a relapse that came with this very restart was in no approval.
        last_approved_at=(reset.approved_at or now) if reset.approved else job.last_approved_at,
    )
    return replace(ended, job=row)


ALLOWED: Final[Mapping[State, frozenset[State]]] = {
    State.ACCEPTED: frozenset(
        {
            State.WAITING,
            State.AWAITING_APPROVAL,
            State.SENDING,
            State.JOINED,
            State.EXPIRED,
            State.REFUSED,
            State.REJECTED,
            State.CANCELLED,
            State.PREVIEWED,
        }
    ),
    State.WAITING: frozenset(
        {
            State.WAITING,
            State.AWAITING_APPROVAL,
            State.SENDING,
            State.JOINED,
            State.EXPIRED,
            State.REFUSED,
            State.REJECTED,
            State.CANCELLED,
            State.PREVIEWED,
        }
    ),
    State.AWAITING_APPROVAL: frozenset(
        {
            State.ACCEPTED,
            State.WAITING,
            State.AWAITING_APPROVAL,
            State.SENDING,
            State.JOINED,
            State.EXPIRED,
            State.REFUSED,
            State.REJECTED,
            State.CANCELLED,
            State.PREVIEWED,
        }
    ),
    State.SENDING: frozenset({State.RESTARTED, State.WAITING, State.FAILED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.RESTARTED, State.WAITING, State.UNKNOWN, State.FAILED}),
    State.RESTARTED: frozenset({State.RESTARTED, State.COMPLETED, State.FAILED}),
    **dict.fromkeys(ENDED, frozenset()),
}
"""Which state may follow which; the ends are followed by none."""

assert set(ALLOWED) == OPEN | ENDED  # noqa: S101 -- a state without a line would be a hole
