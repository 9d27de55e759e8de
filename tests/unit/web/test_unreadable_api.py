"""`GET /api/unreadable` and its retry, and what the id of such a message is answered with."""

import json
from typing import Any

import pytest

from shared.domain.reset import State
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import call, object_id, principal
from tests.support.described import check
from tests.support.world import TARGET, World

ID = "6c5fb6a0-7a0c-4b4b-9a70-2f1f0f9f6a01"
"""Of a queue message, as the service makes them."""


async def listed(world: World, **query: str) -> dict[str, Any]:
    reply = await respond(world.app.api.list_unreadable, HttpRequest(query=query))
    assert reply.status == 200, reply.body
    check("GET", "https://x/api/unreadable", 200, _type(reply), reply.body.encode())
    found: dict[str, Any] = json.loads(reply.body)
    return found


async def retried(
    world: World, key: str, body: bytes | dict[str, object] = b"", *, signed_in: str = ""
) -> HttpResponse:
    asked = call(body, signed_in=signed_in)
    asked = HttpRequest(body=asked.body, url=asked.url, headers=asked.headers, path={"key": key})
    reply = await respond(world.app.api.retry_unreadable, asked)
    url = f"https://x/api/unreadable/{key}/retry"
    check("POST", url, reply.status, {**reply.headers, **_type(reply)}, reply.body.encode())
    return reply


def _type(reply: HttpResponse) -> dict[str, str]:
    return {"content-type": reply.content_type}


def detail(reply: HttpResponse) -> str:
    return str(json.loads(reply.body)["detail"])


async def test_a_request_that_ended_in_unreadable_is_a_404_that_says_when_and_why() -> None:
    world = World()
    await world.send('{"requestId": "INC-1", "target": "sales"}', message_id=ID)

    found = await respond(world.app.api.get_reset, call(reset_id="INC-1"))
    other = await respond(world.app.api.get_reset, call(reset_id="INC-2"))

    assert (found.status, other.status) == (404, 404)
    assert detail(found).startswith(
        "there is no reset INC-1: a message with this id came at 2026-11-24 09:00:00 UTC and was "
        "not taken in: target: 'sales' is not in the catalogue"
    )
    assert f"POST /api/unreadable/{ID}/retry" in detail(found)
    assert detail(other) == "there is no reset INC-2"


@pytest.mark.parametrize(
    "text",
    [
        '{"requestId": "INC-1", "target": "sales"}',
        '{"requestId": "INC-1", "target": 7, "x": {}}',
        "eyJyZXF1ZXN0SWQiOiAiSU5DLTEifQ==",
        '{"specversion": "1.0", "data": {"requestId": "INC-1"}}',
        '{"specversion": "9", "data_base64": "eyJyZXF1ZXN0SWQiOiAiSU5DLTEifQ=="}',
    ],
)
async def test_it_is_found_however_the_message_was_packed_and_whatever_was_wrong(text: str) -> None:
    world = World()
    await world.send(text, message_id=ID)

    found = await respond(world.app.api.get_reset, call(reset_id="INC-1"))

    assert "was not taken in" in detail(found)
    assert [each["requestId"] for each in (await listed(world))["value"]] == ["INC-1"]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '{"requestId": "a/b", "target": "sales"}',
        '{"requestId": 7}',
        '{"requestId": "x", "requestId": "y"}',
        '{"specversion": "1.0", "data": [1]}',
        "[" * 20_000,
    ],
)
async def test_a_message_without_an_id_that_can_be_read_is_kept_and_listed(text: str) -> None:
    world = World()
    await world.send(text, message_id=ID)

    (only,) = (await listed(world))["value"]

    assert (only["key"], only["requestId"], only["message"]) == (ID, None, text)
    assert (only["queue"], only["sentAs"]) == ("provisioning-resets", None)


async def test_the_list_is_newest_first_and_paged() -> None:
    world = World()
    keys = [ID[:-1] + f"{n:x}" for n in range(5)]
    for key in keys:
        world.clock.forward(minutes=1)
        await world.send("no", message_id=key)

    first = await listed(world, limit="2")
    second = await listed(world, limit="2", continuation=first["continuation"])
    third = await listed(world, limit="2", continuation=second["continuation"])

    found = [each["key"] for page in (first, second, third) for each in page["value"]]
    assert found == list(reversed(keys))
    assert third["continuation"] is None


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"continuation": "x"}, {"limt": "1"}]
)
async def test_a_parameter_that_cannot_be_is_a_400(query: dict[str, str]) -> None:
    reply = await respond(World().app.api.list_unreadable, HttpRequest(query=query))

    assert reply.status == 400


async def test_a_message_that_is_no_text_is_shown_as_base64() -> None:
    world = World()
    await world.app.run_reset(b"\xff\xfe", message_id=ID, came_at=None)

    (only,) = (await listed(world))["value"]

    assert (only["message"], only["messageBase64"]) == (None, "//4=")


