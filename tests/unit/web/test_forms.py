"""Deciding by the forms on a page: same-origin only, answered with 303, told when too late."""

import json
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.reset import Reset, State, WaitingFor, tag
from shared.web.forms import choices
from shared.web.messages import HttpResponse
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.forms import form
from tests.support.world import SP, START, TARGET, World

ANN, BOSS, BOB = principal("ann"), principal("boss"), principal("bob")
RITA = principal("rita", roles=("Resets.Read",))
X = Reset(id="r1", target=TARGET, requested_at=START)


async def asking(by: str = ANN, **entry: object) -> World:
    world = World()
    target = {"servicePrincipalId": SP, "jobId": "job-1", "approval": "always", **entry}
    world.rebuild(WEBSITE_AUTH_ENABLED="True", RESET_TARGETS=json.dumps({TARGET: target}))
    request: dict[str, object] = {"target": TARGET, "requestId": "r1", "reason": "moved"}
    if by:
        await respond(world.app.api.submit_reset, call(request, signed_in=by))
        await world.deliver()
    else:
        await world.ask(reason="moved")
    return world


async def send(world: World, who: str = BOSS, **fields: str) -> HttpResponse:
    request = form(signed_in=who, path={"id": "r1"}, **fields)
    return await respond(world.app.api.decide_on_page, request)


async def page(world: World, who: str = BOSS) -> str:
    reply = await respond(world.app.api.show_reset, call(reset_id="r1", signed_in=who))
    assert reply.status == 200
    return reply.body


async def test_an_approval_by_form_sends_the_restart_and_leads_back_to_the_page() -> None:
    world = await asking()
    assert "Approve</button>" in await page(world)

    reply = await send(world, decision="approve", reason="quarter\r\nend", seen="")
    await world.quiesce()

    assert (reply.status, reply.headers["Location"]) == (303, "/api/resets/r1/page")
    assert (await world.row()).state is State.RESTARTED
    said = [e.detail for e in await world.events() if "approved" in e.detail]
    assert said == ["approved (signed in): quarter\nend"]


async def test_what_was_shown_is_what_is_decided_on() -> None:
    world = await asking()
    shown = tag(await world.row())

    stale = await send(world, decision="approve", seen="another")
    fresh = await send(world, decision="approve", seen=shown)

    assert (stale.status, fresh.status) == (412, 303)
    assert "has changed since it was read" in stale.body


async def test_a_decision_that_came_too_late_is_told_who_decided_what_and_keeps_its_reason() -> (
    None
):
    world = await asking()
    await send(world, BOB, decision="reject", reason="not now")

    late = await send(world, decision="approve", reason="my long reason")

    assert late.status == 409
    assert "bob decided at 2026-11-24 09:00:00 UTC, rejected (signed in): not now" in late.body


async def test_a_reason_that_is_too_long_is_said_and_comes_back_in_the_form() -> None:
    world = await asking()

    reply = await send(world, decision="approve", reason="x" * 1001)

    assert reply.status == 400
    assert "over 1000 characters" in reply.body
    assert f">{'x' * 1000}</textarea>" in reply.body
    assert (await world.row()).state is State.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", "cross-site"),
        ("https://evil.example", "same-origin"),
        ("https://relink.example", "cross-site"),
        ("https://relink.example", "same-site"),
        ("https://relink.example", "none"),
        ("https://relink.example", ""),
        ("", "same-origin"),
        ("null", "same-origin"),
        ("http://relink.example", "same-origin"),
        ("https://relink.example.evil.example", "same-origin"),
        ("", ""),
    ],
)
async def test_a_form_from_anywhere_else_is_403_and_changes_nothing(origin: str, site: str) -> None:
    world = await asking()

    reply = await send(world, decision="approve", origin=origin, site=site)

    assert (reply.status, reply.content_type) == (403, "text/html")
    assert (await world.row()).state is State.AWAITING_APPROVAL


