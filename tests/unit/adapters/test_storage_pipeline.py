"""Requests of our own go through what signs, retries, names and traces those of the SDK."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport, HttpRequest
from azure.core.settings import settings
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient
from yarl import URL

from shared.adapters import queue_send, table_calls, table_client
from shared.adapters.queue_send import PlainSend, Send, send_by_sdk
from shared.adapters.queues import StorageQueues
from shared.adapters.storage_pipeline import Steps, needed
from shared.adapters.table_calls import Calls, PlainCalls, SdkCalls
from shared.adapters.table_client import Table
from shared.adapters.table_rows import Entity
from shared.bootstrap import APP_DIR, queue_service
from shared.config import Settings
from shared.domain.errors import Conflict, StorageUnavailable
from shared.use_cases.submit import ANSWERS_WITHIN

AZURITE = {"ResetStorage": "UseDevelopmentStorage=true"}
KEY = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
MESSAGE = (
    b"<QueueMessagesList><QueueMessage><MessageId>m</MessageId><PopReceipt>p</PopReceipt>"
    b"</QueueMessage></QueueMessagesList>"
)
ROW = b'{"PartitionKey": "sales", "RowKey": "r1"}'


class Answers(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Keeps what is sent, and answers each request with a row."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.sent: list[HttpRequest] = []

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, request: HttpRequest, **_: Any) -> Any:
        self.sent.append(request)
        return Answer(request, self.status)


class Answer(AsyncHttpResponse):
    def __init__(self, request: HttpRequest, status: int) -> None:
        super().__init__(request, None)
        self.status_code, self.content_type = status, "application/json"

    def body(self) -> bytes:
        return ROW


class Credential:
    """Gives tokens that last as long as it is told."""

    def __init__(self, lasts: float) -> None:
        self.lasts, self.given = lasts, 0
        self.tenants: list[str | None] = []

    async def get_token(self, *scopes: str, tenant_id: str | None = None, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        self.tenants.append(tenant_id)
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


@pytest.fixture(params=[False, True])
def traces(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether OpenTelemetry is set up, as its distribution for Azure Monitor does it."""
    settings.tracing_enabled = request.param
    yield request.param
    settings.tracing_enabled.unset_value()


def test_what_signs_names_retries_and_traces_a_request_is_kept(*, traces: bool) -> None:
    tables = TableServiceClient.from_connection_string(f"{KEY}TableEndpoint=http://127.0.0.1:9/a;")
    queues = QueueServiceClient.from_connection_string(f"{KEY}QueueEndpoint=http://127.0.0.1:9/a;")
    of_queues = [getattr(each, "_policy", each) for each in queues._pipeline._impl_policies]
    tracing = ["DistributedTracingPolicy"] if traces else []

    table_policies = needed(tables._policies, idle=table_calls.IDLE)
    queue_policies = needed(of_queues, idle=queue_send.IDLE)

    named = ["RequestIdPolicy", "StorageHeadersPolicy", "UserAgentPolicy"]
    assert names(table_policies) == [
        [*named, "SharedKeyCredentialPolicy"],
        "AsyncTablesRetryPolicy",
        *([tracing] if tracing else []),
    ]
    assert names(queue_policies) == [
        ["UserAgentPolicy"],
        "ExponentialRetry",
        ["StorageHeadersPolicy", "SharedKeyCredentialPolicy", *tracing],
    ]
    theirs = [*tables._policies, *of_queues]
    assert not any(mine is each for mine in table_policies + queue_policies for each in theirs)


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


async def test_a_managed_identitys_token_goes_with_messages_too() -> None:
    transport, credential = Answers(status=201), Credential(3_600)
    service = QueueServiceClient(
        "https://a.queue.core.windows.net", credential=credential, transport=transport
    )
    send = PlainSend(service)

    for _ in range(2):
        await send(service.get_queue_client("rows"), "text")

    assert credential.given == 1
    sent = [request.headers["Authorization"] for request in transport.sent]
    assert sent == ["Bearer token-1"] * 2


SIGNED = "sv=2024-01-01&ss=qt&srt=sco&sp=rwdlacup&se=2030-01-01T00%3A00%3A00Z&sig=a%2Bb%2Fc%3D"


