"""Sends again the answers that were given up, once their ticket system is right (`make resend`)."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping

from local.cli import as_json, note, read_settings, table
from shared.adapters.queues import StorageQueues
from shared.adapters.table_store import TableStore
from shared.bootstrap import new_id, storage_clients, utc_now
from shared.config import Settings
from shared.domain.errors import RelinkError, SettingsError
from shared.domain.reset import Notification
from shared.names import (
    CONNECTION,
    FOLLOW_UPS_QUEUE,
    IDS_TABLE,
    NOTIFICATIONS_QUEUE,
    RESETS_QUEUE,
    RESETS_TABLE,
)
from shared.use_cases.resend import Resend

HEADER = ("RESET", "TARGET", "NOTIFIER", "TICKET", "SAYS")


async def resend(settings: Settings) -> list[Notification]:
    """Put everything that was given up back into the outbox."""
    if settings.storage is None:
        raise SettingsError(f"{CONNECTION}: missing; give the storage that the app uses")
    tables, queues = storage_clients(settings, settings.storage)
    async with tables, queues:
        store = TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=new_id
        )
        sender = StorageQueues(
            queues.get_queue_client(RESETS_QUEUE),
            queues.get_queue_client(FOLLOW_UPS_QUEUE),
            queues.get_queue_client(NOTIFICATIONS_QUEUE),
            {},
        )
        use_case = Resend(undelivered=store, paces=store, queues=sender, clock=utc_now)
        return await use_case.resend()


def shown(found: list[Notification], environ: Mapping[str, str]) -> str:
    """A table, or JSON for machines."""
    rows = [(a.id, a.target, a.notifier, a.ticket_id, str(a.kind)) for a in found]
    if as_json(environ):
        names = [name.lower() for name in HEADER]
        return json.dumps({"value": [dict(zip(names, row, strict=True)) for row in rows]}, indent=2)
    return table(HEADER, rows) if rows else "nothing was given up"


def main() -> int:
    try:
        found = asyncio.run(resend(read_settings()))
    except SettingsError as error:
        note(str(error))
        return 1
    except RelinkError as error:
        note(f"{CONNECTION}: {error}")
        return 1
    print(shown(found, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
