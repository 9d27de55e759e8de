"""What an approval covers, how many persons it takes, and that nothing passes without one."""

import json
from copy import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain import approvals, evidence, policy
from shared.domain.approvals import Approval, Question, Shown, Standard
from shared.domain.catalogue import parse_catalogue
from shared.domain.people import Person
from shared.domain.reset import Budget, Fleet, JobObservation, JobRow, Reset
from shared.domain.sync_job import Execution, Quarantine, SyncJob
from tests.support.graph import healthy
from tests.support.world import SP, START, TARGET

X = Reset(id="r1", target=TARGET, requested_at=START, service_principal_id=SP, via="queue")
VALID = timedelta(hours=4)
SIGNED = Standard(sign_in=True, valid=VALID)
SECOND = timedelta(seconds=1)
JOB = healthy(START, entries=50)
HELD = Quarantine(reason="Unknown", began=START, series_began=START)
ILL = replace(JOB, code="Quarantine", quarantine=HELD)


def approval(who: str = "ann", *, job: SyncJob = JOB, at: datetime = START, **of: Any) -> Approval:
    return Approval(
        by=who,
        at=at,
        seen=approvals.shown(job),
        object_id=who,
        tenant_id="t",
        **{"reasons": ("always",), **of},
    )


def covered(job: SyncJob, *, shown: SyncJob = JOB, later: timedelta = SECOND) -> bool:
    question = Question(key="always", words="")
    there = approvals.shown(job)
    return approvals.covers(approval(job=shown), question, there, SIGNED, now=START + later)


@pytest.mark.parametrize(
    ("later", "holds"), [(timedelta(0), True), (VALID, True), (VALID + SECOND, False)]
)
def test_an_approval_lapses(later: timedelta, holds: bool) -> None:
    assert covered(JOB, later=later) is holds


def test_an_approval_answers_only_the_reasons_that_were_asked() -> None:
    asked = Question(key="size", words="")

    assert not approvals.covers(approval(), asked, approvals.shown(JOB), SIGNED, now=START)


CYCLE = replace(
    JOB,
    read_at=START + timedelta(hours=1),
    steady_state_last=START + timedelta(hours=1),
    last_execution=Execution(state="Succeeded", began=START, ended=START + timedelta(hours=1)),
)


@pytest.mark.parametrize(
    ("shown", "now", "holds"),
    [
        (JOB, JOB, True),
        (JOB, CYCLE, True),
        (JOB, replace(JOB, counts={"User": 49}), True),
        (JOB, replace(JOB, counts={"User": 51}), False),
        (JOB, replace(JOB, counts={}), False),
        (replace(JOB, counts={}), replace(JOB, counts={}), True),
        (replace(JOB, counts={}), JOB, True),
        (JOB, replace(JOB, interval=None), False),
        (JOB, replace(JOB, code=""), False),
        (JOB, replace(JOB, unknown=("quarantine",)), False),
        (replace(JOB, unknown=("quarantine",)), replace(JOB, unknown=("quarantine",)), True),
        (JOB, ILL, False),
        (ILL, ILL, True),
        (ILL, JOB, True),
        (ILL, replace(ILL, quarantine=replace(HELD, began=START + SECOND)), True),
        (ILL, replace(ILL, quarantine=replace(HELD, series_began=START + SECOND)), False),
        (ILL, replace(ILL, quarantine=replace(HELD, reason="TooManyDeletes")), False),
        (JOB, replace(JOB, quarantine=None, code="Quarantine"), False),
        (JOB, replace(JOB, id="another"), False),
    ],
)
def test_what_is_new_about_a_job_is_asked_again(shown: SyncJob, now: SyncJob, holds: bool) -> None:
    assert covered(now, shown=shown) is holds


def test_a_relapse_after_the_approval_is_new_unless_it_is_the_quarantine_that_was_shown() -> None:
    def holds(job: SyncJob, since: datetime) -> bool:
        asked = Question(key="breaker", words="", since=since)
        given_ = approval(job=job, reasons=("breaker",))
        return approvals.covers(given_, asked, approvals.shown(job), SIGNED, now=START + SECOND)

    assert holds(JOB, START)
    assert not holds(JOB, START + SECOND)
    assert holds(ILL, START + SECOND)


