"""A thousand tickets for one job; ten thousand in `make soak`."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.domain.pace import Terms
from shared.domain.reset import State
from shared.names import RESETS_QUEUE
from tests.support.host import Host, resets
from tests.support.soak import at_length
from tests.support.storage import Message
from tests.support.world import SP, TARGET, World

TICKETS = at_length(1_000, 10_000)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def put(world: World, n: int) -> None:
    request = {
        "requestId": f"r{n}",
        "target": TARGET,
        "ticket": {"system": "desk", "id": f"INC{n}"},
    }
    queue = world.storage.queues[RESETS_QUEUE]
    queue.messages[f"m{n}"] = Message(f"m{n}", json.dumps(request), world.clock())


async def cost_of_the_next(world: World, n: int) -> list[str]:
    """The I/Os of one more ticket, from its message to the end of its delivery."""
    before = len(world.faults.log)
    put(world, n)
    await world.app.run_reset(
        world.storage.queues[RESETS_QUEUE].messages.pop(f"m{n}").content.encode(),
        message_id=f"m{n}",
        came_at=world.clock(),
    )
    return world.faults.log[before:]


@pytest.mark.soak
async def test_a_storm_of_tickets_is_two_restarts_and_one_more_costs_no_more() -> None:
    world = World()
    entry = {"servicePrincipalId": SP, "jobId": "job-1", "cooldown": "PT1H"}
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: entry}), FOLLOW_UP_INTERVAL="PT30M")
    world.graph.cycle_takes = timedelta(minutes=30)
    await cost_of_the_next(world, 0)
    await cost_of_the_next(world, 1)
    early = await cost_of_the_next(world, 2)
    for n in range(3, TICKETS - 1):
        await cost_of_the_next(world, n)
    late = await cost_of_the_next(world, TICKETS - 1)

    open_now = Counter(x.state for x in resets(world) if x.state is not State.WAITING)
    await Host(world).until_quiet(rounds=2_000)

    assert early == late
    assert open_now == {State.RESTARTED: 1}
    ended = Counter(x.state for x in resets(world))
    assert ended == {State.COMPLETED: 2, State.JOINED: TICKETS - 2}
    assert len(world.graph.restarts) == 2
    told = Counter(kind for _, kind in world.told())
    assert told == {"accepted": TICKETS, "end": TICKETS}


async def test_a_joined_request_costs_one_insert_two_transactions_and_no_graph_call() -> None:
    world = World()
    world.graph.scripted = ["429"]
    await world.ask("r0")
    before = len(world.faults.log)
    await world.ask("r1", ticket=None)
    log = world.faults.log[before:]
    world.clock.forward(minutes=1)
    await world.look("r0")
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look("r0")
    before = len(world.faults.log)
    joined = await world.look("r1")
    log += world.faults.log[before:]

    assert joined.state is State.JOINED
    writes = Counter(what for what in log if what != "table read")
    assert writes == {"table insert": 1, "table transaction": 2}


JOINED = at_length(300, 10_000)
OTHERS = 20


@pytest.mark.soak
async def test_all_who_joined_one_reset_are_answered_at_a_steady_pace_and_hold_up_no_other() -> (
    None
):
    """From real requests to the comment: one restart, each ticket told once, within the pace."""
    per_minute = JOINED // 10
    paced = {"kind": "webhook", "url": "https://d.example", "on": ["end"]}
    world = World()
    world.rebuild(
        RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "jobId": "job-1"}}),
        NOTIFIERS=json.dumps(
            {
                "desk": {**paced, "perMinute": per_minute},
                "other": {**paced, "perMinute": 6000},
            }
        ),
    )
    # The leader's answer, given in good time, waits for Graph: all others come before its intent.
    world.graph.scripted = ["429"]
    await world.ask("leader")
    for n in range(OTHERS + JOINED):
        system = "other" if n < OTHERS else "desk"
        request = {
            "requestId": f"r{n:05d}",
            "target": TARGET,
            "ticket": {"system": system, "id": f"INC{n}"},
        }
        await world.send(json.dumps(request), message_id=f"m{n}")
    world.clock.forward(minutes=2)
    await world.tick()
    assert (await world.row("leader")).state is State.RESTARTED
    world.clock.forward(minutes=20)
    world.graph.end_cycle()

    each_minute = []
    while len(world.desk.delivered) < JOINED:
        before = len(world.desk.delivered)
        await world.tick()
        each_minute.append(len(world.desk.delivered) - before)
        # They came first, and are told at once, however many wait for the other notifier.
        assert len(world.other.delivered) == OTHERS
        world.clock.forward(minutes=1)
        assert len(each_minute) < 60, each_minute

    told = [(a.ticket_id, a.state) for a in world.desk.delivered]
    terms = Terms(per_minute=per_minute)
    assert len(world.graph.restarts) == 1
    assert Counter(x.state for x in resets(world)) == {
        State.COMPLETED: 1,
        State.JOINED: OTHERS + JOINED,
    }
    assert len(told) == len(set(told)) == JOINED
    assert {state for _, state in told} == {State.JOINED}
    assert max(each_minute) <= terms.per_minute + terms.burst, each_minute
    # Steady from the first minute on: while the sweep still wakes those who waited, too.
    assert len(each_minute) <= JOINED / per_minute + 2, each_minute
    assert min(each_minute[1:-1]) >= per_minute, each_minute
    other = [a.ticket_id for a in world.other.delivered]
    assert sorted(other) == sorted(f"INC{n}" for n in range(OTHERS))
    assert world.answers() == []
