"""What shows that a restart whose answer was lost happened, and what that it did not."""

from copy import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.evidence import (
    SHOWN_BY_JOB,
    dump,
    load,
    of_one_job,
    restarted_since,
    shown_happened,
    shown_not,
    told_of_others,
)
from shared.domain.sync_job import AuditTrail, Execution, Quarantine, RestartSeen, SyncJob
from tests.support.graph import healthy
from tests.support.world import START

BEFORE = healthy(START)
T = START
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def trail(*seen: RestartSeen, **changes: Any) -> AuditTrail:
    return AuditTrail(readable=True, restarts=seen, **changes)


def ours(at: timedelta = MINUTE) -> RestartSeen:
    return RestartSeen(at=T + at, ours=True, by="relink")


def anns(at: timedelta = MINUTE) -> RestartSeen:
    return RestartSeen(at=T + at, by="ann@contoso.com")


SILENT = trail()
CLOSED = AuditTrail(readable=False)
NOT_RUN = replace(BEFORE, code="NotRun", steady_state_first=None, steady_state_last=None)


@pytest.mark.parametrize(
    ("job", "seen", "happened"),
    [
        (BEFORE, trail(ours()), True),
        (BEFORE, trail(ours(-3 * MINUTE)), False),
        (BEFORE, trail(ours(-2 * MINUTE)), True),
        (BEFORE, SILENT, False),
        (BEFORE, CLOSED, False),
        (NOT_RUN, SILENT, True),
        (replace(BEFORE, steady_state_last=None), SILENT, True),
        (replace(BEFORE, steady_state_last=None, unknown=("steady_state_last",)), SILENT, False),
        (replace(BEFORE, code="notrun?"), SILENT, False),
        # Without the whole log it may be anybody's.
        (NOT_RUN, CLOSED, False),
        (NOT_RUN, trail(whole=False), False),
        (replace(BEFORE, steady_state_last=None), CLOSED, False),
        # A restart by somebody else is never ours, and makes what the job shows no proof.
        (BEFORE, trail(anns()), False),
        (NOT_RUN, trail(anns()), False),
        (NOT_RUN, trail(anns(-2 * HOUR)), False),
        (NOT_RUN, trail(anns(-3 * HOUR)), True),
        (NOT_RUN, trail(anns(), ours()), True),
        (NOT_RUN, trail(unplaced=1), False),
    ],
)
def test_what_shows_that_a_lost_restart_happened(
    job: SyncJob, seen: AuditTrail, happened: bool
) -> None:
    found = shown_happened(job, before=BEFORE, snapshot_at=T, trail=seen)

    assert (found is not None) is happened
    if found is not None:
        assert found.warning == ("" if any(each.ours for each in seen.restarts) else SHOWN_BY_JOB)


def test_a_job_that_had_not_run_before_shows_nothing_by_not_having_run() -> None:
    assert not shown_happened(NOT_RUN, before=NOT_RUN, snapshot_at=T, trail=SILENT)


def later(minutes: int, **changes: Any) -> SyncJob:
    return replace(BEFORE, read_at=T + minutes * MINUTE, **changes)


@pytest.mark.parametrize(
    ("minutes", "seen", "changes", "shown"),
    [
        (135, SILENT, {}, True),
        (134, SILENT, {}, False),
        (15, SILENT, {}, False),
        (300, CLOSED, {}, False),
        (300, trail(ours()), {}, False),
        (300, trail(anns()), {}, False),
        (300, trail(anns(-HOUR)), {}, True),
        (300, trail(unplaced=1), {}, False),
        (300, trail(whole=False), {}, False),
        (300, SILENT, {"counts": {"User": 1}}, False),
        (300, SILENT, {"unknown": ("counts",)}, False),
    ],
)
def test_what_shows_that_it_did_not(
    minutes: int, seen: AuditTrail, changes: dict[str, Any], shown: bool
) -> None:
    found = shown_not(
        later(minutes, **changes),
        before=BEFORE,
        snapshot_at=T,
        sent_at=T,
        trail=seen,
        now=T + minutes * MINUTE,
    )

    assert found is shown


def ran_on(**changes: Any) -> dict[str, Any]:
    """What the ordinary cycles of the time in between have moved, and *changes*."""
    last = Execution(state="Succeeded", began=T + HOUR, ended=T + HOUR + MINUTE)
    moved = {"steady_state_last": T + HOUR + MINUTE, "last_execution": last}
    return {**moved, "counts": {"User to User": 51}, **changes}