ANN = Person(object_id="ann", tenant_id="t", name="ann")
ASKED_BY_ANN = replace(X, asker_id=approvals.asker_id(ANN))
BY_A_PROGRAM = replace(X, asker_id=approvals.asker_id(replace(ANN, is_program=True)))
TIMER = replace(X, via="remediate")
TWO = replace(SIGNED, approvers=2)
OPEN_TO_ALL = Standard(sign_in=False)
MASS = "quarantine:TooManyDeletes"


@pytest.mark.parametrize(
    ("reset", "key", "standard", "needed", "vouched"),
    [
        (X, "size", SIGNED, 1, True),
        (X, "always", SIGNED, 2, True),
        (ASKED_BY_ANN, "always", SIGNED, 1, True),
        (BY_A_PROGRAM, "always", SIGNED, 1, True),
        (TIMER, "always", SIGNED, 1, True),
        (X, "always", OPEN_TO_ALL, 1, False),
        (X, "size", TWO, 2, True),
        (ASKED_BY_ANN, "size", TWO, 1, True),
        (BY_A_PROGRAM, "size", TWO, 2, True),
        (X, MASS, SIGNED, 2, True),
        (ASKED_BY_ANN, MASS, SIGNED, 1, True),
        (X, MASS, OPEN_TO_ALL, 2, True),
        (X, "size", replace(TWO, sign_in=False), 2, True),
    ],
)
def test_how_many_must_approve(
    reset: Reset, key: str, standard: Standard, needed: int, vouched: bool
) -> None:
    assert approvals.approvers_needed(reset, (key,), standard) == (needed, vouched)


def test_persons_are_counted_once_by_object_and_tenant_and_the_asker_never() -> None:
    def left(reset: Reset, *given_: Approval) -> int:
        return approvals.still_needed(reset, (MASS,), given_, SIGNED)

    ann, bob = approval("ann"), approval("bob")
    assert left(X, ann) == left(X, ann, approval("ann", at=START + SECOND)) == 1
    assert left(X, ann, bob) == 0
    # One object id in two tenants is two persons; a name nobody vouched for is none.
    assert left(X, ann, Approval(by="x", at=START, reasons=(), seen=Shown(), object_id="ann")) == 0
    assert left(X, ann, Approval(by="bob", at=START, reasons=(), seen=Shown())) == 1
    assert left(ASKED_BY_ANN, ann) == 1
    assert left(ASKED_BY_ANN, bob) == 0


def test_approvals_are_kept_as_json() -> None:
    given_ = (approval(job=ILL), Approval(by="boss", at=START, reasons=(), seen=Shown()))

    assert approvals.load(approvals.dump(given_)) == given_
    assert approvals.load("") == ()
    assert json.loads(approvals.dump(given_))[0]["objectId"] == "ann"


# No sequence of approvals, changes of the job and time sends what nobody approved.

ENTRY = {"servicePrincipalId": SP, "approval": "always", "approveAbove": 60}
MINUTES = st.sampled_from([0, 1, 60, 239, 240, 241, 600])
REASONS = ["TooManyDeletes", "Unknown", "BrandNew", ""]


def changed(job: SyncJob, what: str, at: datetime) -> SyncJob:
    kind, _, value = what.partition(" ")
    match kind:
        case "size":
            return replace(job, counts={"User": int(value)} if value else {})
        case "ill":
            series = at if value != "" else None
            held = Quarantine(reason=value, began=at, series_began=series)
            return replace(job, code="Quarantine", quarantine=held)
        case "well":
            return replace(job, code="Active", quarantine=None)
        case "schedule":
            return replace(job, schedule_state=value)
        case "portal":
            return replace(job, code="NotRun", steady_state_first=None, steady_state_last=None)
        case "initial":
            return replace(job, code="Active", steady_state_first=at, steady_state_last=at)
        case "interval":
            return replace(job, interval=None if value else timedelta(minutes=40))
        case _:
            return replace(job, last_execution=replace(job.last_execution, ended=at))


