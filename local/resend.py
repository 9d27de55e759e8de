"""Sends again the answers that were given up, once their ticket system is right (`make resend`)."""

import json

from local.screen import Records, Screen
from local.session import need_storage
from shared.adapters.queues import StorageQueues
from shared.adapters.table_store import TableStore
from shared.bootstrap import new_id, storage_clients, utc_now
from shared.config import Settings
from shared.domain.reset import Notification
from shared.names import (
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
    tables, queues = storage_clients(settings, need_storage(settings))
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


async def resend_and_print(settings: Settings, *, screen: Screen, machine: bool) -> None:
    """Print what is sent again as rows, or as JSON for machines."""
    found = await resend(settings)
    rows = [(a.id, a.target, a.notifier, a.ticket_id, str(a.kind)) for a in found]
    if machine:
        names = [name.lower() for name in HEADER]
        value = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps({"value": value}, indent=2, ensure_ascii=False))
    elif rows:
        print(Records(header=HEADER, rows=rows, ids=frozenset({"RESET", "TICKET"})).shown(screen))
    else:
        print("nothing was given up")
