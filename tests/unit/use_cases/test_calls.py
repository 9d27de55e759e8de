"""What each thing that the app does asks of storage and of Graph: counted, call by call."""

import json
from collections import Counter
from collections.abc import Awaitable

import pytest

from shared.domain.reset import State, WaitingFor
from shared.web.messages import HttpRequest
from shared.web.respond import respond
from tests.support.world import SP, World

TARGETS = 40
CATALOGUE = {
    f"app-{n}": {"servicePrincipalId": f"{SP[:-2]}{n:02d}", "jobId": "job"} for n in range(TARGETS)
}
SENDER = {
    "scheme": "header",
    "header": "x-relink-secret",
    "format": "relink",
    "targets": list(CATALOGUE),
}
SECRET = "canary-of-the-counted-calls"


@pytest.fixture
def world() -> World:
    """Every target has been used, and the process has done one reset already."""
    made = World()
    made.rebuild(
        RESET_TARGETS=json.dumps(CATALOGUE),
        RESET_DAILY_BUDGET="1000",
        WEBHOOK_SENDERS=json.dumps({"tool": SENDER}),
        WEBHOOK_SECRETS=json.dumps({"tool": [SECRET]}),
    )
    return made


async def calls(world: World, work: Awaitable[object]) -> Counter[str]:
    before = len(world.faults.log)
    await work
    return Counter(world.faults.log[before:])


def ask(world: World, number: int, name: str = "") -> Awaitable[None]:
    request = {"requestId": name or f"r{number}", "target": f"app-{number}"}
    return world.send(json.dumps(request), message_id=f"m{name}{number}")


async def test_a_distinct_reset_is_ten_storage_calls_and_two_of_graph(world: World) -> None:
    await ask(world, 0)

    found = await calls(world, ask(world, 1))

    assert found == {
        "table insert": 2,  # the alias, once a process, and the ids row
        "table read": 3,  # the job row; the fleet and the observation, side by side
        "table transaction": 3,
        "table update": 1,  # the budget, for all that wait for it
        "graph read": 1,
        "graph token": 1,  # from memory
        "graph restart": 1,
    }
    assert (await world.row("r1")).state is State.RESTARTED


async def test_a_ticket_behind_a_head_is_four_calls_and_none_of_graph(world: World) -> None:
    await ask(world, 0)

    found = await calls(world, ask(world, 0, "second"))

    assert found == {"table insert": 1, "table read": 1, "table transaction": 1}
    assert (await world.row("second")).behind == "r0"


async def test_joining_is_five_calls_and_none_of_graph(world: World) -> None:
    world.graph_of("app-0").scripted = ["429"]
    await ask(world, 0)
    await ask(world, 0, "second")
    world.clock.forward(minutes=1)
    await world.look("r0")
    world.clock.forward(minutes=10)
    world.graph_of("app-0").end_cycle()
    await world.look("r0")
    await world.app.observer.write()

    found = await calls(world, world.app.follow_up_reset(b'{"id": "second"}', message_id="m"))

    assert (await world.row("second")).state is State.JOINED
    # Where the reset lies; the reset; the job row.
    assert found == {"table read": 3, "table transaction": 1}


async def test_where_the_message_names_the_row_the_ids_row_is_not_read(world: World) -> None:
    world.graph_of("app-0").scripted = ["429"]
    await ask(world, 0)
    world.clock.forward(minutes=1)
    await world.app.sweep()
    (message,) = world.waiting()

    found = await calls(world, world.app.follow_up_reset(message.encode(), message_id="m"))

    assert (await world.row("r0")).state is State.RESTARTED
    # The reset and the job row; the fleet and the observation; the budget, whose place is free.
    assert found["table read"] == 5


@pytest.mark.parametrize(
    "place",
    [
        {"target": "app-1"},
        {"target": "app-0", "key": 7},
        {"target": "app-0", "key": "job"},
        {"target": "app-0", "key": "reset:8204489199999:another"},
        {"target": "app-7", "key": "reset:8204489199999:r0"},
        {"target": "../budget", "key": "reset:8204489199999:r0"},
    ],
)
async def test_a_message_that_names_another_row_finds_the_reset_by_its_id(
    world: World, place: dict[str, object]
) -> None:
    world.graph_of("app-0").scripted = ["429"]
    await ask(world, 0)
    world.clock.forward(minutes=1)
    body = json.dumps({"id": "r0", **place}).encode()

    await world.app.follow_up_reset(body, message_id="m")

    assert (await world.row("r0")).state is State.RESTARTED


