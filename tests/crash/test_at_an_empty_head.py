"""
Acceptance takes an empty Head in its own insert, whatever another worker does meanwhile.

Two workers do their work on one storage. One is held up after some of its I/Os while the other
goes on for some; every pair of numbers is lived. After that they go on in turn.
"""

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from shared.adapters.table_store import TableStore
from shared.app import App
from shared.domain.errors import Conflict
from shared.domain.reset import HistoryEntry, JobRow, Notification, Reset, State, Stored
from shared.domain.sync_job import AuditTrail
from tests.crash.invariants import check
from tests.crash.scenarios import CYCLE, ENVIRON, put
from tests.support.host import Host, resets
from tests.support.soak import at_length
from tests.support.world import TARGET, World

STEP = at_length(3, 1)
SCHEDULES = [
    [who] * some + [1 - who] * others
    for who in (0, 1)
    for some in range(1, 6)
    for others in range(0, 16, STEP)
]
"""One worker does some I/Os and is held up; the other does some, as far as its POST or less."""

SOON = 120
"""Seconds: far more than a life takes, should a worker wait for ever."""

type Work = Callable[[App, World], Awaitable[object]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def ask(request_id: str) -> Work:
    text = json.dumps(
        {
            "requestId": request_id,
            "target": TARGET,
            "ticket": {"system": "desk", "id": f"T-{request_id}"},
        }
    )
    return lambda app, world: app.run_reset(
        text.encode(), message_id=f"m-{request_id}", came_at=world.clock()
    )


def follow_up(request_id: str) -> Work:
    text = json.dumps({"id": request_id})
    return lambda app, world: app.follow_up_reset(text.encode(), message_id="m")


async def interleave(world: World, works: Sequence[Work], schedule: Sequence[int]) -> None:
    """Do both works; the schedule says whose next I/O comes."""
    gates: list[asyncio.Queue[asyncio.Event]] = [asyncio.Queue() for _ in works]

    async def one(work: Work, mine: asyncio.Queue[asyncio.Event]) -> None:
        async def wait_for_turn(what: str) -> None:
            del what
            turn = asyncio.Event()
            mine.put_nowait(turn)
            await turn.wait()

        storage = world.storage.shared()
        storage.interleave(wait_for_turn)
        await work(world.process(storage=storage), world)

    async with asyncio.timeout(SOON):
        tasks = [asyncio.create_task(one(*each)) for each in zip(works, gates, strict=True)]
        for turn in itertools.chain(schedule, itertools.cycle([0, 1])):
            # Let each go as far as its next I/O, or its end.
            for _ in range(8):
                await asyncio.sleep(0)
            if all(task.done() for task in tasks):
                break
            if not gates[turn].empty():
                gates[turn].get_nowait().set()
        for task in tasks:
            task.result()


async def lived(
    first: Work,
    second: Work,
    schedule: Sequence[int],
    *,
    store_type: type[TableStore] = TableStore,
    before: Callable[[World], Awaitable[None]] | None = None,
) -> World:
    world = World(environ=dict(ENVIRON), store_type=store_type)
    world.graph.cycle_takes = CYCLE
    world.graph.trail = AuditTrail(readable=True)
    if before is not None:
        await before(world)
    await interleave(world, [first, second], schedule)
    await Host(world).until_quiet()
    return world


async def status_lags(world: World) -> None:
    """The job is shown Active for a while after the 204, so that it holds nobody back."""
    world.graph.status_lag = timedelta(minutes=10)


@pytest.mark.soak
async def test_of_two_that_come_at_once_one_is_sent_and_stands_for_both() -> None:
    for schedule in SCHEDULES:
        world = await lived(ask("r1"), ask("r2"), schedule, before=status_lags)

        await check(world, 2)
        # Who read the job row after the intent of the other one came after that restart.
        late = any(x.seen_number for x in resets(world))
        assert len(world.graph.posts) == 1 + late, schedule
        ends = ["completed", "completed"] if late else ["completed", "joined"]
        assert sorted(str(x.state) for x in resets(world)) == ends, schedule


async def cycle_has_ended(world: World) -> None:
    """The cycle of r0 has ended, and nobody has looked yet."""
    put(world, "r0")
    await Host(world).deliver()
    world.clock.now += timedelta(minutes=30)


@pytest.mark.soak
async def test_who_comes_as_the_head_ends_goes_after_the_cooldown_in_every_order() -> None:
    for schedule in SCHEDULES:
        world = await lived(ask("r1"), follow_up("r0"), schedule, before=cycle_has_ended)

        await check(world, 2)
        assert [x.state for x in resets(world)] == [State.COMPLETED] * 2, schedule


class InsertsWithoutTheFence(TableStore):
    async def insert(
        self,
        reset: Reset,
        event: HistoryEntry,
        answers: Sequence[Notification],
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
    ) -> Stored[Reset]:
        if job is not None:
            # The Head is ours, even where the job row now says otherwise.
            job = (await self.read_job(reset.target), job[1])
        return await super().insert(reset, event, answers, job=job)


async def test_inserting_as_head_without_the_fence_is_noticed() -> None:
    async def noticed(schedule: Sequence[int]) -> bool:
        try:
            world = await lived(
                ask("r1"),
                ask("r2"),
                schedule,
                store_type=InsertsWithoutTheFence,
                before=status_lags,
            )
            await check(world, 2)
        except (AssertionError, Conflict):
            return True
        return False

    for schedule in SCHEDULES:
        if await noticed(schedule):
            return
    raise AssertionError("it passes in every order")
