"""Rows read by requests of our own are the SDK's rows, and errors the SDK's errors."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters import table_batch, table_client
from shared.adapters.table_read import PlainReads, SdkReads

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


@pytest.fixture
async def table(azurite: str) -> AsyncIterator[TableClient]:
    async with TableServiceClient.from_connection_string(azurite) as service:
        yield await service.create_table(f"Reads{uuid.uuid4().hex[:12]}")


def shown(row: Any) -> tuple[dict[str, Any], Any, type[Any]]:
    """The columns with their types, the metadata, and what the row is."""
    types = {name: type(value).__name__ for name, value in row.items()}
    return {"columns": dict(row), "types": types}, dict(row.metadata), type(row)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_row_is_read_as_the_sdk_reads_it(table: TableClient, key: str) -> None:
    await table.create_entity({"PartitionKey": "sales", "RowKey": key, **COLUMNS})

    mine = await PlainReads().entity(table, "sales", key)
    theirs = await SdkReads().entity(table, "sales", key)

    assert shown(mine) == shown(theirs)
    assert mine["RowKey"] == key
    assert mine.metadata["etag"]


@pytest.mark.parametrize("select", [None, ["RowKey", "At"], ["PartitionKey", "RowKey", "None"]])
async def test_a_range_is_read_as_the_sdk_reads_it(
    table: TableClient, select: list[str] | None
) -> None:
    for key in ODD_KEYS:
        await table.create_entity({"PartitionKey": "sales", "RowKey": key, **COLUMNS})
        await table.create_entity({"PartitionKey": "o'ther", "RowKey": key})
    query = "PartitionKey eq @target and RowKey gt @after"

    for target in ("sales", "o'ther", "nobody"):
        for after in ("", *ODD_KEYS):
            for most in (1, 3, 100):
                asked: Any = (table, query, {"target": target, "after": after})
                mine = await PlainReads().first(*asked, most=most, select=select)
                theirs = await SdkReads().first(*asked, most=most, select=select)

                assert list(map(shown, mine)) == list(map(shown, theirs))
                assert len(mine) <= most


async def test_a_range_of_several_pages_is_read_to_its_end(table: TableClient) -> None:
    for first in range(0, 1_200, 100):
        rows = [{"PartitionKey": "sales", "RowKey": f"r{n:05d}"} for n in range(first, first + 100)]
        await table_batch.submit(table, [table_client.put(row) for row in rows])
    query = "PartitionKey eq @target"

    for most in (999, 1_000, 1_100, 5_000):
        found = await PlainReads().first(
            table, query, {"target": "sales"}, most=most, select=["RowKey"]
        )
        assert [row["RowKey"] for row in found] == [f"r{n:05d}" for n in range(min(most, 1_200))]


async def failure(reads: PlainReads | SdkReads, table: TableClient, query: str) -> Any:
    """What reading raises: its type, status and code."""
    work: Awaitable[object] = (
        reads.first(table, query, {}, most=1, select=None)
        if query
        else reads.entity(table, "sales", "nothing")
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
        table = service.get_table_client(f"Reads{uuid.uuid4().hex[:12]}")
        if there:
            await table.create_table()

        mine = await failure(PlainReads(), table, query)
        theirs = await failure(SdkReads(), table, query)

    assert mine == theirs
    if not query:
        assert mine[0] is ResourceNotFoundError
