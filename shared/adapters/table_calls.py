"""
Read and write rows by requests of our own, without the SDK's generated layer in between.

That layer builds and takes apart every request by a description of each parameter and header,
which is a third of what a call costs; an idle sweep is five hundred reads. Signature, retries,
connection, the types of columns and the errors stay the SDK's. A test holds what is read, written
and raised against the SDK's own.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import quote
from uuid import uuid4

import msgspec
from azure.core.exceptions import DecodeError, HttpResponseError
from azure.core.pipeline.transport import AsyncHttpResponse
from azure.data.tables._error import _process_table_error
from azure.data.tables._policies import StorageHosts
from azure.data.tables._serialize import _parameter_filter_substitution  # quotes what is asked for
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters import table_batch
from shared.adapters.storage_pipeline import Requests, new_request_id
from shared.adapters.table_entities import entity_of
from shared.adapters.table_requests import Operation, place_of, read_headers, write_of

_raise: Final[Callable[[HttpResponseError, str], NoReturn]] = _process_table_error
IDLE: Final = (StorageHosts,)
"""Of the client's own policies, what does nothing here."""

_NEXT: Final = {
    "NextPartitionKey": "x-ms-continuation-NextPartitionKey",
    "NextRowKey": "x-ms-continuation-NextRowKey",
}
"""The parameters of the next page, and the headers in which they come."""


class Calls(Protocol):
    """How the rows of a table are read and written; rows and errors are the SDK's."""

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        """Return the row; raise ResourceNotFoundError where there is none."""

    async def find(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int | None,
        select: Sequence[str] | None,
    ) -> list[Any]:
        """Return the first rows that the filter finds, or all; no page after those is read."""

    async def write(self, client: TableClient, operation: Operation) -> str:
        """Return the row's new ETag, "" for one that was deleted or was not there to delete."""

    async def transact(self, client: TableClient, operations: Sequence[Operation]) -> list[str]:
        """
        Return each row's new ETag, "" for one that was deleted.

        Raise HttpResponseError with the status of the row that was refused, or of the whole.
        """


class SdkCalls:
    """By the SDK's own methods."""

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        return await client.get_entity(partition, key)

    async def find(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int | None,
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

    async def write(self, client: TableClient, operation: Operation) -> str:
        options: Mapping[str, Any] = operation[2] if len(operation) > 2 else {}
        wrote = await getattr(client, f"{operation[0]}_entity")(operation[1], **options)
        return str(wrote["etag"]) if wrote else ""

    async def transact(self, client: TableClient, operations: Sequence[Operation]) -> list[str]:
        results = await client.submit_transaction(operations)
        return [str(each.get("etag") or "") for each in results]


class PlainCalls:
    """By requests of our own."""

    def __init__(self, service: TableServiceClient) -> None:
        """*service* is the client of the account; what it has open is used."""
        transport = service._client._client._pipeline._transport  # noqa: SLF001 -- as its own tables
        self._requests = Requests(transport, service._policies, idle=IDLE)  # noqa: SLF001
        # A secondary may be late, and is never written to.
        self._endpoint = f"{service.scheme}://{service._primary_hostname}"  # noqa: SLF001
        self._version = service.api_version

    async def entity(self, client: TableClient, partition: str, key: str) -> Any:
        place = place_of(client.table_name, partition, key)
        return _read_as(entity_of, await self._read(client, place))

    async def find(
        self,
        client: TableClient,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int | None,
        select: Sequence[str] | None,
    ) -> list[Any]:
        asked = quote(_parameter_filter_substitution(dict(parameters), query), safe="")
        place = f"{client.table_name}()?{_limits(most, tuple(select or ()))}$filter={asked}"
        found: list[Any] = []
        after = ""
        while most is None or len(found) < most:
            answer = await self._read(client, f"{place}{after}")
            found += _read_as(_rows, answer)
            after = _next_page(answer.headers)
            if not after:
                break
        return found[:most]

    async def _read(self, client: TableClient, place: str) -> AsyncHttpResponse:
        answer = await self._send("GET", place, read_headers(self._version))
        return _checked(answer, client, 200)

    async def _send(
        self, method: str, place: str, headers: dict[str, str], body: bytes | None = None
    ) -> AsyncHttpResponse:
        headers["x-ms-client-request-id"] = new_request_id()
        return await self._requests.send(method, f"{self._endpoint}/{place}", headers, body)

    async def write(self, client: TableClient, operation: Operation) -> str:
        request = write_of(operation, table=client.table_name, version=self._version)
        answer = await self._send(
            request.method, request.place, request.headers, request.text.encode() or None
        )
        if answer.status_code == 404 and operation[0] == "delete":
            return ""
        return str(_checked(answer, client, 201, 204).headers.get("ETag", ""))

    async def transact(self, client: TableClient, operations: Sequence[Operation]) -> list[str]:
        table, version, mark = client.table_name, self._version, str(uuid4())
        rows = [write_of(each, table=table, version=version) for each in operations]
        answer = await self._send(
            "POST",
            "$batch",
            table_batch.headers_of(mark, version=version),
            table_batch.written(rows, mark, endpoint=self._endpoint),
        )
        if answer.status_code != 202:
            raise HttpResponseError(response=answer)
        return table_batch.etags(_body(answer), len(operations))


def _checked(answer: AsyncHttpResponse, client: TableClient, *good: int) -> AsyncHttpResponse:
    if answer.status_code not in good:
        try:
            _raise(HttpResponseError(response=answer), client.table_name)
        except (LookupError, TypeError, ValueError, zlib.error) as error:
            # What stands between may answer with a page of its own, in any encoding.
            raise HttpResponseError(response=answer) from error
    return answer


def _read_as[T](read: Callable[[dict[str, Any]], T], answer: AsyncHttpResponse) -> T:
    try:
        return read(msgspec.json.decode(_body(answer), type=dict))
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DecodeError("table storage answered no rows", response=answer) from error


def _rows(content: Mapping[str, Any]) -> list[Any]:
    return [entity_of(each) for each in content["value"]]


def _body(answer: AsyncHttpResponse) -> bytes:
    try:
        return answer.body()
    except zlib.error as error:
        raise DecodeError("table storage answered what cannot be unpacked") from error


@lru_cache(maxsize=64)
def _limits(most: int | None, select: tuple[str, ...]) -> str:
    top = f"$top={most}&" if most is not None else ""
    return f"{top}$select={quote(','.join(select), safe='')}&" if select else top


def _next_page(headers: Mapping[str, str]) -> str:
    """Return the parameters that ask for the next page, if there is one."""
    found = {name: headers.get(header) for name, header in _NEXT.items()}
    return "".join(f"&{name}={quote(value, safe='')}" for name, value in found.items() if value)
