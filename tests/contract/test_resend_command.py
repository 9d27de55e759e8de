"""`python -m local resend` against Azurite: what was given up is in the outbox and on the queue."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.processes import ROOT
from shared.adapters.table_store import TableStore
from shared.domain.reset import Notification, NotificationKind, State
from shared.names import IDS_TABLE, NOTIFICATIONS_QUEUE, QUEUES, RESETS_TABLE, TABLES
from tests.support.patience import PATIENCE

NOW = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
GIVEN_UP = Notification(
    id="r1",
    target="sales",
    n=2,
    kind=NotificationKind.END,
    notifier="sn",
    ticket_id="INC1",
    ticket_url="",
    state=State.COMPLETED,
    text="done",
    at=NOW,
    due_at=NOW,
    attempts=40,
    tried_at=NOW,
)


async def run(storage: str, *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local",
        "resend",
        *options,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ResetStorage": storage},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_what_was_given_up_is_put_back_and_shown(azurite: str) -> None:
    async with (
        TableServiceClient.from_connection_string(azurite) as tables,
        QueueServiceClient.from_connection_string(azurite) as queues,
    ):
        for name in TABLES:
            await tables.create_table_if_not_exists(name)
        for name in QUEUES:
            await queues.create_queue(name)
        store = TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=str
        )
        await store.keep_undelivered(GIVEN_UP, why="410", at=NOW)

        first = await run(azurite)
        again = await run(azurite, "--json")

        put_back = await store.read_notification("sales", "r1", 2)
        sent = [m async for m in queues.get_queue_client(NOTIFICATIONS_QUEUE).receive_messages()]
        for name in QUEUES:
            await queues.delete_queue(name)

    assert first[0] == again[0] == 0, first[1] + again[1]
    assert first[1].splitlines()[1].split() == ["r1", "sales", "sn", "INC1", "end"]
    assert json.loads(again[1]) == {"value": []}
    assert put_back is not None
    assert (put_back.row.attempts, put_back.row.tried_at) == (1, None)
    assert [json.loads(m.content) for m in sent] == [{"target": "sales", "id": "r1", "n": 2}]


async def test_without_storage_one_line_says_what_is_missing() -> None:
    code, said = await run("")

    assert code == 1
    assert said.startswith("ResetStorage: ")
    assert len(said.splitlines()) == 1
