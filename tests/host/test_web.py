"""HTTP through the whole host: routes, keys, and what a function sees of a request."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local.host.principal import ROLES
from local.http_client import HttpClient, http_client
from tests.host.process import Host, start_host, wait_for

KEY = {"x-functions-key": "local"}
PUBLIC = {"PUBLIC_URL": "https://relink.example"}

CLAIMS = "http://schemas.microsoft.com/identity/claims"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with start_host("web", tmp_path_factory.mktemp("web"), PUBLIC) as found:
        yield found


@pytest.fixture
async def client(host: Host) -> AsyncIterator[HttpClient]:
    async with http_client(f"{host.address}/api") as found:
        yield found


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/items/7", {}, 401),
        ("/items/7", KEY, 200),
        ("/items/7?code=local", {}, 200),
        ("/items/7?code=wrong", {}, 401),
        ("/items/7?code=local", {"x-functions-key": "wrong"}, 401),
        ("/items/7?code=wrong", KEY, 200),
        ("/items/seven", {}, 200),
        ("/nothing", KEY, 404),
        ("/items", KEY, 404),
        ("/items/7/more", KEY, 404),
    ],
)
async def test_a_key_opens_what_a_route_leads_to(
    client: HttpClient, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await client.get(path, headers=headers)).status == status


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("LOCALHOST:7071", 200),
        ("[::1]:80", 200),
        ("relink.example", 200),
        ("attacker.example", 421),
        ("attacker.example:7071", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.", 421),
        ("[", 421),
        ("", 421),
    ],
)
async def test_the_host_answers_only_its_own_names(
    client: HttpClient, name: str, status: int
) -> None:
    assert (await client.get("/items/7", headers=KEY | {"Host": name})).status == status


async def test_an_integer_route_goes_before_a_free_one(client: HttpClient) -> None:
    assert (await client.get("/items/7", headers=KEY)).json()["params"] == {"id": "7"}
    assert (await client.get("/items/seven")).json()["params"] == {"name": "seven"}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/open", {}),
        ("/open/you", {"name": "you"}),
        ("/OPEN/You%20there", {"name": "You there"}),
        ("/files/a/b.txt", {"rest": "a/b.txt"}),
    ],
)
async def test_a_template_takes_its_values_from_the_path(
    client: HttpClient, path: str, params: dict[str, str]
) -> None:
    assert (await client.get(path)).json()["params"] == params


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_a_method_that_the_function_does_not_declare_is_refused(
    client: HttpClient, method: str
) -> None:
    answer = await client.ask(method, "/items/7", headers=KEY)

    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


async def test_a_function_without_methods_takes_them_all(client: HttpClient) -> None:
    assert (await client.ask("OPTIONS", "/files/x")).json()["method"] == "OPTIONS"
    assert (await client.ask("HEAD", "/files/x")).status == 200


async def test_a_function_sees_lower_case_headers_no_empty_query_and_the_body(
    client: HttpClient,
) -> None:
    answer = await client.post(
        "/items/7?empty=&full=1&code=local", headers={"X-Big": "Yes"}, data="a body"
    )
    seen = answer.json()

    assert seen["query"] == {"full": "1", "code": "local"}
    assert seen["headers"]["x-big"] == "Yes"
    assert seen["body"] == "a body"


async def test_a_function_that_fails_gives_an_empty_500(client: HttpClient) -> None:
    answer = await client.get("/boom")

    assert (answer.status, answer.body) == (500, b"")


async def test_no_address_with_its_query_is_logged(client: HttpClient, host: Host) -> None:
    await client.get("/items/7?code=not-to-be-seen")
    await client.get("/boom?code=not-to-be-seen")

    assert "not-to-be-seen" not in host.log.read_text() + host.output.read_text()


async def test_without_a_principal_the_headers_pass_unchanged(client: HttpClient) -> None:
    seen = (await client.get("/open", headers={"x-ms-client-principal-name": "me"})).json()

    assert seen["headers"]["x-ms-client-principal-name"] == "me"


async def test_with_a_principal_what_the_caller_claims_is_replaced(tmp_path: Path) -> None:
    with start_host("web", tmp_path, {"LOCAL_PRINCIPAL": "ann@example.com"}) as host:
        forged = {"x-ms-client-principal": "eve", "X-MS-Client-Principal-Id": "eve"}
        async with http_client(host.address) as client:
            headers = (await client.get("/api/open", headers=forged)).json()["headers"]

    principal = json.loads(base64.b64decode(headers["x-ms-client-principal"]))
    assert headers["x-ms-client-principal-name"] == "ann@example.com"
    assert "x-ms-client-principal-id" not in headers
    assert principal == {
        "auth_typ": "aad",
        "claims": [
            {"typ": f"{CLAIMS}/objectidentifier", "val": "06332259-7d72-5787-8d73-ea6da93f28bf"},
            {"typ": f"{CLAIMS}/tenantid", "val": "11111111-0000-4000-8000-000000000000"},
            {"typ": "name", "val": "ann@example.com"},
            {"typ": "preferred_username", "val": "ann@example.com"},
            *({"typ": "roles", "val": role} for role in ROLES),
        ],
        "name_typ": "name",
        "role_typ": "roles",
    }


async def test_another_key_and_no_prefix_are_settings(tmp_path: Path) -> None:
    environ = {
        "LOCAL_FUNCTION_KEY": "mine",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
    }
    with start_host("web", tmp_path, environ) as host:
        async with http_client(host.address) as client:
            answers = [
                await client.get("/items/7", headers=headers)
                for headers in (KEY, {"x-functions-key": "mine"})
            ]

    assert [answer.status for answer in answers] == [401, 200]


async def test_a_request_under_way_is_answered_after_the_signal(tmp_path: Path) -> None:
    with start_host("web", tmp_path, {}) as host:
        async with http_client(host.address) as client:
            asking = asyncio.create_task(client.get("/api/slow?seconds=1"))
            begun = "Executing 'Functions.slow'"
            await asyncio.to_thread(wait_for, lambda: begun in host.log.read_text())
            assert await asyncio.to_thread(host.stop, signal.SIGTERM) == 0
            answer = await asking

    assert (answer.status, answer.headers["x-answer"]) == (204, "late")
