"""The clock has a guard: a late timer shows in the health report, and others sweep for it."""

import pytest

from shared.app import App
from shared.domain.reset import State
from shared.use_cases.stand_in import MISSED, STOOD_IN
from shared.use_cases.sweep import HEARTBEAT
from shared.web.messages import HttpResponse
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.world import World


async def read(app: App) -> HttpResponse:
    """An HTTP function, as function_app.py answers it."""
    response = await respond(app.api.list_resets, call())
    await app.stand_in()
    return response


async def ask_health(app: App) -> None:
    await respond(app.api.health, call())
    await app.stand_in()


async def status(app: App) -> int:
    return (await app.api.reporter.report("")).status


async def test_the_app_is_unhealthy_once_the_sweep_has_been_silent_for_five_minutes() -> None:
    world = World(guarded=True)
    await world.app.sweep()
    world.clock.forward(minutes=5)
    in_time = await world.app.api.reporter.report("")
    world.clock.forward(seconds=1)
    late = await world.app.api.reporter.report("")

    assert (in_time.status, late.status) == (200, 503)
    (problem,) = late.body["problems"]
    assert problem.startswith("sweep: the timer has not run since 2026-11-24 09:00 UTC")


async def test_a_sweep_that_never_ran_is_found_too() -> None:
    world = World(guarded=True)
    fresh = await status(world.app)
    world.clock.forward(minutes=6)

    assert (fresh, await status(world.app)) == (200, 503)


async def test_a_schedule_that_is_slow_has_two_slots_of_it() -> None:
    world = World(guarded=True)
    world.rebuild(SWEEP_SCHEDULE="0 */10 * * * *")
    await world.app.sweep()
    world.clock.forward(minutes=19)
    in_time = await status(world.app)
    world.clock.forward(minutes=2)

    assert (in_time, await status(world.app)) == (200, 503)


async def test_an_app_that_has_just_come_up_again_is_given_time() -> None:
    world = World(guarded=True)
    await world.app.sweep()
    world.clock.forward(hours=8)
    world.rebuild()
    fresh = await status(world.app)
    world.clock.forward(minutes=6)

    assert (fresh, await status(world.app)) == (200, 503)


async def test_a_process_that_is_seconds_old_knows_from_another_how_long_it_has_been() -> None:
    """HTTP instances come and go: each would be too young to tell."""
    world = World(guarded=True)
    await world.app.sweep()
    world.clock.forward(hours=8)
    await ask_health(world.process())
    world.clock.forward(minutes=6)
    another = world.process()

    assert await status(another) == 503
    await world.app.sweep()
    assert await status(another) == 200


@pytest.mark.parametrize("caller", ["http", "health", "queue", "notify"])
async def test_whoever_finds_the_timer_late_sends_what_is_due(caller: str) -> None:
    world = World(guarded=True)
    await world.app.sweep()
    await world.accept("r1")
    world.clock.forward(minutes=10)
    app = world.process()
    match caller:
        case "http":
            await read(app)
        case "health":
            await ask_health(app)
        case "queue":
            await app.follow_up_reset(b'{"id": "unknown"}', message_id="m1")
        case _:
            await app.notify(b'{"target": "salesforce-prod", "id": "unknown", "n": 1}')

    assert len(world.waiting()) == 1


async def test_a_timer_that_runs_is_left_alone() -> None:
    world = World(guarded=True)
    await world.app.sweep()
    await world.accept("r1")
    world.clock.forward(minutes=4)
    await read(world.process())

    assert world.waiting() == []
    assert await world._spectator().last_beat(STOOD_IN) is None


async def test_only_one_stands_in_at_a_time_and_the_timers_heartbeat_stays_its_own() -> None:
    world = World(guarded=True)
    await world.app.sweep()
    beat = world.clock()
    world.clock.forward(minutes=10)
    await read(world.process())
    first = await world._spectator().last_beat(STOOD_IN)
    world.clock.forward(minutes=1)
    await read(world.process())
    second = await world._spectator().last_beat(STOOD_IN)
    world.clock.forward(minutes=6)
    await read(world.process())

    assert first == second != await world._spectator().last_beat(STOOD_IN)
    assert await world._spectator().last_beat(MISSED) == first
    assert await world._spectator().last_beat(HEARTBEAT) == beat


async def test_a_process_looks_at_the_heartbeat_once_in_five_minutes() -> None:
    world = World(guarded=True)
    await world.app.sweep()
    app = world.process()
    await read(app)
    first = world.faults.count
    await read(app)
    again = world.faults.count - first
    world.clock.forward(minutes=5)
    await world.app.sweep()
    first = world.faults.count
    await read(app)

    assert world.faults.count - first == again + 1


async def test_a_guard_that_fails_spoils_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    world = World(guarded=True)
    await world.app.sweep()
    world.clock.forward(minutes=10)
    app = world.process()
    before = world.faults.count
    await read(app)
    own = world.faults.count - before
    app = world.process()
    world.clock.forward(minutes=10)
    # The first call after the function's own ones.
    world.faults.at, world.faults.kind = world.faults.count + own - 4, "timeout"
    reply = await read(app)

    assert reply.status == 200
    assert [r for r in caplog.records if "stand-in" in r.getMessage()]


async def test_a_whole_reset_gets_to_its_restart_without_the_timer() -> None:
    """Webhooks and polls keep it going, five minutes at a time."""
    world = World(guarded=True)
    await world.app.sweep()
    await world.accept("r1")
    for _ in range(8):
        world.clock.forward(minutes=6)
        await ask_health(world.process())
        await world.deliver()
        if (await world.row()).state is State.RESTARTED:
            return
    raise AssertionError((await world.row()).state)
