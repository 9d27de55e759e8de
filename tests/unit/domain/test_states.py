"""The state machine: total, and nothing happens that its table does not allow."""

import itertools
from copy import replace
from datetime import timedelta
from functools import cache
from typing import get_args

import pytest

from shared.domain import events
from shared.domain.events import Event
from shared.domain.reset import (
    BEFORE_SENDING,
    ENDED,
    OPEN,
    JobRow,
    LastFull,
    NotificationKind,
    Reset,
    Scope,
    State,
    WaitingFor,
)
from shared.domain.states import ALLOWED, transition
from shared.domain.transitions import Transition
from tests.support.world import SP, START

LATER = START + timedelta(hours=1)
LAST = LastFull(number=4, id="r0", outcome="completed", service_principal_id=SP, job_id="")

EVENTS: tuple[Event, ...] = (
    events.WindowShut(),
    events.WindowOpened(),
    events.Previewed(detail="d", before="{}", snapshot_at=START),
    events.LeaderEnded(),
    events.LinksAwaited(until=LATER),
    events.HeadTaken(reason="behind r2"),
    events.HeadFree(),
    events.TooOld(reason="old"),
    events.MustWait(waiting_for=WaitingFor.COOLDOWN, reason="wait", until=LATER),
    events.MustAsk(reason="ask", expires=LATER),
    events.Refused(reason="no"),
    events.ReadyToSend(before="{}", snapshot_at=START, client_request_id="c"),
    events.RestartAccepted(number=3, restarted_at=START, ends_by=LATER, look_at=LATER),
    events.RestartAccepted(number=2, restarted_at=START, ends_by=LATER, look_at=LATER),
    events.SendPrevented(number=3, reason="429", until=LATER),
    events.SendPrevented(number=2, reason="429", until=LATER),
    events.RestartRejected(number=3, reason="403"),
    events.RestartRejected(number=2, reason="403"),
    events.ResponseLost(number=3, reason="504", look_at=LATER),
    events.ResponseLost(number=2, reason="504", look_at=LATER),
    events.SenderDied(),
    events.ShownNotSent(reason="shown"),
    events.FateStillUnknown(look_at=LATER, expires=LATER),
    events.CycleEnded(completed=True, outcome="completed", detail="d", after="{}", steady_at=LATER),
    events.CycleEnded(completed=False, outcome="quarantined", detail="d", after="{}"),
    events.CycleRuns(look_at=LATER),
    *(
        events.Decided(decision=d, by="p")
        for d in ("approve", "reject", "cancel", "resend", "other")
    ),
)

IN_EVERY_STATE = tuple(
    Reset(
        id="r1",
        target="t",
        requested_at=START,
        state=state,
        service_principal_id=SP,
        scope=scope,
        dry_run=dry_run,
        operator_asked=asked,
        number=3,
        sent_at=sent_at,
        deadline=deadline,
        not_before=LATER,
        due_at=START if state in OPEN else None,
        behind="r7",
        sequence=5,
    )
    for state, scope, dry_run, asked, sent_at, deadline in itertools.product(
        State,
        (Scope.FULL, Scope.QUARANTINE),
        (False, True),
        (False, True),
        (START, START - timedelta(hours=1), START - timedelta(hours=3)),
        (LATER, START),
    )
)

WAITS = tuple(
    Reset(
        id="r1",
        target="t",
        requested_at=START,
        state=State.WAITING,
        service_principal_id=SP,
        waiting_for=waiting_for,
        waiting_since=START,
        due_at=LATER,
        sequence=5,
    )
    for waiting_for in WaitingFor
)

RESETS = IN_EVERY_STATE + WAITS

JOBS = tuple(
    JobRow(target="t", head=head, number=9, last_full=last)
    for head, last in itertools.product(("", "r1", "r2"), (None, LAST))
)


