"""Rows read and written by requests of our own are the SDK's rows, and errors the SDK's errors."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables import EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from yarl import URL

from shared.adapters import table_client
from shared.adapters.table_calls import Calls, PlainCalls, SdkCalls
from shared.adapters.table_requests import Operation

ODD_KEYS = [
    "reset:8204489199999:r1",
    "find:ticket:inc =27 o=27brien",
    "it's, 'quoted'",
    "100% & more+plus=equals",
    "ümläut 日本 🙂",
    "a.b_c-d~e!f*g(h)i;j:k@l$m,n",
    " ",
]
COLUMNS: dict[str, Any] = {
    "Text": "plain",
    "Empty": "",
    "Long": "ü" * 2_000,
    "Odd": "'\"\\ \r\n\t\u2028<&>",
    "Number": 7,
    "Negative": -(2**31),
    "Wide": EntityProperty(value=2**40, edm_type="Edm.Int64"),
    "Share": 0.25,
    "Yes": True,
    "No": False,
    "At": datetime(2026, 11, 27, 1, 2, 3, 456789, tzinfo=UTC),
    "Raw": b"\x00\xff\x7f",
    "Which": uuid.UUID(int=5),
}


@dataclass
class Account:
    service: TableServiceClient
    table: TableClient

    @property
    def mine(self) -> Calls:
        return PlainCalls(self.service)


@pytest.fixture
async def account(azurite: str) -> AsyncIterator[Account]:
    async with TableServiceClient.from_connection_string(azurite) as service:
        yield Account(service, await service.create_table(f"Calls{uuid.uuid4().hex[:12]}"))


def shown(row: Any) -> tuple[dict[str, Any], Any, type[Any]]:
    """The columns with their types, the metadata, and what the row is."""
    # The SDK's class of its own keeps a seventh digit of a second.
    types = {name: type(v).__name__.removeprefix("TablesEntity").lower() for name, v in row.items()}
    return {"columns": dict(row), "types": types}, dict(row.metadata), type(row)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_row_is_read_as_the_sdk_reads_it(account: Account, key: str) -> None:
    await account.table.create_entity({"PartitionKey": "sales", "RowKey": key, **COLUMNS})

    mine = await account.mine.entity(account.table, "sales", key)
    theirs = await SdkCalls().entity(account.table, "sales", key)

    assert shown(mine) == shown(theirs)
    assert mine["RowKey"] == key
    assert mine.metadata["etag"]


@pytest.mark.parametrize("select", [None, ["RowKey", "At"], ["PartitionKey", "RowKey", "None"]])
async def test_a_range_is_read_as_the_sdk_reads_it(
    account: Account, select: list[str] | None
) -> None:
    for key in ODD_KEYS:
        await account.table.create_entity({"PartitionKey": "sales", "RowKey": key, **COLUMNS})
        await account.table.create_entity({"PartitionKey": "o'ther", "RowKey": key})
    query = "PartitionKey eq @target and RowKey gt @after"

    for target in ("sales", "o'ther", "nobody"):
        for after in ("", *ODD_KEYS):
            for most in (1, 3, 100, None):
                asked: Any = (account.table, query, {"target": target, "after": after})
                mine = await account.mine.find(*asked, most=most, select=select)
                theirs = await SdkCalls().find(*asked, most=most, select=select)

                assert list(map(shown, mine)) == list(map(shown, theirs))
                assert most is None or len(mine) <= most


async def test_a_filter_may_name_more_than_texts(account: Account) -> None:
    for key in ("a", "b'"):
        await account.table.create_entity({"PartitionKey": "sales", "RowKey": key, **COLUMNS})
    asked = {"n": 7, "wide": 2**40, "at": COLUMNS["At"], "yes": True, "which": uuid.UUID(int=5)}
    query = "Number eq @n and Wide eq @wide and At eq @at and Yes eq @yes and RowKey gt @r"

    for after in ("", "a", "b'"):
        find: Any = (account.table, query, {**asked, "r": after})
        mine = await account.mine.find(*find, most=None, select=None)
        theirs = await SdkCalls().find(*find, most=None, select=None)

        assert list(map(shown, mine)) == list(map(shown, theirs))
        assert len(mine) == len([key for key in ("a", "b'") if key > after])


async def test_a_range_of_several_pages_is_read_to_its_end(account: Account) -> None:
    for first in range(0, 1_200, 100):
        rows = [{"PartitionKey": "sales", "RowKey": f"r{n:05d}"} for n in range(first, first + 100)]
        await account.mine.transact(account.table, [table_client.put(row) for row in rows])
    query = "PartitionKey eq @target"

    for most in (999, 1_000, 1_100, 5_000, None):
        found = await account.mine.find(
            account.table, query, {"target": "sales"}, most=most, select=["RowKey"]
        )
        expected = [f"r{n:05d}" for n in range(1_200)][:most]
        assert [row["RowKey"] for row in found] == expected


def writes(key: str, etag: str) -> list[Operation]:
    """Every write of a row that the adapters know."""
    row = {"PartitionKey": "sales", "RowKey": key, **COLUMNS}
    unchanged = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    return [
        ("create", row),
        ("upsert", row, {"mode": UpdateMode.REPLACE}),
        ("upsert", row, {"mode": UpdateMode.MERGE}),
        ("update", row, {"mode": UpdateMode.REPLACE, **unchanged}),
        ("update", row, {"mode": UpdateMode.MERGE, **unchanged}),
        ("delete", row),
        ("delete", row, unchanged),
    ]


KINDS = range(len(writes("", "")))


@dataclass
class Outcome:
    """What a write came to: its error, and the row that is there afterwards."""

    error: tuple[type[Exception], int | None] | None
    row: dict[str, Any] | None
    knows_etag: bool


async def outcome(calls: Calls, table: TableClient, kind: int, key: str, *, there: str) -> Outcome:
    row = {"PartitionKey": "sales", "RowKey": key, "Before": 1}
    etag = "W/\"datetime'2026-11-27T00%3A00%3A00.0000000Z'\""
    if there:
        etag = (await table.create_entity(row))["etag"]
    if there == "changed":
        await table.upsert_entity({**row, "Before": 2})
    written, error = "", None
    try:
        written = await calls.write(table, writes(key, etag)[kind])
    except HttpResponseError as raised:
        error = (type(raised), raised.status_code)
    try:
        found = await table.get_entity("sales", key)
    except ResourceNotFoundError:
        return Outcome(error, None, knows_etag=written == "")
    knows = error is not None or written == found.metadata["etag"]
    return Outcome(error, {**found, "RowKey": ""}, knows_etag=knows)


@pytest.mark.parametrize("there", ["", "unchanged", "changed"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_write_comes_to_what_the_sdks_comes_to(
    account: Account, kind: int, there: str
) -> None:
    for key in ODD_KEYS:
        mine = await outcome(account.mine, account.table, kind, f"m{key}", there=there)
        theirs = await outcome(SdkCalls(), account.table, kind, f"t{key}", there=there)

        assert mine == theirs
        assert mine.knows_etag


class Recorder(AioHttpTransport):  # type: ignore[misc]
    """Keeps what is sent."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        super().__init__()
        self.sent = sent

    async def send(self, request: Any, **kwargs: Any) -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.body or b""
        self.sent.append(
            {
                "method": request.method,
                # aiohttp asks for the same address, however its signs are escaped.
                "url": str(URL(request.url)),
                "headers": headers,
                "body": body.encode() if isinstance(body, str) else body,
            }
        )
        return await super().send(request, **kwargs)


