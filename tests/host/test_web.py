"""HTTP through the whole host: routes, keys, and what a function sees of a request."""

import base64
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.host.principal import ROLES
from tests.host.process import Host, start_host, wait_for

KEY = {"x-functions-key": "local"}
PUBLIC = {"PUBLIC_URL": "https://relink.example"}

CLAIMS = "http://schemas.microsoft.com/identity/claims"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with start_host("web", tmp_path_factory.mktemp("web"), PUBLIC) as found:
        yield found


@pytest.fixture
def client(host: Host) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{host.address}/api", timeout=30) as found:
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
def test_a_key_opens_what_a_route_leads_to(
    client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert client.get(path, headers=headers).status_code == status


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
def test_the_host_answers_only_its_own_names(client: httpx.Client, name: str, status: int) -> None:
    assert client.get("/items/7", headers=KEY | {"Host": name}).status_code == status


def test_an_integer_route_goes_before_a_free_one(client: httpx.Client) -> None:
    assert client.get("/items/7", headers=KEY).json()["params"] == {"id": "7"}
    assert client.get("/items/seven").json()["params"] == {"name": "seven"}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/open", {}),
        ("/open/you", {"name": "you"}),
        ("/OPEN/You%20there", {"name": "You there"}),
        ("/files/a/b.txt", {"rest": "a/b.txt"}),
    ],
)
def test_a_template_takes_its_values_from_the_path(
    client: httpx.Client, path: str, params: dict[str, str]
) -> None:
    assert client.get(path).json()["params"] == params


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS"])
def test_a_method_that_the_function_does_not_declare_is_refused(
    client: httpx.Client, method: str
) -> None:
    answer = client.request(method, "/items/7", headers=KEY)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


def test_a_function_without_methods_takes_them_all(client: httpx.Client) -> None:
    assert client.options("/files/x").json()["method"] == "OPTIONS"
    assert client.head("/files/x").status_code == 200


def test_a_function_sees_lower_case_headers_no_empty_query_and_the_body(
    client: httpx.Client,
) -> None:
    seen = client.post(
        "/items/7?empty=&full=1&code=local", headers={"X-Big": "Yes"}, content="a body"
    ).json()

    assert seen["query"] == {"full": "1", "code": "local"}
    assert seen["headers"]["x-big"] == "Yes"
    assert seen["body"] == "a body"


def test_a_function_that_fails_gives_an_empty_500(client: httpx.Client) -> None:
    answer = client.get("/boom")

    assert (answer.status_code, answer.content) == (500, b"")


def test_no_address_with_its_query_is_logged(client: httpx.Client, host: Host) -> None:
    client.get("/items/7?code=not-to-be-seen")
    client.get("/boom?code=not-to-be-seen")

    assert "not-to-be-seen" not in host.log.read_text() + host.output.read_text()


def test_without_a_principal_the_headers_pass_unchanged(client: httpx.Client) -> None:
    seen = client.get("/open", headers={"x-ms-client-principal-name": "me"}).json()

    assert seen["headers"]["x-ms-client-principal-name"] == "me"


def test_with_a_principal_what_the_caller_claims_is_replaced(tmp_path: Path) -> None:
    with start_host("web", tmp_path, {"LOCAL_PRINCIPAL": "ann@example.com"}) as host:
        forged = {"x-ms-client-principal": "eve", "X-MS-Client-Principal-Id": "eve"}
        headers = httpx.get(f"{host.address}/api/open", headers=forged).json()["headers"]

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


def test_another_key_and_no_prefix_are_settings(tmp_path: Path) -> None:
    environ = {
        "LOCAL_FUNCTION_KEY": "mine",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
    }
    with start_host("web", tmp_path, environ) as host:
        address = f"{host.address}/items/7"
        assert httpx.get(address, headers=KEY).status_code == 401
        assert httpx.get(address, headers={"x-functions-key": "mine"}).status_code == 200


def test_a_request_under_way_is_answered_after_the_signal(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with start_host("web", tmp_path, {}) as host:
        address = f"{host.address}/api/slow?seconds=1"
        asking = threading.Thread(target=lambda: answers.append(httpx.get(address)))
        asking.start()
        wait_for(lambda: "Executing 'Functions.slow'" in host.log.read_text())
        assert host.stop(signal.SIGTERM) == 0
        asking.join()

    assert (answers[0].status_code, answers[0].headers["x-answer"]) == (204, "late")