async def test_behind_a_front_door_the_public_address_is_our_own_too() -> None:
    world = await asking()
    world.rebuild(PUBLIC_URL="https://relink.contoso.com/app")

    reply = await send(world, decision="reject", origin="https://relink.contoso.com")

    assert reply.status == 303


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/json"])
async def test_what_is_not_a_form_is_400(content_type: str) -> None:
    world = await asking()

    assert (await send(world, decision="approve", content_type=content_type)).status == 400
    assert (await send(world, decision="maybe")).status == 400


async def test_who_may_not_decide_sees_why_and_no_button() -> None:
    world = await asking()

    own, reader = await page(world, ANN), await page(world, RITA)

    assert "ann</bdi>" in own
    assert "asked for this reset and cannot approve it" in own
    assert "Approve</button>" not in own
    assert "Cancel</button>" in own
    assert "the app role Resets.Approve is needed" in reader
    assert "</button>" not in reader


async def test_two_must_agree_and_the_page_counts_them() -> None:
    world = await asking(by="")
    world.clock.forward(minutes=12)

    first = await send(world, decision="approve")
    between, again = await page(world), await send(world, decision="approve")
    second = await send(world, BOB, decision="approve")
    await world.quiesce()

    assert [first.status, again.status, second.status] == [303, 409, 303]
    assert "1 of 2 given." in between
    assert "just now" in between
    assert "another person must as well" in again.body
    assert (await world.row()).state is State.RESTARTED


async def test_the_page_shows_what_a_decision_needs_before_anything_is_sent() -> None:
    world = await asking()
    world.rebuild(GRAPH_ENDPOINT="https://graph.microsoft.com")

    text = await page(world)

    assert "What the restart does" in text
    assert "Accounts</dt><dd>50" in text
    assert "1 to 4 minutes" in text
    assert "Decide until " in text
    assert "tomorrow 09:00 UTC (in 24 hours)" in text
    assert "https://entra.microsoft.com/#view/" in text
    assert SP in text


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"state": State.ACCEPTED}, ["Cancel"]),
        ({"state": State.WAITING, "waiting_for": WaitingFor.GRAPH}, ["Cancel"]),
        ({"state": State.WAITING, "waiting_for": WaitingFor.COOLDOWN}, ["Let it go now", "Cancel"]),
        ({"state": State.WAITING, "waiting_for": WaitingFor.BUDGET}, ["Let it go now", "Cancel"]),
        (
            {"state": State.WAITING, "waiting_for": WaitingFor.COOLDOWN, "behind": "r0"},
            ["Cancel"],
        ),
        ({"state": State.AWAITING_APPROVAL}, ["Approve", "Reject", "Cancel"]),
        ({"state": State.SENDING}, []),
        ({"state": State.UNKNOWN}, []),
        (
            {"state": State.UNKNOWN, "operator_asked": True},
            ["It happened", "It did not: send again", "Give up"],
        ),
        ({"state": State.RESTARTED}, []),
        ({"state": State.COMPLETED}, []),
    ],
)
def test_each_state_offers_its_own_decisions(changes: dict[str, object], labels: list[str]) -> None:
    reset = replace(X, **changes)  # type: ignore[arg-type]

    assert [choice.label for choice in choices(reset)] == labels
    assert all(choice.what for choice in choices(reset))


async def test_a_wait_for_the_cooldown_is_let_go_by_form() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    await world.ask()
    await world.quiesce()
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look()
    await world.ask("r2")
    waits = await page_of(world, "r2")

    request = form(decision="approve", signed_in=BOSS, path={"id": "r2"})
    reply = await respond(world.app.api.decide_on_page, request)
    await world.quiesce()

    assert "Let it go now</button>" in waits
    assert "Waits until " in waits
    assert reply.status == 303
    assert (await world.row("r2")).state is State.RESTARTED
    assert world.clock() - START < timedelta(hours=1)


async def page_of(world: World, reset_id: str) -> str:
    reply = await respond(world.app.api.show_reset, call(reset_id=reset_id, signed_in=BOSS))
    return reply.body
