"""Call one table of Azure Table Storage: time limits, ETags and the client's errors end here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.table_calls import Calls, SdkCalls
from shared.adapters.table_requests import Operation
from shared.adapters.table_rows import Entity
from shared.domain.errors import Conflict, StorageUnavailable

CALL_TIMEOUT: Final = 60.0
"""Seconds of one call, the client's retries and their Retry-After included."""

_LOST_RACE: Final = frozenset({404, 409, 412})


class Table:
    """
    One table.

    Every method raises StorageUnavailable where the table does not answer, after the client's own
    retries; then it is unknown whether a write took place. A lost race is a Conflict.
    """

    def __init__(self, client: TableClient, *, calls: Calls | None = None) -> None:
        """*calls* reads and writes the rows; the SDK does where none is given."""
        self._client = client
        self._calls = calls or SdkCalls()

    async def get(self, partition: str, key: str) -> Any | None:
        try:
            return await _call(
                self._calls.entity(self._client, partition, key), ResourceNotFoundError
            )
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) == "TableNotFound":
                name = self._client.table_name
                raise StorageUnavailable(f"table {name} is missing") from error
            return None

    async def create(self, entity: Entity) -> str:
        """Return the new row's ETag; raise Conflict where the row exists."""
        try:
            return await self._write(create(entity), ResourceExistsError)
        except ResourceExistsError as error:
            raise Conflict(f"{entity['RowKey']} exists") from error

    async def replace(self, entity: Entity, etag: str) -> str:
        """Return the row's new ETag; raise Conflict where the row has changed or is gone."""
        return await self._update(entity, etag, UpdateMode.REPLACE)

    async def write_own(self, entity: Entity, etag: str, *, write_id: str) -> str:
        """
        Create the row, or replace it under its ETag; return the new ETag, or raise Conflict.

        The client repeats a call whose answer was lost, where it may. The repeated call then meets
        its own success as a conflict: the WriteId shows whose success it was.
        """
        marked = {**entity, "WriteId": write_id}
        try:
            return await self.replace(marked, etag) if etag else await self.create(marked)
        except (Conflict, StorageUnavailable):
            there = await self.get(str(entity["PartitionKey"]), str(entity["RowKey"]))
            if there is None or there.get("WriteId") != write_id:
                raise
            return etag_of(there)

    async def merge(self, entity: Entity, etag: str) -> str:
        """Write the given columns alone; raise Conflict where the row has changed or is gone."""
        return await self._update(entity, etag, UpdateMode.MERGE)

    async def _update(self, entity: Entity, etag: str, mode: UpdateMode) -> str:
        try:
            return await self._write(
                _update(entity, etag, mode), ResourceModifiedError, ResourceNotFoundError
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Conflict(f"{entity['RowKey']} has changed") from error

    async def put(self, entity: Entity) -> None:
        """Insert or replace, whatever the row held."""
        await self._write(put(entity))

    async def merge_in(self, entity: Entity) -> None:
        """Insert, or write the given columns alone, whatever they held."""
        await self._write(("upsert", entity, {"mode": UpdateMode.MERGE}))

    async def delete(self, partition: str, key: str) -> None:
        """Delete the row; one that is gone is left alone."""
        await self._write(delete({"PartitionKey": partition, "RowKey": key}))

    async def _write(self, operation: Operation, *expected: type[AzureError]) -> str:
        return await _call(self._calls.write(self._client, operation), *expected)

    async def transact(self, operations: Sequence[Operation]) -> list[str] | None:
        """
        Return each row's new ETag, or None where the transaction did not succeed for sure.

        None is a lost race, or an answer that was lost: read the row to find out which.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                # Of a row that was deleted it is empty.
                return await self._calls.transact(self._client, operations)
        except HttpResponseError as error:
            if error.status_code not in _LOST_RACE and not _ambiguous(error):
                raise StorageUnavailable(f"transaction: {error.status_code}") from error
            return None
        except (AzureError, TimeoutError):
            return None

    async def rows(
        self,
        query: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Any]:
        """Yield every row that the filter finds; they are read before the first is given."""
        for entity in await self._find(query, parameters or {}, most=None, select=select):
            yield entity

    async def first(
        self,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int,
        select: Sequence[str] | None = None,
    ) -> list[Any]:
        """Return the first rows that the filter finds; no page after those is read."""
        return await self._find(query, parameters, most=most, select=select)

    async def _find(
        self,
        query: str,
        parameters: Mapping[str, Any],
        *,
        most: int | None,
        select: Sequence[str] | None,
    ) -> list[Any]:
        found = self._calls.find(self._client, query, parameters, most=most, select=select)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await found
        except (AzureError, TimeoutError) as error:
            raise StorageUnavailable(f"table storage: {type(error).__name__}") from error


def create(entity: Entity) -> Operation:
    return ("create", entity)


def put(entity: Entity) -> Operation:
    return ("upsert", entity, {"mode": UpdateMode.REPLACE})


def delete(entity: Entity, etag: str = "") -> Operation:
    """Delete the row; under its ETag where one is given."""
    if not etag:
        return ("delete", entity)
    return ("delete", entity, {"etag": etag, "match_condition": MatchConditions.IfNotModified})


def replace(entity: Entity, etag: str) -> Operation:
    """Replace the row under its ETag; create it where it has none yet."""
    if not etag:
        return create(entity)
    return _update(entity, etag, UpdateMode.REPLACE)


def _update(entity: Entity, etag: str, mode: UpdateMode) -> Operation:
    condition = {"mode": mode, "etag": etag, "match_condition": MatchConditions.IfNotModified}
    return ("update", entity, condition)


def merge(entity: Entity, etag: str) -> Operation:
    """Write the given columns alone, under the row's ETag."""
    return _update(entity, etag, UpdateMode.MERGE)


def move(before: Mapping[str, Entity], after: Mapping[str, Entity]) -> list[Operation]:
    """Replace rows of an index: those of *before* go, those of *after* are as if never sent."""
    gone = [delete(row) for key, row in before.items() if key not in after]
    return [*gone, *map(put, after.values())]


def etag_of(entity: Any) -> str:
    return str(entity.metadata["etag"])


async def _call[T](call: Awaitable[T], *expected: type[AzureError]) -> T:
    """Let the *expected* errors through; every other one is StorageUnavailable."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            return await call
    except TimeoutError as error:
        raise StorageUnavailable("table storage did not answer in time") from error
    except HttpResponseError as error:
        if error.status_code == 412 and ResourceModifiedError in expected:
            raise ResourceModifiedError(response=error.response) from error
        if isinstance(error, expected):
            raise
        raise StorageUnavailable(f"table storage answered {error.status_code}") from error
    except AzureError as error:
        raise StorageUnavailable(f"table storage: {type(error).__name__}") from error


def _ambiguous(error: HttpResponseError) -> bool:
    return error.status_code is None or error.status_code >= 500
