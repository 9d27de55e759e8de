"""Taken in by HTTP or by timer: the rows first, then a message, whose loss loses nothing."""

import json

from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import State
from shared.names import RESETS_QUEUE
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
