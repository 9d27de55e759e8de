"""`GET /api/resets` and `GET /api/resets/{id}`: what is shown, page by page, and at what cost."""

import base64
import json
from collections.abc import Mapping
from copy import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from shared.domain.requests import Ticket
from shared.domain.reset import State
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.world import ENVIRON, TARGET, World

OTHER = "66666666-2222-3333-4444-555555555555"


async def get(world: World, reset_id: str) -> HttpResponse:
    return await respond(world.app.api.get_reset, call(reset_id=reset_id))


def asked(query: Mapping[str, str]) -> HttpRequest:
    return HttpRequest(query=query)


async def listed(world: World, **query: str) -> dict[str, Any]:
    reply = await respond(world.app.api.list_resets, asked(query))
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["value"]]


def flat(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


async def walked(world: World, **query: str) -> list[list[str]]:
    """The ids of every page, to the end."""
    pages, continuation = list[list[str]](), ""
    while True:
        more = {"continuation": continuation} if continuation else {}
        page = await listed(world, **query, **more)
        pages.append(ids(page))
        continuation = page["continuation"]
        if not continuation:
            return pages


async def busy() -> World:
    """Two targets: one restart that ended, four that wait, and three of the other target."""
    world = World()
    catalogue = json.loads(ENVIRON["RESET_TARGETS"])
    world.rebuild(RESET_TARGETS=json.dumps({**catalogue, "aws": {"servicePrincipalId": OTHER}}))
    await world.ask("r0", dry_run=True)
    for n in range(1, 5):
        world.clock.forward(minutes=1)
        await world.ask(f"r{n}")
    for n in range(3):
        world.clock.forward(minutes=1)
        await world.ask(f"a{n}", target="aws")
    return world


async def test_a_reset_is_shown_with_its_whole_history() -> None:
    world = World()
    await world.ask(
        requested_by="ann@contoso.com",
        reason="account replaced",
        subjects=("adele@contoso.com",),
    )
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look()

    reply = await get(world, "r1")

    shown = json.loads(reply.body)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert {k: shown[k] for k in shown if k not in {"before", "after", "events"}} == {
        "id": "r1",
        "state": "completed",
        "target": TARGET,
        "scope": "full",
        "reason": "account replaced",
        "requestedBy": "ann@contoso.com",
        "via": "queue",
        "ticket": None,
        "subjects": [
            {
                "subject": "adele@contoso.com",
                "verdict": "unknown",
                "before": None,
                "after": None,
                "evidence": "Entra has no such user",
                "remedy": None,
                "problem": "Entra has no such user",
                "matching": ["userPrincipalName = Username"],
            }
        ],
        "dryRun": False,
        "leader": None,
        "requestedAt": "2026-11-24T09:00:00Z",
        "expectedMinutes": shown["expectedMinutes"],
        "expectedEndAt": None,
        "waitingFor": None,
        "until": None,
        "behind": None,
        "asks": None,
        "restartedAt": "2026-11-24T09:00:00Z",
        "finishedAt": "2026-11-24T09:10:00Z",
        "outcome": "completed",
        "detail": "the initial cycle ended",
        "graphRequestId": shown["graphRequestId"],
        "progress": None,
        "approvedBy": None,
        "approverSignedIn": False,
        "warnings": [],
    }
    assert list(shown["expectedMinutes"]) == ["least", "most"]
    assert 1 <= shown["expectedMinutes"]["least"] <= shown["expectedMinutes"]["most"]
    assert (shown["before"]["code"], shown["after"]["code"]) == ("Active", "Active")
    assert shown["events"][0] == {
        "at": "2026-11-24T09:00:00Z",
        "state": "accepted",
        "by": "ann@contoso.com",
        "detail": "received (queue)",
    }
    assert [e["state"] for e in shown["events"]] == await world.history()


async def test_a_reset_that_has_not_begun_shows_empty_where_nothing_is_known() -> None:
    world = World()
    await world.accept(ticket=None)

    shown = json.loads((await get(world, "r1")).body)

    assert (shown["before"], shown["after"], shown["expectedMinutes"]) == ({}, {}, None)
    assert (shown["restartedAt"], shown["outcome"]) == (None, None)


async def test_what_was_found_out_about_a_link_is_shown_with_its_subject() -> None:
    world = World()
    await world.ask(subjects=("b", "a"))
    row = {"Subject": "a", "Verdict": "changed", "Before": "005OLD", "After": "005NEW"}
    world.storage.resets.cells[TARGET, "subject:r1:001"] = (row, "e")

    shown = json.loads((await get(world, "r1")).body)["subjects"]

    assert [(s["subject"], s["verdict"], s["before"], s["after"]) for s in shown] == [
        ("b", None, None, None),
        ("a", "changed", "005OLD", "005NEW"),
    ]


@pytest.mark.parametrize("reset_id", ["r2", "", "a/b", "ü", "x" * 129, "r1\n", "."])
async def test_a_reset_that_is_not_there_is_404(reset_id: str) -> None:
    world = World()
    await world.ask()

    reply = await get(world, reset_id)

    assert (reply.status, reply.content_type) == (404, "application/problem+json")


async def test_a_reset_is_read_by_two_point_reads_and_two_ranges() -> None:
    world = World()
    await world.ask()
    world.faults.log.clear()

    await get(world, "r1")

    assert world.faults.log == ["table read", "table read", "table query", "table query"]


async def test_without_a_target_the_open_ones_of_all_targets_are_listed() -> None:
    page = await listed(await busy())

    assert ids(page) == ["a0", "a1", "a2", "r1", "r2", "r3", "r4"]
    assert page["continuation"] is None
    assert "events" not in page["value"][0]


@pytest.mark.parametrize("limit", range(1, 9))
async def test_pages_of_any_size_show_each_open_one_once(limit: int) -> None:
    pages = await walked(await busy(), limit=str(limit))

    assert flat(pages) == ["a0", "a1", "a2", "r1", "r2", "r3", "r4"]
    assert all(0 < len(page) <= limit for page in pages)


@pytest.mark.parametrize("limit", range(1, 7))
async def test_pages_of_any_size_show_each_of_a_target_once_newest_first(limit: int) -> None:
    pages = await walked(await busy(), target=TARGET, limit=str(limit))

    assert flat(pages) == ["r4", "r3", "r2", "r1", "r0"]
    assert all(0 < len(page) <= limit for page in pages)


async def test_a_state_filters_each_page() -> None:
    world = await busy()

    ended = await walked(world, target=TARGET, state="previewed", limit="2")
    waiting = await walked(world, state="waiting", limit="4")

    assert ended == [[], [], ["r0"]]
    assert waiting == [["a1", "a2"], ["r2", "r3", "r4"]]


async def test_what_came_after_the_first_page_moves_nothing() -> None:
    world = await busy()
    first = await listed(world, target=TARGET, limit="2")
    world.clock.forward(minutes=1)
    await world.ask("r9")

    second = await listed(world, target=TARGET, limit="2", continuation=first["continuation"])

    assert (ids(first), ids(second)) == (["r4", "r3"], ["r2", "r1"])


async def test_what_has_ended_since_the_index_was_read_is_open_no_more() -> None:
    world = await busy()
    ended = replace(await world.row("r1"), state=State.FAILED)
    key = next(k for _, k in world.storage.resets.cells if k.endswith(":r1") and k[:6] == "reset:")
    values, etag = world.storage.resets.cells[TARGET, key]
    world.storage.resets.cells[TARGET, key] = ({**values, "State": str(ended.state)}, etag)

    assert "r1" not in ids(await listed(world))


async def test_a_target_without_resets_is_an_empty_page() -> None:
    page = await listed(World(), target="gone")

    assert page == {"value": [], "nextLink": None, "continuation": None}


async def test_a_list_of_a_target_is_one_range_and_reads_no_reset_by_itself() -> None:
    world = await busy()
    world.faults.log.clear()

    await listed(world, target=TARGET)

    assert world.faults.log == ["table query"]


async def test_a_list_of_open_ones_asks_the_index_and_one_point_read_each() -> None:
    world = await busy()
    world.faults.log.clear()

    await listed(world, limit="2")

    # The targets, the index of the first one, which fills the page, and the two resets.
    assert world.faults.log == ["table query"] * 2 + ["table read"] * 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"state": "done"}, "state: must be one of accepted, waiting"),
        ({"limit": "0"}, "limit: must be a number from 1 to 100"),
        ({"limit": "101"}, "limit: "),
        ({"limit": "ten"}, "limit: "),
        ({"limit": "٣"}, "limit: "),
        ({"target": "Sales"}, "target: not an alias"),
        ({"target": "unreadable"}, "target: not an alias"),
        ({"target": "budget"}, "target: not an alias"),
        ({"target": "a\n"}, "target: not an alias"),
        ({"continuation": "x"}, "continuation: not one of this list"),
        ({"continuation": "%%%"}, "continuation: "),
        ({"continuation": "ü"}, "continuation: "),
        ({"continuation": "A" * 5_000}, "continuation: "),
    ],
)
async def test_a_question_that_makes_no_sense_is_400(query: dict[str, str], said: str) -> None:
    world = await busy()
    world.faults.log.clear()

    reply = await respond(world.app.api.list_resets, asked(query))

    assert reply.status == 400
    assert json.loads(reply.body)["detail"].startswith(said)
    assert world.faults.log == []