async def test_a_message_is_sent_with_a_shared_access_signature() -> None:
    asked = []
    for make in (PlainSend, lambda _: send_by_sdk):
        async with serving(201, MESSAGE, "application/xml") as (port, paths):
            connection = f"QueueEndpoint=http://127.0.0.1:{port}/a;SharedAccessSignature={SIGNED}"
            async with QueueServiceClient.from_connection_string(connection) as service:
                await make(service)(service.get_queue_client("rows"), "text")
        asked += paths

    mine, theirs = map(URL, asked)
    assert mine == theirs
    assert mine.query["sig"] == "a+b/c="
    assert mine.query["messagettl"] == "-1"


async def test_a_row_is_read_and_written_with_a_shared_access_signature() -> None:
    row: Entity = {"PartitionKey": "sales", "RowKey": "it's 100%"}
    asked = []
    for make in (PlainCalls, lambda _: SdkCalls()):
        async with serving(200, ROW, "application/json") as (port, paths):
            connection = f"TableEndpoint=http://127.0.0.1:{port}/a;SharedAccessSignature={SIGNED}"
            async with TableServiceClient.from_connection_string(connection) as service:
                table, calls = service.get_table_client("Rows"), make(service)
                await calls.entity(table, "sales", "it's 100%")
                for write in (table_client.put(row), table_client.create(row)):
                    with contextlib.suppress(AzureError):
                        await calls.write(table, write)
                with contextlib.suppress(AzureError):
                    await calls.transact(table, [table_client.put(row)])
        asked.append([URL(path) for path in paths])

    mine, theirs = asked
    assert mine == theirs
    assert [each.query["sig"] for each in mine] == ["a+b/c="] * 4


class Challenges(Answers):
    """Refuses the first token, and says whose it wants, as storage does."""

    async def send(self, request: HttpRequest, **_: Any) -> Any:
        answer = await super().send(request)
        if len(self.sent) == 1:
            self.tokens = [request.headers["Authorization"]]
            answer.status_code = 401
            answer.headers["WWW-Authenticate"] = (
                f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize"
                " resource_id=https://storage.azure.com"
            )
        else:
            self.tokens.append(request.headers["Authorization"])
        return answer


TENANT = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("service", ["table", "queue"])
async def test_a_token_of_the_tenant_that_storage_names_is_asked_for(service: str) -> None:
    credential = Credential(3_600)
    transport = Challenges(200 if service == "table" else 201)
    account = f"https://a.{service}.core.windows.net"
    if service == "table":
        tables = TableServiceClient(account, credential=credential, transport=transport)
        await PlainCalls(tables).entity(tables.get_table_client("Rows"), "sales", "r1")
    else:
        queues = QueueServiceClient(account, credential=credential, transport=transport)
        await PlainSend(queues)(queues.get_queue_client("rows"), "text")

    assert transport.tokens == ["Bearer token-1", "Bearer token-2"]
    assert credential.tenants == [None, TENANT]


async def test_a_token_is_never_sent_in_the_clear() -> None:
    transport = Answers()
    service = TableServiceClient(
        "https://a.table.core.windows.net", credential=Credential(60), transport=transport
    )
    table = service.get_table_client("Rows")
    service.scheme = "http"

    with pytest.raises(AzureError):
        await PlainCalls(service).entity(table, "sales", "r1")

    assert not transport.sent


