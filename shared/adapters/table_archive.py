"""Keep messages that became no reset, and delete resets whose retention is over."""

import contextlib
import hashlib
from datetime import datetime

from shared.adapters import table_rows
from shared.adapters.table_client import Table
from shared.adapters.table_resets import rows_of
from shared.domain import keys
from shared.domain.errors import Conflict, NewerRow, StorageUnavailable
from shared.domain.reset import Reset


class TableArchive:
    """The ports `DeadLetters` and `Archive`."""

    def __init__(self, resets: Table, ids: Table) -> None:
        self._resets = resets
        self._ids = ids

    async def keep_unreadable(
        self, key: str, body: bytes, *, reason: str, queue: str, at: datetime
    ) -> str:
        digest = hashlib.sha256(body).hexdigest()
        for row_key in (key, f"{key}-{digest[:16]}"):
            entity = {
                "PartitionKey": "unreadable",
                "RowKey": row_key,
                "At": at,
                "Queue": queue,
                "Reason": reason,
                "Body": body,
                "Digest": digest,
            }
            try:
                await self._resets.create(entity)
            except Conflict:
                there = await self._resets.get("unreadable", row_key)
                if there is None or there.get("Digest") != digest:
                    continue
            return row_key
        raise StorageUnavailable(f"two messages share the key {key}")

    async def outdated(self, target: str, *, before: datetime, most: int) -> list[Reset]:
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey ge @first and RowKey lt 'reset;'",
            {"target": target, "first": keys.reset_key(before, "")},
            most=most,
        )
        kept: list[Reset] = []
        for entity in found:
            with contextlib.suppress(NewerRow):
                kept.append(table_rows.reset_from(entity))
        return kept

    async def forget_unreadable(self, *, before: datetime, most: int) -> int:
        # Their keys are the messages' ids, in no order of time: the service filters.
        found = await self._resets.first(
            "PartitionKey eq 'unreadable' and At lt @before",
            {"before": before},
            most=most,
            select=["RowKey"],
        )
        for entity in found:
            await self._resets.delete("unreadable", str(entity["RowKey"]))
        return len(found)

    async def forget(self, reset: Reset) -> None:
        # The order lets a later run go on after a crash: the rest is found by the reset's row, and
        # the ids row is deleted after the audit. Where it is gone, or the id stands for a younger
        # reset, the rows under this id are no longer ours.
        claim = await self._ids.get(reset.id, "id")
        key = keys.reset_key(reset.requested_at, reset.id)
        if claim is not None and claim["ResetKey"] == key:
            await self._forget_audit(reset)
            await self._ids.delete(reset.id, "id")
        await self._resets.delete(reset.target, key)

    async def _forget_audit(self, reset: Reset) -> None:
        for entity in table_rows.find_entities(reset):
            await self._resets.delete(reset.target, str(entity["RowKey"]))
        for kind in ("event", "subject", "schema"):
            found = rows_of(self._resets, reset, kind)
            for key in [str(entity["RowKey"]) async for entity in found]:
                await self._resets.delete(reset.target, key)
        key = f"{reset.target}:{reset.id}"
        given_up = self._resets.rows(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last",
            {"partition": table_rows.UNDELIVERED, "first": f"{key}:", "last": f"{key};"},
        )
        for row in [str(entity["RowKey"]) async for entity in given_up]:
            await self._resets.delete(table_rows.UNDELIVERED, row)
