"""The policy, every rule from both sides."""

import json
from copy import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain import approvals, evidence
from shared.domain.catalogue import Approval, Remediate, Target, parse_catalogue
from shared.domain.policy import (
    Ask,
    Go,
    History,
    Refuse,
    Rules,
    Ruling,
    Wait,
    after_reading,
    before_reading,
    decide,
    fleet_of,
    fleet_stopped,
)
from shared.domain.quarantine import QUARANTINE_RULES, RESTART_HELPS
from shared.domain.reset import Budget, Fleet, JobObservation, JobRow, Reset, Scope
from shared.domain.sync_job import Execution, Quarantine, SyncJob
from tests.support.graph import healthy
from tests.support.world import SP, START, TARGET

type Given = dict[str, Any]

X = Reset(id="r1", target=TARGET, requested_at=START, service_principal_id=SP, via="queue")
CATALOGUE = parse_catalogue(json.dumps({TARGET: {"servicePrincipalId": SP, "schedule": "P7D"}}))
RULES = Rules(catalogue=CATALOGUE, enabled=True, daily_budget=2)
JOB = JobRow(target=TARGET)
ENTRY = CATALOGUE[TARGET]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
APPROVED = replace(X, approved=True, approved_at=START)
SIGNED_IN = replace(APPROVED, approver_signed_in=True)
TIMER = replace(X, id="schedule-1", via="remediate", scope=Scope.QUARANTINE)
CLEARING = replace(TIMER, id="quarantine-1")


def history(
    *,
    job: JobRow = JOB,
    budget: Budget | None = None,
    fleet: Fleet | None = None,
    relapsed_at: Any = None,
) -> History:
    return History(
        job=job,
        budget=budget or Budget(),
        fleet=fleet or Fleet(),
        observation=JobObservation(target=TARGET, relapsed_at=relapsed_at),
    )


def first(*, x: Reset = X, rules: Rules = RULES, **known: Any) -> Ruling:
    return before_reading(x, history(**known), rules, now=START)


def second(snapshot: SyncJob, *, x: Reset = X, target: Target = ENTRY, job: JobRow = JOB) -> Ruling:
    rules = replace(RULES, catalogue={TARGET: target})
    return asked_and_answered(x, snapshot, history(job=job), rules)


def asked_and_answered(x: Reset, snapshot: SyncJob, known: History, rules: Rules) -> Ruling:
    """Where the reset counts as approved, whatever is asked was answered, for this very job."""
    ruling = after_reading(x, snapshot, known, rules, now=START)
    if not (x.approved and isinstance(ruling, Ask)):
        return ruling
    given = [
        approvals.Approval(
            by=who or "claimed",
            at=x.approved_at or START,
            reasons=tuple(each.key for each in ruling.questions),
            seen=approvals.shown(snapshot),
            object_id=who,
            tenant_id="t" if who else "",
        )
        for who in (("ann", "bob") if x.approver_signed_in else ("",))
    ]
    approved = replace(x, approvals=approvals.dump(given))
    return after_reading(approved, snapshot, known, rules, now=START)


def is_like(decision: Ruling, kind: type, words: str) -> bool:
    return type(decision) is kind and words in getattr(decision, "reason", "")


def test_nothing_stands_against_a_healthy_job() -> None:
    assert first() == Go()
    assert second(healthy(START)) == Go()
    assert decide(X, healthy(START), history(), RULES, now=START) == Go()


def test_both_halves_at_once_say_what_the_first_that_objects_says() -> None:
    off = replace(RULES, enabled=False)
    paused = replace(healthy(START), code="Paused")

    assert is_like(decide(X, paused, history(), off, now=START), Wait, "switched off")
    assert is_like(decide(X, paused, history(), RULES, now=START), Ask, "the job is Paused")


def restarted(ago: timedelta, **changes: Any) -> JobRow:
    return replace(JOB, last_restart_at=START - ago, **changes)