async def test_the_leader_of_many_tickets_is_read_once(world: World) -> None:
    world.graph_of("app-0").scripted = ["429"]
    for name in ("r0", "second", "third"):
        request = {"requestId": name, "target": "app-0", "ticket": {"system": "x", "id": name}}
        await world.send(json.dumps(request), message_id=f"m{name}")
    world.clock.forward(minutes=1)
    await world.look("r0")
    world.clock.forward(minutes=10)
    world.graph_of("app-0").end_cycle()
    await world.look("r0")
    await world.look("second")

    found = await calls(world, world.look("third"))

    assert (await world.row("third")).state is State.JOINED
    # The spectator's look for where it lies; the reset and the job row.
    assert found == {"table read": 2, "table transaction": 1}


async def test_a_webhook_is_four_calls_of_tables_and_one_message(world: World) -> None:
    def post(number: int) -> Awaitable[object]:
        body = json.dumps({"requestId": f"w{number}", "target": "app-2"}).encode()
        request = HttpRequest(
            body=body,
            headers={"content-type": "application/json", "x-relink-secret": SECRET},
            url="https://relink.example/api/webhooks/tool",
            path={"sender": "tool"},
        )
        return respond(world.app.api.receive_webhook, request)

    await post(0)

    found = await calls(world, post(1))

    assert found == {
        "table insert": 1,
        "table read": 1,
        "table transaction": 1,
        "queue send": 1,
    }


async def test_an_idle_sweep_is_one_query_a_target_and_a_few_more(world: World) -> None:
    for number in range(TARGETS):
        await world.storage.store().remember_target(f"app-{number}", at=world.clock())
    await world.app.sweep()

    found = await calls(world, world.app.sweep())

    # The targets; the heartbeat; retention's last beat; three poison queues.
    assert found == {
        "table query": TARGETS + 1,
        "table upsert": 1,
        "table read": 1,
        "queue receive": 3,
    }


async def test_a_tick_that_sees_nothing_new_reads_graph_and_writes_no_row(world: World) -> None:
    await world.app.remediate()
    world.clock.forward(minutes=15)

    second = await calls(world, world.app.remediate())
    world.clock.forward(minutes=60)
    later = await calls(world, world.app.remediate())

    assert second["graph read"] == later["graph read"] == TARGETS
    assert second["table read"] == 1, "the fleet's row"
    assert second["table update"] + second["table upsert"] <= 3
    assert later["table update"] >= TARGETS, "once an hour each is noted again"


async def test_an_idle_target_that_falls_ill_is_read_and_noted_at_once(world: World) -> None:
    await world.app.remediate()
    world.graph_of("app-3").quarantine("EncounteredEscrowProportionThreshold")
    world.clock.forward(minutes=15)

    found = await calls(world, world.app.remediate())

    assert (await world.watch("app-3")).quarantined
    # Its job and what was last seen of it, beside the fleet's row.
    assert found["table read"] == 3
    world.clock.forward(minutes=15)
    world.graph_of("app-3").job = world.graph_of("app-4").job
    await world.app.remediate()
    assert not (await world.watch("app-3")).quarantined


async def test_what_another_process_noted_is_not_written_over(world: World) -> None:
    await world.app.remediate()
    other = world.process()
    world.clock.forward(hours=2)
    await other.remediate()
    noted = await world.watch("app-5")
    world.clock.forward(minutes=1)

    await world.app.remediate()
    assert await world.watch("app-5") == noted
    world.clock.forward(hours=2)
    await world.app.remediate()

    assert (await world.watch("app-5")).seen_at == world.clock()


async def test_a_budget_that_another_process_has_spent_is_noticed(world: World) -> None:
    world.rebuild(RESET_DAILY_BUDGET="2")
    other = world.process()
    await ask(world, 0)
    body = json.dumps({"requestId": "r1", "target": "app-1"}).encode()
    await other.run_reset(body, message_id="m1", came_at=world.clock())

    await ask(world, 2)

    waits = await world.row("r2")
    assert (waits.state, waits.waiting_for) == (State.WAITING, WaitingFor.BUDGET)