async def test_the_next_link_is_the_whole_question_but_for_the_key() -> None:
    world = await busy()
    world.rebuild(PUBLIC_URL="https://resets.contoso.com")
    seen, query = list[str](), {"target": TARGET, "limit": "2", "code": "secret"}
    while query:
        page = await listed(world, **query)
        seen += [each["id"] for each in page["value"]]
        link = urlsplit(page["nextLink"] or "")
        query = dict(parse_qsl(link.query))
        assert "code" not in query
        if query:
            assert query == {
                "target": TARGET,
                "limit": "2",
                "continuation": page["continuation"],
            }
            assert f"{link.scheme}://{link.netloc}{link.path}" == (
                "https://resets.contoso.com/api/resets"
            )

    whole = await listed(world, target=TARGET)
    assert seen == [each["id"] for each in whole["value"]]
    assert len(seen) > 2


async def test_a_continuation_of_another_question_is_refused() -> None:
    world = await busy()
    given = (await listed(world, target=TARGET, limit="2"))["continuation"]
    of_all = (await listed(world, limit="2"))["continuation"]

    for query in (
        {"continuation": given},
        {"target": "aws", "continuation": given},
        {"target": TARGET, "state": "waiting", "continuation": given},
        {"target": TARGET, "continuation": of_all},
    ):
        assert (await respond(world.app.api.list_resets, asked(query))).status == 400