def lasting(sent: dict[str, Any]) -> dict[str, Any]:
    """What does not differ from one request to the next, and is not our choice."""
    mine = {"x-ms-client-request-id", "x-ms-date", "date", "authorization", "prefer"}
    assert set(sent["headers"]) >= mine - {"prefer"}
    headers = {k: v for k, v in sent["headers"].items() if k not in mine}
    if not sent["body"]:
        return {**sent, "headers": headers}
    assert len(sent["body"]) == int(headers.pop("content-length"))
    # Of an insert alone the SDK adds what an entity's text says anyway.
    headers["content-type"] = headers["content-type"].removesuffix(";odata=nometadata")
    # The SDK says of every text that it is one.
    text = json.loads(sent["body"])
    body = {k: v for k, v in text.items() if not (k.endswith("@odata.type") and v == "Edm.String")}
    return {**sent, "headers": headers, "body": body}


async def test_what_is_sent_is_what_the_sdk_sends(azurite: str, account: Account) -> None:
    sent: list[dict[str, Any]] = []
    async with TableServiceClient.from_connection_string(
        azurite, transport=Recorder(sent)
    ) as service:
        table = service.get_table_client(account.table.table_name)
        query, parameters = "PartitionKey eq @target and RowKey gt @after", {"target": "o'h"}
        for number, key in enumerate(ODD_KEYS):
            asked: list[list[dict[str, Any]]] = []
            for calls in (PlainCalls(service), SdkCalls()):
                sent.clear()
                for operation in writes(key, f'W/"{number}"'):
                    with contextlib.suppress(HttpResponseError):
                        await calls.write(table, operation)
                with contextlib.suppress(ResourceNotFoundError):
                    await calls.entity(table, "o'h", key)
                for most, select in ((32, ["RowKey", "Seen"]), (None, None)):
                    more = {**parameters, "after": key}
                    await calls.find(table, query, more, most=most, select=select)
                asked.append([lasting(each) for each in sent])

            mine, theirs = asked
            assert len(mine) == len(theirs) == len(KINDS) + 3
            for my, their in zip(mine, theirs, strict=True):
                assert my == their


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transaction_comes_to_what_the_sdks_comes_to(account: Account, kind: int) -> None:
    for there in (False, True):
        found = []
        for name, calls in (("m", account.mine), ("t", SdkCalls())):
            key, other = f"{name}{there}", f"{name}{there}-other"
            etag = 'W/"1"'
            if there:
                row = {"PartitionKey": "sales", "RowKey": key}
                etag = (await account.table.create_entity(row))["etag"]
            beside = table_client.create({"PartitionKey": "sales", "RowKey": other})
            try:
                etags = await calls.transact(account.table, [beside, writes(key, etag)[kind]])
                result: Any = [bool(each) for each in etags]
            except HttpResponseError as error:
                result = error.status_code
            query = f"RowKey ge '{key}' and RowKey lt '{key}~'"
            rows = await calls.find(account.table, query, {}, most=None, select=["RowKey"])
            found.append((result, [row["RowKey"].removeprefix(name) for row in rows]))

        assert found[0] == found[1]


async def failure(calls: Calls, table: TableClient, query: str) -> Any:
    """What reading raises: its type, status and code."""
    work: Awaitable[object] = (
        calls.find(table, query, {}, most=1, select=None)
        if query
        else calls.entity(table, "sales", "nothing")
    )
    with pytest.raises(HttpResponseError) as raised:
        await work
    error: Any = raised.value
    return type(error), error.status_code, getattr(error, "error_code", None)


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("", True),
        ("", False),
        ("PartitionKey eq 'sales'", False),
        ("this is ( not a filter", True),
        ("this is ( not a filter", False),
    ],
)
async def test_an_error_is_the_sdks(azurite: str, query: str, *, there: bool) -> None:
    async with TableServiceClient.from_connection_string(azurite) as service:
        table = service.get_table_client(f"Calls{uuid.uuid4().hex[:12]}")
        if there:
            await table.create_table()

        mine = await failure(PlainCalls(service), table, query)
        theirs = await failure(SdkCalls(), table, query)

    assert mine == theirs
    if not query:
        assert mine[0] is ResourceNotFoundError
