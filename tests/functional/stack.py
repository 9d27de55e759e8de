"""The whole thing on free ports: Azurite, the Graph emulator, the app in the genuine worker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local import processes
from local.http_client import HttpClient, http_client
from shared.adapters.table_store import TableStore
from shared.domain.reset import ENDED, Reset, State
from shared.names import IDS_TABLE, RESETS_QUEUE, RESETS_TABLE
from tests.support.patience import PATIENCE

SALESFORCE = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
AWS = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"
SERVICENOW = "2d9b5e74-86a1-4f3c-b0d8-9c7e1a5f3b62"
CATALOGUE = {
    "salesforce-prod": {"servicePrincipalId": SALESFORCE},
    "aws": {"servicePrincipalId": AWS},
    "servicenow": {"servicePrincipalId": SERVICENOW},
}


def environ(storage: str, graph: str) -> dict[str, str]:
    return {
        "AzureWebJobsStorage": storage,
        "ResetStorage": storage,
        "GRAPH_ENDPOINT": graph,
        "RESET_TARGETS": json.dumps(CATALOGUE),
        "RESETS_ENABLED": "true",
        "FOLLOW_UP_INTERVAL": "PT0.5S",
        "SWEEP_SCHEDULE": "* * * * * *",
        "LOCAL_LEASE_SECONDS": "3",
    }


@dataclass
class Stack:
    """What runs, and ways to talk to it."""

    storage: str
    graph: HttpClient
    graph_url: str
    queues: QueueServiceClient
    tables: TableServiceClient

    @property
    def environ(self) -> dict[str, str]:
        return environ(self.storage, self.graph_url)

    @property
    def store(self) -> TableStore:
        resets, ids = (self.tables.get_table_client(n) for n in (RESETS_TABLE, IDS_TABLE))
        return TableStore(resets, ids, new_id=str)

    async def send(self, text: str) -> str:
        sent = await self.queues.get_queue_client(RESETS_QUEUE).send_message(text)
        return str(sent.id)

    async def ask(self, request_id: str, target: str = "salesforce-prod", **fields: Any) -> None:
        await self.send(json.dumps({"requestId": request_id, "target": target, **fields}))

    async def reset(self, reset_id: str) -> Reset | None:
        claim = await self.store.find(reset_id)
        stored = await self.store.read_reset(claim) if claim is not None else None
        return stored.row if stored is not None else None

    async def until(
        self, reset_id: str, fits: Callable[[Reset], bool], *, within: float = PATIENCE
    ) -> Reset:
        async def look() -> Reset | None:
            reset = await self.reset(reset_id)
            return reset if reset is not None and fits(reset) else None

        return await eventually(look, within=within)

    async def ended(self, reset_id: str, *, within: float = PATIENCE) -> Reset:
        return await self.until(reset_id, lambda x: x.state in ENDED, within=within)

    async def reached(self, reset_id: str, state: State) -> Reset:
        return await self.until(reset_id, lambda x: x.state is state)

    async def history(self, reset: Reset) -> list[str]:
        return [str(event.state) for event in await self.store.events(reset)]

    async def unreadable(self) -> list[dict[str, Any]]:
        table = self.tables.get_table_client(RESETS_TABLE)
        found = table.query_entities("PartitionKey eq 'unreadable' and RowKey lt 'request:'")
        return [dict(entity) async for entity in found]

    async def restarts(self) -> list[dict[str, Any]]:
        received = (await self.graph.get("/_emulator/requests")).json()["value"]
        return [r for r in received if r["path"].endswith("/restart")]

    async def fault(self, **what: Any) -> None:
        (await self.graph.post("/_emulator/faults", json=what)).raise_for_status()

    async def messages(self, queue: str) -> int:
        found = await self.queues.get_queue_client(queue).get_queue_properties()
        return int(found.approximate_message_count or 0)


async def eventually[T](
    look: Callable[[], Awaitable[T | None]], *, within: float = PATIENCE, every: float = 0.05
) -> T:
    """Look until there is something; the last of it fails the test."""
    deadline = time.monotonic() + within
    while (found := await look()) is None:
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(every)
    return found


@asynccontextmanager
async def storage_and_graph(
    speed: float = 600, *, seed: Path | None = None
) -> AsyncIterator[Stack]:
    """Everything but the host."""
    graph_settings = {"GRAPH_EMULATOR_SPEED": str(speed)}
    if seed is not None:
        graph_settings["GRAPH_EMULATOR_SEED"] = str(seed)
    async with AsyncExitStack() as opened:
        storage = await opened.enter_async_context(processes.azurite())
        graph = await opened.enter_async_context(processes.emulator(graph_settings))
        yield Stack(
            storage=storage,
            graph=await opened.enter_async_context(http_client(graph)),
            graph_url=graph,
            queues=await opened.enter_async_context(
                QueueServiceClient.from_connection_string(storage)
            ),
            tables=await opened.enter_async_context(
                TableServiceClient.from_connection_string(storage)
            ),
        )


@asynccontextmanager
async def running(
    changes: Mapping[str, str] | None = None, *, speed: float = 600
) -> AsyncIterator[Stack]:
    """Everything, with the host."""
    async with (
        storage_and_graph(speed) as stack,
        processes.host({**stack.environ, **(changes or {})}),
    ):
        yield stack
