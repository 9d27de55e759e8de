"""
The state machine: (state, event) -> the rows of one transaction. Pure and total.

An event says what was found out (by reading Graph, by asking the policy, by a person); `transition`
says which rows that makes, or None where the event does not fit the state, and then nothing is
written. The diagram in docs/states.md is checked against ALLOWED, and ALLOWED against `transition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.events import (
    AnswerLost,
    Cleared,
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
    Refused,
    RestartAnswered,
    RestartRejected,
    SenderDied,
    SendPrevented,
    ShownNotSent,
    TooOld,
    WindowOpened,
    WindowShut,
)
from shared.domain.reset import (
    ENDED,
    OPEN,
    PRE,
    AnswerKind,
    AuditEvent,
    JobRow,
    LastFull,
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
    event: AuditEvent | None = None
    answer: AnswerKind | None = None


def transition(x: Reset, job: JobRow, event: Event, *, now: datetime) -> Transition | None:
    """
    Return what *event* makes of *x*, or None where it does not fit (protocol rows 1 to 17).

    Only `reset.behind` set by HeadTaken survives a transition; Asked is gone with `unknown`.
    """
    if x.state in PRE:
        return _before_intent(x, job, event, now)
    match x.state:
        case State.SENDING:
            return _sending(x, job, event, now)
        case State.UNKNOWN:
            return _unknown(x, job, event, now)
        case State.RESTARTED:
            return _restarted(x, job, event, now)
        case _:
            return None


def _before_intent(x: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case WindowShut() if x.not_before is not None:
            opens = f"the change window opens at {x.not_before:%Y-%m-%d %H:%M} UTC"
            return _move(x, State.WAITING, now, due_at=x.not_before, detail=opens)
        case WindowOpened():
            return _move(
                x, State.WAITING, now, due_at=now, seen_number=job.number,
                detail="the change window is open",
            )  # fmt: skip
        case Previewed() if x.dry_run:
            return _end(
                x, None, State.PREVIEWED, now, outcome="previewed", detail=event.detail,
                before=event.before, snapshot_at=event.snapshot_at,
                expected_minutes=event.expected_minutes,
            )  # fmt: skip
        case LeaderEnded() if job.last_full is not None:
            last = job.last_full
            return _end(
                x, job, State.JOINED, now, outcome=last.outcome, leader=last.id,
                detail=f"the restart of {last.id}, sent after this request came, stands for it",
            )  # fmt: skip
        case HeadTaken() if job.head not in {"", x.id}:
            return _move(
                x, State.WAITING, now, due_at=now + BACKSTOP, behind=job.head,
                detail="another reset of this job is under way",
            )  # fmt: skip
        case Decided():
            return _decided(x, job, event, now)
        case TooOld() | MustWait() | MustAsk() | Refused() | Cleared():
            return _policy_said(x, job, event, now)
        case _:
            return None


def _policy_said(
    x: Reset, job: JobRow, event: TooOld | MustWait | MustAsk | Refused | Cleared, now: datetime
) -> Transition | None:
    if x.dry_run:
        return _dry_run_could_not(x, event, now)
    match event:
        case TooOld():
            return _end(x, job, State.EXPIRED, now, outcome="expired", detail=event.reason)
        case Refused():
            return _end(x, job, State.REFUSED, now, outcome="refused", detail=event.reason)
        case _ if job.head not in {"", x.id}:
            return None
        case MustWait():
            tries = x.tries + 1 if event.failed else x.tries
            moved = _move(
                x, State.WAITING, now, due_at=event.until, detail=event.reason, tries=tries
            )
            return replace(moved, job=replace(job, head=x.id))
        case MustAsk():
            moved = _move(
                x, State.AWAITING_APPROVAL, now, due_at=event.expires, detail=event.reason
            )
            return replace(moved, job=replace(job, head=x.id), answer=AnswerKind.AWAITING_APPROVAL)
        case Cleared():
            return _intent(x, job, event, now)


def _dry_run_could_not(x: Reset, event: Event, now: datetime) -> Transition | None:
    """A dry run never touches the job row, so that it neither waits for one nor stops one."""
    match event:
        case Refused():
            return _end(x, None, State.REFUSED, now, outcome="refused", detail=event.reason)
        case TooOld():
            return _end(x, None, State.EXPIRED, now, outcome="expired", detail=event.reason)
        case MustWait():
            return _move(
                x, State.WAITING, now, due_at=event.until, detail=event.reason, tries=x.tries + 1
            )
        case _:
            return None


def _decided(x: Reset, job: JobRow, event: Decided, now: datetime) -> Transition | None:
    how = vouched(event.signed_in)
    match event.decision:
        case "approve" if x.state is State.AWAITING_APPROVAL:
            return _move(
                x, State.ACCEPTED, now, due_at=now, approved=True, approved_by=event.by,
                approver_signed_in=event.signed_in, approved_at=now,
                detail=f"approved ({how})", by=event.by,
            )  # fmt: skip
        case "reject":
            return _end(
                x, job, State.REJECTED, now, outcome="rejected", detail=f"rejected ({how})",
                by=event.by,
            )  # fmt: skip
        case "cancel":
            return _end(
                x, job, State.CANCELLED, now, outcome="cancelled", detail=f"cancelled ({how})",
                by=event.by,
            )  # fmt: skip
        case _:
            return None


def _intent(x: Reset, job: JobRow, event: Cleared, now: datetime) -> Transition:
    number = job.number + 1
    deadline = now + POST_BEGINS_WITHIN + POST_TAKES_AT_MOST
    moved = _move(
        x, State.SENDING, now, due_at=deadline + TAKEOVER_AFTER, deadline=deadline, sent_at=now,
        number=number, before=event.before, snapshot_at=event.snapshot_at,
        client_request_id=event.client_request_id, expected_minutes=event.expected_minutes,
        detail=f"intent {number} written; the restart is sent at once",
    )  # fmt: skip
    return replace(moved, job=replace(job, head=x.id, number=number))


def _sending(x: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case RestartAnswered(number=number) if number == x.number:
            return _watch(x, event, now)
        case SendPrevented(number=number) if number == x.number:
            return _move(
                x, State.WAITING, now, due_at=event.until, detail=event.reason, tries=x.tries + 1
            )
        case RestartRejected(number=number) if number == x.number:
            return _end_sent(
                x, job, State.FAILED, now, outcome="rejected by Graph", detail=event.reason,
                last_restart_at=job.last_restart_at, last_steady_at=job.last_steady_at,
                graph_request_id=event.graph_request_id,
            )  # fmt: skip
        case AnswerLost(number=number) if number == x.number:
            return _move(x, State.UNKNOWN, now, due_at=event.look_at, detail=event.reason)
        case SenderDied():
            return _move(
                x, State.UNKNOWN, now, due_at=now,
                detail="whoever sent the restart did not report back; looking whether it happened",
            )  # fmt: skip
        case _:
            return None


def _unknown(x: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case RestartAnswered(number=number) if number == x.number:
            return _watch(x, event, now)
        case ShownNotSent() if _since_sent(x, now) >= SHOWN_NOT_BEFORE:
            return _move(x, State.WAITING, now, due_at=now, detail=event.reason, asked=False)
        case FateStillUnknown():
            return _still_unknown(x, job, event, now)
        case Decided(decision="resend") if x.asked:
            return _move(
                x, State.WAITING, now, due_at=now, asked=False,
                detail="a person says that the restart did not happen: it may be sent again "
                f"({vouched(event.signed_in)})",
                by=event.by,
            )  # fmt: skip
        case Decided(decision="cancel") if x.asked:
            why = f"given up by a person ({vouched(event.signed_in)})"
            return _fate_unknown(x, job, now, why, by=event.by)
        case _:
            return None


def _still_unknown(
    x: Reset, job: JobRow, event: FateStillUnknown, now: datetime
) -> Transition | None:
    if x.asked:
        return _fate_unknown(x, job, now, "nobody said in time whether the restart happened")
    if _since_sent(x, now) < ASK_AFTER:
        return _move(
            x, State.UNKNOWN, now, due_at=event.look_at, detail=event.reason or x.detail,
            tries=x.tries + 1 if event.failed else 0,
        )  # fmt: skip
    asked = _move(
        x, State.UNKNOWN, now, due_at=event.expires, asked=True,
        detail="a person must say whether the restart happened: confirm, resend or cancel",
    )  # fmt: skip
    return replace(asked, answer=AnswerKind.UNKNOWN)


def _fate_unknown(x: Reset, job: JobRow, now: datetime, why: str, by: str = "") -> Transition:
    return _end_sent(
        x, job, State.FAILED, now, outcome="fate unknown", detail=f"fate unknown: {why}",
        last_restart_at=x.sent_at, asked=False, by=by,
    )  # fmt: skip


def _restarted(x: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case CycleEnded():
            return _end_sent(
                x, job, State.COMPLETED if event.completed else State.FAILED, now,
                outcome=event.outcome, detail=event.detail, after=event.after,
                last_restart_at=x.restarted_at, last_steady_at=event.steady_at,
            )  # fmt: skip
        case CycleRuns():
            if x.deadline is not None and now >= x.deadline:
                return _end_sent(
                    x, job, State.FAILED, now, outcome="not ended in time",
                    detail=event.reason or "the initial cycle did not end in the time expected",
                    last_restart_at=x.restarted_at,
                )  # fmt: skip
            return _move(
                x, State.RESTARTED, now, due_at=event.look_at,
                progress=event.progress or x.progress, detail=event.reason or x.detail,
                tries=x.tries + 1 if event.failed else 0,
            )  # fmt: skip
        case _:
            return None


def _watch(x: Reset, event: RestartAnswered, now: datetime) -> Transition:
    return _move(
        x, State.RESTARTED, now, due_at=event.look_at, deadline=event.ends_by,
        restarted_at=event.restarted_at, graph_request_id=event.graph_request_id, asked=False,
        detail=event.detail or "Graph took the restart; the initial cycle is being watched",
        tries=0, by=event.by,
    )  # fmt: skip


def _since_sent(x: Reset, now: datetime) -> timedelta:
    return now - x.sent_at if x.sent_at is not None else timedelta.max


def _move(x: Reset, state: State, now: datetime, *, by: str = "", **changes: object) -> Transition:
    """One event where the state or its reason changes; Behind is emptied unless given."""
    changes.setdefault("behind", "")
    moved = replace(x, state=state, **changes)  # type: ignore[arg-type]
    if (moved.state, moved.detail, moved.number) == (x.state, x.detail, x.number):
        return Transition(reset=moved)
    moved = replace(moved, sequence=x.sequence + 1)
    event = AuditEvent(
        sequence=moved.sequence, at=now, state=state, by=by or "relink", detail=moved.detail
    )
    return Transition(reset=moved, event=event)


def _end(
    x: Reset, job: JobRow | None, state: State, now: datetime, **changes: object
) -> Transition:
    moved = _move(
        x, state, now, finished_at=now, due_at=None, **changes  # type: ignore[arg-type]
    )  # fmt: skip
    headless = replace(job, head="") if job is not None and job.head == x.id else None
    return replace(moved, job=headless, answer=AnswerKind.END)


def _end_sent(
    x: Reset,
    job: JobRow,
    state: State,
    now: datetime,
    *,
    last_restart_at: datetime | None,
    last_steady_at: datetime | None = None,
    **changes: object,
) -> Transition:
    ended = _end(x, None, state, now, **changes)
    last = job.last_full
    if x.scope is Scope.FULL and x.number is not None:
        last = LastFull(
            number=x.number,
            id=x.id,
            outcome=ended.reset.outcome,
            service_principal_id=x.service_principal_id,
            job_id=x.job_id,
        )
    row = replace(
        job,
        head="",
        last_full=last,
        last_restart_at=last_restart_at,
        last_steady_at=last_steady_at,
        # Not the end: a relapse that came with this very restart was in no approval.
        last_approved_at=(x.approved_at or now) if x.approved else job.last_approved_at,
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