QUARTER, MANY = Fleet(seen=10, quarantined=4), Fleet(seen=10, quarantined=5)
RELAPSED: dict[str, Any] = {"relapsed_at": START - DAY}


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"rules": replace(RULES, problem="X: bad")}, Wait, "a setting must be put right: X"),
        ({"rules": replace(RULES, catalogue=None)}, Wait, "RESET_TARGETS cannot be read"),
        ({"rules": replace(RULES, catalogue={})}, Refuse, "not in the catalogue"),
        ({"x": replace(X, job_id="other")}, Refuse, "another service principal or job"),
        ({"rules": replace(RULES, enabled=False)}, Wait, "switched off"),
        # the change window
        ({"x": replace(X, not_before=START + SECOND)}, Wait, "window opens at 2026-11-24 09:00"),
        ({"x": replace(X, not_before=START)}, Go, ""),
        # one in flight
        (
            {"job": replace(JOB, head="other")},
            Wait,
            "another reset of this job is under way: other",
        ),
        ({"job": replace(JOB, head="r1")}, Go, ""),
        # the cooldown
        ({"job": restarted(DAY - SECOND)}, Wait, "the cooldown ends at 2026-11-24 09:00"),
        ({"job": restarted(DAY - SECOND), "x": SIGNED_IN}, Wait, "cooldown"),
        ({"job": restarted(DAY)}, Go, ""),
        # the budget
        ({"budget": Budget(spent=2)}, Wait, "budget of 2 restarts is spent"),
        ({"budget": Budget(spent=2), "x": SIGNED_IN}, Wait, "budget of 2 restarts is spent"),
        ({"budget": Budget(spent=1)}, Go, ""),
        # the fleet stops a machine at once; the questions to a person come after the job was read
        ({"fleet": QUARTER, "x": TIMER}, Go, ""),
        ({"fleet": MANY, "x": TIMER}, Refuse, "5 of 10 jobs are in quarantine at once"),
        ({"fleet": MANY, "x": replace(TIMER, approved=True)}, Refuse, "at once"),
        ({"fleet": MANY}, Go, ""),
        ({"relapsed_at": START - DAY}, Go, ""),
    ],
)
def test_what_needs_no_graph(given: Given, kind: type, words: str) -> None:
    decision = first(**given)

    assert is_like(decision, kind, words), decision


@pytest.mark.parametrize(
    ("known", "x", "kind", "words"),
    [
        ({"fleet": QUARTER}, X, Go, ""),
        ({"fleet": MANY}, X, Ask, "5 of 10 jobs are in quarantine at once"),
        ({"fleet": MANY}, APPROVED, Go, ""),
        # the breaker
        (RELAPSED, X, Ask, "went into quarantine again, at 2026-11-23 09:00"),
        (RELAPSED, TIMER, Ask, "until a person approves"),
        (RELAPSED, APPROVED, Go, ""),
        ({**RELAPSED, "job": replace(JOB, last_approved_at=START - DAY)}, X, Go, ""),
        (
            {**RELAPSED, "job": replace(JOB, last_approved_at=START - DAY - SECOND)},
            X,
            Ask,
            "went into quarantine again",
        ),
    ],
)
def test_what_the_rows_ask_a_person(
    known: dict[str, Any], x: Reset, kind: type, words: str
) -> None:
    ruling = asked_and_answered(x, healthy(START), history(**known), RULES)

    assert is_like(ruling, kind, words), ruling


def test_all_that_needs_an_approval_is_one_question() -> None:
    large = LATE
    target = replace_target(entry(approval=Approval.ALWAYS), approve_above=10)
    rules = replace(RULES, catalogue={TARGET: target})
    known = history(fleet=MANY, relapsed_at=START - DAY)

    ruling = after_reading(X, large, known, rules, now=START)

    assert isinstance(ruling, Ask)
    asked = [
        "at once",
        "went into quarantine again",
        "always needs an approval",
        "above 10",
        "removals not yet exported",
    ]
    assert len(ruling.reasons) == len(asked)
    assert all(words in why for words, why in zip(asked, ruling.reasons, strict=True))


@pytest.mark.parametrize(("code", "kind"), [("NotConfigured", Refuse), ("NotRun", Wait)])
def test_nobody_is_asked_about_what_would_be_refused_or_has_to_wait(code: str, kind: type) -> None:
    known = history(fleet=MANY, relapsed_at=START - DAY)

    assert type(decide(X, job(code=code), known, RULES, now=START)) is kind


NOT_TAKEN = replace(X, number=3, before=evidence.dump(healthy(START)))
"""Graph answered its intent with 409."""

BY_OTHERS = {"steady_state_first": START - SECOND}
"""As the job shows a restart since, of which the initial cycle has ended."""


