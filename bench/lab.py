"""The lab: Azurite, a Graph stub, relays that count, and an app in the development host."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from bench import stub
from bench.relay import Relay
from local import processes
from local.azurite import connection_string
from local.processes import ROOT, Started
from local.storm import send_all
from shared.names import (
    CONNECTION,
    IDS_TABLE,
    NOTIFICATIONS_QUEUE,
    QUEUES,
    RESETS_QUEUE,
    RESETS_TABLE,
    TABLES,
)

HERE: Final = Path(__file__).resolve().parent
SECRET: Final = "bench-bench-bench-bench-bench-bench"
TICKS: Final = os.sysconf("SC_CLK_TCK")
SENDERS: Final = 8
CALLS_BEFORE: Final = 40

APPS: Final[Mapping[str, Path]] = {
    # RELINK: another checkout of this project, to compare two of its states.
    "relink": Path(os.environ.get("RELINK") or ROOT).resolve(),
    "naive": HERE / "naive",
    "empty": HERE / "empty",
}


class NothingMeasured(Exception):
    """What ran did not do what was to be measured."""


def in_words(error: BaseException) -> str:
    """Return what went wrong, of several errors at once the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".removeprefix("NothingMeasured: ").removesuffix(": ")


def target(number: int) -> str:
    return f"target-{number}"


@dataclass(kw_only=True)
class Host:
    """A development host with one app."""

    process: Started
    url: str
    began: float

    @property
    def pid(self) -> int:
        return self.process.process.pid

    def cpu(self) -> float:
        return cpu_of(self.pid)

    def peak(self) -> float:
        """Megabytes of memory, at most so far."""
        return _memory(self.pid, "VmHWM")

    def memory(self) -> float:
        return _memory(self.pid, "VmRSS")

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """The process stands still meanwhile, so that a queue can be filled before it looks."""
        self.process.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.process.send_signal(signal.SIGCONT)


@dataclass(kw_only=True)
class Lab:
    """What an app talks to. `counted`: it does so through the relays."""

    storage: str
    counted: str
    graph: stub.Graph
    graph_url: str
    tables: Relay
    queues: Relay
    azurite: Started
    table_client: TableServiceClient
    queue_client: QueueServiceClient

    def settings(self, targets: int, *, counted: bool, **more: str) -> dict[str, str]:
        storage = self.counted if counted else self.storage
        catalogue = {target(n): stub.target(n) for n in range(targets)}
        sender = {
            "scheme": "header",
            "header": "x-relink-secret",
            "format": "relink",
            "targets": list(catalogue),
        }
        return {
            "AzureWebJobsStorage": self.storage,
            CONNECTION: storage,
            "GRAPH_ENDPOINT": self.graph_url,
            "RESET_TARGETS": json.dumps(catalogue),
            "RESETS_ENABLED": "true",
            "RESET_DAILY_BUDGET": "1000",
            "RESET_MAX_OPEN": "1000000",
            "WEBHOOK_SENDERS": json.dumps({"desk": sender}),
            "WEBHOOK_SECRETS": json.dumps({"desk": [SECRET]}),
            "SECRET": SECRET,
            # No tick falls into a measurement that is not about it.
            "SWEEP_SCHEDULE": "0 0 0 1 1 *",
            "REMEDIATION_SCHEDULE": "0 0 0 1 1 *",
            "FOLLOW_UP_INTERVAL": "PT1H",
            # Of one queue 24 at once: the host's own defaults.
            "AzureFunctionsJobHost__extensions__queues__batchSize": "16",
            "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "8",
            "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
            **more,
        }

    @asynccontextmanager
    async def host(self, app: str, settings: Mapping[str, str]) -> AsyncIterator[Host]:
        """Run *app* until the block ends."""
        began = time.perf_counter()
        folder = APPS[app]
        given = {
            **settings,
            "APP_DIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "",
            # They are there, as they are where the infrastructure has created them.
            "LOCAL_CREATES": "false",
        }
        command = [sys.executable, "-m", "local.host"]
        if app == "relink" and folder != ROOT:
            # Another checkout runs with its own host and its own packages.
            command = ["env", "-C", str(folder), str(folder / ".venv/bin/python"), *command[1:]]
        async with processes.host(given, command=command) as (process, url):
            yield Host(process=process, url=url, began=began)

    async def send(self, requests: Iterable[Mapping[str, object]]) -> None:
        """Put the requests on the queue, some at a time."""
        queue = self.queue_client.get_queue_client(RESETS_QUEUE)
        await send_all(queue, map(json.dumps, requests), at_once=SENDERS)

    async def until_empty(self, queue: str = RESETS_QUEUE) -> None:
        """Wait until the queue holds no message, taken ones included."""
        client = self.queue_client.get_queue_client(queue)
        while (await client.get_queue_properties()).approximate_message_count:
            await asyncio.sleep(0.1)

    def cpu(self) -> float:
        """Processor seconds of Azurite so far."""
        return cpu_of(self.azurite.process.pid)

    async def states(self, alias: str, *states: str) -> int:
        """How many resets of a target are in one of the states."""
        table = self.table_client.get_table_client(RESETS_TABLE)
        found = table.query_entities(
            "PartitionKey eq @target and RowKey ge 'reset:' and RowKey lt 'reset;'",
            parameters={"target": alias},
            select=["State"],
        )
        return len([None async for row in found if row["State"] in states])

    async def used_before(self) -> None:
        """
        Leave what an app leaves that has run for a while: warm storage, and the timer's heartbeat.

        The first calls of a fresh Azurite take several times as long as its later ones.
        """
        resets = self.table_client.get_table_client(RESETS_TABLE)
        ids = self.table_client.get_table_client(IDS_TABLE)
        queue = self.queue_client.get_queue_client(NOTIFICATIONS_QUEUE)
        for number in range(CALLS_BEFORE):
            rows = [{"PartitionKey": "before", "RowKey": f"{number}-{n}"} for n in range(3)]
            await resets.submit_transaction([("create", row) for row in rows])
            await resets.get_entity("before", f"{number}-0")
            await ids.create_entity(rows[0])
            await queue.send_message("before")
        await queue.clear_messages()
        now = datetime.now(UTC)
        await resets.upsert_entity(
            {"PartitionKey": "targets", "RowKey": "heartbeat:sweep", "At": now}
        )

    async def is_open(self, alias: str) -> bool:
        """Whether a reset of the target has not ended yet; cheaper for Azurite than `states`."""
        table = self.table_client.get_table_client(RESETS_TABLE)
        found = table.query_entities(
            "PartitionKey eq @target and RowKey ge 'due:reset:' and RowKey lt 'due:reset;'",
            parameters={"target": alias},
            select=["RowKey"],
            results_per_page=1,
        )
        return await anext(aiter(found), None) is not None

    def start_counting(self) -> int:
        """Forget what was counted; return how many calls Graph has had so far."""
        for relay in (self.tables, self.queues):
            relay.calls.clear()
            relay.refused.clear()
        return self.graph.calls()

    def calls(self, graph_before: int) -> int:
        """Remote calls since `start_counting`. The host's polls of queues are not the app's."""
        polls = sum(self.queues.calls[f"GET queue {name}"] for name in QUEUES)
        graph = self.graph.calls() - graph_before
        return self.tables.total() + self.queues.total() - polls + graph


