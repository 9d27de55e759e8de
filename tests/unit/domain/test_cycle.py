"""The done rule, against the odd but legal."""

from copy import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.cycle import ends_by, expected_minutes, judge_cycle, progress, whose_cycle
from shared.domain.events import CycleEnded, CycleRuns
from shared.domain.evidence import SHOWN_BY_JOB
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
            "quarantined",
            id="a-quarantine-of-before-that-a-cycle-has-outlived",
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


def test_the_deadline_grows_with_the_job() -> None:
    assert expected_minutes(10_000) == "100-800"
    assert expected_minutes(None) == ""
    assert ends_by(50, now=T) == T + timedelta(hours=6)
    assert ends_by(10_000, now=T) == T + 3200 * MINUTE
    assert ends_by(None, now=T) == T + timedelta(hours=48)


def quarantined(began: datetime | None, *, job: SyncJob = BEFORE, error: str = "") -> SyncJob:
    shown = Quarantine(reason="EncounteredQuarantineException", began=began, error=error)
    return replace(job, code="Quarantine", quarantine=shown)


FAILED_RUN = Execution(state="Failed", began=T + MINUTE, ended=T + 2 * MINUTE)


@pytest.mark.parametrize(
    ("job", "before", "expected"),
    [
        pytest.param(quarantined(T + MINUTE), BEFORE, "quarantined", id="imposed-since"),
        pytest.param(quarantined(T - MINUTE), BEFORE, "quarantined", id="not-in-the-snapshot"),
        pytest.param(quarantined(None), BEFORE, "quarantined", id="no-date-and-not-there-before"),
        pytest.param(quarantined(T - MINUTE), quarantined(T - MINUTE), "runs", id="the-old-one"),
        pytest.param(
            replace(quarantined(T - MINUTE), last_execution=FAILED_RUN),
            quarantined(T - MINUTE),
            "quarantined",
            id="the-old-one-after-a-cycle-of-ours",
        ),
        pytest.param(
            replace(BEFORE, code="Quarantine"), BEFORE, "quarantined", id="by-its-code-alone"
        ),
    ],
)
def test_every_quarantine_of_the_new_cycle_is_seen(
    job: SyncJob, before: SyncJob, expected: str
) -> None:
    assert outcome(job, before) == expected


def test_a_quarantine_is_told_in_graphs_own_words() -> None:
    found = judge(quarantined(T + MINUTE, error="SalesforceInvalidCredentials: Wrong."))

    assert isinstance(found, CycleEnded)
    assert found.detail == (
        "the job is in quarantine after the restart: EncounteredQuarantineException "
        "(SalesforceInvalidCredentials: Wrong.)"
    )


YEAR_ONE = Execution(state="Succeeded", began=None, ended=T + 9 * MINUTE)


@pytest.mark.parametrize(
    ("first", "seen", "expected"),
    [
        (T + 9 * MINUTE, "", "completed"),
        (T - MINUTE, "", "runs"),
        (None, "", "runs"),
        (None, "NotRun", "completed"),
        (T - MINUTE, "NotRun, then Active", "completed"),
    ],
)
def test_an_execution_of_the_year_one_counts_by_its_end(
    first: datetime | None, seen: str, expected: str
) -> None:
    job = ended(last_execution=YEAR_ONE, steady_state_first=first)
    found = judge_cycle(job, before=BEFORE, snapshot_at=T, look_at=SOON, seen=seen)

    assert (found.outcome if isinstance(found, CycleEnded) else "runs") == expected


@pytest.mark.parametrize(
    ("state", "escrowed", "words"),
    [
        ("Succeeded", 15, "the initial cycle ended; 15 entries failed (see the provisioning logs)"),
        ("Succeeded", 1, "the initial cycle ended; 1 entry failed (see the provisioning logs)"),
        ("EntryLevelErrors", 1500, "ended; 1,500 entries failed"),
        ("EntryLevelErrors", None, "ended, with errors on some entries"),
        ("Succeeded", None, "the initial cycle ended"),
        ("Succeeded", 0, "the initial cycle ended"),
    ],
)
def test_entries_that_failed_are_counted_under_any_word(
    state: str, escrowed: int | None, words: str
) -> None:
    last = Execution(state=state, began=T + MINUTE, ended=T + 9 * MINUTE, escrowed=escrowed)
    found = judge(ended(last_execution=last))

    assert isinstance(found, CycleEnded)
    assert words in found.detail


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (BEFORE, "Graph still shows the job Active"),
        (replace(BEFORE, code=""), "the job in a state that cannot be read"),
        (
            ended(steady_state_last=None),
            "an execution ended as Succeeded at 2026-11-24 09:09 UTC, but Graph shows never",
        ),
        (
            ended(steady_state_last=None, unknown=("steady_state_last",)),
            "a date that cannot be read for the steady state",
        ),
        (
            ended(last_execution=replace(FAILED_RUN, error="X: y")),
            "the last execution ended as Failed: X: y",
        ),
    ],
)
def test_what_is_said_when_the_time_is_over_tells_what_graph_shows(
    job: SyncJob, words: str
) -> None:
    found = judge(job)

    assert isinstance(found, CycleRuns)
    assert words in found.overdue