@cache
def steps() -> list[tuple[Reset, JobRow, Event, Transition | None]]:
    """Every case once, with what the machine makes of it."""
    return [
        (x, job, event, transition(x, job, event, now=START))
        for x, job, event in itertools.product(RESETS, JOBS, EVENTS)
    ]


def test_every_event_has_a_case_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_every_pair_of_state_and_event_has_an_answer_within_the_table() -> None:
    seen = set()
    for x, _, event, step in steps():
        if step is not None:
            assert step.reset.state in ALLOWED[x.state], (x.state, event)
            seen.add((x.state, step.reset.state))

    assert seen == {(a, b) for a, after in ALLOWED.items() for b in after}


def test_an_ended_reset_is_never_written_again() -> None:
    assert all(step is None for x, _, _, step in steps() if x.state in ENDED)


def test_the_end_of_our_own_cycle_is_remembered_so_that_another_one_is_noticed() -> None:
    x = next(x for x in RESETS if x.state is State.RESTARTED)
    job = JobRow(target="t", head="r1", number=3, last_steady_at=START)
    ended = events.CycleEnded(
        completed=True, outcome="completed", detail="d", after="", steady_at=LATER
    )
    rejected = events.RestartRejected(number=3, reason="no")
    sent = next(y for y in RESETS if y.state is State.SENDING)
    steps = (
        transition(x, job, ended, now=START),
        transition(x, job, replace(ended, steady_at=None), now=START),
        transition(sent, job, rejected, now=START),
    )

    assert [step and step.job and step.job.last_steady_at for step in steps] == [LATER, None, START]


def test_a_reset_has_a_due_time_exactly_while_it_is_open() -> None:
    for _, _, _, step in steps():
        if step is not None:
            assert (step.reset.due_at is not None) == (step.reset.state in OPEN)
            assert (step.reset.finished_at is not None) == (step.reset.state in ENDED)


def test_every_end_answers_and_frees_the_head_if_it_was_its_own() -> None:
    for x, job, _, step in steps():
        if step is None or step.reset.state not in ENDED:
            continue
        assert step.answer is NotificationKind.END
        becomes = step.job or job
        assert becomes.head != x.id or x.dry_run


def test_nobody_takes_a_head_that_is_anothers() -> None:
    for x, job, _, step in steps():
        if step is not None and job.head == "r2" and x.state in BEFORE_SENDING:
            assert step.job is None


def test_numbers_never_fall_and_rise_with_an_intent_alone() -> None:
    for _, job, event, step in steps():
        if step is None or step.job is None:
            continue
        assert step.job.number == job.number + isinstance(event, events.ReadyToSend)


def test_a_dry_run_never_touches_the_job_row() -> None:
    assert not any(
        step.job is not None
        for x, _, event, step in steps()
        if x.dry_run and x.state in BEFORE_SENDING
        if step is not None and not isinstance(event, events.LeaderEnded | events.Decided)
    )


def test_the_audit_is_written_where_the_state_or_its_reason_changes() -> None:
    for x, _, _, step in steps():
        if step is None:
            continue
        changed = (step.reset.state, step.reset.detail) != (x.state, x.detail)
        if changed:
            assert step.event is not None
            assert step.event.sequence == step.reset.sequence == x.sequence + 1
        if step.event is None:
            assert step.reset.sequence == x.sequence


def test_behind_survives_no_transition_but_that_of_a_taken_head() -> None:
    for _, job, event, step in steps():
        if step is not None:
            assert step.reset.behind == (job.head if isinstance(event, events.HeadTaken) else "")


def test_asked_is_gone_with_unknown() -> None:
    for x, _, _, step in steps():
        if step is not None and x.state is State.UNKNOWN and step.reset.state is not x.state:
            assert not step.reset.operator_asked


@pytest.mark.parametrize("event", [e for e in EVENTS if getattr(e, "number", None) == 2])
def test_the_word_of_an_older_intent_changes_nothing(event: Event) -> None:
    assert all(transition(x, job, event, now=START) is None for x in RESETS for job in JOBS)