@asynccontextmanager
async def lab(*, cycle: float = 20) -> AsyncIterator[Lab]:
    """A lab of its own, with the tables and queues that all the apps use."""
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        azurite, storage = await enter(_azurite())
        ports = {
            name: urlsplit(address).port or 0
            for name, _, address in (
                part.partition("=") for part in storage.split(";") if "Endpoint=" in part
            )
        }
        tables = Relay(service="table", port=ports["TableEndpoint"])
        queues = Relay(service="queue", port=ports["QueueEndpoint"])
        counted = connection_string(
            str(ports["BlobEndpoint"]),
            str(await enter(queues.listening())),
            str(await enter(tables.listening())),
        )
        graph = stub.Graph(cycle=cycle)
        table_client = await enter(
            TableServiceClient.from_connection_string(storage, use_env_settings=False)
        )
        queue_client = await enter(
            QueueServiceClient.from_connection_string(storage, use_env_settings=False)
        )
        for name in TABLES:
            await table_client.create_table_if_not_exists(name)
        for name in QUEUES:
            await queue_client.create_queue(name)
        yield Lab(
            storage=storage,
            counted=counted,
            graph=graph,
            graph_url=f"http://127.0.0.1:{await enter(graph.listening())}",
            tables=tables,
            queues=queues,
            azurite=azurite,
            table_client=table_client,
            queue_client=queue_client,
        )


@asynccontextmanager
async def _azurite() -> AsyncIterator[tuple[Started, str]]:
    """As `processes.azurite`, and the process, for its processor time."""
    command = [str(processes.AZURITE), "--inMemoryPersistence", "--silent"]
    command += ["--disableTelemetry", "--skipApiVersionCheck"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    async with processes.started("Azurite", command) as running:
        ports = []
        for service in ("Blob", "Queue", "Table"):
            said = await running.said(rf"{service} service is success.*:(\d+)$", within=30)
            ports.append(said[1])
        yield running, connection_string(*ports)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith(name))
    return int(line.split()[1]) / 1024
