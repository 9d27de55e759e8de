"""`GET /api/resets/{id}/status`: what a poller sees that holds nothing but the address."""

import json
from copy import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.domain.reset import ENDED, State
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.world import TARGET, World


async def asked(world: World, request_id: str = "r1", **fields: object) -> HttpResponse:
    body = {"requestId": request_id, "target": TARGET, "reason": "secret of the desk", **fields}
    return await respond(world.app.api.submit_reset, call(body))


async def put_into(world: World, state: State, outcome: str = "") -> None:
    """By the store itself: some states take long to reach."""
    store = world._spectator()
    stored = await store.find_reset("r1")
    assert stored is not None
    await store.commit(stored, replace(stored.row, state=state, outcome=outcome))


async def follow(world: World, address: str) -> HttpResponse:
    parts = urlsplit(address)
    request = HttpRequest(
        url=address,
        path={"id": parts.path.split("/")[3]},
        query={name: values[0] for name, values in parse_qs(parts.query).items()},
    )
    return await respond(world.app.api.get_status, request)


async def test_it_is_202_while_open_and_200_with_the_outcome_at_the_end() -> None:
    world = World()
    address = (await asked(world)).headers["Location"]

    first = await follow(world, address)
    await put_into(world, State.COMPLETED, "completed")
    last = await follow(world, address)

    assert (first.status, json.loads(first.body)) == (202, {"state": "accepted", "outcome": None})
    assert first.headers["Location"] == address
    assert first.headers["Retry-After"] == "60"
    assert (last.status, json.loads(last.body)) == (
        200,
        {"state": "completed", "outcome": "completed"},
    )
    assert not {"Location", "Retry-After"} & set(last.headers)


async def test_whatever_the_state_a_poller_knows_whether_to_go_on() -> None:
    for state in State:
        world = World()
        address = (await asked(world)).headers["Location"]
        await put_into(world, state)

        reply = await follow(world, address)

        assert reply.status == (200 if state in ENDED else 202), state
        assert set(json.loads(reply.body)) == {"state", "outcome"}


async def test_a_wrong_token_reads_as_an_unknown_id_and_no_row_is_read_for_it() -> None:
    world = World()
    address = (await asked(world)).headers["Location"]
    other = (await asked(world, "r2")).headers["Location"]
    token = parse_qs(urlsplit(address).query)["token"][0]
    wrong = [
        f"/api/resets/r1/status?{urlsplit(other).query}",
        "/api/resets/r1/status",
        "/api/resets/r1/status?token=",
        f"/api/resets/r1/status?token={token[:-1]}",
        f"/api/resets/r1/status?token={token}A",
        f"/api/resets/r1/status?token={token.swapcase()}",
        "/api/resets/r1/status?token=%C3%BC",
        "/api/resets/r1/status?token=%ED%B2%80",
        f"/api/resets/R1/status?token={token}",
    ]
    before = world.faults.count

    answers = [await follow(world, address) for address in wrong]
    unknown = await follow(world, f"/api/resets/gone/status?token={token}")

    assert world.faults.count == before
    assert [reply.status for reply in (*answers, unknown)] == [404] * 10
    assert {reply.body for reply in answers[:-1]} == {unknown.body.replace("gone", "r1")}


async def test_every_process_gives_the_same_address_and_a_repeated_request_too() -> None:
    world = World()
    first = await asked(world)
    world.rebuild()
    again = await asked(world)
    await follow(world, first.headers["Location"])

    assert (first.status, again.status) == (202, 200)
    assert first.headers["Location"] == again.headers["Location"]


async def test_no_two_apps_have_the_same_key() -> None:
    addresses = [(await asked(World())).headers["Location"] for _ in range(2)]

    assert addresses[0] != addresses[1]
    assert len(parse_qs(urlsplit(addresses[0]).query)["token"][0]) == 43


async def test_once_the_reset_is_forgotten_its_address_is_too() -> None:
    world = World()
    address = (await asked(world)).headers["Location"]
    await put_into(world, State.COMPLETED, "completed")
    store = world.storage.store()
    await store.forget(await world.row("r1"))

    assert (await follow(world, address)).status == 404


async def test_a_poller_asks_no_more_often_than_something_may_change() -> None:
    world = World()
    world.rebuild(FOLLOW_UP_INTERVAL="PT0.5S")

    reply = await asked(world)

    assert reply.headers["Retry-After"] == "1"


@pytest.mark.parametrize("at", [1, 2])
async def test_storage_that_is_down_is_a_503_and_not_a_404(at: int) -> None:
    world = World()
    address = (await asked(world)).headers["Location"]
    world.rebuild()
    world.faults.at, world.faults.kind = world.faults.count + at, "timeout"

    reply = await follow(world, address)

    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
