"""
Azure's table and queue clients in memory: what the real adapters call, with the real errors.

The adapters (`TableStore`, `StorageQueues`) run unchanged over these. The contract tests hold them
against Azurite.
"""

import bisect
import itertools
import operator
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from azure.core.exceptions import (
    DecodeError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient
from azure.storage.queue.aio import QueueClient

from shared.adapters.queues import StorageQueues
from shared.adapters.table_store import TableStore
from shared.names import IDS_TABLE, QUEUES, RESETS_TABLE
from tests.support.faults import Faults

Pause = Callable[[str], Awaitable[None]]
"""Called before each I/O with its name: others may go on meanwhile."""

_numbers = itertools.count(1)
_LONGEST_COLUMN = 32_768


class Response:
    """As much of an HTTP response as the errors look at."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.reason = str(status)
        self.headers: dict[str, str] = {}

    def text(self, encoding: str | None = None) -> str:
        del encoding
        return ""

    def body(self) -> bytes:
        return b""


def http_error(kind: type[HttpResponseError], status: int) -> HttpResponseError:
    error = kind(message=f"answered {status}")
    error.status_code = status
    error.response = cast("Any", Response(status))
    return error


def broken(kind: str) -> BaseException:
    """The error that azure-core raises for a fault, its own retries spent."""
    if kind == "lost answer":
        return ServiceResponseError("the connection was closed without an answer")
    if kind == "timeout":
        return ServiceResponseTimeoutError("timeout")
    if kind == "garbage":
        return http_error(DecodeError, 200)
    if kind == "412":
        return http_error(ResourceModifiedError, 412)
    return http_error(HttpResponseError, int(kind[:3]))


type Cell = tuple[dict[str, Any], str]


class Cells(dict[tuple[str, str], Cell]):
    """Rows, and each partition's keys in their order: a query reads one range of them."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions: dict[str, list[str]] = {}

    def __setitem__(self, key: tuple[str, str], cell: Cell) -> None:
        if key not in self:
            bisect.insort(self.partitions.setdefault(key[0], []), key[1])
        super().__setitem__(key, cell)

    def __delitem__(self, key: tuple[str, str]) -> None:
        super().__delitem__(key)
        keys = self.partitions[key[0]]
        del keys[bisect.bisect_left(keys, key[1])]

    def clear(self) -> None:
        super().clear()
        self.partitions.clear()


@dataclass
class MemoryTable:
    """A table; every call is one I/O, a transaction too."""

    table_name: str
    faults: Faults
    cells: Cells = field(default_factory=Cells)
    pause: Pause | None = None

    async def _io[T](self, what: str, perform: Callable[[], T]) -> T:
        if self.pause is not None:
            await self.pause(f"table {what}")
        return self.faults.meet(f"table {what}", perform, broken)

    async def create_entity(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        return await self._io("insert", lambda: self._apply([("create", dict(entity))])[0])

    async def upsert_entity(self, entity: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        step = ("upsert", dict(entity), options)
        return await self._io("upsert", lambda: self._apply([step])[0])

    async def update_entity(self, entity: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        step = ("update", dict(entity), options)
        return await self._io("update", lambda: self._apply([step])[0])

    async def delete_entity(self, entity: Mapping[str, Any], **options: Any) -> None:
        def perform() -> None:
            # The client takes a 404 for done.
            if _key(entity) in self.cells:
                self._apply([("delete", dict(entity), options)])

        await self._io("delete", perform)

    async def get_entity(self, partition: str, key: str) -> TableEntity:
        return await self._io("read", lambda: self._entity(partition, key))

    def query_entities(
        self, query: str, *, parameters: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[TableEntity]:
        return self._query(
            query, parameters or {}, options.get("select"), options.get("results_per_page")
        )

    async def _query(
        self,
        query: str,
        parameters: Mapping[str, Any],
        select: list[str] | None,
        most: int | None,
    ) -> AsyncIterator[TableEntity]:
        """Give the first page, where one is asked for: the store reads no other."""

        def perform() -> list[TableEntity]:
            partition = _partition(query, parameters)
            keys = self.cells.partitions.get(partition, [])
            found = [
                key
                for key in keys[slice(*_bounds(query, parameters, keys))]
                if _fits(
                    query,
                    parameters,
                    {"PartitionKey": partition, "RowKey": key, **self.cells[partition, key][0]},
                )
            ]
            return [self._entity(partition, key) for key in found[:most]]

        for entity in await self._io("query", perform):
            if select is not None:
                for column in set(entity) - set(select):
                    del entity[column]
            yield entity

    async def submit_transaction(self, operations: Iterable[Any]) -> list[dict[str, Any]]:
        steps = list(operations)

        def perform() -> list[dict[str, Any]]:
            keys = [_key(step[1]) for step in steps]
            assert len({partition for partition, _ in keys}) == 1, "one partition"
            assert len(set(keys)) == len(keys) <= 100, "distinct rows, at most 100"
            try:
                return self._apply(steps)
            except HttpResponseError as error:
                raise http_error(TableTransactionError, error.status_code or 500) from error

        return await self._io("transaction", perform)

    def _entity(self, partition: str, key: str) -> TableEntity:
        if (partition, key) not in self.cells:
            raise http_error(ResourceNotFoundError, 404)
        values, etag = self.cells[partition, key]
        entity = TableEntity({"PartitionKey": partition, "RowKey": key, **values})
        entity._metadata = {"etag": etag, "timestamp": None}
        return entity

    def _apply(self, steps: list[Any]) -> list[dict[str, Any]]:
        """All or nothing."""
        before = {_key(step[1]): self.cells.get(_key(step[1])) for step in steps}
        try:
            return [self._step(*step) for step in steps]
        except HttpResponseError:
            for key, cell in before.items():
                if key in self.cells:
                    del self.cells[key]
                if cell is not None:
                    self.cells[key] = cell
            raise

    def _step(
        self, action: str, entity: dict[str, Any], options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        options, key = options or {}, _key(entity)
        there = self.cells.get(key)
        if action == "create" and there is not None:
            raise http_error(ResourceExistsError, 409)
        if action in {"update", "delete"} and there is None:
            raise http_error(ResourceNotFoundError, 404)
        if "etag" in options and there is not None and options["etag"] != there[1]:
            raise http_error(ResourceModifiedError, 412)
        if action == "delete":
            del self.cells[key]
            return {}
        values = {k: v for k, v in entity.items() if k not in {"PartitionKey", "RowKey"}}
        for name, value in values.items():
            assert not (isinstance(value, str) and len(value) > _LONGEST_COLUMN), name
        if there is not None and options.get("mode") == UpdateMode.MERGE:
            values = {**there[0], **values}
        etag = f"e{next(_numbers)}"
        self.cells[key] = (values, etag)
        return {"etag": etag}


def _key(entity: Mapping[str, Any]) -> tuple[str, str]:
    partition, key = entity["PartitionKey"], entity["RowKey"]
    assert not set("/\\#?\n\r\t") & set(partition + key), "no row key"
    return partition, key


@cache
def _terms(query: str) -> list[list[tuple[str, str, str]]]:
    """The filter as alternatives of terms; only as much of OData as the store asks."""
    terms = []
    for part in query.split(" or "):
        found = [_TERM.fullmatch(text.strip()) for text in part.split(" and ")]
        assert all(found), f"a filter that this fake cannot read: {query}"
        terms.append([cast("tuple[str, str, str]", term.groups()) for term in found if term])
    return terms


_TERM = re.compile(r"(\w+) (eq|ge|gt|lt|le) (@\w+|'[^']*')")
_COMPARE = {
    "eq": operator.eq,
    "ge": operator.ge,
    "gt": operator.gt,
    "lt": operator.lt,
    "le": operator.le,
}


def _partition(query: str, parameters: Mapping[str, Any]) -> str:
    """The one partition that a filter asks for; the store asks for no more at once."""
    found = {
        str(parameters[raw[1:]]) if raw.startswith("@") else raw[1:-1]
        for part in _terms(query)
        for name, _, raw in part
        if name == "PartitionKey"
    }
    (partition,) = found
    return partition


def _bounds(query: str, parameters: Mapping[str, Any], keys: list[str]) -> tuple[int, int]:
    """Where the range of row keys that the filter asks for begins and ends, at the widest."""
    terms = _terms(query)
    if len(terms) > 1:
        return 0, len(keys)
    first, last = 0, len(keys)
    for name, compare, raw in terms[0]:
        value = str(parameters[raw[1:]]) if raw.startswith("@") else raw[1:-1]
        if name == "RowKey" and compare in {"gt", "ge", "eq"}:
            first = max(first, bisect.bisect_left(keys, value))
        if name == "RowKey" and compare in {"lt", "le", "eq"}:
            last = min(last, bisect.bisect_right(keys, value))
    return first, last


def _fits(query: str, parameters: Mapping[str, Any], columns: Mapping[str, Any]) -> bool:
    """A column that the row does not have fits no term."""

    def term(name: str, compare: str, raw: str) -> bool:
        value = parameters[raw[1:]] if raw.startswith("@") else raw[1:-1]
        return name in columns and bool(_COMPARE[compare](columns[name], value))

    return any(all(term(*each) for each in part) for part in _terms(query))


@dataclass
class Message:
    id: str
    content: str
    visible_at: datetime
    pop_receipt: str = ""
    dequeue_count: int = 0
    inserted_on: datetime | None = None


@dataclass
class MemoryQueue:
    """A queue; `receive` and `delete` are also what the simulated host uses."""

    queue_name: str
    faults: Faults
    clock: Callable[[], datetime]
    messages: dict[str, Message] = field(default_factory=dict)
    pause: Pause | None = None

    async def send_message(self, content: str, *, time_to_live: int) -> None:
        assert time_to_live == -1, "a message that ends would be lost"

        def perform() -> None:
            message = Message(f"m{next(_numbers)}", content, self.clock(), inserted_on=self.clock())
            self.messages[message.id] = message

        await self._io("send", perform)

    async def receive_messages(
        self, *, messages_per_page: int, max_messages: int, visibility_timeout: int
    ) -> AsyncIterator[Message]:
        del messages_per_page
        found = await self._io(
            "receive",
            lambda: self.take(timedelta(seconds=visibility_timeout), most=max_messages),
        )
        for message in found:
            yield message

    async def peek_messages(self, *, max_messages: int) -> list[Message]:
        def perform() -> list[Message]:
            now = self.clock()
            return [m for m in self.messages.values() if m.visible_at <= now][:max_messages]

        return await self._io("peek", perform)

    async def delete_message(self, message_id: str, receipt: str) -> None:
        def perform() -> None:
            there = self.messages.get(message_id)
            if there is None:
                raise http_error(ResourceNotFoundError, 404)
            if there.pop_receipt != receipt:
                raise http_error(HttpResponseError, 400)
            del self.messages[message_id]

        await self._io("delete", perform)

    def take(self, hidden: timedelta, *, most: int = 1) -> list[Message]:
        now = self.clock()
        ready = [m for m in self.messages.values() if m.visible_at <= now][:most]
        for message in ready:
            message.visible_at = now + hidden
            message.dequeue_count += 1
            message.pop_receipt = f"p{next(_numbers)}"
        return ready

    async def _io[T](self, what: str, perform: Callable[[], T]) -> T:
        if self.pause is not None:
            await self.pause(f"queue {what}")
        return self.faults.meet(f"queue {what}", perform, broken)


@dataclass
class Storage:
    """An account in memory, and the real adapters over it."""

    clock: Callable[[], datetime]
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.resets = MemoryTable(RESETS_TABLE, self.faults)
        self.ids = MemoryTable(IDS_TABLE, self.faults)
        names = [*QUEUES, *(f"{name}-poison" for name in QUEUES)]
        self.queues = {name: MemoryQueue(name, self.faults, self.clock) for name in names}

    def interleave(self, pause: Pause | None) -> None:
        """Let others go on before each I/O."""
        self.resets.pause = self.ids.pause = pause
        for queue in self.queues.values():
            queue.pause = pause

    def shared(self) -> "Storage":
        """The same account, seen by another process."""
        other = Storage(self.clock, self.faults)
        other.resets.cells, other.ids.cells = self.resets.cells, self.ids.cells
        for name, queue in other.queues.items():
            queue.messages = self.queues[name].messages
        return other

    def store(self, kind: type[TableStore] = TableStore) -> TableStore:
        resets, ids = (cast("TableClient", table) for table in (self.resets, self.ids))
        return kind(resets, ids, new_id=lambda: f"w{next(_numbers)}")

    def adapter(self) -> StorageQueues:
        def queue(name: str) -> QueueClient:
            return cast("QueueClient", self.queues[name])

        requests, follow_ups, notifications = QUEUES
        poison = {name: queue(f"{name}-poison") for name in QUEUES}
        return StorageQueues(queue(requests), queue(follow_ups), queue(notifications), poison)
