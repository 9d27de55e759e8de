"""Keep messages that became no reset, find them again, and delete those that are old."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from shared.adapters.table_client import Table, create, etag_of, put, replace
from shared.adapters.table_rows import INDEXED, Entity, as_utc
from shared.domain import keys
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.messages import claimed_id
from shared.domain.reset import Stored, Unreadable

PARTITION: Final = "unreadable"
MAX_READS_AT_ONCE: Final = 10
PAGE: Final = 1_000


class TableMessages:
    """
    The ports `DeadLetters` and `KeptMessages`.

    Beside each message stand its row in the index by time and, where it gives a request's id, one
    by that id: all in one transaction, so that nothing has to scan the partition.
    """

    def __init__(self, resets: Table) -> None:
        self._resets = resets
        self._all_indexed = False

    async def keep_unreadable(
        self,
        key: str,
        body: bytes,
        *,
        reason: str,
        queue: str,
        at: datetime,
        request_id: str = "",
    ) -> str:
        digest = hashlib.sha256(body).hexdigest()
        # The time index has the time that the row has, or the row would not be found from there.
        when = keys.to_milliseconds(at)
        for row_key in (key, f"{key}-{digest[:16]}"):
            entity = {
                **_at(row_key),
                "At": when,
                "Queue": queue,
                "Reason": reason,
                "Body": body,
                "Digest": digest,
                "RequestId": request_id,
            }
            indexes = [put(row) for row in _indexes(row_key, when, request_id)]
            if await self._resets.transact([create(entity), *indexes]) is None:
                there = await self._resets.get(PARTITION, row_key)
                if there is None:
                    # Neither written nor taken: the answer was lost, and so was the write.
                    raise StorageUnavailable(f"the message {row_key} could not be kept")
                if there.get("Digest") != digest:
                    continue
            return row_key
        raise StorageUnavailable(f"two messages share the key {key}")

    async def read_unreadable(self, key: str) -> Stored[Unreadable] | None:
        entity = await self._resets.get(PARTITION, key)
        if entity is None:
            return None
        return Stored(row=_message_from(entity), etag=etag_of(entity))

    async def unreadable_of(self, request_id: str) -> Unreadable | None:
        index = await self._resets.get(PARTITION, keys.asked_key(request_id))
        if index is None:
            return None
        found = await self.read_unreadable(str(index["Key"]))
        return found.row if found is not None else None

    async def unreadable(self, *, after: str, most: int) -> list[Unreadable]:
        entries = await self._resets.first(
            "PartitionKey eq @partition and RowKey gt @after and RowKey lt @last",
            {
                "partition": PARTITION,
                "after": after or keys.MESSAGES,
                "last": keys.after(keys.MESSAGES),
            },
            most=most,
        )
        found: list[Unreadable] = []
        for start in range(0, len(entries), MAX_READS_AT_ONCE):
            some = [str(each["Key"]) for each in entries[start : start + MAX_READS_AT_ONCE]]
            read = await asyncio.gather(*map(self.read_unreadable, some))
            found += [stored.row for stored in read if stored is not None]
        return found

    async def note_sent_again(
        self, message: Stored[Unreadable], *, sent_as: str, at: datetime
    ) -> None:
        columns = {**_at(message.row.key), "SentAs": sent_as, "SentAt": at}
        with contextlib.suppress(Conflict):
            await self._resets.merge(columns, message.etag)

    async def index_unreadable(self, *, most: int) -> int:
        """Rows of version 1 have no `RequestId`. A look that finds none of them is the last one."""
        if self._all_indexed:
            return 0
        if await self._resets.get(PARTITION, keys.ALL_INDEXED) is None:
            found = [key async for key in self._of_version_1(most)]
            for start in range(0, len(found), MAX_READS_AT_ONCE):
                some = found[start : start + MAX_READS_AT_ONCE]
                await asyncio.gather(*map(self._index, some))
            if found:
                return len(found)
            await self._resets.put({**_at(keys.ALL_INDEXED), "Version": INDEXED})
        self._all_indexed = True
        return 0

    async def _of_version_1(self, most: int) -> AsyncIterator[str]:
        after, count = "", 0
        while page := await self._resets.first(
            "PartitionKey eq @partition and RowKey gt @after and RowKey lt @last",
            {"partition": PARTITION, "after": after, "last": keys.ASKED},
            most=PAGE,
            select=["RowKey", "RequestId"],
        ):
            for entity in page:
                if entity.get("RequestId") is None:
                    yield str(entity["RowKey"])
                    count += 1
                if count == most:
                    return
            after = str(page[-1]["RowKey"])

    async def _index(self, key: str) -> None:
        """Write the row again with its indexes; one that has changed or is gone is left alone."""
        entity = await self._resets.get(PARTITION, key)
        if entity is None:
            return
        request_id, at = claimed_id(bytes(entity["Body"])), keys.to_milliseconds(entity["At"])
        indexes = _indexes(key, at, request_id)
        if request_id and await self._resets.get(PARTITION, keys.asked_key(request_id)):
            # It belongs to a message of this version, which is younger.
            indexes.pop()
        row = {**entity, "At": at, "RequestId": request_id}
        await self._resets.transact([replace(row, etag_of(entity)), *map(put, indexes)])

    async def forget_unreadable(self, *, before: datetime, most: int) -> int:
        # From the index by time: what is younger is not read.
        first = keys.message_key(before, "")
        entries = await self._resets.first(
            "PartitionKey eq @partition and RowKey gt @first and RowKey lt @last",
            {
                "partition": PARTITION,
                "first": keys.after(first),
                "last": keys.after(keys.MESSAGES),
            },
            most=most,
        )
        for entry in entries:
            await self._forget(entry)
        return len(entries)

    async def _forget(self, entry: Mapping[str, Any]) -> None:
        """The row of the index by time goes last: begun again after a crash, it goes on."""
        key, request_id = str(entry["Key"]), str(entry.get("RequestId", ""))
        if request_id:
            index = await self._resets.get(PARTITION, keys.asked_key(request_id))
            # A younger message may have given the same id.
            if index is not None and index["Key"] == key:
                await self._resets.delete(PARTITION, keys.asked_key(request_id))
        await self._resets.delete(PARTITION, key)
        await self._resets.delete(PARTITION, str(entry["RowKey"]))


def _at(row_key: str) -> Entity:
    return {"PartitionKey": PARTITION, "RowKey": row_key}


def _indexes(key: str, at: datetime, request_id: str) -> list[Entity]:
    columns = {"Key": key, "RequestId": request_id}
    rows = [{**_at(keys.message_key(at, key)), **columns}]
    if request_id:
        rows.append({**_at(keys.asked_key(request_id)), **columns})
    return rows


def _message_from(entity: Any) -> Unreadable:
    return Unreadable(
        key=str(entity["RowKey"]),
        body=bytes(entity["Body"]),
        reason=str(entity["Reason"]),
        queue=str(entity["Queue"]),
        at=as_utc(entity["At"]),
        request_id=str(entity.get("RequestId", "")),
        sent_as=str(entity.get("SentAs", "")),
        sent_at=as_utc(entity["SentAt"]) if "SentAt" in entity else None,
    )