async def test_once_the_settings_are_put_right_the_message_itself_is_sent_again() -> None:
    world = World()
    await world.send('{"requestId": "INC-1", "target": "sales"}', message_id=ID)
    entry = {"servicePrincipalId": "11111111-2222-3333-4444-555555555555", "jobId": "job-1"}
    world.rebuild(RESET_TARGETS=json.dumps({"sales": entry}))

    first, second = await retried(world, ID), await retried(world, ID)
    await world.deliver()

    assert (first.status, second.status) == (202, 200)
    assert json.loads(first.body)["id"] == "INC-1"
    assert (await world.row("INC-1")).state is State.RESTARTED
    (only,) = (await listed(world))["value"]
    assert (only["sentAs"], only["sentAt"]) == ("INC-1", "2026-11-24T09:00:00Z")
    found = await respond(world.app.api.get_reset, call(reset_id="INC-1"))
    assert found.status == 200


async def test_a_body_takes_the_place_of_the_message_and_keeps_its_id() -> None:
    world = World()
    await world.send('{"requestId": "INC-1", "target": "sales"}', message_id=ID)

    reply = await retried(world, ID, {"target": TARGET})

    assert (reply.status, json.loads(reply.body)["id"]) == (202, "INC-1")


async def test_without_any_id_the_key_makes_one_so_that_two_retries_are_one_request() -> None:
    world = World()
    await world.send("Please reset Salesforce!", message_id=ID)

    replies = [await retried(world, ID, {"target": TARGET}) for _ in range(2)]

    assert [reply.status for reply in replies] == [202, 200]
    assert len({json.loads(reply.body)["id"] for reply in replies}) == 1


async def test_what_is_still_wrong_is_a_400_and_changes_nothing() -> None:
    world = World()
    await world.send('{"requestId": "INC-1", "target": "sales"}', message_id=ID)
    before = await listed(world)

    as_it_was, still = await retried(world, ID), await retried(world, ID, {"target": "sails"})

    assert (as_it_was.status, still.status) == (400, 400)
    assert await listed(world) == before


async def test_an_id_that_stands_for_another_request_is_a_422_until_it_gets_its_own() -> None:
    world = World()
    await world.accept("INC-1")
    await world.send('{"requestId": "INC-1", "target": "salesforce-prod", "dryRun": true}')
    (key,) = world.unreadable()

    same = await retried(world, key)
    other = await retried(world, key, {"requestId": "INC-1b", "target": TARGET, "dryRun": True})

    assert (same.status, other.status) == (422, 202)


async def test_an_id_of_the_apps_own_cannot_be_had_by_way_of_a_retry() -> None:
    world = World()
    taken = f"schedule-{'0' * 32}"
    await world.send(json.dumps({"requestId": taken, "target": TARGET}), message_id=ID)
    assert world.unreadable() == [ID]

    replies = [await retried(world, ID), await retried(world, ID, {"target": TARGET})]

    assert [reply.status for reply in replies] == [400, 400]
    assert await world.storage.store().find(taken) is None


async def test_a_signed_in_person_who_sends_it_again_is_the_one_who_asks() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.send("nonsense", message_id=ID)
    body: dict[str, object] = {"requestId": "r1", "target": TARGET, "requestedBy": "ceo"}

    reply = await retried(world, ID, body, signed_in=principal("ann@contoso.com"))

    row = await world.row("r1")
    assert reply.status == 202
    assert (row.requested_by, row.via) == ("ann@contoso.com", "api")
    assert object_id("ann@contoso.com") in row.asker_id


async def test_what_lay_on_a_queue_of_the_apps_own_is_no_request() -> None:
    world = World()
    await world.app.follow_up_reset(b"{}", message_id=ID)

    reply = await retried(world, ID, {"target": TARGET})

    assert reply.status == 409
    assert "reset-follow-ups" in detail(reply)


@pytest.mark.parametrize("key", ["nobody", "request:INC-1", "a/b", "x" * 200, ""])
async def test_a_key_under_which_nothing_is_kept_is_a_404(key: str) -> None:
    world = World()
    await world.send('{"requestId": "INC-1", "target": "sales"}', message_id=ID)
    asked = HttpRequest(path={"key": key})

    assert (await respond(world.app.api.retry_unreadable, asked)).status == 404


async def test_a_body_that_is_no_json_in_utf_8_is_a_415() -> None:
    asked = HttpRequest(body=b"x", headers={"content-type": "text/plain"}, path={"key": ID})

    assert (await respond(World().app.api.retry_unreadable, asked)).status == 415


async def test_no_list_and_no_retry_reads_more_than_its_page() -> None:
    world = World()
    for n in range(300):
        await world.send("no", message_id=f"{ID[:-3]}{n:03x}")
    before = world.faults.count

    await listed(world, limit="5")

    # One range, and a point read for each.
    assert world.faults.count - before == 1 + 6
