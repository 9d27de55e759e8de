"""What Graph has really been seen to do, lived through by a whole reset."""

import json
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.errors import FateUnknown, RefusedForNow, Rejected
from shared.domain.reset import JobRow, State
from shared.domain.sync_job import AuditTrail, Quarantine, RestartSeen
from tests.support.graph import healthy
from tests.support.world import SP, START, TARGET, World

GONE = Rejected("Microsoft Graph answered 404 ResourceNotFound; check jobId", status=404)
UNNAMED = json.dumps({TARGET: {"servicePrincipalId": SP, "notify": "desk"}})


def refused(status: int) -> RefusedForNow:
    return RefusedForNow(f"Microsoft Graph answered {status}; this may pass", status=status)


async def until(world: World, *states: State, most: int = 60) -> State:
    """Look whenever it is due."""
    for _ in range(most):
        row = await world.row()
        if row.state in states or row.due_at is None:
            return row.state
        world.clock.now = max(world.clock.now + timedelta(seconds=1), row.due_at)
        await world.look()
    raise AssertionError((await world.row()).detail)


# What may pass is waited for


@pytest.mark.parametrize("status", [401, 403, 409, 423])
@pytest.mark.parametrize("call", ["read_job", "restart"])
async def test_what_may_pass_is_waited_for_and_goes_through(call: str, status: int) -> None:
    world = World()
    world.graph.failures[call] = [refused(status)] * 2

    waits = await world.ask()
    assert (waits.state, waits.detail) == (State.WAITING, refused(status).reason)
    assert await until(world, State.RESTARTED) is State.RESTARTED
    assert len(world.graph.restarts) == 1


async def test_a_permission_that_shows_after_a_day_loses_no_request() -> None:
    world = World()
    world.graph.failures["read_job"] = [refused(401)] * 100
    await world.ask()

    while world.clock() < START + timedelta(hours=25):
        await world.look()
        world.clock.forward(minutes=15)
    world.graph.failures.clear()
    world.graph.incremental_cycle()

    assert await until(world, State.RESTARTED) is State.RESTARTED


@pytest.mark.parametrize("status", [401, 403])
async def test_a_dry_run_is_answered_at_once(status: int) -> None:
    world = World()
    world.graph.failures["read_job"] = [refused(status)]

    assert (await world.ask(dry_run=True)).state is State.REFUSED


async def test_a_dry_run_of_a_job_that_is_not_there_is_answered_at_once() -> None:
    world = World()
    world.graph.failures["read_job"] = [GONE]

    assert (await world.ask(dry_run=True)).state is State.REFUSED


async def test_a_new_job_that_is_404_for_some_minutes_is_not_lost() -> None:
    world = World()
    world.graph.failures["read_job"] = [GONE] * 3

    first = await world.ask()

    assert (first.state, first.missing_since) == (State.WAITING, START)
    assert await until(world, State.RESTARTED) is State.RESTARTED
    assert (await world.row()).missing_since is None


async def test_a_job_that_stays_404_is_refused_after_half_an_hour() -> None:
    world = World()
    world.graph.failures["read_job"] = [GONE] * 99
    await world.ask()

    assert await until(world, State.REFUSED) is State.REFUSED
    row = await world.row()
    assert row.detail.startswith("the job is gone: ")
    assert row.finished_at is not None
    assert row.finished_at - START >= timedelta(minutes=30)


async def test_a_bad_request_is_refused_at_once() -> None:
    world = World()
    world.graph.failures["read_job"] = [Rejected("400 no", status=400)]

    assert (await world.ask()).state is State.REFUSED


@pytest.mark.parametrize("status", [409, 423])
async def test_after_a_conflict_a_sign_of_a_restart_leads_to_a_person(status: int) -> None:
    world = World()
    world.graph.failures["restart"] = [refused(status)]
    await world.ask()
    world.graph.take_restart()

    assert await until(world, State.AWAITING_APPROVAL) is State.AWAITING_APPROVAL
    assert "waits for its initial cycle" in (await world.row()).detail
    assert world.graph.posts == []

    # Approved, it is sent once the cycle has ended; the sign that was shown is none any more.
    assert await world.decide("approve") == 200
    world.clock.forward(minutes=1)
    assert (await world.look()).state is State.WAITING
    world.graph.end_cycle()
    assert await until(world, State.RESTARTED) is State.RESTARTED


# The watch


async def test_a_job_that_is_gone_ends_the_watch_soon() -> None:
    world = World()
    await world.ask()
    world.graph.failures["read_job"] = [GONE] * 99

    assert await until(world, State.FAILED) is State.FAILED
    row = await world.row()
    assert row.outcome == "job gone"
    assert row.finished_at is not None
    assert timedelta(minutes=30) <= row.finished_at - START < timedelta(hours=2)


async def test_two_reads_are_not_enough_to_say_that_it_is_gone() -> None:
    world = World()
    await world.ask()
    world.graph.failures["read_job"] = [GONE, *[FateUnknown("503")] * 6, GONE, None]
    for _ in range(9):
        world.clock.forward(minutes=15)
        reset = await world.look()

    assert (reset.state, reset.missing_since) == (State.RESTARTED, None)


async def test_the_cycle_of_a_job_made_anew_is_not_ours() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=UNNAMED)
    await world.ask()
    world.graph.job = replace(world.graph.job, id="job-2")
    world.graph.end_cycle()

    assert await until(world, State.FAILED, State.COMPLETED) is State.FAILED
    assert "Graph shows another job (job-2)" in (await world.row()).detail


