"""Hypothesis on the raw bytes of each intake: no 5xx, no exception, a trace of requests alone."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest
from shared.domain.reset import State
from shared.names import QUEUES
from shared.use_cases.lookup import MAX_PAGE
from shared.web.messages import HttpRequest
from shared.web.respond import respond
from tests.support.calls import principal
from tests.support.described import check
from tests.support.fuzz import bounded
from tests.support.host import resets
from tests.support.soak import progress
from tests.support.world import ENVIRON, TARGET, World

BOUNDED = bounded(150)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of refusals are no news."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


JSON_TYPES = st.sampled_from(
    [
        "application/json",
        "application/cloudevents+json",
        "application/json;charset=utf-8",
        "application/json; charset=utf-16",
        "text/plain",
        "",
        ";;;",
        "application/json;charset",
    ],
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)

FIELDS = {
    "target": st.sampled_from([TARGET, "other", "targets", "unreadable", f"{TARGET}\n"]),
    "requestId": st.from_regex(r"[A-Za-z0-9._-]{1,8}", fullmatch=True) | st.text(max_size=5),
    "scope": st.sampled_from(["full", "quarantine", "subjects", "", "Full"]),
    "reason": st.text(max_size=1100),
    "requestedBy": st.text(max_size=20),
    "ticket": st.fixed_dictionaries(
        {"system": st.text(max_size=5), "id": st.text(max_size=5)},
        optional={"url": st.text(max_size=9)},
    ),
    "subjects": st.lists(st.text(max_size=5), max_size=4),
    "notBefore": st.datetimes().map(str)
    | st.sampled_from(
        ["2026-12-01T20:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "now"]
    ),
    "dryRun": st.booleans(),
}

# Nearly a request: some fields right, some of any kind.
nearly = st.fixed_dictionaries(
    {"target": FIELDS["target"]},
    optional={k: v | json_values for k, v in FIELDS.items() if k != "target"},
).map(lambda found: json.dumps(found).encode("utf-8", "surrogatepass"))

envelopes = st.fixed_dictionaries(
    {"specversion": st.sampled_from(["1.0", "0.3", 1]), "id": st.text(max_size=3)},
    optional={
        "source": st.text(max_size=3),
        "type": st.text(max_size=3),
        "data": st.fixed_dictionaries({"target": FIELDS["target"]}) | json_values,
        "data_base64": st.text(max_size=9),
        "datacontenttype": json_values,
    },
).map(lambda found: json.dumps(found).encode("utf-8", "surrogatepass"))

bodies = (
    st.binary(max_size=300)
    | json_values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | nearly
    | envelopes
    | nearly.flatmap(
        # One byte of it changed.
        lambda raw: st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)).map(
            lambda change: raw[: change[0]] + bytes([change[1]]) + raw[change[0] + 1 :]
        )
    )
    | nearly.map(lambda raw: raw.decode("utf-8", "replace").encode("utf-16"))
)


def left_behind(world: World) -> bool:
    messages = any(queue.messages for queue in world.storage.queues.values())
    return bool(world.storage.resets.cells or world.storage.ids.cells or messages)


def only_listed(world: World) -> None:
    """Whatever was taken in is whole, for a listed target, and on its way."""
    taken = resets(world)
    assert {x.target for x in taken} == {TARGET}
    assert {x.id for x in taken} == {key[0] for key in world.storage.ids.cells}
    assert all(json.loads(m)["target"] == TARGET for m in world.waiting(QUEUES[0]))


@pytest.mark.soak
@BOUNDED
@given(raw=bodies, content_type=JSON_TYPES)
@example(raw=b'{"target": "salesforce-prod"}', content_type="application/json")
def test_submit(raw: bytes, content_type: str) -> None:
    progress.case("submit")
    world = World()
    headers = {"content-type": content_type}
    call = HttpRequest(body=raw, url="https://relink.example/api/resets", headers=headers)

    reply = asyncio.run(respond(world.app.api.submit_reset, call))

    assert reply.status in {202, 400, 415}
    told = {**reply.headers, "content-type": reply.content_type}
    check("POST", call.url, reply.status, told, reply.body.encode())
    if reply.status == 202:
        only_listed(world)
    else:
        assert not left_behind(world)


@pytest.mark.soak
@BOUNDED
@given(text=bodies.map(lambda raw: raw.decode("utf-8", "replace")) | st.text(max_size=200))
def test_run_reset(text: str) -> None:
    progress.case("run_reset")
    world = World(environ={**ENVIRON, "RESETS_ENABLED": "no"})

    asyncio.run(world.app.run_reset(text.encode(), message_id="m1", came_at=world.clock()))

    assert {p for p, _ in world.storage.resets.cells} <= {TARGET, "targets", "unreadable"}
    if not world.unreadable():
        only_listed(world)
    else:
        assert not world.storage.ids.cells
        assert not resets(world)


@pytest.mark.soak
@BOUNDED
@given(text=st.text(max_size=200) | json_values.map(json.dumps))
def test_follow_up_reset_and_notify(text: str) -> None:
    progress.case("follow_up_reset_and_notify")
    world = World()

    asyncio.run(world.app.follow_up_reset(text.encode(), message_id="m1"))
    # Ends as poison, and is kept from there.
    with contextlib.suppress(InvalidRequest):
        asyncio.run(world.app.notify(text.encode()))

    assert {p for p, _ in world.storage.resets.cells} <= {"unreadable"}
    assert not world.storage.ids.cells


@pytest.mark.soak
@BOUNDED
@given(
    raw=st.binary(max_size=200)
    | st.fixed_dictionaries(
        {"decision": st.sampled_from(["approve", "reject", "confirm", "resend"]) | json_values},
        optional={"by": st.text(max_size=300) | json_values, "more": json_values},
    ).map(lambda found: json.dumps(found).encode("utf-8", "surrogatepass")),
    content_type=JSON_TYPES,
    reset_id=st.text(max_size=140) | st.just("r1"),
    header=st.text(max_size=50) | st.sampled_from([principal(), principal("")]),
)
def test_decide_reset(raw: bytes, content_type: str, reset_id: str, header: str) -> None:
    progress.case("decide_reset")
    world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})

    async def decide() -> int:
        await world.accept()
        call = HttpRequest(
            body=raw,
            headers={"content-type": content_type, "x-ms-client-principal": header},
            path={"id": reset_id},
        )
        reply = await respond(world.app.api.decide_reset, call)
        # Waiting for nobody, it can only be rejected.
        assert ((await world.row()).state is State.REJECTED) is (reply.status == 200)
        return reply.status

    assert asyncio.run(decide()) in {200, 400, 401, 403, 404, 409, 415}


@pytest.mark.soak
@BOUNDED
@given(
    reset_id=st.text(max_size=140),
    query=st.dictionaries(
        st.sampled_from(["target", "state", "limit", "continuation", "other"]),
        st.text(max_size=40) | st.sampled_from([TARGET, "waiting", "7", str(MAX_PAGE)]),
    ),
    header=st.text(max_size=50) | st.just(principal()),
)
def test_what_only_reads(reset_id: str, query: dict[str, str], header: str) -> None:
    progress.case("what_only_reads")
    world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})
    call = HttpRequest(
        query=query, path={"id": reset_id}, headers={"x-ms-client-principal": header}
    )

    async def ask() -> list[int]:
        api = world.app.api
        asked = (api.get_reset, api.list_resets, api.show_reset, api.health, api.list_unreadable)
        return [(await respond(each, call)).status for each in asked]

    read, listed, shown, healthy, kept = asyncio.run(ask())

    assert read in {401, 404}
    assert kept in {200, 400, 401}
    assert healthy == 200
    assert listed in {200, 400, 401}
    assert shown in {401, 404}
    assert not left_behind(world)


@pytest.mark.soak
@BOUNDED
@given(
    key=st.text(max_size=40) | st.just("m1"),
    raw=bodies | st.just(b""),
    content_type=JSON_TYPES,
    kept=bodies,
)
def test_retry_unreadable(key: str, raw: bytes, content_type: str, kept: bytes) -> None:
    progress.case("retry_unreadable")
    world = World()
    call = HttpRequest(body=raw, headers={"content-type": content_type}, path={"key": key})

    async def retry() -> int:
        await world.storage.store().keep_unreadable(
            "m1", kept, reason="why", queue=QUEUES[0], at=world.clock()
        )
        return (await respond(world.app.api.retry_unreadable, call)).status

    status = asyncio.run(retry())

    assert status in {202, 400, 404, 415}
    if status == 202:
        only_listed(world)
    else:
        assert not world.storage.ids.cells
