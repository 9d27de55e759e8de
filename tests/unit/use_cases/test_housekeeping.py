"""Poison queues are read, nothing is deleted before it is recorded; what is old is forgotten."""

import json
from datetime import timedelta

import pytest

from shared.domain.keys import reset_key
from shared.domain.reset import State
from shared.names import FOLLOW_UPS_QUEUE, RESETS_QUEUE
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.storage import Message
from tests.support.world import SP, START, TARGET, World


def poison(world: World, text: str, queue: str = RESETS_QUEUE, key: str = "p1") -> None:
    there = world.storage.queues[f"{queue}-poison"]
    there.messages[key] = Message(key, text, world.clock())


def left(world: World) -> int:
    return sum(len(queue.messages) for queue in world.storage.queues.values())


async def test_a_request_with_an_id_of_its_own_is_taken_in_from_the_poison_queue() -> None:
    world = World()
    poison(world, json.dumps({"requestId": "r1", "target": TARGET}))

    await world.quiesce()
    await world.quiesce()

    assert (await world.row()).state is State.RESTARTED
    assert left(world) == 0


async def test_one_that_was_taken_in_before_it_failed_is_no_second_reset() -> None:
    world = World()
    await world.ask("r1")
    poison(world, json.dumps({"requestId": "r1", "target": TARGET}))

    await world.quiesce()

    assert len(world.graph.restarts) == 1
    assert await world.history() == ["accepted", "sending", "restarted"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"target": TARGET}),
        json.dumps({"target": TARGET, "dequeueCount": "text"}),
        json.dumps({"target": "sales", "requestId": "r1"}),
        "hello",
    ],
)
async def test_what_cannot_be_taken_in_safely_is_kept_whole(text: str) -> None:
    world = World()
    poison(world, text)

    await world.quiesce()

    (key,) = world.unreadable()
    row, _ = world.storage.resets.cells["unreadable", key]
    assert row["Body"] == text.encode()
    assert row["Queue"] == "provisioning-resets-poison"
    assert (world.graph.restarts, left(world)) == ([], 0)


async def test_a_follow_up_is_deleted_because_its_due_row_stands() -> None:
    world = World()
    poison(world, '{"id": "r1"}', FOLLOW_UPS_QUEUE)
    poison(world, "garbage", FOLLOW_UPS_QUEUE, "p2")

    await world.quiesce()

    assert len(world.unreadable()) == 1
    assert left(world) == 0


async def test_nothing_is_deleted_before_it_is_recorded() -> None:
    world = World()
    poison(world, "hello")
    world.faults.kind = "503"
    world.faults.at = _first(await _sweep_log(), "table transaction")

    await world.app.sweep()

    assert left(world) == 1
    world.clock.forward(minutes=6)
    await world.quiesce()
    assert (len(world.unreadable()), left(world)) == (1, 0)


async def _sweep_log() -> list[str]:
    world = World()
    poison(world, "hello")
    await world.app.sweep()
    return world.faults.log


def _first(log: list[str], what: str) -> int:
    return log.index(what) + 1


async def ended(world: World, request_id: str) -> None:
    await world.ask(request_id, dry_run=True)


async def test_ended_resets_are_forgotten_after_the_retention_with_all_their_rows() -> None:
    world = World()
    await ended(world, "old")
    world.clock.forward(days=399)
    await ended(world, "young")
    world.clock.forward(days=2)
    await world.quiesce()

    assert [key for key in world.keys(TARGET) if "old" in key] == []
    assert len([key for key in world.keys(TARGET) if "young" in key]) == 3
    assert ("old", "id") not in world.storage.ids.cells
    assert ("young", "id") in world.storage.ids.cells


async def test_an_open_reset_is_never_forgotten() -> None:
    world = World()
    world.rebuild(RESETS_ENABLED="false", RESET_MAX_AGE="P900D")
    await world.ask()
    world.clock.forward(days=500)

    await world.quiesce()

    assert (await world.row()).state is State.WAITING


