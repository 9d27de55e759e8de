"""
Read rows: the SDK's pipeline and its decoding of a row, without its generated layer in between.

That layer builds and takes apart every request by a description of each parameter and header,
which is a third of what a read costs; an idle sweep is five hundred reads. Signature, retries,
connection and errors stay the SDK's. A test holds what is read against the SDK's own reads.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import quote

import msgspec
from azure.core.exceptions import DecodeError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables._deserialize import _convert_to_entity  # the types of its columns
from azure.data.tables._error import _process_table_error
from azure.data.tables._serialize import _parameter_filter_substitution  # quotes what is asked for
from azure.data.tables.aio import TableClient

_row: Final[Callable[[Mapping[str, Any]], Any]] = _convert_to_entity
_raise: Final[Callable[[HttpResponseError, str], NoReturn]] = _process_table_error
_OK: Final = 200
_NEXT: Final = {
    "NextPartitionKey": "x-ms-continuation-NextPartitionKey",
    "NextRowKey": "x-ms-continuation-NextRowKey",
}
"""The parameters of the next page, and the headers in which they come."""


class Reads(Protocol):
    """How rows are read; rows and errors are the SDK's."""

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        """Return the row; raise ResourceNotFoundError where there is none."""

    async def first(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int,
        select: Sequence[str] | None,
    ) -> list[Any]:
        """Return the first rows that the filter finds; no page after those is read."""


class SdkReads:
    """By the SDK's own methods."""

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        return await client.get_entity(partition, key)

    async def first(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int,
        select: Sequence[str] | None,
    ) -> list[Any]:
        pages = client.query_entities(
            query,
            parameters=dict(parameters),
            results_per_page=most,
            select=list(select) if select else None,
        )
        found: list[Any] = []
        async for row in pages:
            found.append(row)
            if len(found) == most:
                break
        return found


class PlainReads:
    """By requests of its own through the SDK's pipeline."""

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        place = f"(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(key)}')"
        content, _ = await _ask(client, place, {})
        return _row(content)

    async def first(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int,
        select: Sequence[str] | None,
    ) -> list[Any]:
        asked = {"$filter": _parameter_filter_substitution(dict(parameters), query)}
        asked["$top"] = str(most)
        if select:
            asked["$select"] = ",".join(select)
        found: list[Any] = []
        after: dict[str, str] = {}
        while len(found) < most:
            content, after = await _ask(client, "()", asked | after)
            found += map(_row, content["value"])
            if not after:
                break
        return found[:most]


async def _ask(
    client: TableClient, place: str, parameters: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the service says, and which parameters ask for the next page, if there is one."""
    endpoint = f"{client.scheme}://{client._primary_hostname}"  # noqa: SLF001 -- a secondary may be late
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    request = HttpRequest(
        "GET",
        f"{endpoint}/{client.table_name}{place}{'?' if query else ''}{query}",
        headers={
            "x-ms-version": client.api_version,
            "DataServiceVersion": "3.0",
            "Accept": "application/json;odata=minimalmetadata",
        },
    )
    response = await client._client.send_request(request)  # noqa: SLF001 -- the pipeline
    if response.status_code != _OK:
        _raise(HttpResponseError(response=response), client.table_name)
    try:
        content: dict[str, Any] = msgspec.json.decode(response.content, type=dict)
    except msgspec.DecodeError as error:
        raise DecodeError("table storage answered no JSON", response=response) from error
    headers = response.headers
    return content, {name: headers[h] for name, h in _NEXT.items() if headers.get(h)}


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")
