"""`POST /api/resets`: what is taken in, under which id and in whose name, and what is not."""

import json
import re

import pytest

from shared.domain.requests import derived_id
from shared.domain.reset import State
from shared.names import RESETS_QUEUE
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.faults import KINDS
from tests.support.world import TARGET, World

BARE: dict[str, object] = {"target": TARGET, "reason": "Adele's account was replaced"}
EVENT: dict[str, object] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/desk",
    "type": "reset",
    "data": BARE,
}
CLOUD_EVENT = "application/cloudevents+json"


async def submit(world: World, body: bytes | dict[str, object] = b"", **how: str) -> HttpResponse:
    return await respond(world.app.api.submit_reset, call(body, **how))


def untouched(world: World) -> bool:
    rows = [*world.storage.resets.cells, *world.storage.ids.cells]
    return not rows and not world.waiting(RESETS_QUEUE)


async def test_a_bare_request_gets_a_random_id_and_is_on_its_way() -> None:
    world = World()
    first, second = [await submit(world, BARE) for _ in range(2)]

    ids = [json.loads(reply.body)["id"] for reply in (first, second)]
    assert [reply.status for reply in (first, second)] == [202, 202]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("h-[0-9a-f]{32}", each) for each in ids)
    assert json.loads(first.body) == {
        "id": ids[0],
        "state": "accepted",
        "location": f"https://relink.example/api/resets/{ids[0]}",
    }
    assert first.headers["Location"].startswith(
        f"{json.loads(first.body)['location']}/status?token="
    )
    assert first.headers["Retry-After"] == "60"
    assert first.headers["Cache-Control"] == "no-store"
    row = await world.row(ids[0])
    assert (row.via, row.reason, row.state) == ("api", BARE["reason"], State.ACCEPTED)
    assert [json.loads(m)["requestId"] for m in world.waiting(RESETS_QUEUE)] == ids


async def test_the_public_address_wins_over_the_one_that_was_called() -> None:
    world = World()
    world.rebuild(PUBLIC_URL="https://resets.contoso.com/")

    reply = await submit(world, {**BARE, "requestId": "r1"})

    address = reply.headers["Location"].partition("?")[0]
    assert address == "https://resets.contoso.com/api/resets/r1/status"
    assert json.loads(reply.body)["location"] == "https://resets.contoso.com/api/resets/r1"


async def test_a_known_id_with_the_same_content_is_answered_with_the_first_reset() -> None:
    world = World()
    body: dict[str, object] = {**BARE, "requestId": "r1", "subjects": ["a", "b"]}
    first = await submit(world, body)
    again = await submit(world, {**body, "subjects": ["b", "a"], "reason": "other words"})

    assert (first.status, again.status) == (202, 200)
    assert (first.body, first.headers) == (again.body, again.headers)
    assert len(world.waiting(RESETS_QUEUE)) == 1


async def test_a_known_id_with_other_content_is_422_and_changes_nothing() -> None:
    world = World()
    await submit(world, {**BARE, "requestId": "r1"})
    before = await world.row("r1")

    reply = await submit(world, {**BARE, "requestId": "r1", "dryRun": True})

    assert reply.status == 422
    assert "choose a new id" in json.loads(reply.body)["detail"]
    assert await world.row("r1") == before


async def test_an_event_has_the_same_id_by_http_and_by_queue() -> None:
    world = World()
    reply = await submit(world, EVENT, content_type=CLOUD_EVENT)
    await world.send(json.dumps(EVENT))
    again = await submit(world, EVENT, content_type=f"{CLOUD_EVENT}; charset=UTF-8")

    assert (reply.status, again.status) == (202, 200)
    assert len(world.storage.ids.cells) == 1


async def test_who_is_signed_in_asks_in_their_own_name() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    body: dict[str, object] = {**BARE, "requestId": "r1", "requestedBy": "somebody else"}

    await submit(world, body, signed_in=principal("ann@contoso.com"))

    (event,) = await world.events("r1")
    assert (await world.row("r1")).requested_by == "ann@contoso.com"
    assert (event.by, event.detail) == ("ann@contoso.com", "received (api, signed in)")