async def test_a_job_made_anew_under_the_alias_starts_clean() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=UNNAMED)
    await world.ask("r1")
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await until(world, State.COMPLETED)
    assert (await world.job()).last_job_id == "job-1"
    world.graph.job = healthy(world.clock(), job_id="job-2")

    assert (await world.ask("r2")).state is State.RESTARTED


async def test_the_same_job_waits_out_its_cooldown_also_where_none_is_named() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=UNNAMED)
    await world.ask("r1")
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await until(world, State.COMPLETED)

    again = await world.ask("r2")

    assert (again.state, "cooldown" in again.detail) == (State.WAITING, True)


async def test_an_approval_is_one_of_the_job_that_was_shown() -> None:
    world = World()
    world.rebuild(
        RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "approval": "always"}})
    )
    await world.ask()
    world.graph.job = replace(world.graph.job, id="job-2")
    assert await world.decide("approve") == 200

    world.clock.forward(minutes=1)
    assert (await world.look()).state is State.AWAITING_APPROVAL
    assert world.graph.posts == []


# Proof


async def lost(world: World, *seen: RestartSeen) -> None:
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    world.graph.trail = AuditTrail(readable=True, restarts=seen)


ANN = RestartSeen(at=START + timedelta(minutes=1), by="ann@contoso.com")


async def test_a_person_at_the_portal_is_never_taken_for_us() -> None:
    world = World()
    await lost(world, ANN)
    world.graph.take_restart()
    world.graph.trail = AuditTrail(readable=True, restarts=(ANN,))
    for _ in range(7):
        world.clock.forward(minutes=5)
        reset = await world.look()

    assert (reset.state, reset.operator_asked) == (State.UNKNOWN, True)
    assert "restarted by ann@contoso.com at 2026-11-24 09:01 UTC" in reset.detail
    assert "breaks no link" in reset.detail


async def test_evidence_that_comes_after_a_person_was_asked_still_counts() -> None:
    world = World()
    await lost(world)
    for _ in range(7):
        world.clock.forward(minutes=5)
        asked = await world.look()
    ours = RestartSeen(at=START + timedelta(seconds=2), ours=True)
    world.graph.trail = AuditTrail(readable=True, restarts=(ours,))
    world.clock.forward(hours=1)

    found = await world.look()

    assert (asked.operator_asked, found.state, found.operator_asked) == (
        True,
        State.RESTARTED,
        False,
    )


async def test_a_row_that_cannot_be_placed_sends_nothing_again() -> None:
    world = World()
    await lost(world)
    world.graph.trail = AuditTrail(readable=True, unplaced=1)

    assert await until(world, State.FAILED, State.WAITING) is State.FAILED
    assert world.graph.posts == []


# Graph's own words, and a person's No


async def test_what_joined_a_refused_restart_hears_that_it_was_refused() -> None:
    world = World()
    world.graph.failures["restart"] = [refused(409), Rejected("400 no such scope", status=400)]
    await world.ask("r1")
    await world.ask("r2")
    world.clock.forward(minutes=1)
    await world.look("r1")
    world.clock.forward(hours=1)

    joined = await world.look("r2")

    assert (joined.state, joined.outcome) == (State.JOINED, "rejected by Graph")
    assert joined.detail.endswith("stands for it: rejected by Graph: 400 no such scope")


async def test_credentials_that_were_put_right_can_be_approved() -> None:
    world = World()
    world.graph.quarantine(
        "EncounteredQuarantineException", error="SalesforceInvalidCredentials: Wrong password."
    )

    asked = await world.ask()
    assert asked.state is State.AWAITING_APPROVAL
    assert "have the credentials been put right?" in asked.detail
    assert asked.detail.endswith("Graph says: SalesforceInvalidCredentials: Wrong password.")

    assert await world.decide("approve") == 200
    world.clock.forward(minutes=1)
    assert (await world.look()).state is State.RESTARTED


async def test_a_stopped_job_can_be_approved() -> None:
    world = World()
    world.graph.job = replace(world.graph.job, code="Paused", schedule_state="Disabled")

    assert "a cycle with the old links" in (await world.ask()).detail
    assert await world.decide("approve") == 200
    world.clock.forward(minutes=1)
    assert (await world.look()).state is State.RESTARTED


async def test_a_series_of_quarantines_is_one_question_and_a_no_holds_for_it() -> None:
    world = World()
    world.rebuild(
        RESET_TARGETS=json.dumps(
            {
                TARGET: {
                    "servicePrincipalId": SP,
                    "jobId": "job-1",
                    "approval": "automatic",
                    "remediate": {"after": "PT1H", "reasons": ["EncounteredBaseEscrowThreshold"]},
                }
            }
        )
    )
    asked = []
    for hour in range(24):
        imposed = Quarantine(
            reason="EncounteredBaseEscrowThreshold",
            began=START + timedelta(hours=hour),
            series_began=START,
        )
        world.graph.job = replace(world.graph.job, code="Quarantine", quarantine=imposed)
        await world.app.remediate()
        await world.quiesce()
        for reset_id in [key for key in world.storage.ids.cells if key[0].startswith("quarantine")]:
            if reset_id[0] not in asked:
                asked.append(reset_id[0])
                assert await world.decide("reject", request_id=reset_id[0]) == 200
        world.clock.forward(hours=1)

    assert len(asked) == 1


def test_a_row_of_before_the_rows_kept_a_job_id_speaks_of_any_job() -> None:
    assert JobRow(target=TARGET).last_job_id == ""
