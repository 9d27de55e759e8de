"""Say what an event makes of a reset whose restart was not sent (protocol rows 1 to 9)."""

from copy import replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain import events
from shared.domain.events import Event
from shared.domain.notifications import OF_THE_TICKET
from shared.domain.reset import (
    JobRow,
    LastFull,
    NotificationKind,
    Reset,
    State,
    WaitingFor,
    asked_by_timer,
)
from shared.domain.transitions import (
    POST_BEGINS_WITHIN,
    POST_TAKES_AT_MOST,
    TELL_AFTER,
    Transition,
    end,
    move,
    read_counted,
    wait,
)

TAKEOVER_AFTER: Final = timedelta(minutes=2)
"""How long after the POST's deadline another delivery leaves `sending` alone."""

BACKSTOP: Final = timedelta(hours=1)


def before_sending(reset: Reset, job: JobRow, event: Event, now: datetime) -> Transition | None:
    match event:
        case events.WindowShut() if reset.not_before is not None:
            opens = f"the change window opens at {reset.not_before:%Y-%m-%d %H:%M} UTC"
            return wait(reset, WaitingFor.WINDOW, reset.not_before, opens, now)
        case events.WindowOpened():
            came_now = replace(
                reset,
                state=State.WAITING,
                waiting_for=None,
                due_at=now,
                seen_number=job.number,
                detail="the change window is open",
            )
            return move(reset, came_now, now)
        case events.Previewed() if reset.dry_run:
            return _previewed(reset, event, now)
        case events.LeaderEnded() if job.last_full is not None:
            return _joined(reset, job, job.last_full, now)
        case events.LinksAwaited() if job.last_full is not None:
            why = "its restart has ended; what became of the users' links is being read"
            return wait(reset, WaitingFor.GRAPH, event.until, why, now)
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
    return end(reset, shown, None, now)


def _joined(reset: Reset, job: JobRow, last: LastFull, now: datetime) -> Transition:
    joined = replace(
        reset,
        state=State.JOINED,
        outcome=last.outcome,
        leader=last.id,
        detail=_stands_for(last),
    )
    return end(reset, joined, job, now)


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
            return end(reset, expired, lock, now)
        case events.Refused():
            refused = replace(reset, state=State.REFUSED, outcome="refused", detail=event.reason)
            return end(reset, refused, lock, now)
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
    counted = read_counted(reset, now, failed=failed, missing=event.missing)
    tried = replace(counted, tries=counted.tries if failed else reset.tries)
    moved = wait(tried, event.waiting_for, event.until, event.reason, now)
    if lock is None:
        return moved
    if asked_by_timer(reset) and lock.head in {"", reset.id}:
        # Tickets pass what a timer asked for: it waits without the lock.
        return replace(moved, job=replace(lock, head="") if lock.head else None)
    return _as_head(moved, lock)


def _blocked(reset: Reset, job: JobRow, event: events.HeadTaken, now: datetime) -> Transition:
    """Wait behind the Head; look again when that is due to be told, later as a backstop alone."""
    same = reset.state is State.WAITING and reset.waiting_for is WaitingFor.OTHER
    since = (reset.waiting_since if same else None) or now
    tell_at = since + TELL_AFTER
    until = tell_at if tell_at > now else now + BACKSTOP
    behind = replace(reset, behind=job.head)
    return wait(behind, WaitingFor.OTHER, until, event.reason, now)


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
    moved = move(reset, asking, now)
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
        warnings=(
            *(each for each in reset.warnings if each.startswith(OF_THE_TICKET)),
            *event.warnings,
        ),
        detail="; ".join(
            (f"intent {number} written; the restart is sent at once", *event.warnings)
        ),
    )
    return _as_head(move(reset, sending, now), replace(lock, number=number))


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
            return end(reset, rejected, job, now, by=event.by)
        case "cancel":
            cancelled = replace(
                reset, state=State.CANCELLED, outcome="cancelled", detail=f"cancelled {event.words}"
            )
            return end(reset, cancelled, job, now, by=event.by)
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
        return move(reset, given, now, by=event.by, said=said)
    approved = replace(
        given, state=State.ACCEPTED, due_at=now, approved=True, approved_at=now, detail=said
    )
    return move(reset, approved, now, by=event.by)


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
    return move(reset, let_go, now, by=event.by)