def test_a_restart_since_an_intent_that_graph_did_not_take_is_asked_about_with_all_else() -> None:
    rules = replace(RULES, catalogue={TARGET: entry(approval=Approval.ALWAYS)})

    ruling = after_reading(NOT_TAKEN, job(**BY_OTHERS), history(), rules, now=START)

    assert isinstance(ruling, Ask)
    assert [each.key.partition(":")[0][:17] for each in ruling.questions] == [
        "restarted since 3",
        "always",
    ]
    assert "the job was restarted since: it ended another initial cycle" in ruling.reason


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param({**BY_OTHERS, "code": "NotConfigured"}, Refuse, id="refused"),
        pytest.param({**BY_OTHERS, "code": "NotRun"}, Ask, id="asked-before-its-cycle-ends"),
        pytest.param({}, Go, id="no-sign-of-one"),
        pytest.param({**BY_OTHERS, "id": "another"}, Go, id="another-job"),
    ],
)
def test_nobody_is_asked_about_a_restart_since_that_would_be_refused(
    shown: Given, expected: type
) -> None:
    ruling = after_reading(NOT_TAKEN, job(**shown), history(), RULES, now=START)

    assert type(ruling) is expected


def test_a_person_can_end_the_wait_for_the_cooldown_and_only_that_one() -> None:
    row = restarted(HOURS)
    lifted = replace(X, cooldown_lifted_until=START - HOURS + DAY)

    assert is_like(first(job=row), Wait, "cooldown")
    assert first(job=row, x=lifted) == Go()
    # Another restart since: another cooldown.
    assert is_like(first(job=restarted(HOURS - SECOND), x=lifted), Wait, "cooldown")
    assert is_like(first(job=row, x=lifted, budget=Budget(spent=2)), Wait, "budget")


def test_a_person_can_let_a_request_go_although_the_budget_of_the_day_is_spent() -> None:
    spent, midnight = Budget(spent=2), START.replace(hour=0) + DAY

    assert first(budget=spent, x=replace(X, budget_lifted_until=midnight)) == Go()
    yesterdays = replace(X, budget_lifted_until=START)
    assert is_like(first(budget=spent, x=yesterdays), Wait, "budget")


def test_a_cooldown_holds_for_the_job_that_was_restarted() -> None:
    named = replace_target(ENTRY, job_id="job-1")
    other = restarted(HOURS, last_job_id="job-0")
    same = restarted(HOURS, last_job_id="job-1")

    def ruled(row: JobRow, target: Target) -> Ruling:
        rules = replace(RULES, catalogue={TARGET: target})
        x = replace(X, job_id=target.job_id)
        return decide(x, healthy(START), history(job=row), rules, now=START)

    assert ruled(other, named) == Go()
    assert is_like(ruled(same, named), Wait, "cooldown")
    # The catalogue names no job: the one that is found decides.
    assert ruled(other, ENTRY) == Go()
    assert is_like(ruled(same, ENTRY), Wait, "cooldown")


def test_a_timer_also_waits_out_the_cooldown_of_what_graph_refused() -> None:
    row = replace(JOB, last_refused_at=START - HOURS)

    assert is_like(first(job=row, x=TIMER), Wait, "Graph refused the last restart at")
    assert first(job=row) == Go()
    assert first(job=replace(JOB, last_refused_at=START - DAY), x=TIMER) == Go()


@pytest.mark.parametrize(
    ("seen", "quarantined", "stopped"),
    [
        (0, 0, False),
        (2, 2, False),  # fewer than three
        (3, 3, True),
        (7, 2, False),
        (7, 3, True),  # 40 % of 7 is 2.8, rounded down 2
        (8, 3, False),  # 3.2 -> 3
        (8, 4, True),
        (50, 20, False),  # exactly 40 %
        (50, 21, True),
        (101, 41, True),  # 40.59 %
    ],
)
def test_the_fleet_stops_above_40_percent_and_from_three_on(
    seen: int, quarantined: int, stopped: bool
) -> None:
    assert fleet_stopped(Fleet(seen=seen, quarantined=quarantined)) is stopped


def test_a_target_never_seen_counts_on_neither_side() -> None:
    bad = JobObservation(target="a", seen_at=START, quarantined=True)
    good = JobObservation(target="b", seen_at=START)

    assert fleet_of([bad, good, JobObservation(target="c")]) == Fleet(seen=2, quarantined=1)


def job(**changes: Any) -> SyncJob:
    return replace(healthy(START), **changes)


def quarantined(reason: str, **changes: Any) -> SyncJob:
    return job(code="Quarantine", quarantine=Quarantine(reason=reason, began=START), **changes)


