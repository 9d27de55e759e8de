"""
Turn (state, event) into the rows of one transaction: the state machine, pure and total.

An event says what was found out: by reading Graph, by asking the policy, by a person. `transition`
returns the rows that it makes, or None where the event does not fit the state; nothing is written
then. The diagram in docs/design/states.md is generated from ALLOWED, and a test holds ALLOWED
against `transition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from shared.domain import events
from shared.domain.events import Event
from shared.domain.evidence import SHOWN_NOT_BEFORE, load
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
    WaitingFor,
    asked_by_timer,
    blocked_words,
)

POST_BEGINS_WITHIN: Final = timedelta(seconds=10)
POST_TAKES_AT_MOST: Final = timedelta(seconds=30)
TAKEOVER_AFTER: Final = timedelta(minutes=2)
"""How long after the POST's deadline another delivery leaves `sending` alone."""

BACKSTOP: Final = timedelta(hours=1)
ASK_AFTER: Final = timedelta(minutes=30)
LOOK_AGAIN: Final = timedelta(hours=1)
"""How often evidence is looked for while a person is asked."""

GONE_AFTER: Final = timedelta(minutes=30)
GONE_READS: Final = 3
"""A job that Graph has not shown for so long, at so many reads, is gone."""

TELL_AFTER: Final = timedelta(minutes=15)
"""A longer wait is told to the ticket."""

TOLD_SLACK: Final = timedelta(minutes=1)
"""A wait whose end moves by less is not told again."""

