"""Reaches the queue and the rows of a reset directly, with the storage settings of here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from azure.storage.queue.aio import QueueClient

from shared.adapters.table_store import TableStore
from shared.bootstrap import identity_credential, new_id, storage_clients
from shared.config import Settings, Storage, development_storage
from shared.domain.errors import SettingsError
from shared.names import CONNECTION, IDS_TABLE, RESETS_QUEUE, RESETS_TABLE
from shared.web.views import reset_body


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Sends requests, and reads a reset in the form of `GET /api/resets/{id}`."""

    queue: QueueClient
    store: TableStore

    async def send(self, text: str) -> None:
        """Try once: a second try of what may have arrived would be a second message."""
        await self.queue.send_message(text, time_to_live=-1)

    async def read(self, reset_id: str) -> dict[str, Any] | None:
        stored = await self.store.find_reset(reset_id)
        if stored is None:
            return None
        reset = stored.row
        events, links = await self.store.events(reset), await self.store.links(reset)
        found: dict[str, Any] = msgspec.to_builtins(reset_body(reset, events, links))
        return found


def storage_of(settings: Settings) -> Storage:
    """
    The storage of the settings, or Azurite on its usual ports where they have none.

    Raise SettingsError where they have one that cannot be used: it is meant, and not passed over.
    """
    if settings.storage is not None:
        return settings.storage
    missing = f"{CONNECTION}: missing"
    for why in settings.problems:
        if why.startswith(CONNECTION) and not why.startswith(missing):
            raise SettingsError(why)
    return Storage(connection_string=development_storage("UseDevelopmentStorage=true"))


@asynccontextmanager
async def open_rows(settings: Settings) -> AsyncIterator[Rows]:
    storage = storage_of(settings)
    tables, queues = storage_clients(settings, storage)
    async with tables, queues, _queue(settings, storage) as queue:
        store = TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=new_id
        )
        yield Rows(queue=queue, store=store)


def _queue(settings: Settings, storage: Storage) -> QueueClient:
    if storage.connection_string:
        return QueueClient.from_connection_string(
            storage.connection_string, RESETS_QUEUE, retry_total=0
        )
    credential = identity_credential(settings, storage.client_id)
    return QueueClient(storage.queue_uri, RESETS_QUEUE, credential=credential, retry_total=0)