HOURS = timedelta(hours=1)


def last_end(ended: datetime, **changes: Any) -> SyncJob:
    """Nothing of the job has ended since then."""
    last = Execution(state="Succeeded", ended=ended)
    return job(last_execution=last, steady_state_last=ended, **changes)


TWO_HOURS_AGO = START - 2 * HOURS
LATE = last_end(TWO_HOURS_AGO - SECOND)
NOT_OURS = "somebody restarted the job outside this tool"


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        # the job's state
        ({"snapshot": job(code="Paused")}, Ask, "the job is Paused: a restart sets it going"),
        ({"snapshot": job(code="Paused"), "x": TIMER}, Refuse, "the job is Paused: a timer"),
        ({"snapshot": job(code="NotConfigured")}, Refuse, "the job is NotConfigured"),
        ({"snapshot": job(schedule_state="Disabled")}, Ask, "a cycle with the old links"),
        ({"snapshot": job(schedule_state="Paused")}, Ask, "schedule is Paused"),
        ({"snapshot": job(schedule_state="Paused"), "x": TIMER}, Refuse, "schedule is Paused"),
        ({"snapshot": job(code="Paused"), "x": APPROVED}, Go, ""),
        (
            {"snapshot": quarantined("X", schedule_state="Disabled")},
            Ask,
            "starting it first would run a cycle with the old links; the job is in quarantine (X)",
        ),
        (
            {"snapshot": replace(quarantined("TooManyDeletes"), code="Paused"), "x": APPROVED},
            Ask,
            "a signed-in person must decide",
        ),
        ({"snapshot": job(code="NotRun")}, Wait, "initial cycle has not ended"),
        ({"snapshot": job(code="NotRun"), "x": SIGNED_IN}, Wait, "initial cycle has not ended"),
        ({"snapshot": job(code="")}, Ask, "does not know"),
        ({"snapshot": job(code="Weird")}, Ask, "does not know: its code is “Weird”"),
        ({"snapshot": job(schedule_state="")}, Ask, "does not know"),
        ({"snapshot": job(code=""), "x": APPROVED}, Go, ""),
        ({"snapshot": job(code=""), "x": TIMER}, Ask, "does not know"),
        # a cycle that runs is not an obstacle
        ({"snapshot": job(completed_units=3, total_units=50)}, Go, ""),
        # restarts made elsewhere
        ({"snapshot": job(steady_state_first=START - DAY + SECOND), "x": TIMER}, Wait, NOT_OURS),
        ({"snapshot": job(steady_state_first=START - DAY + SECOND)}, Go, ""),
        ({"snapshot": job(steady_state_first=START - DAY), "x": TIMER}, Go, ""),
        ({"snapshot": job(steady_state_first=None), "x": TIMER}, Go, ""),
        (
            {
                "snapshot": job(steady_state_first=START - HOURS),
                "job": restarted(DAY + HOURS, last_steady_at=START - HOURS),
                "x": TIMER,
            },
            Go,
            "",
        ),
        (
            {
                "snapshot": job(steady_state_first=START - HOURS),
                "job": restarted(DAY + HOURS, last_steady_at=START - DAY),
                "x": TIMER,
            },
            Wait,
            NOT_OURS,
        ),
        (
            {
                "snapshot": job(steady_state_first=START - HOURS),
                "job": restarted(DAY + HOURS),
                "x": TIMER,
            },
            Wait,
            NOT_OURS,
        ),
        (
            {
                "snapshot": job(steady_state_first=START - HOURS),
                "job": restarted(timedelta(0)),
                "x": TIMER,
            },
            Go,
            "",
        ),
        # leavers
        ({"snapshot": last_end(TWO_HOURS_AGO)}, Go, ""),
        ({"snapshot": LATE}, Ask, "removals not yet exported"),
        ({"snapshot": LATE, "x": APPROVED}, Go, ""),
        (
            {"snapshot": LATE, "x": TIMER},
            Go,
            "",
        ),  # scope quarantine: links stay
        (
            {"snapshot": LATE, "x": replace(TIMER, scope=Scope.FULL)},
            Ask,
            "removals",
        ),
        ({"snapshot": job(last_execution=Execution(began=START))}, Go, ""),  # a first cycle runs
        (
            {"snapshot": job(last_execution=Execution(), steady_state_last=None)},
            Ask,
            "does not show when the last cycle ended",
        ),
        # what ended later counts: an old error's end does not
        ({"snapshot": job(last_execution=Execution(state="Failed", ended=START - DAY))}, Go, ""),
        # a job that runs more often than a cycle takes is not late by three intervals
        ({"snapshot": last_end(START - HOURS, interval=MINUTE)}, Go, ""),
        ({"snapshot": last_end(START - HOURS - SECOND, interval=MINUTE)}, Ask, "removals"),
        (
            {
                "snapshot": replace(
                    last_end(START - 3 * HOURS, interval=MINUTE),
                    last_execution=Execution(began=START - 4 * HOURS, ended=START - 3 * HOURS),
                )
            },
            Go,
            "",
        ),
        ({"snapshot": job(interval=None)}, Ask, "how often one runs"),
        # a member that Graph does not show
        ({"snapshot": job(unknown=("quarantine",))}, Ask, "whether the job is in quarantine"),
        ({"snapshot": job(unknown=("quarantine",)), "x": APPROVED}, Go, ""),
        ({"snapshot": job(interval=timedelta(days=10_675_199))}, Go, ""),
    ],
)
def test_what_the_job_shows(given: Given, kind: type, words: str) -> None:
    decision = second(**given)

    assert is_like(decision, kind, words), decision


