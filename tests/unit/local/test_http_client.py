"""What the tools' client does with an answer, a redirect, a proxy and a cookie."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from local.http_client import UnexpectedStatus, http_client
from local.listening import listening


async def handle(request: web.Request) -> web.Response:
    match await request.text():
        case "elsewhere":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        case "refuse":
            return web.Response(status=409, text="in use by another")
        case "cookie":
            answer = web.Response(text=request.headers.get("Cookie", "none"))
            answer.set_cookie("seen", "yes")
            return answer
    return web.json_response({"path": request.path})


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with listening("/here", handle) as found:
        yield found


async def test_an_answer_is_read_to_its_end_and_kept(address: str) -> None:
    async with http_client(address.removesuffix("/here")) as client:
        below, whole = await client.post("/here"), await client.post(address)

    assert [(each.status, each.ok, each.json()) for each in (below, whole)] == [
        (200, True, {"path": "/here"})
    ] * 2
    assert below.headers["CONTENT-type"].startswith("application/json")


async def test_a_redirect_is_an_answer_and_is_not_followed(address: str) -> None:
    async with http_client(address) as client:
        answer = await client.post("", data="elsewhere")

    assert (answer.status, answer.headers["location"], answer.ok) == (302, "/elsewhere", False)


async def test_a_refusal_is_raised_with_its_words(address: str) -> None:
    async with http_client(address) as client:
        answer = await client.post("", data="refuse")

    with pytest.raises(UnexpectedStatus, match="answered 409: in use by another"):
        answer.raise_for_status()


async def test_no_cookie_is_kept(address: str) -> None:
    async with http_client(address) as client:
        answers = [await client.post("", data="cookie") for _ in range(2)]

    assert [answer.text for answer in answers] == ["none", "none"]


async def test_a_proxy_of_the_environment_is_for_what_is_not_on_this_machine(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    async with http_client(address) as client:
        assert (await client.post("")).ok
    async with http_client(address, proxied=True) as client:
        with pytest.raises(aiohttp.ClientProxyConnectionError):
            await client.post("")
