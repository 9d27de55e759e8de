"""No name given twice is taken in: not by the API, not from the queue, not in any packing."""

import base64
import json
import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given

from shared.domain.reset import State
from shared.web.messages import HttpRequest
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.fuzz import bounded
from tests.support.mutants import randoms
from tests.support.soak import progress
from tests.support.twins import twins
from tests.support.world import TARGET, World

REQUEST: dict[str, Any] = {
    "target": TARGET,
    "requestId": "INC-1",
    "reason": "r",
    "ticket": {"system": "desk", "id": "7", "url": "https://desk.example/7"},
    "subjects": ["ann@contoso.com"],
    "dryRun": True,
}
ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/desk",
    "type": "reset.wanted",
    "data": REQUEST,
    "extension": {"of": {"no": "meaning"}},
}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of refusals are no news."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def packed(raw: bytes) -> bytes:
    """As the data of an envelope that is itself in order."""
    coded = base64.b64encode(raw).decode()
    kept = {name: value for name, value in ENVELOPE.items() if name != "data"}
    return json.dumps({**kept, "data_base64": coded}).encode()


def bodies(random: Random) -> Iterator[tuple[str, bytes]]:
    """Twins in a request, in an envelope, and in what an envelope carries."""
    for plain, enveloped, carried in zip(
        twins(REQUEST, random), twins(ENVELOPE, random), twins(REQUEST, random), strict=True
    ):
        yield random.choice(
            [
                ("application/json", plain),
                ("application/cloudevents+json", enveloped),
                ("application/cloudevents+json", packed(carried)),
            ]
        )


@pytest.mark.soak
@bounded(400)
@given(randoms)
async def test_the_api_takes_no_twin(random: Random) -> None:
    world = World()
    for content_type, raw in bodies(random):
        progress.case("twins over the API")
        call = HttpRequest(body=raw, headers={"content-type": content_type})

        reply = await respond(world.app.api.submit_reset, call)

        assert reply.status == 400, raw
        assert not world.storage.resets.cells


@pytest.mark.soak
@bounded(400)
@given(randoms)
async def test_the_queue_takes_no_twin(random: Random) -> None:
    for _, raw in bodies(random):
        progress.case("twins from the queue")
        world = World()
        text = base64.b64encode(raw) if random.choice([True, False]) else raw

        await world.app.run_reset(text, message_id="m1", came_at=world.clock())

        assert {partition for partition, _ in world.storage.resets.cells} == {"unreadable"}, raw


@pytest.mark.soak
@bounded(400)
@given(randoms)
async def test_a_decision_has_no_twin(random: Random) -> None:
    world = World()
    await world.accept()
    for raw in twins({"decision": "reject", "by": "boss", "reason": "r"}, random):
        progress.case("twins in a decision")

        reply = await respond(world.app.api.decide_reset, call(raw, reset_id="r1"))

        assert reply.status == 400, raw
        assert (await world.row()).state is State.ACCEPTED
