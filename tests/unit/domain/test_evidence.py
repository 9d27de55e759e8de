"""The done rule and the fate of a lost answer, against the odd but legal."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.events import CycleEnded, CycleRuns
from shared.domain.evidence import (
    dump,
    ends_by,
    expected_minutes,
    judge_cycle,
    load,
    shown_happened,
    shown_not,
)
from shared.domain.sync_job import AuditTrail, Execution, Quarantine, RestartSeen, SyncJob
from tests.support.graph import healthy
from tests.support.world import START

BEFORE = healthy(START)
T = START
SOON = START + timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def ended(**changes: Any) -> SyncJob:
    done = replace(
        BEFORE,
        read_at=T + 10 * MINUTE,
        steady_state_last=T + 9 * MINUTE,
        last_execution=Execution(state="Succeeded", began=T + MINUTE, ended=T + 9 * MINUTE),
    )
    return replace(done, **changes)


def judge(job: SyncJob, before: SyncJob | None = BEFORE) -> CycleEnded | CycleRuns:
    return judge_cycle(job, before=before, snapshot_at=T, look_at=SOON)


def outcome(job: SyncJob, before: SyncJob | None = BEFORE) -> str:
    verdict = judge(job, before)
    return verdict.outcome if isinstance(verdict, CycleEnded) else "runs"


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(ended(), "completed", id="the-new-cycle-ended"),
        pytest.param(
            ended(last_execution=Execution(state="EntryLevelErrors", began=T + MINUTE)),
            "completed",
            id="with-errors-on-entries",
        ),
        pytest.param(BEFORE, "runs", id="the-status-lags-behind-the-204"),
        pytest.param(
            ended(last_execution=Execution(state="Succeeded", began=T - MINUTE, ended=T + MINUTE)),
            "runs",
            id="an-old-cycle-that-ended-after-the-restart",
        ),
        pytest.param(
            ended(steady_state_last=BEFORE.steady_state_last), "runs", id="old-steady-state"
        ),
        pytest.param(ended(steady_state_last=None), "runs", id="never-steady"),
        pytest.param(ended(code="NotRun"), "runs", id="not-run"),
        pytest.param(ended(code=""), "runs", id="an-unknown-code"),
        pytest.param(
            ended(last_execution=Execution(state="Failed", began=T + MINUTE)), "runs", id="failed"
        ),
        pytest.param(
            ended(last_execution=Execution(state="", began=T + MINUTE)), "runs", id="unknown-result"
        ),
        pytest.param(ended(last_execution=Execution(state="Failed")), "runs", id="never-run"),
        pytest.param(
            ended(code="Quarantine", quarantine=Quarantine(reason="X", began=T + MINUTE)),
            "quarantined",
            id="quarantined-since",
        ),
        pytest.param(
            ended(code="Quarantine", quarantine=Quarantine(reason="X", began=T - MINUTE)),
            "runs",
            id="a-quarantine-from-before",
        ),
        pytest.param(
            ended(code="Paused", escrows_pruned=True), "paused with pruned errors", id="pruned"
        ),
        pytest.param(ended(code="Paused"), "runs", id="paused-by-a-person"),
        pytest.param(ended(counts={}), "completed", id="counts-absent"),
    ],
)
def test_done_means_that_the_new_cycle_ended(job: SyncJob, expected: str) -> None:
    assert outcome(job) == expected


def test_errors_pruned_before_the_restart_are_not_its_own() -> None:
    pruned = ended(code="Paused", escrows_pruned=True)

    assert outcome(pruned, replace(BEFORE, escrows_pruned=True)) == "runs"


def test_fewer_accounts_are_named_and_more_or_unknown_ones_are_not() -> None:
    def words(**counts: int) -> str:
        verdict = judge(ended(counts=counts))
        return verdict.detail if isinstance(verdict, CycleEnded) else ""

    assert "14 fewer accounts" in words(User=36)
    assert "fewer" not in words(User=50)
    assert "fewer" not in words(User=60)
    assert "fewer" not in words()


AUDITED = AuditTrail(readable=True, restarts=(RestartSeen(at=T + MINUTE),))
SILENT = AuditTrail(readable=True)
CLOSED = AuditTrail(readable=False)


@pytest.mark.parametrize(
    ("job", "trail", "happened"),
    [
        (BEFORE, AUDITED, True),
        (BEFORE, replace(AUDITED, restarts=(RestartSeen(at=T - 3 * MINUTE),)), False),
        (BEFORE, replace(AUDITED, restarts=(RestartSeen(at=T - 2 * MINUTE),)), True),
        (BEFORE, SILENT, False),
        (BEFORE, CLOSED, False),
        (replace(BEFORE, code="NotRun"), CLOSED, True),
        (replace(BEFORE, steady_state_last=None), CLOSED, True),
    ],
)
def test_what_shows_that_a_lost_restart_happened(
    job: SyncJob, trail: AuditTrail, happened: bool
) -> None:
    assert bool(shown_happened(job, before=BEFORE, snapshot_at=T, trail=trail)) is happened


def test_a_job_that_had_not_run_before_shows_nothing_by_not_having_run() -> None:
    before = replace(BEFORE, code="NotRun", steady_state_last=None)

    assert not shown_happened(before, before=before, snapshot_at=T, trail=CLOSED)


@pytest.mark.parametrize(
    ("job", "trail", "minutes", "shown"),
    [
        (BEFORE, SILENT, 15, True),
        (replace(BEFORE, read_at=T + 15 * MINUTE), SILENT, 15, True),
        (BEFORE, SILENT, 14, False),
        (BEFORE, CLOSED, 60, False),
        (BEFORE, AUDITED, 60, False),
        (replace(BEFORE, counts={"User": 1}), SILENT, 60, False),
    ],
)
def test_what_shows_that_it_did_not(
    job: SyncJob, trail: AuditTrail, minutes: int, shown: bool
) -> None:
    now = T + minutes * MINUTE

    assert shown_not(job, before=BEFORE, sent_at=T, trail=trail, now=now) is shown


def test_a_job_survives_its_column() -> None:
    job = ended(quarantine=Quarantine(reason="TooManyDeletes", began=T, error="ü"))

    assert load(dump(job)) == job
    assert load("") is None


def test_the_deadline_grows_with_the_job() -> None:
    assert expected_minutes(10_000) == "100-800"
    assert expected_minutes(None) == ""
    assert ends_by(50, now=T) == T + timedelta(hours=6)
    assert ends_by(10_000, now=T) == T + 3200 * MINUTE
    assert ends_by(None, now=T) == T + timedelta(hours=48)