@contextlib.asynccontextmanager
async def serving(
    status: int, body: bytes, kind: str, *, encoding: str = "identity"
) -> AsyncIterator[tuple[int, list[str]]]:
    """A service that answers all alike: its port, and what it was asked for."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        await request.read()
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        return web.Response(status=status, body=body, headers=headers)

    async with listening(answer) as port:
        yield port, paths


@contextlib.asynccontextmanager
async def listening(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Failing(NamedTuple):
    """What a call comes to, and how often it was asked, where the answers are bad at first."""

    read: Callable[..., Any]
    send: Callable[..., Any]


@pytest.fixture
async def failing() -> AsyncIterator[Failing]:
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
        body = {200: ROW, 201: MESSAGE}.get(status, b"")
        kind = "application/xml" if status == 201 else "application/json"
        return web.Response(status=status or 500, body=body, content_type=kind, headers=moved)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    async def sent(first: list[int], make: Callable[[QueueServiceClient], Send]) -> Any:
        statuses[:], asked[:] = first, []
        connection = f"{KEY}QueueEndpoint=http://127.0.0.1:{port}/a;"
        options: dict[str, Any] = {"initial_backoff": 0, "increment_base": 0}
        options |= {"random_jitter_range": 0, "retry_total": 2}
        async with QueueServiceClient.from_connection_string(connection, **options) as service:
            try:
                await make(service)(service.get_queue_client("rows"), "text")
            except AzureError as error:
                status = error.status_code if isinstance(error, HttpResponseError) else None
                return type(error), status, len(asked)
            return None, 201, len(asked)

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

    yield Failing(read=outcome, send=sent)
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
    failing: Failing, statuses: list[int], calls: int | None
) -> None:
    async with asyncio.timeout(60):
        mine = await failing.read(statuses, PlainCalls)
        theirs = await failing.read(statuses, lambda _: SdkCalls())

    assert mine == theirs
    assert calls in {None, mine[2]}


@pytest.mark.parametrize(
    ("statuses", "calls"),
    [
        ([201], 1),
        ([503, 201], 2),
        ([500, 408, 201], 3),
        ([503, 503, 503], 3),
        ([429], 1),
        ([0, 201], 2),
        ([0, 0, 0], 3),
        ([403], 1),
        ([404], 1),
    ],
)
async def test_a_message_is_sent_again_as_the_sdk_sends_it_again(
    failing: Failing, statuses: list[int], calls: int
) -> None:
    async with asyncio.timeout(60):
        mine = await failing.send(statuses, PlainSend)
        theirs = await failing.send(statuses, lambda _: send_by_sdk)

    # Of what was refused for good, the SDK raises more particular errors.
    assert mine[1:] == theirs[1:]
    assert (mine[0] is None) == (theirs[0] is None)
    assert mine[2] == calls


@pytest.mark.parametrize("status", [403, 404, 409, 500])
async def test_what_a_queue_answered_is_said(status: int) -> None:
    said = []
    for make in (PlainSend, lambda _: send_by_sdk):
        async with serving(status, b"<Error/>", "application/xml") as (port, _):
            connection = f"{KEY}QueueEndpoint=http://127.0.0.1:{port}/a;"
            async with QueueServiceClient.from_connection_string(
                connection, retry_total=0
            ) as service:
                queue = service.get_queue_client("rows")
                queues = StorageQueues(queue, queue, queue, {}, send=make(service))
                with pytest.raises(StorageUnavailable) as raised:
                    await queues.follow_up("r1")
        said.append(str(raised.value))

    assert said == [f"queue rows answered {status}"] * 2


async def test_a_request_is_not_sent_on_to_where_an_answer_points(failing: Failing) -> None:
    async with asyncio.timeout(60):
        error, status, calls = await failing.read([302], PlainCalls)

    assert (issubclass(error, HttpResponseError), status, calls) == (True, 302, 1)


LATIN = "<html><h1>Accès refusé</h1></html>".encode("latin-1")
ODD_ANSWERS = {
    "a page in another encoding": (403, LATIN, "text/html; charset=utf-8"),
    "a page in an encoding that nobody knows": (502, LATIN, "text/html; charset=x-odd"),
    "an error that holds nothing": (400, b'{"odata.error": null}', "application/json"),
    "an error of another shape": (400, b'{"odata.error": {"message": "no"}}', "application/json"),
    "nothing": (200, b"", "application/json"),
    "half a row": (200, b'{"PartitionKey": "sal', "application/json"),
    "a page": (200, LATIN, "text/html"),
    "a list": (200, b"[]", "application/json"),
    "rows that are none": (200, b'{"value": [1]}', "application/json"),
    "no rows": (200, b'{"value": null, "x@odata.type": 7}', "application/json"),
    "a time that is none": (
        200,
        b'{"PartitionKey": "sales", "Timestamp": "soon", "value": [{"Timestamp": "soon"}]}',
        "application/json",
    ),
    "parts of which none is whole": (202, b"--batch_1\r\n\r\nHTT", "multipart/mixed; boundary=b"),
}


@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_an_answer_that_is_not_the_services_says_that_storage_is_unavailable(
    odd: str,
) -> None:
    status, body, kind = ODD_ANSWERS[odd]
    row: Entity = {"PartitionKey": "sales", "RowKey": "r1"}
    async with serving(status, body, kind) as (port, _):
        connection = f"{KEY}TableEndpoint=http://127.0.0.1:{port}/a;"
        async with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
            table = Table(service.get_table_client("Rows"), calls=PlainCalls(service))
            for call in (
                lambda: table.first("PartitionKey eq 'sales'", {}, most=5),
                lambda: table.create(row),
                lambda: table.put(row),
                lambda: table.merge(row, "W/1"),
                lambda: table.delete("sales", "r1"),
            ):
                with pytest.raises(StorageUnavailable):
                    await call()
            if odd not in {"rows that are none", "no rows"}:
                with pytest.raises(StorageUnavailable):
                    await table.get("sales", "r1")


@pytest.mark.parametrize(
    ("code", "error"),
    [("EntityAlreadyExists", Conflict), ("TableBeingDeleted", StorageUnavailable)],
)
async def test_a_row_exists_only_where_the_service_says_so(
    code: str, error: type[Exception]
) -> None:
    body = b'{"odata.error": {"code": "%s", "message": {"value": "no"}}}' % code.encode()
    async with serving(409, body, "application/json") as (port, _):
        connection = f"{KEY}TableEndpoint=http://127.0.0.1:{port}/a;"
        async with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
            table = Table(service.get_table_client("Rows"), calls=PlainCalls(service))
            with pytest.raises(error):
                await table.create({"PartitionKey": "sales", "RowKey": "r1"})


@pytest.mark.parametrize("row_key", ["1!8!cjErLz0-", "a+b/c=&d%20e?#", ""])
async def test_the_next_page_is_asked_for_by_what_the_service_gave(row_key: str) -> None:
    after = {"NextPartitionKey": "1!8!c2F+bGVz/w==", "NextRowKey": row_key}
    after = {name: value for name, value in after.items() if value}
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append({name: v for name, v in request.query.items() if name.startswith("Next")})
        headers = {f"x-ms-continuation-{name}": value for name, value in after.items()}
        return web.json_response(
            {"value": [{"PartitionKey": "sales", "RowKey": f"r{len(asked)}"}]},
            headers=headers if len(asked) == 1 else {},
        )

    async with listening(answer) as port:
        connection = f"{KEY}TableEndpoint=http://127.0.0.1:{port}/a;"
        async with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
            table = service.get_table_client("Rows")
            found = await PlainCalls(service).find(table, "true", {}, most=None, select=None)

    assert asked == [{}, after]
    assert [row["RowKey"] for row in found] == ["r1", "r2"]


async def test_a_transaction_whose_answer_cannot_be_unpacked_may_have_taken_place() -> None:
    row: Entity = {"PartitionKey": "sales", "RowKey": "r1"}
    async with serving(202, b"not gzip", "multipart/mixed; boundary=b", encoding="gzip") as (
        port,
        _,
    ):
        connection = f"{KEY}TableEndpoint=http://127.0.0.1:{port}/a;"
        async with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
            table = Table(service.get_table_client("Rows"), calls=PlainCalls(service))
            assert await table.transact([table_client.put(row)]) is None


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


async def test_a_message_is_tried_again_within_what_a_webhook_may_take() -> None:
    """One dropped connection costs it three seconds at most, and two of them eight."""
    settings = Settings.from_environ(AZURITE, app_dir=APP_DIR)
    assert settings.storage is not None
    async with queue_service(settings, settings.storage) as service:
        policy: Any = service._config.retry_policy
        tries = policy.total_retries
        waits = [
            max(policy.get_backoff_time({"count": count}) for _ in range(1_000))
            for count in range(1, tries + 1)
        ]

    assert len(waits) == 2
    assert waits[0] <= 3
    assert sum(waits) <= ANSWERS_WITHIN.total_seconds()