CLEARS = Target(service_principal_id=SP, remediate=Remediate(reasons=tuple(sorted(RESTART_HELPS))))
OLD = Quarantine(reason="TooManyDeletes", began=START)

# Of each reason: for a machine; for a person as asked, approved, and approved signed in.
ROWS: list[tuple[str, type, type, type, type, str]] = [
    ("EncounteredEscrowProportionThreshold", Go, Go, Go, Go, ""),
    ("EncounteredBaseEscrowThreshold", Go, Go, Go, Go, ""),
    ("EncounteredTotalEscrowThreshold", Go, Go, Go, Go, ""),
    ("EncounteredQuarantineException", Refuse, Ask, Go, Go, "have the credentials been put right?"),
    ("TooManyDeletes", Refuse, Ask, Ask, Go, "a signed-in person must decide"),
    ("QuarantinedOnDemand", Refuse, Ask, Go, Go, "Microsoft put it there"),
    ("IngestionInterrupted", Refuse, Ask, Go, Go, "was interrupted"),
    ("Unknown", Refuse, Ask, Go, Go, "Microsoft gives no reason"),
    ("TOOMANYDELETES", Refuse, Ask, Ask, Go, "a signed-in person must decide"),
    ("TooManyDeletes, EncounteredBaseEscrowThreshold", Refuse, Ask, Ask, Go, "signed-in person"),
    ("EncounteredBaseEscrowThreshold,TooManyDeletes", Refuse, Ask, Ask, Go, "signed-in person"),
    ("EncounteredBaseEscrowThreshold, New", Refuse, Ask, Go, Go, "does not know the reason"),
    ("encounteredBaseEscrowThreshold", Go, Go, Go, Go, ""),
    ("BrandNewReason", Refuse, Ask, Go, Go, "this version does not know the reason"),
    ("", Refuse, Ask, Go, Go, "an unknown reason"),
]


def test_the_table_has_every_reason_that_graph_documents() -> None:
    assert {row[0] for row in ROWS} > {*QUARANTINE_RULES, "BrandNewReason", ""}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] or "none" for row in ROWS])
@pytest.mark.parametrize("scope", [Scope.QUARANTINE, Scope.FULL])
def test_the_matrix_of_reasons(row: tuple[str, type, type, type, type, str], scope: Scope) -> None:
    reason, machine, person, approved, signed_in, words = row
    shown = quarantined(reason)
    asked = [
        (machine, replace(CLEARING, scope=scope)),
        (person, replace(X, scope=scope)),
        (approved, replace(APPROVED, scope=scope)),
        (signed_in, replace(SIGNED_IN, scope=scope)),
    ]
    # A person's word does not make a machine's request one of a person.
    late = second(shown, x=replace(CLEARING, approved=True, approver_signed_in=True), target=CLEARS)

    for kind, x in asked:
        decision = second(shown, x=x, target=CLEARS)
        assert is_like(decision, kind, "" if kind is Go else words), decision
    assert type(late) is machine


