"""Requests of our own go through what signs, retries, names and traces those of the SDK."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport, HttpRequest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.table_calls import Calls, PlainCalls, SdkCalls
from shared.adapters.table_pipeline import Requests, Steps, needed

KEY = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
ROW = b'{"PartitionKey": "sales", "RowKey": "r1"}'


class Answers(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Keeps what is sent, and answers each request with a row."""

    def __init__(self) -> None:
        self.sent: list[HttpRequest] = []

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, request: HttpRequest, **_: Any) -> Any:
        self.sent.append(request)
        return Answer(request, None)


class Answer(AsyncHttpResponse):
    def __init__(self, request: HttpRequest, internal: None) -> None:
        super().__init__(request, internal)
        self.status_code, self.content_type = 200, "application/json"

    def body(self) -> bytes:
        return ROW


class Credential:
    """Gives tokens that last as long as it is told."""

    def __init__(self, lasts: float) -> None:
        self.lasts, self.given = lasts, 0

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        self.given += 1
        return AccessToken(f"token-{self.given}", int(time.time() + self.lasts))

    async def close(self) -> None: ...
    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None: ...


def names(policies: list[Any]) -> list[Any]:
    return [
        [type(hook.__self__).__name__ for hook in each._before]
        if isinstance(each, Steps)
        else type(each).__name__
        for each in policies
    ]


def test_what_signs_names_retries_and_traces_a_request_is_kept() -> None:
    service = TableServiceClient.from_connection_string(f"{KEY}TableEndpoint=http://127.0.0.1:9/a;")

    kept = needed(service._policies)

    named = ["RequestIdPolicy", "StorageHeadersPolicy", "UserAgentPolicy"]
    assert names(kept) == [
        [*named, "SharedKeyCredentialPolicy"],
        "AsyncTablesRetryPolicy",
        ["DistributedTracingPolicy"],
    ]
    assert not any(each is theirs for each in kept for theirs in service._policies)


async def test_a_managed_identitys_token_is_sent_and_kept_until_it_ends() -> None:
    for lasts, tokens in ((3_600, 1), (-60, 3)):
        transport, credential = Answers(), Credential(lasts)
        service = TableServiceClient(
            "https://a.table.core.windows.net", credential=credential, transport=transport
        )
        calls = PlainCalls(service)

        for _ in range(3):
            await calls.entity(service.get_table_client("Rows"), "sales", "r1")

        assert credential.given == tokens
        sent = [request.headers["Authorization"] for request in transport.sent]
        assert sent == [f"Bearer token-{min(n, tokens)}" for n in (1, 2, 3)]


async def test_a_token_is_never_sent_in_the_clear() -> None:
    transport = Answers()
    service = TableServiceClient(
        "https://a.table.core.windows.net", credential=Credential(60), transport=transport
    )
    service._hosts["primary"] = "a.table.core.windows.net"
    service.scheme = "http"

    with pytest.raises(AzureError):
        await Requests(service).send("GET", "Rows()", {})

    assert not transport.sent


@pytest.fixture
async def failing() -> AsyncIterator[Callable[..., Any]]:
    """A service that answers with the given statuses, 0 with none at all, and then with a row."""
    statuses: list[int] = []
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        status = statuses.pop(0) if statuses else 200
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        moved = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}
        body = ROW if status == 200 else b""
        return web.Response(
            status=status or 500, body=body, content_type="application/json", headers=moved
        )

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    async def outcome(first: list[int], make: Callable[[TableServiceClient], Calls]) -> Any:
        statuses[:], asked[:] = first, []
        connection = f"{KEY}TableEndpoint=http://127.0.0.1:{port}/a;"
        options: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0}
        async with TableServiceClient.from_connection_string(connection, **options) as service:
            try:
                row = await make(service).entity(service.get_table_client("Rows"), "sales", "r1")
            except AzureError as error:
                status = error.status_code if isinstance(error, HttpResponseError) else None
                return type(error), status, len(asked)
            return dict(row), 200, len(asked)

    yield outcome
    await runner.cleanup()


@pytest.mark.parametrize(
    ("statuses", "calls"),
    [
        ([], 1),
        ([503], 2),
        ([500, 503], 3),
        ([503, 503, 503], 3),
        ([429, 408], 3),
        # aiohttp, too, repeats what a kept connection lost.
        ([0], None),
        ([0, 0, 0], None),
        ([0] * 20, None),
        ([403], 1),
        ([404], 1),
    ],
)
async def test_a_call_is_repeated_as_the_sdk_repeats_it(
    failing: Any, statuses: list[int], calls: int | None
) -> None:
    async with asyncio.timeout(60):
        mine = await failing(statuses, PlainCalls)
        theirs = await failing(statuses, lambda _: SdkCalls())

    assert mine == theirs
    assert calls in {None, mine[2]}


async def test_a_request_is_not_sent_on_to_where_an_answer_points(failing: Any) -> None:
    async with asyncio.timeout(60):
        error, status, calls = await failing([302], PlainCalls)

    assert (issubclass(error, HttpResponseError), status, calls) == (True, 302, 1)


class Noted(SansIOHTTPPolicy[Any, Any]):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def on_request(self, request: Any) -> None:
        self.notes.append(f"{self.name} asks")

    async def on_response(self, request: Any, response: Any) -> None:
        self.notes.append(f"{self.name} hears")

    def on_exception(self, request: Any) -> None:
        self.notes.append(f"{self.name} fails")


class Next:
    def __init__(self, *, fails: bool) -> None:
        self.fails = fails

    async def send(self, request: Any) -> Any:
        if self.fails:
            raise ValueError("no answer")
        return "answer"


async def test_policies_in_one_step_see_the_answer_in_the_opposite_order() -> None:
    notes: list[str] = []
    steps: Any = Steps([Noted("a", notes), Noted("b", notes)])
    steps.next = Next(fails=False)

    assert await steps.send("request") == "answer"

    assert notes == ["a asks", "b asks", "b hears", "a hears"]


async def test_policies_in_one_step_are_told_of_a_failure() -> None:
    notes: list[str] = []
    steps: Any = Steps([Noted("a", notes), Noted("b", notes)])
    steps.next = Next(fails=True)

    with pytest.raises(ValueError, match="no answer"):
        await steps.send("request")

    assert notes == ["a asks", "b asks", "b fails", "a fails"]