async def test_a_continuation_that_was_tampered_with_is_refused() -> None:
    world = await busy()
    given = (await listed(world, target=TARGET, limit="2"))["continuation"]
    text = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
    for at in range(len(text)):
        forged = base64.urlsafe_b64encode(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        query = {"target": TARGET, "continuation": forged.decode()}
        assert (await respond(world.app.api.list_resets, asked(query))).status == 400


@pytest.mark.parametrize("question", ["get", "list"])
async def test_storage_that_is_down_is_a_503_that_says_when(question: str) -> None:
    world = World()
    await world.ask()
    world.faults.at, world.faults.kind = world.faults.count + 1, "timeout"

    endpoint = {"get": world.app.api.get_reset, "list": world.app.api.list_resets}[question]
    reply = await respond(endpoint, call(reset_id="r1"))

    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")


async def test_with_a_bad_setting_resets_are_still_shown() -> None:
    world = World()
    await world.ask()
    world.rebuild(RESET_MAX_AGE="soon")

    assert (await get(world, "r1")).status == 200
    assert ids(await listed(world)) == ["r1"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"Target": "x"}, "Target: unknown parameter; did you mean target?"),
        ({"requestedby": "x"}, "did you mean requestedBy?"),
        ({"colour": "x"}, "colour: unknown parameter; known are target, state"),
        ({"ticket": "1", "subject": "a"}, "subject: stands beside ticket"),
        ({"since": "yesterday"}, "since: must be a date and time"),
    ],
)
async def test_a_parameter_that_is_not_known_is_refused_by_name(
    query: dict[str, str], words: str
) -> None:
    reply = await respond(World().app.api.list_resets, asked(query))

    assert reply.status == 400
    assert words in json.loads(reply.body)["detail"]


async def test_resets_are_found_by_ticket_asker_and_user() -> None:
    world = World()
    ticket = Ticket(system="desk", id="INC7")
    await world.ask("r1", ticket=ticket, requested_by="ann@contoso.com", subjects=("lee",))
    await world.ask("r2")

    for query in ({"ticket": "INC7"}, {"requestedBy": "ann@contoso.com"}, {"subject": "lee"}):
        reply = await respond(world.app.api.list_resets, asked({**query, "code": "key"}))
        assert [each["id"] for each in json.loads(reply.body)["value"]] == ["r1"], query