@pytest.mark.parametrize("approver", [X, APPROVED, SIGNED_IN])
def test_a_code_without_its_quarantine_is_one_of_unknown_reason(approver: Reset) -> None:
    decision = second(job(code="Quarantine", quarantine=None), x=approver)

    assert type(decision) is (Go if approver.approved else Ask)


def test_a_quarantine_counts_whatever_code_stands_beside_it() -> None:
    assert is_like(second(job(quarantine=OLD)), Ask, "TooManyDeletes")
    assert is_like(second(job(quarantine=OLD, code="NotRun")), Ask, "TooManyDeletes")


@pytest.mark.parametrize(
    ("remediate", "kind"),
    [
        (None, Refuse),
        (Remediate(), Refuse),  # names the proportion alone
        (Remediate(reasons=("EncounteredBaseEscrowThreshold",)), Go),
    ],
)
@pytest.mark.parametrize("x", [CLEARING, replace(CLEARING, scope=Scope.FULL)])
def test_a_machine_clears_only_what_the_target_names(
    remediate: Remediate | None, kind: type, x: Reset
) -> None:
    target = Target(service_principal_id=SP, remediate=remediate)

    decision = second(quarantined("EncounteredBaseEscrowThreshold"), x=x, target=target)

    assert is_like(decision, kind, "" if kind is Go else "`remediate.reasons`")


@pytest.mark.parametrize("prefix", ["schedule-", "stale-"])
def test_what_was_asked_for_a_healthy_job_is_not_sent_to_one_in_quarantine(prefix: str) -> None:
    asked = replace(TIMER, id=f"{prefix}1", scope=Scope.FULL)
    shown = quarantined("EncounteredEscrowProportionThreshold")

    assert is_like(second(shown, x=asked, target=CLEARS), Refuse, "has gone into quarantine")


def test_a_quarantine_has_its_grace_also_when_it_comes_to_sending() -> None:
    shown = quarantined("EncounteredEscrowProportionThreshold")
    rules = replace(RULES, catalogue={TARGET: CLEARS})

    def decided(since: datetime) -> Ruling:
        known = replace(history(), observation=JobObservation(target=TARGET, since=since))
        return after_reading(CLEARING, shown, known, rules, now=START)

    assert decided(START - CLEARS.remediate.after) == Go()  # type: ignore[union-attr]
    assert is_like(decided(START - HOURS), Wait, "given time to pass")


@pytest.mark.parametrize("reason", ["TooManyDeletes", "Unknown"])
def test_an_approval_opens_nothing_that_began_after_it(reason: str) -> None:
    shown = job(quarantine=Quarantine(reason=reason, began=START), code="Quarantine")
    before = replace(SIGNED_IN, approved_at=START - SECOND)

    assert type(second(shown, x=SIGNED_IN)) is Go
    relapse = history(relapsed_at=START)
    assert type(asked_and_answered(SIGNED_IN, healthy(START), relapse, RULES)) is Go
    assert type(asked_and_answered(before, healthy(START), relapse, RULES)) is Ask
    # A retry of the same quarantine is not a new one.
    again = Quarantine(reason=reason, began=START, series_began=START - DAY)
    assert type(second(job(quarantine=again, code="Quarantine"), x=before)) is Go


def test_a_restart_made_elsewhere_that_ended_in_quarantine_counts_too() -> None:
    def shown(series: datetime | None) -> SyncJob:
        held = Quarantine(
            reason="EncounteredEscrowProportionThreshold", began=START, series_began=series
        )
        return job(quarantine=held, code="Quarantine", steady_state_first=None)

    ours = restarted(5 * DAY, last_steady_at=START - 4 * DAY)

    def decided(series: datetime | None, row: JobRow = ours) -> Ruling:
        return second(shown(series), x=CLEARING, target=CLEARS, job=row)

    assert is_like(decided(START - HOURS), Wait, NOT_OURS)
    assert decided(START - DAY) == Go()
    # The first run of a job that never reached a steady state: nobody restarted it.
    assert decided(START - HOURS, row=JobRow(target=TARGET)) == Go()


def test_what_the_catalogue_does_not_ask_for_any_more_is_refused() -> None:
    def asked(reset_id: str, target: Target) -> Ruling:
        rules = replace(RULES, catalogue={TARGET: target})
        return first(x=replace(TIMER, id=reset_id), rules=rules)

    links = Target(service_principal_id=SP, remediate=Remediate(stale_links=3))
    bare = Target(service_principal_id=SP)
    for reset_id, wanting in (
        ("schedule-1", ENTRY),
        ("quarantine-1", CLEARS),
        ("stale-1", links),
    ):
        assert asked(reset_id, wanting) == Go()
        assert is_like(asked(reset_id, bare), Refuse, "does not ask for this any more")
    assert type(asked("stale-1", CLEARS)) is Refuse