def test_only_a_full_restart_that_was_sent_becomes_the_last_full_one() -> None:
    for x, job, _, step in steps():
        if step is None or step.job is None or step.job.last_full == job.last_full:
            continue
        assert x.scope is Scope.FULL
        assert x.state in {State.SENDING, State.UNKNOWN, State.RESTARTED}
        assert step.job.last_full is not None
        assert step.job.last_full.number == x.number


def test_a_decision_on_an_unknown_fate_counts_once_a_person_was_asked() -> None:
    x = next(x for x in RESETS if x.state is State.UNKNOWN and not x.operator_asked)
    job = JobRow(target="t", head="r1", number=9)
    resend, cancel = (events.Decided(decision=d, by="p") for d in ("resend", "cancel"))

    assert transition(x, job, resend, now=START) is None
    assert transition(x, job, cancel, now=START) is None
    asked = replace(x, operator_asked=True)
    again, given_up = (transition(asked, job, e, now=START) for e in (resend, cancel))
    assert again is not None
    assert again.reset.state is State.WAITING
    assert given_up is not None
    assert (given_up.reset.state, given_up.reset.outcome) == (State.FAILED, "fate unknown")


def test_a_failed_read_while_watching_still_counts_the_deadline() -> None:
    x = next(x for x in RESETS if x.state is State.RESTARTED and x.deadline == START)
    job = JobRow(target="t", head="r1", number=9)

    step = transition(x, job, events.CycleRuns(look_at=LATER, failed=True), now=START)

    assert step is not None
    assert (step.reset.state, step.reset.outcome) == (State.FAILED, "not ended in time")


IDLE = JobRow(target="t")
MINUTE = timedelta(minutes=1)


def waits(
    x: Reset, waiting_for: WaitingFor, until: timedelta, *, at: timedelta, job: JobRow = IDLE
) -> Transition:
    """One more look at *at* after START that ends in a wait until *until* after START."""
    event = events.MustWait(waiting_for=waiting_for, reason=str(until), until=START + until)
    step = transition(x, job, event, now=START + at)
    assert step is not None
    return step


ACCEPTED = Reset(id="r1", target="t", requested_at=START, seen_number=0, due_at=START, sequence=1)


def test_a_wait_is_told_once_and_again_only_where_its_end_moves() -> None:
    day = timedelta(days=1)
    first = waits(ACCEPTED, WaitingFor.COOLDOWN, day, at=timedelta(0))
    same = waits(first.reset, WaitingFor.COOLDOWN, day, at=timedelta(hours=1))
    moved = waits(same.reset, WaitingFor.COOLDOWN, 2 * day, at=timedelta(hours=2))
    other = waits(moved.reset, WaitingFor.BUDGET, 3 * day, at=timedelta(hours=3))

    told = [step.answer for step in (first, same, moved, other)]
    waiting = NotificationKind.WAITING
    assert told == [waiting, None, waiting, waiting]
    assert [step.reset.told for step in (first, same, moved)] == [
        START + day,
        START + day,
        START + 2 * day,
    ]


@pytest.mark.parametrize("waiting_for", [WaitingFor.SWITCH, WaitingFor.GRAPH])
def test_a_wait_in_short_steps_is_told_once_it_has_become_long(waiting_for: WaitingFor) -> None:
    x, told = ACCEPTED, []
    for minutes in range(0, 60, 5):
        step = waits(x, waiting_for, (minutes + 5) * MINUTE, at=minutes * MINUTE)
        x = step.reset
        told.append(step.answer is not None)

    assert told == [False] * 3 + [True] + [False] * 8


def test_a_wait_of_a_quarter_of_an_hour_is_not_told() -> None:
    assert waits(ACCEPTED, WaitingFor.GRAPH, 15 * MINUTE, at=timedelta(0)).answer is None


