"""The clock has a guard: a late timer shows in the health report, and others sweep for it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from copy import replace
from datetime import datetime, timedelta

import pytest

from shared.app import App
from shared.domain.reset import State
from shared.invocation import InvocationCancelled
from shared.use_cases.stand_in import MISSED, STOOD_IN, StandIn, SweepWatch
from shared.use_cases.sweep import HEARTBEAT
from shared.web.messages import HttpResponse
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.patience import PATIENCE
from tests.support.world import TARGET, World


async def read(app: App) -> HttpResponse:
    """An HTTP function, as function_app.py answers it."""
    return await app.guarded(respond(app.api.list_resets, call()))


async def ask_health(app: App) -> None:
    await app.guarded(respond(app.api.health, call()))


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


class Silent:
    """Heartbeats of a timer that was last heard of long ago; a look can be waited for."""

    def __init__(self, last: datetime) -> None:
        self.last = last
        self.looked = asyncio.Event()
        self.looks = 0
        self.beats: list[str] = []

    async def last_beat(self, name: str) -> datetime | None:
        self.looked.set()
        self.looks += name == HEARTBEAT
        return self.last if name == HEARTBEAT else None

    async def beat(self, name: str, *, at: datetime) -> None:
        assert at > self.last
        self.beats.append(name)


def guard(
    world: World,
    heartbeats: Silent,
    *,
    within: float = 60,
    seconds: Callable[[], float] = time.monotonic,
) -> StandIn:
    late = timedelta(minutes=5)
    watch = SweepWatch(heartbeats=heartbeats, late=late, clock=world.clock)
    return StandIn(
        heartbeats=heartbeats,
        sweep=world.app.sweeper,
        watch=watch,
        clock=world.clock,
        within=within,
        seconds=seconds,
    )


async def test_the_heartbeat_is_looked_at_while_the_function_works() -> None:
    world = World()
    heartbeats = Silent(world.clock() - timedelta(hours=1))

    async def work() -> str:
        async with asyncio.timeout(PATIENCE):
            await heartbeats.looked.wait()
        return "done"

    assert await guard(world, heartbeats).beside(work()) == "done"
    assert heartbeats.beats == [MISSED, STOOD_IN]


async def test_a_function_that_took_long_leaves_the_sweep_to_the_next_one() -> None:
    """Its caller would wait for both."""
    world = World()
    heartbeats = Silent(world.clock() - timedelta(hours=1))
    substitute = guard(world, heartbeats, within=0.01)

    async def slow() -> None:
        await asyncio.sleep(0.05)

    await substitute.beside(slow())
    assert STOOD_IN not in heartbeats.beats
    await substitute.beside(asyncio.sleep(0))

    assert heartbeats.looks == 2


async def test_after_a_function_that_failed_the_next_one_looks() -> None:
    world = World()
    heartbeats = Silent(world.clock() - timedelta(hours=1))
    substitute = guard(world, heartbeats)

    async def failing() -> None:
        raise ValueError("the function's own")

    with pytest.raises(ValueError, match="the function's own"):
        await substitute.beside(failing())
    assert STOOD_IN not in heartbeats.beats
    await substitute.beside(asyncio.sleep(0))

    assert heartbeats.beats[-1] == STOOD_IN


class Watch:
    """Counts seconds, as told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("took", "answers", "sweeps"),
    [
        (0.7, True, True),
        # So little is left that the sweep would only keep others from sweeping.
        (0.9, True, False),
        (2, True, False),
        # Slow work alone, with no timer, must not leave what is due unsent.
        (0.9, False, True),
        (2, False, True),
    ],
)
async def test_a_caller_waits_for_no_longer_and_where_none_waits_the_sweep_has_its_time(
    took: float, *, answers: bool, sweeps: bool
) -> None:
    world, watch = World(), Watch()
    heartbeats = Silent(world.clock() - timedelta(hours=1))

    async def work() -> None:
        async with asyncio.timeout(PATIENCE):
            await heartbeats.looked.wait()
        watch.now = took * PATIENCE

    substitute = guard(world, heartbeats, within=PATIENCE, seconds=watch)
    await substitute.beside(work(), answers=answers)

    assert (STOOD_IN in heartbeats.beats) == sweeps
    heartbeats.looks = 0
    await substitute.beside(asyncio.sleep(0))
    assert heartbeats.looks == (0 if sweeps else 1)


class Broken(Silent):
    async def last_beat(self, name: str) -> datetime | None:
        await super().last_beat(name)
        raise KeyError("At")


async def test_a_look_that_fails_in_any_way_costs_no_function_its_result() -> None:
    world = World()
    heartbeats = Broken(world.clock())

    assert await guard(world, heartbeats).beside(asyncio.sleep(0, "done")) == "done"

    assert heartbeats.looks == 1


class Hanging(Silent):
    def __init__(self, last: datetime) -> None:
        super().__init__(last)
        self.left = asyncio.Event()

    async def last_beat(self, name: str) -> datetime | None:
        try:
            await super().last_beat(name)
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError


async def test_a_look_ends_with_a_function_that_fails() -> None:
    world = World()
    heartbeats = Hanging(world.clock())

    async def failing() -> None:
        await heartbeats.looked.wait()
        raise ValueError("the function's own")

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ValueError, match="the function's own"):
            await guard(world, heartbeats, within=2 * PATIENCE).beside(failing())
        await heartbeats.left.wait()


async def test_a_look_that_hangs_is_cut_off() -> None:
    world = World()
    heartbeats = Hanging(world.clock())

    async with asyncio.timeout(PATIENCE):
        assert (
            await guard(world, heartbeats, within=0.05).beside(asyncio.sleep(0, "done")) == "done"
        )

    assert heartbeats.looks == 1


class Asked(StandIn):
    """Notes for which functions a caller waits."""

    def __init__(self, world: World) -> None:
        heartbeats = Silent(world.clock())
        watch = SweepWatch(heartbeats=heartbeats, late=timedelta(minutes=5), clock=world.clock)
        sweep = world.app.sweeper
        super().__init__(heartbeats=heartbeats, sweep=sweep, watch=watch, clock=world.clock)
        self.answers: list[bool] = []

    async def beside[T](self, work: Awaitable[T], *, answers: bool = True) -> T:
        self.answers.append(answers)
        return await work


async def test_a_caller_waits_for_http_alone() -> None:
    world = World()
    asked = Asked(world)
    app = replace(world.app, substitute=asked)

    await app.run_reset(b"{}", message_id="m1", came_at=None)
    await app.follow_up_reset(b"{}", message_id="m2")
    await app.notify(json.dumps({"target": TARGET, "id": "r1", "n": 1}).encode())
    await read(app)

    assert asked.answers == [False, False, False, True]


@pytest.mark.parametrize("stop", [asyncio.CancelledError(), SystemExit(), GeneratorExit()])
async def test_what_the_worker_does_not_survive_leaves_no_guarded_function(
    stop: BaseException,
) -> None:
    world = World(guarded=True)

    async def stopped() -> None:
        raise stop

    with pytest.raises(InvocationCancelled):
        await world.app.guarded(stopped())
