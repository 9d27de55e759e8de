"""Hypothesis on the raw bytes of each intake: no 5xx, no exception, a trace of requests alone."""

import contextlib
import json
import logging
from collections.abc import Iterator
from random import Random

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
from tests.support.mutants import mutants, randoms, text_mutant, texts
from tests.support.soak import progress
from tests.support.world import ENVIRON, TARGET, World

BOUNDED = bounded(400)


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

# As the app sends them itself, for a reset that is not there.
messages = st.sampled_from(
    [
        json.dumps({"id": "r1"}),
        json.dumps({"target": TARGET, "id": "r1", "n": 2}),
    ]
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
@given(raw=bodies, content_type=JSON_TYPES, random=randoms)
@example(raw=b'{"target": "salesforce-prod"}', content_type="application/json", random=Random(1))
async def test_submit(raw: bytes, content_type: str, random: Random) -> None:
    headers = {"content-type": content_type}
    world = World()
    for body in mutants(raw, random):
        progress.case("submit")
        if left_behind(world):
            world = World()
        call = HttpRequest(body=body, url="https://relink.example/api/resets", headers=headers)

        reply = await respond(world.app.api.submit_reset, call)

        assert reply.status in {202, 400, 413, 415}, body
        told = {**reply.headers, "content-type": reply.content_type}
        check("POST", call.url, reply.status, told, reply.body.encode())
        if reply.status == 202:
            only_listed(world)
        else:
            assert not left_behind(world)


@pytest.mark.soak
@BOUNDED
@given(
    text=bodies.map(lambda raw: raw.decode("utf-8", "replace")) | st.text(max_size=200),
    random=randoms,
)
async def test_run_reset(text: str, random: Random) -> None:
    for raw in mutants(text.encode(), random):
        progress.case("run_reset")
        world = World(environ={**ENVIRON, "RESETS_ENABLED": "no"})

        await world.app.run_reset(raw, message_id="m1", came_at=world.clock())

        assert {p for p, _ in world.storage.resets.cells} <= {TARGET, "targets", "unreadable"}, raw
        if not world.unreadable():
            only_listed(world)
        else:
            assert not world.storage.ids.cells
            assert not resets(world)


@pytest.mark.soak
@BOUNDED
@given(text=st.text(max_size=200) | json_values.map(json.dumps) | messages, random=randoms)
async def test_follow_up_reset_and_notify(text: str, random: Random) -> None:
    for raw in mutants(text.encode(), random):
        progress.case("follow_up_reset_and_notify")
        world = World()

        await world.app.follow_up_reset(raw, message_id="m1")
        # Ends as poison, and is kept from there.
        with contextlib.suppress(InvalidRequest):
            await world.app.notify(raw)

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
    random=randoms,
)
async def test_decide_reset(
    raw: bytes, content_type: str, reset_id: str, header: str, random: Random
) -> None:
    world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})
    await world.accept()
    for body in mutants(raw, random):
        progress.case("decide_reset")
        call = HttpRequest(
            body=body,
            headers={"content-type": content_type, "x-ms-client-principal": header},
            path={"id": reset_id},
        )
        reply = await respond(world.app.api.decide_reset, call)

        # Waiting for nobody, it can only be rejected.
        assert ((await world.row()).state is State.REJECTED) is (reply.status == 200)
        assert reply.status in {200, 400, 401, 403, 404, 409, 413, 415}, body
        if reply.status == 200:
            world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})
            await world.accept()


@pytest.mark.soak
@BOUNDED
@given(
    reset_id=st.text(max_size=140),
    query=st.dictionaries(
        st.sampled_from(
            ["target", "state", "limit", "continuation", "ticket", "subject", "since", "other"]
        ),
        st.text(max_size=40) | st.sampled_from([TARGET, "waiting", "7", str(MAX_PAGE)]),
    ),
    header=st.text(max_size=50) | st.just(principal()),
    random=randoms,
)
async def test_what_only_reads(
    reset_id: str, query: dict[str, str], header: str, random: Random
) -> None:
    # What reads leaves nothing behind, so that one world serves all.
    world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})
    api = world.app.api
    for varied in texts(reset_id, random):
        progress.case("what_only_reads")
        asks = {name: text_mutant(value, random) for name, value in query.items()}
        call = HttpRequest(
            query=query if varied is reset_id else asks,
            path={"id": varied},
            headers={"x-ms-client-principal": header},
        )
        asked = (api.get_reset, api.list_resets, api.show_reset, api.health, api.list_unreadable)
        replies = [await respond(each, call) for each in asked]
        read, listed, shown, healthy, kept = [reply.status for reply in replies]

        assert read in {401, 404}, call
        assert kept in {200, 400, 401}, call
        assert healthy == 200
        assert listed in {200, 400, 401}, call
        assert shown in {401, 404}, call
        assert all(reply.body.encode() for reply in replies)
        assert not left_behind(world)


@pytest.mark.soak
@BOUNDED
@given(
    key=st.text(max_size=40) | st.just("m1"),
    raw=bodies | st.just(b""),
    content_type=JSON_TYPES,
    kept=bodies,
    random=randoms,
)
async def test_retry_unreadable(
    key: str, raw: bytes, content_type: str, kept: bytes, random: Random
) -> None:
    for sent, lay in zip(mutants(raw, random), mutants(kept, random), strict=True):
        progress.case("retry_unreadable")
        world = World()
        body = sent if raw else b""
        call = HttpRequest(body=body, headers={"content-type": content_type}, path={"key": key})
        await world.storage.store().keep_unreadable(
            "m1", lay, reason="why", queue=QUEUES[0], at=world.clock()
        )

        status = (await respond(world.app.api.retry_unreadable, call)).status

        assert status in {202, 400, 404, 413, 415}, (sent, lay)
        if status == 202:
            only_listed(world)
        else:
            assert not world.storage.ids.cells