def test_who_waits_behind_another_is_told_after_a_quarter_of_an_hour_and_once() -> None:
    taken, job = events.HeadTaken(reason="behind r2"), JobRow(target="t", head="r2")
    x, told = ACCEPTED, []
    for _ in range(3):
        assert x.due_at is not None
        step = transition(x, job, taken, now=x.due_at)
        assert step is not None
        x = step.reset
        told.append((x.due_at and x.due_at - START, step.answer))

    assert told == [
        (15 * MINUTE, None),
        (75 * MINUTE, NotificationKind.WAITING),
        (135 * MINUTE, None),
    ]


def test_what_a_timer_asked_for_waits_without_the_head() -> None:
    timers = replace(ACCEPTED, via="remediate")
    mine = JobRow(target="t", head="r1")
    hour = timedelta(hours=1)

    assert waits(timers, WaitingFor.COOLDOWN, hour, at=timedelta(0)).job is None
    assert waits(timers, WaitingFor.COOLDOWN, hour, at=timedelta(0), job=mine).job == IDLE
    assert waits(ACCEPTED, WaitingFor.COOLDOWN, hour, at=timedelta(0)).job == mine


@pytest.mark.parametrize("waiting_for", list(WaitingFor))
def test_approve_ends_a_wait_for_cooldown_or_budget_and_is_no_approval(
    waiting_for: WaitingFor,
) -> None:
    x = replace(ACCEPTED, state=State.WAITING, waiting_for=waiting_for, due_at=LATER)
    approve = events.Decided(decision="approve", by="boss")
    step = transition(x, JobRow(target="t", head="r1"), approve, now=START)

    if waiting_for not in {WaitingFor.COOLDOWN, WaitingFor.BUDGET}:
        assert step is None
        return
    assert step is not None
    assert (step.reset.state, step.reset.due_at, step.job) == (State.ACCEPTED, START, None)
    assert not step.reset.approved
    lifted = (step.reset.cooldown_lifted_until, step.reset.budget_lifted_until)
    assert lifted == ((LATER, None) if waiting_for is WaitingFor.COOLDOWN else (None, LATER))


def test_evidence_that_comes_late_still_counts_while_a_person_is_asked() -> None:
    lost = next(
        x
        for x in RESETS
        if x.state is State.UNKNOWN and not x.operator_asked and x.sent_at != START
    )
    job, hours = JobRow(target="t", head="r1", number=3), timedelta(hours=1)
    unclear = events.FateStillUnknown(look_at=START, expires=START + 24 * hours)
    happened = next(e for e in EVENTS if isinstance(e, events.RestartAccepted) and e.number == 3)

    asked = transition(lost, job, unclear, now=START)
    assert asked is not None
    assert (asked.reset.operator_asked, asked.reset.due_at) == (True, START + hours)
    again = transition(asked.reset, job, unclear, now=START + hours)
    assert again is not None
    assert (again.reset.due_at, again.answer) == (START + 2 * hours, None)
    last = transition(again.reset, job, unclear, now=START + 23.5 * hours)
    assert last is not None
    assert last.reset.due_at == START + 24 * hours
    found = transition(last.reset, job, happened, now=START + 23.9 * hours)
    assert found is not None
    assert (found.reset.state, found.answer) == (State.RESTARTED, NotificationKind.RESTARTED)
    over = transition(last.reset, job, unclear, now=START + 24 * hours)
    assert over is not None
    assert (over.reset.state, over.reset.outcome) == (State.FAILED, "fate unknown")


def test_a_refusal_by_graph_is_remembered_for_the_timers_and_is_no_restart() -> None:
    sent = next(x for x in RESETS if x.state is State.SENDING)
    job = JobRow(target="t", head="r1", number=3, last_restart_at=START)

    step = transition(sent, job, events.RestartRejected(number=3, reason="400"), now=LATER)

    assert step is not None
    assert step.job is not None
    assert (step.job.last_refused_at, step.job.last_restart_at) == (LATER, START)
