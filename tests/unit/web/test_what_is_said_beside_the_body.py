"""What stands in the address, or twice in a body, is never overlooked."""

import json
from copy import replace
from typing import Any

import pytest

from shared.domain.reset import State
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.world import TARGET, World

REQUEST: dict[str, object] = {"target": TARGET, "requestId": "r1"}


def detail(reply: Any) -> str:
    return str(json.loads(reply.body)["detail"])


@pytest.mark.parametrize("name", ["dryRun", "dry_run", "DRYRUN", "target", "notBefore", "x"])
async def test_a_request_in_the_address_is_refused_and_nothing_is_written(name: str) -> None:
    world = World()

    reply = await respond(world.app.api.submit_reset, call(REQUEST, **{name: "true"}))

    assert (reply.status, detail(reply).partition(":")[0]) == (400, name)
    assert "put it into the body" in detail(reply)
    assert not world.storage.resets.cells


async def test_the_platforms_key_may_stand_in_the_address() -> None:
    world = World()

    assert (await respond(world.app.api.submit_reset, call(REQUEST, code="key"))).status == 202
    body: dict[str, object] = {"decision": "reject", "by": "boss"}
    decided = await respond(world.app.api.decide_reset, call(body, reset_id="r1", code="key"))
    assert decided.status == 200


async def test_a_decision_in_the_address_is_refused() -> None:
    world = World()
    await world.accept()
    asked = call({"decision": "reject", "by": "boss"}, reset_id="r1", decision="cancel")

    assert (await respond(world.app.api.decide_reset, asked)).status == 400
    assert (await world.row()).state is State.ACCEPTED


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            b'{"decision": "reject", "decision": "cancel", "by": "b"}',
            "request: a name is given twice",
        ),
        (b'{"decision": "reject", "by": "b", "\\u0062y": "c"}', "request: a name is given twice"),
        (b'{"Decision": "reject", "by": "b"}', "Decision: unknown property; did you mean decision"),
        (b'{"by": "b"}', "decision: missing; it is required"),
        (b'{"decision": 1, "by": "b"}', "decision: must be a string, not a number"),
        (b'{"decision": "Reject", "by": "b"}', "decision: must be one of"),
        (b'{"decision": "reject", "by": "b", "more": 1}', "more: unknown property"),
        (b'["reject"]', "request: must be a JSON object, not a list"),
        (b"{'decision': 'reject'}", "request: not valid JSON in UTF-8"),
        (b"\xff", "request: not valid JSON in UTF-8"),
    ],
)
async def test_a_decision_is_read_as_strictly_as_a_request(raw: bytes, words: str) -> None:
    world = World()
    await world.accept()

    reply = await respond(world.app.api.decide_reset, call(raw, reset_id="r1"))

    assert reply.status == 400
    assert detail(reply).startswith(words)
    assert (await world.row()).state is State.ACCEPTED


async def test_null_in_a_decision_is_as_left_out() -> None:
    world = World()
    await world.accept()
    body: dict[str, object] = {"decision": "reject", "by": "boss", "reason": None}

    assert (await respond(world.app.api.decide_reset, call(body, reset_id="r1"))).status == 200


@pytest.mark.parametrize("key", ['""', " ", '"', "a b", "k1, k1"])
async def test_an_idempotency_key_that_names_nothing_is_refused(key: str) -> None:
    world = World()
    asked = call({"target": TARGET})
    asked = replace(asked, headers={**asked.headers, "idempotency-key": key})

    reply = await respond(world.app.api.submit_reset, asked)

    assert (reply.status, detail(reply).partition(":")[0]) == (400, "Idempotency-Key")
    assert not world.storage.resets.cells
