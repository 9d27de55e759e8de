"""Keep the pace of each notifier, and notifications that were given up until they are resent."""

from copy import replace
from datetime import datetime
from typing import Final

from shared.adapters import table_rows
from shared.adapters.table_client import Table, etag_of
from shared.adapters.table_resets import told
from shared.domain.pace import Pace
from shared.domain.reset import ROW_VERSION, GivenUp, Notification, Stored

# Among the heartbeats, where no alias can be and which `targets` leaves out.
_PACE: Final = "heartbeat:pace:"


class TableOutbox:
    """The ports `Paces` and `Undelivered`."""

    def __init__(self, resets: Table) -> None:
        self._outbox = resets

    async def read_pace(self, notifier: str) -> Stored[Pace]:
        entity = await self._outbox.get("targets", f"{_PACE}{notifier}")
        if entity is None:
            return Stored(row=Pace(notifier=notifier))
        return Stored(row=table_rows.pace_from(entity), etag=etag_of(entity))

    async def write_pace(self, before: Stored[Pace], after: Pace) -> Stored[Pace]:
        entity = table_rows.pace_entity(after, key=f"{_PACE}{after.notifier}")
        if before.etag:
            return Stored(row=after, etag=await self._outbox.replace(entity, before.etag))
        return Stored(row=after, etag=await self._outbox.create(entity))

    async def keep_undelivered(self, notification: Notification, *, why: str, at: datetime) -> None:
        await self._outbox.put(table_rows.undelivered_entity(notification, why=why, at=at))

    async def undelivered(self, *, most: int) -> list[GivenUp]:
        found = await self._outbox.first(
            "PartitionKey eq @partition", {"partition": table_rows.UNDELIVERED}, most=most
        )
        return [table_rows.undelivered_from(entity) for entity in found]

    async def put_back(self, notification: Notification) -> None:
        # Not written where it was put back before, by a run that ended in between.
        await self._outbox.transact(told((replace(notification, version=ROW_VERSION),)))
        await self._outbox.delete(table_rows.UNDELIVERED, table_rows.undelivered_key(notification))
