"""The HTTP functions with the library's own requests and responses."""

import json
from collections.abc import Callable

import azure.functions as func
import pytest

import function_app
from shared.app import App, NotConfigured
from shared.bootstrap import build
from tests.support.calls import principal
from tests.support.described import check
from tests.support.world import TARGET, World

FUNCTIONS = {
    "submit": (function_app.submit_reset, "POST", "/api/resets"),
    "list": (function_app.list_resets, "GET", "/api/resets"),
    "get": (function_app.get_reset, "GET", "/api/resets/r1"),
    "status": (function_app.get_status, "GET", "/api/resets/r1/status"),
    "decide": (function_app.decide_reset, "POST", "/api/resets/r1/decision"),
    "unreadable": (function_app.list_unreadable, "GET", "/api/unreadable"),
    "retry": (function_app.retry_unreadable, "POST", "/api/unreadable/m1/retry"),
    "show": (function_app.show_reset, "GET", "/api/resets/r1/page"),
    "decide on page": (function_app.decide_on_page, "POST", "/api/resets/r1/page"),
    "overview": (function_app.show_overview, "GET", "/api/overview"),
    "ask on page": (function_app.ask_on_page, "POST", "/api/overview"),
    "health": (function_app.health, "GET", "/api/health"),
    "openapi": (function_app.openapi, "GET", "/api/openapi.json"),
}
BODIES = {
    "submit": {"requestId": "r1", "target": TARGET},
    "decide": {"decision": "cancel", "by": "boss"},
}

Serve = Callable[[App | NotConfigured], None]


async def ask(name: str, **headers: str) -> func.HttpResponse:
    """Call a function; its answer is as the document says."""
    function, method, path = FUNCTIONS[name]
    url = f"https://relink.example{path}"
    body = json.dumps(BODIES[name]).encode() if name in BODIES else b""
    request = func.HttpRequest(
        method=method,
        url=f"{url}?code=secret",
        headers={"Content-Type": "application/json", **headers},
        params={},
        route_params={"id": "r1", "key": "m1"},
        body=body,
    )
    answer: func.HttpResponse = await function(request)
    told = {**dict(answer.headers), "content-type": answer.mimetype}
    check(method, url, answer.status_code, told, answer.get_body())
    return answer


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def serving(app: App | NotConfigured) -> None:
        monkeypatch.setattr(function_app, "application", lambda: app)

    return serving


async def test_a_life_over_http(serve: Serve) -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True", RESETS_ENABLED="no")
    serve(world.app)
    header = {"X-MS-CLIENT-PRINCIPAL": principal()}

    nobody = await ask("submit")
    taken = await ask("submit", **header)
    again = await ask("submit", **header)
    await world.deliver()
    answers = [await ask(name, **header) for name in ("list", "get", "show", "decide", "decide")]
    await world.app.housekeeping.dead_letters.keep_unreadable(
        "m1", b"\xff", reason="why", queue="provisioning-resets", at=world.clock()
    )
    others = [await ask(name, **header) for name in ("unreadable", "retry")]

    assert (nobody.status_code, taken.status_code, again.status_code) == (401, 202, 200)
    assert taken.headers["Location"].startswith(
        "https://relink.example/api/resets/r1/status?token="
    )
    assert [a.status_code for a in answers] == [200, 200, 200, 200, 409]
    assert answers[2].mimetype == "text/html"
    # Not a request as it was kept: it is put right by a body.
    assert [a.status_code for a in others] == [200, 400]


async def test_with_a_bad_setting_nothing_is_taken_in(serve: Serve) -> None:
    world = World()
    world.rebuild(RESET_TARGETS="{")
    serve(world.app)

    taken, healthy, described = [await ask(name) for name in ("submit", "health", "openapi")]

    assert (taken.status_code, taken.headers["Retry-After"]) == (503, "300")
    assert (healthy.status_code, described.status_code) == (503, 200)


async def test_without_storage_everything_says_so(serve: Serve) -> None:
    serve(build({}))

    asked = ("submit", "list", "get", "status", "decide", "show", "unreadable", "retry")
    answers = [await ask(name) for name in asked]
    open_to_all = [await ask(name) for name in ("health", "openapi")]

    assert [a.status_code for a in answers] == [503] * 8
    assert [a.status_code for a in open_to_all] == [503, 200]
    assert all(a.headers["Retry-After"] for a in answers)


async def test_storage_that_is_down_is_a_503_of_every_function(serve: Serve) -> None:
    for name in (
        "submit",
        "list",
        "get",
        "status",
        "decide",
        "show",
        "health",
        "unreadable",
        "retry",
    ):
        world = World()
        world.rebuild(WEBSITE_AUTH_ENABLED="True")
        await world.ask()
        serve(world.app)
        world.faults.at, world.faults.kind = world.faults.count + 1, "timeout"

        answer = await ask(name, **{"x-ms-client-principal": principal()})

        assert answer.status_code == 503, name