CHANGES = st.sampled_from(
    [
        *("size 50", "size 61", "size 62", "size ", "well", "schedule Active", "schedule Odd"),
        *("interval x", "interval ", "cycle", "portal", "portal", "initial"),
        *(f"ill {reason}" for reason in REASONS),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("approve"), st.sampled_from(["ann", "bob", "asker"])),
        st.tuples(st.just("job"), CHANGES),
        st.tuples(st.just("time"), MINUTES),
        st.tuples(st.just("look"), st.none()),
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    approvers=st.sampled_from([1, 2]),
    vouched=st.booleans(),
    not_taken=st.booleans(),
)
def test_nothing_is_sent_that_the_present_rules_ask_about_and_no_valid_approval_covers(
    steps: list[tuple[str, Any]], approvers: int, vouched: bool, not_taken: bool
) -> None:
    entry = {**ENTRY, "approvers": approvers}
    rules = policy.Rules(
        catalogue=parse_catalogue(json.dumps({TARGET: entry})),
        enabled=True,
        daily_budget=9,
        sign_in=True,
        approval_valid=VALID,
    )
    reset = replace(X, asker_id="t/asker" if vouched else "")
    if not_taken:
        # Graph answered 409 to its first intent.
        reset = replace(reset, number=1, before=evidence.dump(JOB))
    restarted_by_others = told_of_others = False
    history = policy.History(
        job=JobRow(target=TARGET),
        budget=Budget(),
        fleet=Fleet(),
        observation=JobObservation(target=TARGET),
    )
    now, job = START, JOB
    asked: tuple[tuple[str, ...], SyncJob] | None = None
    given_: list[tuple[str, datetime, tuple[str, ...], SyncJob]] = []
    for step, value in [*steps, ("look", None)]:
        if step == "time":
            now += timedelta(minutes=value)
        elif step == "job":
            job = replace(changed(job, value, now), read_at=now)
            restarted_by_others |= value in {"portal", "initial"}
        elif step == "approve" and asked is not None:
            keys, shown = asked
            mine = approval(value, job=shown, at=now, reasons=keys)
            kept = approvals.load(reset.approvals)
            reset = replace(reset, approvals=approvals.dump([*kept, mine]))
            given_.append((value, now, keys, shown))
            told_of_others |= any(key.startswith(approvals.RESTARTED) for key in keys)
        elif step == "look":
            job = replace(job, read_at=now)
            ruling = policy.after_reading(reset, job, history, rules, now=now)
            if isinstance(ruling, policy.Ask):
                asked = tuple(each.key for each in ruling.questions), job
                reset = replace(reset, questions=asked[0], before=evidence.dump(job))
            if isinstance(ruling, policy.Go):
                assert told_of_others or not (not_taken and restarted_by_others)
                nobody = replace(reset, approvals="")
                bare = policy.after_reading(nobody, job, history, rules, now=now)
                assert isinstance(bare, policy.Ask)
                for question in bare.questions:
                    assert_covered(question.key, given_, job, now, approvers, vouched=vouched)


def assert_covered(
    key: str,
    given_: list[tuple[str, datetime, tuple[str, ...], SyncJob]],
    job: SyncJob,
    now: datetime,
    approvers: int,
    *,
    vouched: bool,
) -> None:
    """By hand, in other words than the code's."""
    persons = set()
    for who, at, keys, shown in given_:
        fresh = now <= at + VALID and key in keys
        size = shown.size is None or (job.size is not None and job.size <= shown.size)
        ill = job.quarantine is None or (
            shown.quarantine is not None
            and shown.quarantine.reason == job.quarantine.reason
            and shown.quarantine.series_began == job.quarantine.series_began
        )
        known = shown.interval is None or job.interval is not None
        if fresh and size and ill and known and not (vouched and who == "asker"):
            persons.add(who)
    two = approvers == 2 or "TooManyDeletes" in key
    needed = (1 if vouched else 2) if two or key == "always" else 1
    assert len(persons) >= needed, key