async def test_a_name_that_nobody_vouches_for_is_recorded_as_claimed() -> None:
    world = World()
    body: dict[str, object] = {**BARE, "requestId": "r1", "requestedBy": "ann"}

    await submit(world, body, signed_in=principal("boss@contoso.com"))

    (event,) = await world.events("r1")
    assert (event.by, event.detail) == ("ann", "received (api, name as claimed)")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "request: not valid JSON"),
        (b"\xef\xbb\xbf" + json.dumps(BARE).encode(), "request: begins with a byte order mark"),
        (json.dumps(BARE).encode("utf-16"), "request: begins with a byte order mark"),
        (json.dumps(BARE).encode("utf-16-le"), "request: not valid JSON in UTF-8"),
        (b'{"target": "\xff"}', "request: not valid JSON in UTF-8"),
        (b"[]", "request: must be a JSON object"),
        (b"null", "request: must be a JSON object"),
        (b'{"target": "salesforce-prod"} trailing', "request: not valid JSON"),
        (b"[" * 40_000, "request: "),
        (b'{"target": ' + b"[" * 40_000, "request: nested too deeply"),
        (b'{"what": ' + b'{"a":' * 8_000, "request: not valid JSON"),
        (b"{}", "target: missing"),
        (b'{"target": "sales"}', "target: 'sales' is not in the catalogue; known targets: "),
        (b'{"target": "unreadable"}', "target: 'unreadable' is reserved"),
        (b'{"target": "salesforce-prod", "scope": "quarantine"}', "scope: `quarantine` is made"),
        (b'{"target": "salesforce-prod", "scope": "subjects"}', "scope: `subjects` is not"),
        (b'{"target": "salesforce-prod", "jobId": "x"}', "jobId: unknown property; remove it"),
        (b'{"target": "salesforce-prod", "requestId": "a/b"}', "requestId: use 1 to 128 of"),
        (
            b'{"target": "salesforce-prod", "ticket": {"system": "desk"}}',
            "ticket.id: missing; it is required",
        ),
    ],
)
async def test_what_is_no_request_is_400_names_the_field_and_leaves_no_trace(
    body: bytes, said: str
) -> None:
    world = World()

    reply = await submit(world, body)

    assert (reply.status, reply.content_type) == (400, "application/problem+json")
    assert json.loads(reply.body)["detail"].startswith(said)
    assert untouched(world)


@pytest.mark.parametrize(
    "change",
    [{"specversion": "0.3"}, {"id": ""}, {"data": "text"}, {"datacontenttype": "text/plain"}],
)
async def test_a_bad_envelope_is_400(change: dict[str, object]) -> None:
    world = World()

    reply = await submit(world, {**EVENT, **change}, content_type=CLOUD_EVENT)

    assert reply.status == 400
    assert untouched(world)


async def test_a_request_is_no_envelope_and_an_envelope_is_no_request() -> None:
    world = World()
    bare = await submit(world, BARE, content_type=CLOUD_EVENT)
    envelope = await submit(world, EVENT)

    assert (bare.status, envelope.status) == (400, 400)
    assert json.loads(bare.body)["detail"].startswith("specversion: missing")
    assert "application/cloudevents+json" in json.loads(envelope.body)["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json; charset=utf-16", "text/json", "application/xml", ";"],
)
async def test_another_content_type_is_415_and_says_what_is_taken(content_type: str) -> None:
    world = World()

    reply = await submit(world, BARE, content_type=content_type)

    assert reply.status == 415
    assert reply.headers["Accept-Post"] == "application/json, application/cloudevents+json"
    assert untouched(world)


@pytest.mark.parametrize("content_type", ["application/json", CLOUD_EVENT])
async def test_what_is_too_long_is_413(content_type: str) -> None:
    world = World()

    reply = await submit(world, b" " * 1_000_000, content_type=content_type)

    assert reply.status == 413
    assert untouched(world)


@pytest.mark.parametrize("change", [{"RESET_TARGETS": "{"}, {"RESET_MAX_AGE": "soon"}])
async def test_with_a_bad_setting_nothing_is_taken_in(change: dict[str, str]) -> None:
    world = World()
    world.rebuild(**change)

    reply = await submit(world, BARE)

    assert (reply.status, reply.headers["Retry-After"]) == (503, "300")
    assert json.loads(reply.body)["detail"].startswith(next(iter(change)))
    assert untouched(world)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("crash")])
async def test_asked_again_after_a_503_under_the_id_given_it_is_one_reset(kind: str) -> None:
    counted = World()
    await submit(counted, BARE)
    for at in range(1, counted.faults.count + 1):
        world = World()
        world.faults.at, world.faults.kind = at, kind

        reply = await submit(world, BARE)
        found = json.loads(reply.body)
        if reply.status == 503:
            assert reply.headers["Retry-After"] == "30"
            again = await submit(world, {**BARE, "requestId": found["requestId"]})
            assert again.status in {200, 202}
            found = json.loads(again.body)

        await world.quiesce()
        assert (await world.row(found["id"])).state is State.RESTARTED
        assert len(world.storage.ids.cells) == 1
        assert len(world.graph.posts) == 1


async def test_an_idempotency_key_names_a_request() -> None:
    world = World()
    request = HttpRequest(
        body=json.dumps(BARE).encode(),
        headers={"content-type": "application/json", "idempotency-key": '"order-7"'},
    )
    first, again = [await respond(world.app.api.submit_reset, request) for _ in range(2)]

    assert (first.status, again.status) == (202, 200)
    assert json.loads(first.body)["id"] == "order-7"