RELINK: Final = "relink"
"""Who did it, in the history, where no person did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """
    The rows of one transaction.

    These are the reset, the job row where it changes, and at most one history entry and one
    notification.
    """

    reset: Reset
    job: JobRow | None = None
    event: HistoryEntry | None = None
    answer: NotificationKind | None = None


class StateMachine(Protocol):
    """The signature of `transition`."""

    def __call__(
        self, reset: Reset, job: JobRow, event: Event, /, *, now: datetime
    ) -> Transition | None: ...


def transition(reset: Reset, job: JobRow, event: Event, *, now: datetime) -> Transition | None:
    """
    Return what *event* makes of *reset*, or None where it does not fit (protocol rows 1 to 17).

    Behind is emptied by every transition but the one that sets it; what a reset waits for, by
    every one that leads to a state that waits for nothing.
    """
    freed = replace(reset, behind="")
    if reset.state in BEFORE_SENDING:
        return _before_sending(freed, job, event, now)
    match reset.state:
        case State.SENDING:
            return _sending(freed, job, event, now)
        case State.UNKNOWN:
            return _unknown(freed, job, event, now)
        case State.RESTARTED:
            return _restarted(freed, job, event, now)
        case _:
            return None


def first_place(reset: Reset, job: JobRow, *, now: datetime) -> Transition:
    """
    Return how an accepted reset is inserted: as Head, behind the Head, or without a place.

    Under a storm one asks, and the others wait at once. A dry run and a change window that is
    still to come stand in nobody's way, and what a timer asks for takes no lock to wait with.
    """
    if reset.dry_run or reset.seen_number is None:
        return Transition(reset=reset)
    if job.head == "":
        head = None if asked_by_timer(reset) else replace(job, head=reset.id)
        return Transition(reset=reset, job=head)
    if job.head == reset.id:
        return Transition(reset=reset)
    behind = replace(
        reset,
        state=State.WAITING,
        waiting_for=WaitingFor.OTHER,
        waiting_since=now,
        behind=job.head,
        due_at=now + TELL_AFTER,
        detail=blocked_words(job.head, None),
    )
    return Transition(reset=behind)


def _before_sending(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case events.WindowShut() if reset.not_before is not None:
            opens = f"the change window opens at {reset.not_before:%Y-%m-%d %H:%M} UTC"
            return _wait(reset, WaitingFor.WINDOW, reset.not_before, opens, now)
        case events.WindowOpened():
            came_now = replace(
                reset,
                state=State.WAITING,
                waiting_for=None,
                due_at=now,
                seen_number=job.number,
                detail="the change window is open",
            )
            return _move(reset, came_now, now)
        case events.Previewed() if reset.dry_run:
            return _previewed(reset, event, now)
        case events.LeaderEnded() if job.last_full is not None:
            return _joined(reset, job, job.last_full, now)
        case events.HeadTaken() if job.head not in {"", reset.id}:
            return _blocked(reset, job, event, now)
        case events.HeadFree() if job.head == "" and not reset.dry_run:
            unblocked = None if reset.waiting_for is WaitingFor.OTHER else reset.waiting_for
            first = replace(reset, waiting_for=unblocked, due_at=now)
            return Transition(reset=first, job=replace(job, head=reset.id))
        case events.Decided():
            return _decided(reset, job, event, now)
        case (
            events.TooOld()
            | events.MustWait()
            | events.MustAsk()
            | events.Refused()
            | events.ReadyToSend()
        ):
            return _ruled(reset, job, event, now)
        case _:
            return None


def _previewed(reset: Reset, event: events.Previewed, now: datetime) -> Transition:
    shown = replace(
        reset,
        state=State.PREVIEWED,
        outcome="previewed",
        detail=event.detail,
        # SnapshotAt stays that of the last intent: the two say whose snapshot Before is.
        before=event.before,
        expected_minutes=event.expected_minutes,
    )
    return _end(reset, shown, None, now)


def _joined(reset: Reset, job: JobRow, last: LastFull, now: datetime) -> Transition:
    joined = replace(
        reset,
        state=State.JOINED,
        outcome=last.outcome,
        leader=last.id,
        detail=_stands_for(last),
    )
    return _end(reset, joined, job, now)


def _stands_for(last: LastFull) -> str:
    words = f"the restart of {last.id}, sent after this request came, stands for it"
    if last.outcome == "completed":
        return words
    why = last.detail.removeprefix(f"{last.outcome}: ")
    return f"{words}: {last.outcome}{f': {why}' if why else ''}"[:1000]


def _ruled(
    reset: Reset,
    job: JobRow,
    event: events.TooOld | events.MustWait | events.MustAsk | events.Refused | events.ReadyToSend,
    now: datetime,
) -> Transition | None:
    """Rows 5 to 8. A dry run never touches the job row: it neither waits for one nor stops one."""
    lock = None if reset.dry_run else job
    match event:
        case events.TooOld():
            expired = replace(reset, state=State.EXPIRED, outcome="expired", detail=event.reason)
            return _end(reset, expired, lock, now)
        case events.Refused():
            refused = replace(reset, state=State.REFUSED, outcome="refused", detail=event.reason)
            return _end(reset, refused, lock, now)
        case events.MustWait():
            return _must_wait(reset, lock, event, now)
        case events.MustAsk():
            return None if lock is None else _ask(reset, lock, event, now)
        case events.ReadyToSend():
            return None if lock is None else _intent(reset, lock, event, now)


def _must_wait(
    reset: Reset, lock: JobRow | None, event: events.MustWait, now: datetime
) -> Transition | None:
    failed = event.failed or reset.dry_run
    counted = _read_counted(reset, now, failed=failed, missing=event.missing)
    tried = replace(counted, tries=counted.tries if failed else reset.tries)
    moved = _wait(tried, event.waiting_for, event.until, event.reason, now)
    if lock is None:
        return moved
    if asked_by_timer(reset) and lock.head in {"", reset.id}:
        # Tickets pass what a timer asked for: it waits without the lock.
        return replace(moved, job=replace(lock, head="") if lock.head else None)
    return _as_head(moved, lock)


def _wait(
    reset: Reset, waiting_for: WaitingFor, until: datetime, why: str, now: datetime
) -> Transition:
    """Wait until then; tell the ticket once a wait is long, and again where its end moves."""
    same = reset.state is State.WAITING and reset.waiting_for is waiting_for
    since = (reset.waiting_since if same else None) or now
    told = reset.told if same else None
    first = told is None and until - since > TELL_AFTER
    # Short steps, such as looking again every five minutes, say nothing about the end.
    moved = (
        told is not None
        and waiting_for is not WaitingFor.OTHER
        and until - now > TELL_AFTER
        and abs(until - told) > TOLD_SLACK
    )
    waiting = replace(
        reset,
        state=State.WAITING,
        waiting_for=waiting_for,
        waiting_since=since,
        told=until if first or moved else told,
        due_at=until,
        detail=why,
    )
    step = _move(reset, waiting, now)
    return replace(step, answer=NotificationKind.WAITING) if first or moved else step


def _blocked(reset: Reset, job: JobRow, event: events.HeadTaken, now: datetime) -> Transition:
    """Wait behind the Head; look again when that is due to be told, later as a backstop alone."""
    same = reset.state is State.WAITING and reset.waiting_for is WaitingFor.OTHER
    since = (reset.waiting_since if same else None) or now
    tell_at = since + TELL_AFTER
    until = tell_at if tell_at > now else now + BACKSTOP
    behind = replace(reset, behind=job.head)
    return _wait(behind, WaitingFor.OTHER, until, event.reason, now)


def _ask(reset: Reset, lock: JobRow, event: events.MustAsk, now: datetime) -> Transition | None:
    asking = replace(
        reset,
        state=State.AWAITING_APPROVAL,
        waiting_for=WaitingFor.PERSON,
        due_at=event.expires,
        detail=event.reason,
        questions=event.questions,
        before=event.before,
        expected_minutes=event.expected_minutes,
    )
    moved = _move(reset, asking, now)
    return _as_head(replace(moved, answer=NotificationKind.AWAITING_APPROVAL), lock)


def _intent(
    reset: Reset, lock: JobRow, event: events.ReadyToSend, now: datetime
) -> Transition | None:
    number = lock.number + 1
    deadline = now + POST_BEGINS_WITHIN + POST_TAKES_AT_MOST
    sending = replace(
        reset,
        state=State.SENDING,
        due_at=deadline + TAKEOVER_AFTER,
        deadline=deadline,
        sent_at=now,
        number=number,
        before=event.before,
        snapshot_at=event.snapshot_at,
        missing_since=None,
        client_request_id=event.client_request_id,
        expected_minutes=event.expected_minutes,
        warnings=event.warnings,
        detail="; ".join(
            (f"intent {number} written; the restart is sent at once", *event.warnings)
        ),
    )
    return _as_head(_move(reset, sending, now), replace(lock, number=number))


def _as_head(moved: Transition, lock: JobRow) -> Transition | None:
    """With the job row naming this reset; None where it names another."""
    if lock.head not in {"", moved.reset.id}:
        return None
    return replace(moved, job=replace(lock, head=moved.reset.id))


def _decided(reset: Reset, job: JobRow, event: events.Decided, now: datetime) -> Transition | None:
    match event.decision:
        case "approve" if reset.state is State.AWAITING_APPROVAL:
            return _approved(reset, event, now)
        case "approve":
            return _lifted(reset, event, now)
        case "reject":
            rejected = replace(
                reset, state=State.REJECTED, outcome="rejected", detail=f"rejected {event.words}"
            )
            return _end(reset, rejected, job, now, by=event.by)
        case "cancel":
            cancelled = replace(
                reset, state=State.CANCELLED, outcome="cancelled", detail=f"cancelled {event.words}"
            )
            return _end(reset, cancelled, job, now, by=event.by)
        case _:
            return None


def _approved(reset: Reset, event: events.Decided, now: datetime) -> Transition:
    """Approve; where one more person must, the question stands and the time for it runs on."""
    given = replace(
        reset,
        approvals=event.approvals,
        approved_by=event.by,
        approver_signed_in=event.signed_in,
    )
    count = f" {event.given} of {event.needed}" if event.needed > 1 else ""
    said = f"approved{count} {event.words}"
    if event.given < event.needed:
        return _move(reset, given, now, by=event.by, said=said)
    approved = replace(
        given, state=State.ACCEPTED, due_at=now, approved=True, approved_at=now, detail=said
    )
    return _move(reset, approved, now, by=event.by)


def _lifted(reset: Reset, event: events.Decided, now: datetime) -> Transition | None:
    """End a wait for the cooldown or the budget; no approval of anything else."""
    if reset.state is not State.WAITING:
        return None
    match reset.waiting_for:
        case WaitingFor.COOLDOWN:
            lifted = replace(reset, cooldown_lifted_until=reset.due_at)
        case WaitingFor.BUDGET:
            lifted = replace(reset, budget_lifted_until=reset.due_at)
        case _:
            return None
    let_go = replace(
        lifted,
        state=State.ACCEPTED,
        due_at=now,
        detail=f"the wait for the {reset.waiting_for} was ended by a person {event.words}",
    )
    return _move(reset, let_go, now, by=event.by)


def _sending(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    """Rows 9 to 13: the sender's word about its own intent, or that the sender died."""
    match event:
        case events.RestartAccepted(number=number) if number == reset.number:
            return _start_monitoring(reset, event, now)
        case events.SendPrevented(number=number) if number == reset.number:
            tried = replace(reset, tries=reset.tries + 1)
            return _wait(tried, WaitingFor.GRAPH, event.until, event.reason, now)
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
            return _move(reset, lost, now)
        case events.SenderDied():
            died = replace(
                reset,
                state=State.UNKNOWN,
                due_at=now,
                detail="the process that sent the restart did not report the result; "
                "evidence is being looked for",
            )
            return _move(reset, died, now)
        case _:
            return None


