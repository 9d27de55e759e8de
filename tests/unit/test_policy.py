"""The policy, every rule from both sides."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.catalogue import Approval, Target, parse_catalogue
from shared.models import Budget, Execution, JobRow, Quarantine, Reset, SyncJob
from shared.policy import Ask, Decision, Go, Refuse, Rules, Wait, after_reading, before_reading
from tests.support.graph import healthy
from tests.support.world import SP, START, TARGET

X = Reset(id="r1", target=TARGET, requested_at=START, service_principal_id=SP, via="queue")
CATALOGUE = parse_catalogue(json.dumps({TARGET: {"servicePrincipalId": SP}}))
RULES = Rules(catalogue=CATALOGUE, enabled=True, daily_budget=2)
JOB = JobRow(target=TARGET)
ENTRY = CATALOGUE[TARGET]
DAY = timedelta(days=1)


def first(
    *, x: Reset = X, job: JobRow = JOB, rules: Rules = RULES, budget: Budget | None = None
) -> Decision:
    return before_reading(x, job, rules, budget=budget or Budget(), now=START)


def second(snapshot: SyncJob, *, x: Reset = X, target: Target = ENTRY) -> Decision:
    return after_reading(x, snapshot, target, now=START)


def test_nothing_stands_against_a_healthy_job() -> None:
    assert first() == Go()
    assert second(healthy(START)) == Go()


@pytest.mark.parametrize(
    ("decision", "kind", "words"),
    [
        (first(rules=replace(RULES, problem="X: bad")), Wait, "a setting must be put right: X"),
        (first(rules=replace(RULES, catalogue=None)), Wait, "RESET_TARGETS cannot be read"),
        (first(rules=replace(RULES, catalogue={})), Refuse, "not in the catalogue"),
        (first(x=replace(X, job_id="other")), Refuse, "another service principal or job"),
        (first(rules=replace(RULES, enabled=False)), Wait, "switched off"),
        (
            first(job=replace(JOB, last_restart_at=START - DAY + timedelta(seconds=1))),
            Wait,
            "the cooldown ends at 2026-11-24 09:00",
        ),
        (first(job=replace(JOB, last_restart_at=START - DAY)), Go, ""),
        (first(budget=Budget(spent=2)), Wait, "budget of 2 restarts is spent"),
        (first(budget=Budget(spent=2, mine=True)), Go, ""),
        (first(budget=Budget(spent=1)), Go, ""),
    ],
)
def test_what_needs_no_graph(decision: Decision, kind: type, words: str) -> None:
    assert type(decision) is kind
    assert words in getattr(decision, "reason", "")


def job(**changes: Any) -> SyncJob:
    return replace(healthy(START), **changes)


def quarantined(reason: str) -> SyncJob:
    return job(code="Quarantine", quarantine=Quarantine(reason=reason, began=START))


APPROVED = replace(X, approved=True)
SIGNED_IN = replace(APPROVED, approver_signed_in=True)
HOURS = timedelta(hours=1)


@pytest.mark.parametrize(
    ("decision", "kind", "words"),
    [
        (second(job(code="Paused")), Refuse, "the job is Paused"),
        (second(job(code="NotConfigured")), Refuse, "the job is NotConfigured"),
        (second(job(schedule_state="Disabled")), Refuse, "schedule is Disabled"),
        (second(job(schedule_state="Paused")), Refuse, "schedule is Paused"),
        (second(job(code="Paused"), x=SIGNED_IN), Refuse, "the job is Paused"),
        (second(job(code="NotRun")), Wait, "initial cycle has not ended"),
        (second(job(code="")), Ask, "does not know"),
        (second(job(schedule_state="")), Ask, "does not know"),
        (second(job(code=""), x=APPROVED), Go, ""),
        (second(quarantined("EncounteredQuarantineException")), Refuse, "credentials"),
        (second(quarantined("EncounteredQuarantineException"), x=SIGNED_IN), Refuse, "credentials"),
        (second(quarantined("TooManyDeletes")), Ask, "mass deletion"),
        (second(quarantined("TooManyDeletes"), x=APPROVED), Ask, "signed-in person"),
        (second(quarantined("TooManyDeletes"), x=SIGNED_IN), Go, ""),
        (second(quarantined("EncounteredBaseEscrowThreshold")), Go, ""),
        (second(quarantined("EncounteredTotalEscrowThreshold")), Go, ""),
        (second(quarantined("EncounteredEscrowProportionThreshold")), Go, ""),
        (second(quarantined("QuarantinedOnDemand")), Ask, "QuarantinedOnDemand"),
        (second(quarantined("IngestionInterrupted")), Ask, "IngestionInterrupted"),
        (second(quarantined("")), Ask, "an unknown reason"),
        (second(quarantined(""), x=APPROVED), Go, ""),
        (second(job(code="Quarantine", quarantine=None)), Ask, "an unknown reason"),
        (
            second(job(last_execution=Execution(state="Succeeded", ended=START - 2 * HOURS))),
            Go,
            "",
        ),
        (
            second(
                job(
                    last_execution=Execution(
                        state="Succeeded", ended=START - 2 * HOURS - timedelta(seconds=1)
                    )
                )
            ),
            Ask,
            "removals not yet exported",
        ),
        (second(job(interval=timedelta(days=10_675_199))), Go, ""),
    ],
)
def test_what_the_job_shows(decision: Decision, kind: type, words: str) -> None:
    assert type(decision) is kind
    assert words in getattr(decision, "reason", "")


def entry(**changes: Any) -> Target:
    return Target(service_principal_id=SP, **changes)


@pytest.mark.parametrize(
    ("decision", "kind"),
    [
        (second(healthy(START), target=entry(approval=Approval.ALWAYS)), Ask),
        (second(healthy(START), target=entry(approval=Approval.ALWAYS), x=APPROVED), Go),
        (second(healthy(START), target=entry(approval=Approval.AUTOMATIC)), Go),
        (
            second(
                healthy(START),
                target=entry(approval=Approval.AUTOMATIC),
                x=replace(X, via="remediate"),
            ),
            Ask,
        ),
        (second(healthy(START, entries=50), target=entry(approve_above=50)), Go),
        (second(healthy(START, entries=51), target=entry(approve_above=50)), Ask),
        (second(job(counts={}), target=entry(approve_above=50)), Ask),
        (second(job(counts={}), target=entry()), Go),
    ],
)
def test_approval(decision: Decision, kind: type) -> None:
    assert type(decision) is kind
