"""Health for people: a page or text where `Accept` asks for it, JSON for everybody else."""

import json

import pytest

from shared.web.health import OFFERED
from shared.web.messages import HttpRequest, HttpResponse, preferred
from shared.web.respond import respond
from tests.support.world import SP, TARGET, World

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("text/plain", "text/plain"),
        ("TEXT/PLAIN", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("text/plain;q=0.5, text/html;q=0.4", "text/plain"),
        ("text/plain;q=0.5, application/json;q=0.6", "application/json"),
        ("application/json;q=0, */*", "text/html"),
        ("text/*;q=0.9, application/json;q=0.8", "text/html"),
        ("text/html;q=0, text/*", "text/plain"),
        ("image/png", "application/json"),
        ("text/plain;q=nonsense", "application/json"),
        (",;,", "application/json"),
    ],
)
def test_the_header_decides_what_is_sent(accept: str, chosen: str) -> None:
    assert preferred(accept, OFFERED) == chosen


def world(**environ: str) -> World:
    made = World()
    made.rebuild(HEALTH_KEY="key", **environ)
    return made


async def ask(made: World, accept: str, key: str = "key") -> HttpResponse:
    headers = {"accept": accept, "x-functions-key": key}
    return await respond(made.app.api.health, HttpRequest(headers=headers))


async def waiting() -> World:
    made = world(
        RESET_TARGETS=json.dumps(
            {TARGET: {"servicePrincipalId": SP, "approval": "always", "notify": "desk"}}
        )
    )
    await made.ask()
    await made.tick()
    return made


async def test_a_browser_gets_a_page_that_says_what_to_do() -> None:
    reply = await ask(await waiting(), BROWSER)

    assert (reply.status, reply.content_type) == (200, "text/html")
    assert reply.headers["Vary"] == "Accept"
    assert "Content-Security-Policy" in reply.headers
    assert ">Attention<" in reply.body
    assert "1 reset waits (r1, until 2026-11-25 09:00 UTC) for an approval" in reply.body
    assert "nobody can sign in" in reply.body
    assert "last ran today 09:00 UTC (just now)" in reply.body
    assert "<script" not in reply.body


async def test_a_terminal_gets_lines() -> None:
    reply = await ask(await waiting(), "text/plain")

    assert (reply.status, reply.content_type) == (200, "text/plain")
    first, second, *_ = reply.body.splitlines()
    assert first == "ATTENTION  Relink 0.1.0"
    assert second.startswith("people: 1 reset waits (r1")
    assert "\ntimer sweep" in reply.body
    assert reply.body.endswith("\n")


async def test_ok_is_one_line_and_the_facts() -> None:
    made = world(WEBSITE_AUTH_ENABLED="True")

    reply = await ask(made, "text/plain")

    lines = reply.body.splitlines()
    assert lines[:2] == ["OK  Relink 0.1.0", ""]
    assert lines[2].startswith("note: NOTIFIERS: desk is sent without a signature")
    assert lines[3:5] == ["", "version           0.1.0"]
    assert "timer sweep       has not run yet" in reply.body


@pytest.mark.parametrize("accept", [BROWSER, "text/plain", "application/json"])
async def test_a_stranger_reads_the_level_and_names_alone_in_every_form(accept: str) -> None:
    made = world(RESET_MAX_AGE="S3CRET", RESET_DAILY_BUDGET="many")

    reply = await ask(made, accept, key="")

    assert reply.status == 503
    assert "unhealthy" in reply.body.lower()
    assert "RESET_MAX_AGE" in reply.body
    for hidden in ("S3CRET", "ISO 8601", TARGET, "0.1.0", "emulator"):
        assert hidden not in reply.body


async def test_a_stranger_whose_app_is_well_is_told_no_more() -> None:
    reply = await ask(await waiting(), BROWSER, key="")

    assert "The app answers." in reply.body
    assert "approval" not in reply.body


async def test_what_people_wrote_is_escaped_on_the_page() -> None:
    made = world(NOTIFIERS=json.dumps({"<script>": {"kind": "nope", "url": "https://x"}}))

    reply = await ask(made, BROWSER)

    assert "<script>" not in reply.body
