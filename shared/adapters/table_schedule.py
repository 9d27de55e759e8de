"""Keep what is due and when: the sweep's index, the outbox, the targets, the heartbeats."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from shared.adapters import table_rows
from shared.adapters.table_client import Table, etag_of
from shared.domain import keys
from shared.domain.errors import Conflict
from shared.domain.reset import DueRow, Notification, Stored


class TableSchedule:
    """The ports `Schedule`, `Outbox` and `Heartbeats`."""

    def __init__(self, resets: Table, *, new_write_id: Callable[[], str]) -> None:
        self._resets = resets
        self._new_write_id = new_write_id
        self._known_targets: set[str] = set()

    async def remember_target(self, alias: str, *, at: datetime) -> None:
        if alias in self._known_targets:
            return
        with contextlib.suppress(Conflict):
            await self._resets.create(
                {"PartitionKey": "targets", "RowKey": alias, "FirstUsedAt": at}
            )
        self._known_targets.add(alias)

    async def targets(self) -> list[str]:
        found = self._resets.rows(
            "PartitionKey eq 'targets' and RowKey lt 'heartbeat:' or "
            "PartitionKey eq 'targets' and RowKey ge 'heartbeat;'",
            select=["RowKey"],
        )
        return [str(entity["RowKey"]) async for entity in found]

    async def due(self, target: str) -> AsyncIterator[DueRow]:
        found = self._resets.rows(
            "PartitionKey eq @target and RowKey ge 'due:' and RowKey lt 'due;'",
            {"target": target},
            select=["PartitionKey", "RowKey", "DueAt", "Behind", "Sent"],
        )
        async for entity in found:
            yield table_rows.due_from(entity, etag_of(entity))

    async def mark_sent(self, row: DueRow, *, at: datetime) -> None:
        key = keys.due_key(row.id) if row.n is None else keys.answer_key(row.id, row.n)
        # Ended or moved on meanwhile: that write made the row new, without Sent.
        with contextlib.suppress(Conflict):
            await self._resets.merge(
                {"PartitionKey": row.target, "RowKey": key, "Sent": at}, row.etag
            )

    async def read_notification(
        self, target: str, reset_id: str, n: int
    ) -> Stored[Notification] | None:
        entity = await self._resets.get(target, keys.answer_key(reset_id, n))
        if entity is None:
            return None
        return Stored(row=table_rows.answer_from(entity), etag=etag_of(entity))

    async def put_off(
        self, before: Stored[Notification], after: Notification
    ) -> Stored[Notification]:
        entity = table_rows.answer_entity(after)
        etag = await self._resets.write_own(entity, before.etag, write_id=self._new_write_id())
        return Stored(row=after, etag=etag)

    async def take_out(self, notification: Stored[Notification]) -> None:
        row = notification.row
        with contextlib.suppress(Conflict):
            await self._resets.delete_unchanged(
                row.target, keys.answer_key(row.id, row.n), notification.etag
            )

    async def beat(self, timer: str, *, at: datetime) -> None:
        await self._resets.put(
            {"PartitionKey": "targets", "RowKey": f"heartbeat:{timer}", "At": at}
        )

    async def last_beat(self, timer: str) -> datetime | None:
        entity = await self._resets.get("targets", f"heartbeat:{timer}")
        return table_rows.as_utc(entity["At"]) if entity is not None else None