@pytest.mark.parametrize("key", ["a b", "x" * 129, "h-" + "a" * 32, "-a"])
async def test_a_key_is_held_to_the_form_of_an_id(key: str) -> None:
    headers = {"content-type": "application/json", "idempotency-key": key}
    request = HttpRequest(body=json.dumps(BARE).encode(), headers=headers)

    assert (await respond(World().app.api.submit_reset, request)).status == 400


async def test_the_headers_of_an_event_name_a_request() -> None:
    world = World()
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "e-1",
        "ce-source": "/hr",
        "ce-type": "x",
    }
    request = HttpRequest(body=json.dumps(BARE).encode(), headers=headers)
    first, again = [await respond(world.app.api.submit_reset, request) for _ in range(2)]

    assert (first.status, again.status) == (202, 200)
    assert json.loads(first.body)["id"] == derived_id("cloudevents", "/hr", "e-1")


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"ce-id": "e-1", "ce-source": "/hr"}, "ce-specversion: only CloudEvents 1.0"),
        ({"ce-specversion": "0.3", "ce-id": "e-1", "ce-source": "/hr"}, "ce-specversion"),
        ({"ce-specversion": "1.0", "ce-id": "e-1"}, "ce-id: CloudEvents needs ce-id and ce-source"),
        ({"ce-specversion": "1.0"}, "ce-id: CloudEvents needs ce-id and ce-source"),
        ({"ce-id": "e-1"}, "ce-id: CloudEvents needs ce-id and ce-source"),
    ],
)
async def test_half_an_event_in_headers_names_no_request_and_is_refused(
    headers: dict[str, str], words: str
) -> None:
    world = World()
    request = HttpRequest(
        body=json.dumps(BARE).encode(), headers={"content-type": "application/json", **headers}
    )

    reply = await respond(world.app.api.submit_reset, request)

    assert reply.status == 400
    assert words in reply.body
    assert not world.storage.resets.cells


async def test_a_key_names_the_request_in_an_envelope_too() -> None:
    world = World()
    replies = []
    for data, key in (({}, "order-7"), ({"requestId": "order-7"}, ""), ({"requestId": "x"}, "y")):
        event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
        event["data"] = {**BARE, **data}  # type: ignore[assignment]
        headers = {"content-type": "application/cloudevents+json", "idempotency-key": key}
        request = HttpRequest(body=json.dumps(event).encode(), headers=headers)
        replies.append(await respond(world.app.api.submit_reset, request))

    assert [reply.status for reply in replies] == [202, 200, 400]
    assert json.loads(replies[0].body)["id"] == "order-7"


RESERVED_IDS = [
    f"{word}{digits}"
    for word in ("schedule-", "quarantine-", "stale-", "h-", "Schedule-", "STALE-", "H-")
    for digits in ("0" * 32, "abcdef0123456789" * 2, "ABCDEF0123456789" * 2)
] + ["schedule-" + "0" * 32 + "-dry", "desk.INC1", "Desk.INC1", "DESK.x"]


@pytest.mark.parametrize("request_id", RESERVED_IDS)
@pytest.mark.parametrize("way", ["api", "queue", "event", "key"])
async def test_a_reserved_id_is_refused_in_any_letter_case_and_by_every_way(
    request_id: str, way: str
) -> None:
    world = World()
    world.rebuild(
        WEBHOOK_SENDERS=json.dumps({"desk": {"scheme": "github"}}),
        WEBHOOK_SECRETS=json.dumps({"desk": ["a-secret-of-length"]}),
    )
    asked: dict[str, object] = {"target": "salesforce-prod"}
    headers = {"content-type": "application/json"}
    if way == "key":
        headers["idempotency-key"] = request_id
    else:
        asked["requestId"] = request_id
    if way == "event":
        headers["content-type"] = "application/cloudevents+json"
        asked = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": asked}
    if way == "queue":
        await world.send(json.dumps(asked))
        assert len(world.unreadable()) == 1
    else:
        request = HttpRequest(body=json.dumps(asked).encode(), headers=headers)
        assert (await respond(world.app.api.submit_reset, request)).status == 400
    assert not world.storage.ids.cells


@pytest.mark.parametrize(
    "request_id", ["\uff48-" + "0" * 32, "desk\uff0eINC1", "INC\u0661", "a\u0000", ""]
)
async def test_an_id_is_of_ascii_so_that_no_other_form_of_a_letter_is_one(request_id: str) -> None:
    reply = await respond(
        World().app.api.submit_reset, call({"target": "salesforce-prod", "requestId": request_id})
    )

    assert reply.status == 400
