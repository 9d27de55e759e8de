"""The documents for connectors, queues and webhooks say what the app takes and sends."""

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator

from local.asyncapi import EVENT_TYPES, asyncapi_document
from local.swagger import OPERATIONS, swagger_document, swagger_text
from shared.adapters.notifiers.webhook import event
from shared.domain.messages import to_message
from shared.domain.requests import Received, ResetRequest, Ticket
from shared.names import QUEUES
from shared.web.openapi import openapi_document
from tests.support.world import TARGET, World


def fits(schema: str, value: object) -> None:
    document = asyncapi_document()
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_the_swagger_document_is_valid_and_small_enough_for_a_connector() -> None:
    OpenAPIV2SpecValidator(swagger_document()).validate()

    assert len(swagger_text().encode()) < 1_000_000


def test_a_connector_has_the_four_operations_under_the_names_of_the_api() -> None:
    found = {
        operation["operationId"]: operation
        for item in swagger_document()["paths"].values()
        for operation in item.values()
    }
    whole = {
        operation["operationId"]: set(operation["responses"])
        for item in openapi_document()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    }

    assert set(found) == set(OPERATIONS)
    assert {name: set(each["responses"]) for name, each in found.items()} == {
        name: whole[name] for name in OPERATIONS
    }
    assert found["listResets"]["x-ms-pageable"] == {"nextLinkName": "nextLink"}


def test_nothing_in_it_is_said_in_words_that_version_2_does_not_know() -> None:
    text = swagger_text()

    for word in ("anyOf", "oneOf", "prefixItems", "const", "components", "examples", "nullable"):
        assert f'"{word}"' not in text
    assert '"x-nullable": true' in text


def test_every_queue_has_a_channel() -> None:
    addresses = {channel["address"] for channel in asyncapi_document()["channels"].values()}

    assert set(QUEUES) <= addresses


def test_what_the_app_puts_on_a_queue_is_described() -> None:
    request = ResetRequest(
        target=TARGET, subjects=("a@x",), ticket=Ticket(system="desk", id="INC1"), reason="why"
    )
    fits("ResetRequest", json.loads(to_message(Received(id="r1", request=request))))
    fits("FollowUp", {"id": "r1"})
    fits("ToTell", {"target": TARGET, "id": "r1", "n": 2})
    with pytest.raises(jsonschema.ValidationError):
        fits("ResetRequest", {"target": TARGET, "ticekt": {}})


async def test_what_a_receiver_is_posted_is_described() -> None:
    world = World()
    await world.ask(ticket=Ticket(system="desk", id="INC1"), subjects=("a@x",))
    await world.quiesce()
    world.graph.end_cycle()
    world.clock.forward(minutes=10)
    await world.quiesce()
    posted: list[dict[str, Any]] = [event(answer) for answer in world.desk.delivered]

    assert posted
    for each in posted:
        fits("ResetEvent", json.loads(json.dumps(each)))
        assert each["type"] in EVENT_TYPES
    with pytest.raises(jsonschema.ValidationError):
        fits("ResetEvent", {**posted[0], "type": "reset.vanished"})