def test_a_quarantine_that_is_over_needs_no_clearing() -> None:
    assert is_like(second(healthy(START), x=CLEARING), Refuse, "has left quarantine")
    assert is_like(second(job(code="NotRun"), x=CLEARING), Refuse, "has left quarantine")
    # The same id from anybody else is a request like any other.
    assert second(healthy(START), x=replace(X, id="quarantine-1")) == Go()


@pytest.mark.parametrize(
    ("ago", "approved", "kind"),
    [
        (timedelta(hours=5), None, Ask),
        (timedelta(hours=24), None, Ask),
        (timedelta(hours=24) + SECOND, None, Go),
        (timedelta(0), None, Go),
        (timedelta(hours=5), START, Go),
        (timedelta(hours=5), START - SECOND, Ask),
    ],
)
def test_the_breaker_sees_what_the_job_shows_before_the_timer_does(
    ago: timedelta, approved: Any, kind: type
) -> None:
    target = replace_target(CLEARS, cooldown=HOURS)
    row = restarted(ago, last_approved_at=approved)

    decision = second(
        quarantined("EncounteredEscrowProportionThreshold"), x=CLEARING, target=target, job=row
    )

    assert is_like(decision, kind, "" if kind is Go else "went into quarantine again"), decision


def replace_target(target: Target, **changes: Any) -> Target:
    kept = {name: getattr(target, name) for name in target.__struct_fields__}
    return Target(**{**kept, **changes})


def entry(**changes: Any) -> Target:
    return Target(service_principal_id=SP, **changes)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"snapshot": healthy(START), "target": entry(approval=Approval.ALWAYS)}, Ask),
        (
            {"snapshot": healthy(START), "target": entry(approval=Approval.ALWAYS), "x": APPROVED},
            Go,
        ),
        ({"snapshot": healthy(START), "target": entry(approval=Approval.AUTOMATIC)}, Go),
        (
            {"snapshot": healthy(START), "target": entry(approval=Approval.AUTOMATIC), "x": TIMER},
            Ask,
        ),
        (
            {
                "snapshot": healthy(START),
                "target": entry(approval=Approval.AUTOMATIC),
                "x": replace(TIMER, approved=True),
            },
            Go,
        ),
        ({"snapshot": healthy(START, entries=50), "target": entry(approve_above=50)}, Go),
        ({"snapshot": healthy(START, entries=51), "target": entry(approve_above=50)}, Ask),
        (
            {"snapshot": healthy(START, entries=51), "target": entry(approve_above=50), "x": TIMER},
            Ask,
        ),
        (
            {
                "snapshot": healthy(START, entries=51),
                "target": entry(approve_above=50),
                "x": APPROVED,
            },
            Go,
        ),
        ({"snapshot": job(counts={}), "target": entry(approve_above=50)}, Ask),
        ({"snapshot": job(counts={}), "target": entry()}, Go),
    ],
)
def test_approval(given: Given, kind: type) -> None:
    decision = second(**given)

    assert type(decision) is kind


@pytest.mark.parametrize(("ago", "kind"), [(DAY - SECOND, Wait), (DAY, Go)])
def test_a_restart_made_elsewhere_is_judged_by_graphs_clock_and_waited_for_by_ours(
    ago: timedelta, kind: type
) -> None:
    graphs_now = START + timedelta(hours=5)
    seen = replace(healthy(graphs_now), steady_state_first=graphs_now - ago)

    decision = second(seen, x=TIMER)

    assert type(decision) is kind
    assert second(seen) == Go()
    assert not isinstance(decision, Wait) or decision.until == START + SECOND


def test_a_job_that_never_ran_and_stands_still_is_one_question_and_no_unknown_state() -> None:
    stopped = job(code="NotRun", schedule_state="Disabled")

    ruling = decide(X, stopped, history(), RULES, now=START)

    assert isinstance(ruling, Ask)
    assert len([key for key in ruling.questions if key.key.startswith("state:")]) == 1
    assert "the job's schedule is Disabled" in ruling.reason
    assert isinstance(decide(TIMER, stopped, history(), RULES, now=START), Refuse)