def execution(began: timedelta | None, ended: timedelta | None) -> dict[str, Any]:
    return {
        "last_execution": Execution(
            state="Succeeded",
            began=None if began is None else T + began,
            ended=None if ended is None else T + ended,
        )
    }


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        pytest.param({}, True, id="ordinary-cycles"),
        pytest.param({"steady_state_first": T + HOUR}, False, id="an-initial-cycle-ended"),
        pytest.param({"steady_state_first": None}, False, id="an-initial-cycle-runs"),
        pytest.param({"steady_state_last": None}, False, id="no-steady-state"),
        pytest.param(
            {"steady_state_last": BEFORE.steady_state_last}, False, id="no-new-steady-state"
        ),
        pytest.param({"code": "NotRun"}, False, id="not-run"),
        pytest.param({"code": "Paused"}, False, id="paused"),
        pytest.param({"counts": {}}, False, id="counts-gone"),
        pytest.param({"interval": HOUR}, False, id="another-schedule"),
        pytest.param({"escrows_pruned": True}, False, id="errors-pruned"),
        pytest.param({"id": "job-2"}, False, id="another-job"),
        pytest.param({"quarantine": Quarantine(reason="X")}, False, id="quarantine"),
        pytest.param({"unknown": ("counts",)}, False, id="counts-that-cannot-be-read"),
        pytest.param(execution(None, HOUR), False, id="an-execution-without-a-beginning"),
        pytest.param(execution(HOUR, None), False, id="an-execution-without-an-end"),
        pytest.param(execution(-HOUR, HOUR), False, id="an-execution-begun-earlier"),
    ],
)
def test_ordinary_cycles_in_between_are_no_sign_of_a_restart(
    changes: dict[str, Any], shown: bool
) -> None:
    found = shown_not(
        later(135, **ran_on(**changes)),
        before=BEFORE,
        snapshot_at=T,
        sent_at=T,
        trail=SILENT,
        now=T + 135 * MINUTE,
    )

    assert found is shown


def test_silence_counts_by_graphs_clock_too() -> None:
    late = T + 135 * MINUTE

    assert not shown_not(
        later(134), before=BEFORE, snapshot_at=T, sent_at=T, trail=SILENT, now=late
    )


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({}, ""),
        ({"code": "NotRun"}, "waits for its initial cycle"),
        ({"steady_state_first": None}, "now shows none"),
        ({"steady_state_first": None, "unknown": ("steady_state_first",)}, ""),
        ({"steady_state_first": T}, "another initial cycle at 2026-11-24 09:00"),
        ({"steady_state_last": T}, ""),
    ],
)
def test_a_restart_by_anybody_is_seen_by_its_initial_cycle(
    changes: dict[str, Any], sign: str
) -> None:
    found = restarted_since(replace(BEFORE, **changes), BEFORE)

    assert (sign in found) if sign else found == ""


def test_other_restarts_are_told_with_their_names_and_what_they_are() -> None:
    nameless = RestartSeen(at=T + 2 * MINUTE)

    told = told_of_others(trail(ours(), anns(), nameless), since=T)

    assert told == (
        "restarted by ann@contoso.com at 2026-11-24 09:01 UTC, by somebody whom the audit log "
        "does not name at 2026-11-24 09:02 UTC (the portal's button breaks no link, a Full sent "
        "by hand cannot be told from it)"
    )
    assert told_of_others(trail(ours()), since=T) == ""
    assert told_of_others(trail(*[anns()] * 5), since=T).count("ann@") == 3


def test_of_several_jobs_at_one_service_principal_no_row_is_known_to_be_of_this() -> None:
    seen = trail(ours(), anns())

    assert of_one_job(seen, jobs=1) == seen
    assert of_one_job(seen, jobs=2) == trail(anns(), unplaced=1)


def test_a_job_survives_its_column() -> None:
    job = replace(
        BEFORE,
        quarantine=Quarantine(reason="TooManyDeletes", began=T, error="ü"),
        last_execution=Execution(state="Succeeded", escrowed=15),
        unknown=("counts",),
    )

    assert load(dump(job)) == job
    assert load("") is None
