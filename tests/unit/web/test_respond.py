"""What an endpoint raises becomes a problem, and nothing of the request is logged."""

import asyncio
import json
import logging

import pytest

from shared.domain.errors import (
    BadSignature,
    IdReused,
    InvalidRequest,
    NewerRow,
    NotAllowed,
    NotFound,
    NotJson,
    NotPossible,
    NotReachable,
    RelinkError,
    SettingsError,
    StorageUnavailable,
    TooLarge,
)
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import principal
from tests.support.world import ENVIRON, World


async def answer_to(error: BaseException) -> HttpResponse:
    async def endpoint(request: HttpRequest) -> HttpResponse:
        assert request is not None
        raise error

    return await respond(endpoint, HttpRequest())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("field: wrong; remedy"), 400),
        (BadSignature("header: missing", why="header"), 401),
        (NotAllowed("no"), 403),
        (NotReachable("no"), 403),
        (NotFound("no"), 404),
        (NotPossible("no"), 409),
        (TooLarge("no"), 413),
        (NotJson("no"), 415),
        (IdReused("no"), 422),
        (SettingsError("SETTING: must be put right"), 503),
    ],
)
async def test_an_error_of_ours_is_its_status_with_its_words(
    error: RelinkError, status: int
) -> None:
    response = await answer_to(error)

    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert json.loads(response.body)["detail"] == str(error)


@pytest.mark.parametrize("error", [StorageUnavailable("10.0.0.4"), NewerRow("x")])
async def test_storage_that_does_not_answer_is_503_without_its_words(error: RelinkError) -> None:
    response = await answer_to(error)

    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert str(error) not in response.body.removeprefix('{"title": "Service Unavailable"')


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), GeneratorExit()])
async def test_what_the_worker_does_not_survive_is_503(error: BaseException) -> None:
    assert (await answer_to(error)).status == 503


async def test_an_error_that_nobody_foresaw_is_500_and_quotes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "relink")
    response = await answer_to(TypeError("unhashable: canary of a body"))

    assert (response.status, response.content_type) == (500, "application/problem+json")
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith('request.failed {"kind": "TypeError", "where": "test_respond.py:')
    assert "canary of a body" not in line + response.body


@pytest.mark.parametrize("bad", ["\udcff", "\ud800x"])
async def test_a_lone_surrogate_in_an_address_is_no_failure_and_never_in_an_answer(
    bad: str,
) -> None:
    world = World(environ={**ENVIRON, "WEBSITE_AUTH_ENABLED": "True"})
    api, who = world.app.api, {"x-ms-client-principal": principal()}
    reads = (api.get_reset, api.show_reset, api.get_status, api.list_resets, api.list_unreadable)
    for endpoint in (*reads, api.decide_on_page, api.retry_unreadable, api.receive_webhook):
        for query in ({}, {"target": bad}, {bad: "x"}, {"continuation": bad}):
            path = {"id": bad, "key": bad, "sender": bad}
            url = f"https://relink.example/{bad}"
            request = HttpRequest(path=path, query=query, headers=who, url=url)

            reply = await respond(endpoint, request)

            assert reply.status < 500
            assert (reply.body + "".join(reply.headers.values())).encode()