OURS = RestartSeen(at=T + MINUTE, ours=True)
ANNS = RestartSeen(at=T + 3 * MINUTE, by="ann@contoso.com")
LATE = T + timedelta(hours=3)
"""More than two hours and a quarter after the cycle began, and with it any restart."""


def whose(
    trail: AuditTrail, *, now: datetime = SOON, warnings: tuple[str, ...] = (SHOWN_BY_JOB,)
) -> CycleEnded | CycleRuns:
    found = judge(ended())
    assert isinstance(found, CycleEnded)
    return whose_cycle(
        found, trail, snapshot_at=T, sent_at=T, look_at=SOON, warnings=warnings, now=now
    )


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        pytest.param((OURS,), SOON, "completed", id="ours"),
        pytest.param((OURS, ANNS), SOON, "completed", id="ours-and-another"),
        pytest.param((ANNS,), SOON, "fate unknown", id="another-alone"),
        pytest.param((), SOON, "runs", id="silent-so-far"),
        pytest.param((), LATE, "completed", id="silent-for-good"),
    ],
)
def test_a_cycle_that_only_the_job_shows_is_ours_when_the_audit_log_does_not_say_else(
    seen: tuple[RestartSeen, ...], now: datetime, expected: str
) -> None:
    found = whose(AuditTrail(readable=True, restarts=seen), now=now)

    assert (found.outcome if isinstance(found, CycleEnded) else "runs") == expected


def test_where_the_audit_log_stays_silent_it_is_said_that_the_job_alone_shows_it() -> None:
    found = whose(AuditTrail(readable=True), now=LATE)

    assert isinstance(found, CycleEnded)
    assert (found.outcome, SHOWN_BY_JOB in found.detail) == ("completed", True)


@pytest.mark.parametrize(
    "trail", [AuditTrail(readable=False), AuditTrail(readable=True, whole=False)]
)
def test_without_the_whole_audit_log_nobody_says_whose_cycle_it_was(trail: AuditTrail) -> None:
    found = whose(trail, now=LATE)

    assert isinstance(found, CycleRuns)
    assert found.overdue == (
        "the initial cycle ended, and the audit log cannot be read to say whose restart it was"
    )


def test_a_restart_by_somebody_else_in_our_cycle_is_told() -> None:
    found = whose(AuditTrail(readable=True, restarts=(OURS, ANNS)), warnings=())

    assert isinstance(found, CycleEnded)
    assert found.completed
    assert "the job was also restarted by ann@contoso.com at 2026-11-24 09:03 UTC" in found.detail


@pytest.mark.parametrize(
    ("changes", "seen", "shown"),
    [
        ({"code": "NotRun"}, "", "NotRun"),
        ({"code": "Active"}, "NotRun", "NotRun, then Active"),
        ({"code": "Active"}, "NotRun, then Active", "NotRun, then Active"),
        ({"completed_units": 3, "total_units": 9}, "NotRun", "3 of 9"),
        ({"completed_units": 3, "total_units": 0}, "", "Active"),
        ({"code": "Hibernating"}, "", "Hibernating"),
        ({"code": ""}, "", "a state that cannot be read"),
    ],
)
def test_progress_is_as_graph_shows_it(changes: dict[str, Any], seen: str, shown: str) -> None:
    assert progress(replace(BEFORE, **changes), seen=seen) == shown


def test_a_restart_by_somebody_else_before_our_snapshot_is_not_told_at_the_end() -> None:
    before = replace(ANNS, at=T - timedelta(seconds=20))
    found = whose(AuditTrail(readable=True, restarts=(OURS, before)), warnings=())

    assert isinstance(found, CycleEnded)
    assert "was also restarted" not in found.detail
