"""A request from the queue that becomes no reset: its ticket hears why, once, whatever is lost."""

import json
from typing import Any

import pytest

from shared.domain.reset import State
from shared.names import NOTIFICATIONS_QUEUE, RESETS_QUEUE
from tests.support.storage import Message
from tests.support.world import SP, TARGET, World

TICKET = {"system": "desk", "id": "INC1"}
REFUSED: dict[str, dict[str, Any]] = {
    "unknown target": {"target": "salesforce-test", "requestId": "r1"},
    "known target, never used": {"notBefore": "2036-01-01T00:00:00Z"},
    "a scope that only the app asks for": {"scope": "quarantine", "requestId": "r1"},
    "a sender's prefix": {"requestId": "sn.INC1"},
    "too many open": {"requestId": "r1"},
}
SENDERS = json.dumps({"sn": {"scheme": "header", "header": "x-s", "targets": [TARGET]}})


def world(which: str) -> World:
    made = World()
    made.rebuild(
        WEBHOOK_SENDERS=SENDERS,
        WEBHOOK_SECRETS=json.dumps({"sn": ["a-long-secret-of-a-sender-0123456789"]}),
        RESET_MAX_OPEN="0" if which == "too many open" else "100",
        RESETS_ENABLED="false",
    )
    return made


def body(which: str, **fields: Any) -> str:
    return json.dumps({"target": TARGET, "ticket": TICKET, **REFUSED[which], **fields})


def told(made: World) -> list[tuple[State, str]]:
    return [(each.state, each.ticket_id) for each in made.desk.delivered]


ONCE = [(State.REFUSED, "INC1")]


@pytest.mark.parametrize("which", REFUSED)
async def test_its_ticket_is_told_at_once(which: str) -> None:
    made = world(which)

    await made.send(body(which))
    await made.deliver()

    assert told(made) == ONCE
    assert len(made.unreadable()) == 1
    assert made.answers() == []


@pytest.mark.parametrize("which", REFUSED)
async def test_where_the_nudge_is_lost_the_sweep_sends_it(which: str) -> None:
    made = world(which)
    await made.send(body(which))
    made.storage.queues[NOTIFICATIONS_QUEUE].messages.clear()
    made.app = made.process()

    await made.tick()

    assert told(made) == ONCE
    assert made.answers() == []


@pytest.mark.parametrize("which", REFUSED)
async def test_the_same_message_again_leaves_one_answer(which: str) -> None:
    made = world(which)
    for _ in range(2):
        # The host's own try ended before the message was deleted.
        await made.send(body(which))
        await made.tick()

    assert told(made) == ONCE


async def test_an_invented_target_gets_no_row_of_its_own() -> None:
    made = world("unknown target")
    for n in range(3):
        await made.send(body("unknown target", target=f"invented-{n}"), message_id=f"m{n}")

    await made.tick()

    assert made.keys("invented-0") == []
    assert "invented-0" not in made.keys("targets")


async def test_an_id_that_stands_for_another_request_is_told_and_the_first_one_goes_on() -> None:
    made = world("unknown target")
    made.rebuild(RESETS_ENABLED="true", RESET_TARGETS=json.dumps({TARGET: entry()}))
    await made.send(json.dumps({"target": TARGET, "requestId": "r1", "ticket": TICKET}))
    other = {"target": TARGET, "requestId": "r1", "dryRun": True, "ticket": TICKET | {"id": "INC2"}}

    await made.send(json.dumps(other), message_id="m2")
    await made.tick()

    assert (await made.row("r1")).state is State.RESTARTED
    assert [each.ticket_id for each in made.desk.delivered if each.state is State.REFUSED] == [
        "INC2"
    ]


async def test_poison_without_an_id_is_kept_and_its_ticket_is_told() -> None:
    made = world("unknown target")
    poison = made.storage.queues[f"{RESETS_QUEUE}-poison"]
    text = json.dumps({"target": TARGET, "ticket": TICKET})
    poison.messages["p1"] = Message("p1", text, made.clock())

    await made.tick()

    assert told(made) == ONCE
    assert len(made.unreadable()) == 1
    assert not poison.messages


async def test_nobody_is_told_where_no_ticket_can_be_read_or_nobody_listens() -> None:
    made = world("unknown target")

    await made.send("no request at all", message_id="m1")
    await made.send(json.dumps({"target": "invented"}), message_id="m2")
    elsewhere = {"system": "nobody", "id": "INC1"}
    await made.send(json.dumps({"target": "invented", "ticket": elsewhere}), message_id="m3")
    await made.tick()

    assert made.desk.delivered == []
    assert len(made.unreadable()) == 3


def entry() -> dict[str, str]:
    return {"servicePrincipalId": SP, "jobId": "job-1"}
