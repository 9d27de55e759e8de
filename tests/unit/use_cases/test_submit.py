"""Taken in by HTTP or by timer: the rows first, then a message, whose loss loses nothing."""

import asyncio
import json
from copy import replace
from datetime import timedelta

import pytest

from shared.adapters.lazy_queues import LazyQueues
from shared.domain.errors import StorageUnavailable
from shared.domain.ports import AllQueues
from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import State
from shared.names import RESETS_QUEUE
from shared.use_cases import submit
from shared.use_cases.submit import Submission
from tests.support.faults import Faults
from tests.support.storage import Storage
from tests.support.world import TARGET, World

REQUEST = Received(id="h-1", request=ResetRequest(target=TARGET, reason="INC1"))


def submission(world: World, storage: Storage | None = None) -> Submission:
    queues = (storage or world.storage).adapter()
    return Submission(acceptance=world.app.runs.acceptance, queues=queues)


async def test_the_rows_are_written_and_a_message_gets_it_going() -> None:
    world = World()
    accepted = await submission(world).submit(REQUEST, via="api")

    assert (accepted.known, accepted.stored.row.state) == (False, State.ACCEPTED)
    assert [json.loads(m)["requestId"] for m in world.waiting(RESETS_QUEUE)] == ["h-1"]
    await world.deliver()
    assert (await world.row("h-1")).state is State.RESTARTED
    assert await world.history("h-1") == ["accepted", "sending", "restarted"]


async def test_the_same_again_is_answered_by_the_first_and_sends_nothing() -> None:
    world = World()
    first = await submission(world).submit(REQUEST, via="api")
    again = await submission(world).submit(REQUEST, via="webhook:desk")

    assert again.known
    assert again.stored.row == first.stored.row
    assert len(world.waiting(RESETS_QUEUE)) == 1


async def test_where_the_queue_is_down_the_sweep_gets_it_going() -> None:
    world = World()
    broken = world.storage.shared()
    broken.faults = Faults(at=1, kind="500")
    for queue in broken.queues.values():
        queue.faults = broken.faults
    accepted = await submission(world, broken).submit(REQUEST, via="api")

    assert not accepted.known
    assert world.waiting(RESETS_QUEUE) == []
    await world.quiesce()
    assert (await world.row("h-1")).state is State.RESTARTED


async def slow(world: World, monkeypatch: pytest.MonkeyPatch, *held: str) -> asyncio.Event:
    """Each I/O of a kind in *held* waits for the event; nobody waits for more than a moment."""
    go_on = asyncio.Event()

    async def pause(what: str) -> None:
        if what in held:
            await go_on.wait()

    world.storage.interleave(pause)
    monkeypatch.setattr(submit, "ANSWERS_WITHIN", timedelta(milliseconds=20))
    return go_on


async def test_what_was_begun_goes_on_after_its_503_and_the_same_again_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    go_on = await slow(world, monkeypatch, "table transaction")
    taking = submission(world)
    with pytest.raises(StorageUnavailable, match="in time"):
        await taking.submit(REQUEST, via="webhook:desk")

    go_on.set()
    await asyncio.gather(*taking.running)
    again = await taking.submit(REQUEST, via="webhook:desk")

    assert again.known
    assert taking.running == set()
    assert len(world.waiting(RESETS_QUEUE)) == 1


async def test_a_queue_that_is_slow_keeps_nobody_from_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    go_on = await slow(world, monkeypatch, "queue send")
    taking = submission(world)

    accepted = await taking.submit(REQUEST, via="webhook:desk")
    go_on.set()
    await asyncio.gather(*taking.running)

    assert not accepted.known
    assert len(world.waiting(RESETS_QUEUE)) == 1


async def test_the_queues_are_opened_beside_the_rows_not_after_them() -> None:
    world, begun = World(), asyncio.Event()

    async def make() -> AllQueues:
        begun.set()
        return world.storage.adapter()

    async def pause(what: str) -> None:
        if what == "table transaction":
            await asyncio.wait_for(begun.wait(), timeout=1)

    world.storage.interleave(pause)
    taking = Submission(acceptance=world.app.runs.acceptance, queues=LazyQueues(make))
    accepted = await taking.submit(REQUEST, via="webhook:desk")

    assert not accepted.known
    assert len(world.waiting(RESETS_QUEUE)) == 1


@pytest.mark.parametrize("fails", [1, 2])
async def test_queues_that_cannot_be_opened_cost_nobody_the_answer(
    fails: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Opened again for the message; where that fails too, the sweep sends one."""
    world, tries = World(), list[int]()

    async def make() -> AllQueues:
        tries.append(1)
        if len(tries) <= fails:
            raise StorageUnavailable("no token")
        return world.storage.adapter()

    caplog.set_level("INFO")
    taking = Submission(acceptance=world.app.runs.acceptance, queues=LazyQueues(make))
    accepted = await taking.submit(REQUEST, via="webhook:desk")
    failed = [r for r in caplog.records if r.getMessage().startswith("storage.failed")]

    assert (accepted.known, len(tries)) == (False, 2)
    assert (len(world.waiting(RESETS_QUEUE)), len(failed)) == ((1, 0) if fails == 1 else (0, 1))


async def test_what_fails_after_its_503_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    go_on = await slow(world, monkeypatch, "table transaction")
    taking = submission(world)
    with pytest.raises(StorageUnavailable):
        await taking.submit(REQUEST, via="webhook:desk")

    world.storage.faults.at, world.storage.faults.kind = world.storage.faults.count + 1, "429"
    caplog.set_level("INFO")
    go_on.set()
    await asyncio.wait(taking.running)
    await asyncio.sleep(0)

    (record,) = [r for r in caplog.records if r.getMessage().startswith("storage.failed")]
    assert '"what": "submit"' in record.getMessage()


async def test_a_new_request_is_taken_in_without_reading_what_was_just_written() -> None:
    world = World()
    faults = world.storage.faults
    taking = submission(world)
    await taking.submit(REQUEST, via="api")
    begin = len(faults.log)

    await taking.submit(replace(REQUEST, id="h-2"), via="api")

    assert faults.log[begin:] == ["table insert", "table read", "table transaction", "queue send"]