def _unknown(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
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
            return _move(reset, again, now)
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
            return _move(reset, again, now, by=event.by)
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
        return _move(reset, unknown, now)
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
    return replace(_move(reset, asked, now), answer=NotificationKind.UNKNOWN)


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
    return _move(reset, again, now)


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


def _restarted(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
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
            counted = _read_counted(reset, now, failed=event.failed, missing=event.missing)
            runs = replace(counted, due_at=event.look_at, progress=event.progress or reset.progress)
            return _move(reset, runs, now)
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
    step = _move(reset, monitored, now, by=event.by or RELINK)
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


def found_job_id(reset: Reset) -> str:
    """The job's id as Graph had it when the restart was sent."""
    before = load(reset.before)
    return before.id if before is not None else reset.job_id


def is_gone(reset: Reset, *, now: datetime) -> bool:
    """Whether one more read that does not show the job says that it is gone."""
    if reset.missing_since is None:
        return False
    return now - reset.missing_since >= GONE_AFTER and reset.tries + 1 >= GONE_READS


def _read_counted(reset: Reset, now: datetime, *, failed: bool, missing: bool) -> Reset:
    """Count the reads that failed; since the job is missing, only those that did not show it."""
    if missing:
        first = reset.missing_since is None
        return replace(
            reset,
            missing_since=reset.missing_since or now,
            tries=1 if first else reset.tries + 1,
        )
    if failed:
        return replace(
            reset, tries=reset.tries if reset.missing_since is not None else reset.tries + 1
        )
    return replace(reset, missing_since=None, tries=0)


def _since_sent(reset: Reset, now: datetime) -> timedelta:
    return now - reset.sent_at if reset.sent_at is not None else timedelta.max


def _move(
    before: Reset, after: Reset, now: datetime, *, by: str = RELINK, said: str = ""
) -> Transition:
    """Add a history entry where the state or its reason changes, or where *said* stands in it."""
    changed = (after.state, after.detail, after.number) != (
        before.state,
        before.detail,
        before.number,
    )
    if not changed and not said:
        return Transition(reset=after)
    moved = replace(after, sequence=before.sequence + 1)
    entry = HistoryEntry(
        sequence=moved.sequence, at=now, state=moved.state, by=by, detail=said or moved.detail
    )
    return Transition(reset=moved, event=entry)


def _end(
    before: Reset, after: Reset, lock: JobRow | None, now: datetime, *, by: str = RELINK
) -> Transition:
    """End the reset; where it held the lock, free the job row."""
    ended = _move(before, replace(after, finished_at=now, due_at=None), now, by=by)
    freed = replace(lock, head="") if lock is not None and lock.head == before.id else None
    return replace(ended, job=freed, answer=NotificationKind.END)


def _end_sent(
    before: Reset, after: Reset, job: JobRow, now: datetime, *, by: str = RELINK
) -> Transition:
    """End a reset whose restart was sent: later requests may join a full one."""
    ended = _end(before, after, None, now, by=by)
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


MAY_WAIT: Final = frozenset({State.WAITING, State.AWAITING_APPROVAL, State.UNKNOWN})
"""The states in which `waiting_for` may say something."""


_WHILE_NOTHING_IS_SENT: Final = frozenset(
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
)

ALLOWED: Final[Mapping[State, frozenset[State]]] = {
    **dict.fromkeys(BEFORE_SENDING, _WHILE_NOTHING_IS_SENT),
    State.SENDING: frozenset({State.RESTARTED, State.WAITING, State.FAILED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.RESTARTED, State.WAITING, State.UNKNOWN, State.FAILED}),
    State.RESTARTED: frozenset({State.RESTARTED, State.COMPLETED, State.FAILED}),
    **dict.fromkeys(ENDED, frozenset()),
}
"""Which state may follow which; none follows an end."""

assert set(ALLOWED) == OPEN | ENDED  # noqa: S101 -- a state without a line would be a hole