async def test_retention_looks_once_an_hour_and_reads_no_younger_row() -> None:
    world = World()
    for n in range(30):
        await ended(world, f"r{n}")
    await world.app.sweep()
    before = len(world.faults.log)
    await world.app.sweep()
    ordinary = len(world.faults.log) - before
    world.clock.forward(hours=1)
    before = len(world.faults.log)
    await world.app.sweep()

    assert len(world.faults.log) - before == ordinary + 4


async def test_what_ended_lately_is_kept_however_long_ago_it_was_asked_for() -> None:
    world = World()
    world.rebuild(RESET_RETENTION="P1D")
    opens = world.clock() + timedelta(days=2)
    await world.ask("late", not_before=opens)
    world.clock.now = opens
    world.graph.incremental_cycle()
    await world.look("late")
    await world.quiesce()
    world.clock.forward(minutes=30)
    world.graph.end_cycle()
    await world.look("late")
    world.clock.forward(hours=2)

    await world.quiesce()

    assert (await world.row("late")).state is State.COMPLETED


async def test_an_id_that_was_asked_for_again_keeps_its_younger_reset() -> None:
    """A crash after the ids row was deleted; then the same id comes again."""
    world = World()
    await ended(world, "r1")
    old = await world.row("r1")
    world.storage.ids.cells.clear()
    for key in [k for k in world.keys(TARGET) if k.startswith("event:")]:
        del world.storage.resets.cells[TARGET, key]
    world.clock.forward(days=401)
    world.graph.incremental_cycle()
    young = await world.ask("r1")

    await world.app.sweep()

    assert await world.row("r1") == young
    assert [key for key in world.keys(TARGET) if key.startswith("reset:")] == [
        reset_key(young.requested_at, "r1")
    ]
    assert old.requested_at < young.requested_at
    assert len(await world.events("r1")) == young.sequence


async def test_one_poison_message_that_cannot_be_recorded_holds_up_no_other() -> None:
    world = World()
    await world.ask("newer")
    newer = ("salesforce-prod", reset_key(START, "newer"))
    values, etag = world.storage.resets.cells[newer]
    world.storage.resets.cells[newer] = ({**values, "Version": 99}, etag)
    poison(world, json.dumps({"requestId": "newer", "target": TARGET}), key="a")
    poison(world, "hello", key="b")

    await world.app.sweep()

    assert len(world.unreadable()) == 1
    assert left(world) == 1


async def test_one_target_that_cannot_be_swept_holds_up_no_other() -> None:
    world = World()
    other = SP.replace("1", "9")
    catalogue = {TARGET: {"servicePrincipalId": SP}, "aaa": {"servicePrincipalId": other}}
    world.rebuild(RESET_TARGETS=json.dumps(catalogue), RESETS_ENABLED="false")
    await world.ask("r1")
    await world.ask("r2", target="aaa")
    world.storage.resets.cells["aaa", "due:from:0000000000000:answer:r2:no-number"] = ({}, "e")
    world.clock.forward(minutes=10)

    with pytest.RaisesGroup(ValueError):
        await world.app.sweep()

    assert [json.loads(text)["id"] for text in world.waiting()] == ["r1"]
    assert "heartbeat:sweep" not in world.keys("targets")
    assert "heartbeat:retention" in world.keys("targets")


async def test_messages_that_an_earlier_version_kept_are_listed_and_forgotten_too() -> None:
    world = World()
    for key, age in (("a-old", 401), ("b-young", 1)):
        kept = {"At": world.clock() - timedelta(days=age), "Queue": "q", "Reason": "why"}
        row = {"PartitionKey": "unreadable", "RowKey": key, **kept, "Body": b"1", "Digest": "d"}
        await world.storage.resets.create_entity(row)

    await world.app.sweep()

    assert world.unreadable() == ["b-young"]
    reply = await respond(world.app.api.list_unreadable, call())
    assert [each["key"] for each in json.loads(reply.body)["value"]] == ["b-young"]
