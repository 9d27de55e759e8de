"""The overview: what waits for people first, what is open, the targets, a search, a form to ask."""

import json

import pytest

from shared.domain.errors import Undeliverable
from shared.domain.requests import Ticket
from shared.domain.reset import State
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.forms import form
from tests.support.host import resets
from tests.support.world import SP, TARGET, World

BOSS = principal("boss")
ENTRY = {"servicePrincipalId": SP, "jobId": "job-1"}


def world(**entry: object) -> World:
    made = World()
    targets = {TARGET: {**ENTRY, **entry}}
    made.rebuild(WEBSITE_AUTH_ENABLED="True", RESET_TARGETS=json.dumps(targets))
    return made


async def look(made: World, who: str = BOSS, **query: str) -> HttpResponse:
    return await respond(made.app.api.show_overview, call(b"", signed_in=who, **query))


async def send(made: World, who: str = BOSS, **fields: str) -> HttpResponse:
    return await respond(made.app.api.ask_on_page, form(signed_in=who, path={}, **fields))


async def test_what_waits_for_a_person_comes_first_then_what_is_open_then_the_targets() -> None:
    made = world(approval="always")
    await made.ask(reason="moved")
    await made.accept("r2")

    text = (await look(made)).body

    places = [text.index(words) for words in ("Waiting for a person", ">Open<", ">Targets<")]
    assert places == sorted(places)
    first = text[: places[1]]
    assert "/api/resets/r1/page" in first
    assert "this target always needs an approval" in first
    assert "tomorrow 09:00 UTC (in 24 hours)" in first
    assert "/api/resets/r2/page" not in first
    assert "/api/resets/r2/page" in text
    assert "10 of 10 restarts are left" in text


async def test_a_target_shows_its_last_reset_and_its_cooldown() -> None:
    made = world()
    await made.ask()
    await made.quiesce()
    made.clock.forward(minutes=20)
    made.graph.end_cycle()
    await made.look()
    await made.app.remediate()

    text = (await look(made)).body

    assert "Nothing waits for a person." in text
    assert "9 of 10 restarts are left" in text
    assert "tomorrow 09:00 UTC" in text
    assert "completed" in text
    assert "Active" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"by": "id", "words": "r1"}, True),
        ({"by": "ticket", "words": " inc7 "}, True),
        ({"by": "asker", "words": "ANN@contoso.com"}, True),
        ({"by": "subject", "words": "adele"}, True),
        ({"target": TARGET}, True),
        ({"by": "ticket", "words": "INC8"}, False),
        ({"by": "subject", "words": "inc7"}, False),
    ],
)
async def test_a_reset_is_found_by_what_people_know_of_it(
    query: dict[str, str], found: bool
) -> None:
    made = world()
    ticket = Ticket(system="desk", id="INC7")
    await made.ask(ticket=ticket, requested_by="ann@contoso.com", subjects=("adele",), dry_run=True)

    reply = await look(made, **query)

    assert reply.status == 200
    assert (
        "/api/resets/r1/page" in reply.body.partition("Found</h2>")[2].partition("Open</h2>")[0]
    ) is found
    assert ("Nothing was found" in reply.body) is not found


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"by": "id", "words": "r9"}, 404),
        ({"by": "colour", "words": "x"}, 400),
        ({"target": "UNREADABLE"}, 400),
        ({"continuation": "x"}, 400),
    ],
)
async def test_what_cannot_be_found_is_said_on_a_page(query: dict[str, str], status: int) -> None:
    reply = await look(world(), **query)

    assert (reply.status, reply.content_type) == (status, "text/html")


async def test_the_form_asks_for_a_dry_run_and_leads_to_the_page_of_its_reset() -> None:
    made = world()
    page = (await look(made)).body
    request_id = page.partition('name="requestId" value="')[2].partition('"')[0]
    fields = {
        "requestId": request_id,
        "target": TARGET,
        "reason": "a\r\nb",
        "users": "adele\r\n\r\n megan \r\n",
        "dryRun": "yes",
    }

    reply, again = await send(made, **fields), await send(made, **fields)
    await made.quiesce()

    assert (reply.status, again.status) == (303, 303)
    assert reply.headers["Location"] == f"/api/resets/{request_id}/page"
    (asked,) = resets(made)
    assert (asked.state, asked.dry_run) == (State.PREVIEWED, True)
    assert (asked.requested_by, asked.reason) == ("boss", "a\nb")
    assert asked.subjects == ("adele", "megan")
    assert asked.asker_id


async def test_what_is_wrong_with_the_form_is_said_beside_what_was_written() -> None:
    made = world()

    reply = await send(made, requestId="r1", target="sales", reason="kept words")

    assert reply.status == 400
    assert "&#x27;sales&#x27; is not in the catalogue" in reply.body
    assert "kept words</textarea>" in reply.body
    assert resets(made) == []


@pytest.mark.parametrize(
    ("who", "request_", "status"),
    [
        (principal("rita", roles=("Resets.Read",)), {}, 403),
        (principal("quinn", roles=("Resets.Request",)), {}, 303),
        (BOSS, {"site": "cross-site"}, 403),
        (BOSS, {"origin": "https://evil.example"}, 403),
        ("", {}, 401),
    ],
)
async def test_who_may_ask_by_form(who: str, request_: dict[str, str], status: int) -> None:
    made = world()

    reply = await send(made, who, target=TARGET, requestId="r1", **request_)

    assert reply.status == status
    assert len(resets(made)) == (1 if status == 303 else 0)


async def test_who_may_not_ask_sees_why() -> None:
    text = (await look(world(), principal("rita", roles=("Resets.Read",)))).body

    assert "the app role Resets.Request is needed" in text
    assert 'method="post"' not in text


async def test_where_nobody_can_sign_in_there_is_no_overview() -> None:
    reply = await respond(World().app.api.show_overview, HttpRequest(headers={}))

    assert reply.status == 403
    assert "x-functions-key" in reply.body


async def test_a_ticket_that_was_not_told_and_an_unreadable_message_say_what_to_do() -> None:
    made = world()
    made.desk.refuses = Undeliverable("the ticket system answered 404 <b>")
    await made.ask(ticket=Ticket(system="desk", id="INC7"), dry_run=True)
    await made.quiesce()
    await made.send('{"requestId": "r9", "<b>": "sales"}', message_id="m-9")

    text = (await look(made)).body

    first = text[: text.index(">Open<")]
    assert "Tickets that were not told" in first
    assert "desk INC7" in first
    assert "the ticket system answered 404 &lt;b&gt;" in first
    assert "make resend" in first
    assert "/api/resets/r1/page" in first
    assert "Messages that became no reset" in first
    assert "POST /api/unreadable/KEY/retry" in first
    assert "&lt;b&gt;: unknown property" in first
    assert "<b>" not in text
    assert "/api/resets/r9/page" not in text


async def test_an_answer_about_a_request_that_became_no_reset_links_nowhere() -> None:
    made = world()
    made.desk.refuses = Undeliverable("404")
    made.rebuild(RESET_MAX_OPEN="1")
    await made.accept("r0")
    body = {"requestId": "r1", "target": TARGET, "ticket": {"system": "desk", "id": "INC7"}}
    await made.send(json.dumps(body))
    await made.quiesce()

    text = (await look(made)).body

    assert "Tickets that were not told" in text
    assert "desk INC7" in text
    assert "/api/resets/r1/page" not in text


async def test_where_nothing_is_wrong_the_lists_are_not_there() -> None:
    text = (await look(world())).body

    assert "were not told" not in text
    assert "became no reset" not in text


async def test_a_question_about_a_target_that_the_catalogue_lost_is_still_on_top() -> None:
    made = world(approval="always")
    await made.ask()
    other = {"other": {"servicePrincipalId": "99999999-2222-3333-4444-555555555555"}}
    made.rebuild(RESET_TARGETS=json.dumps(other))

    text = (await look(made)).body

    assert "/api/resets/r1/page" in text[: text.index(">Open<")]


@pytest.mark.parametrize(("first", "shown"), [("", "t00"), ("t25", "t25")])
async def test_what_waits_is_shown_on_every_page_of_targets(first: str, shown: str) -> None:
    made = world()
    targets = {
        f"t{n:02d}": {"servicePrincipalId": f"{n:08d}{SP[8:]}", "approval": "always"}
        for n in range(30)
    }
    made.rebuild(RESET_TARGETS=json.dumps(targets))
    await made.ask(target="t29")

    text = (await look(made, **({"from": first} if first else {}))).body

    assert "/api/resets/r1/page" in text[: text.index(">Open<")]
    table = text[text.index(">Targets<") :]
    assert f">{shown}</a>" in table
    assert ("from=t25" in table) is (first == "")
