"""
The calls of a distinct reset by themselves: `python -m bench.floor WARM RESETS`.

The rows are those that the app writes, made once by its own adapter; the queue's messages, the
tables and Graph are reached by the same SDKs with the same options, 24 at once. No policy, no
state machine, no host: what is left is what the calls cost.
"""

import asyncio
import copy
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import aiohttp
from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.storage.queue.aio import QueueClient

from bench import stub
from shared.adapters.table_client import Table
from shared.adapters.table_requests import Operation
from shared.adapters.table_resets import TableResets
from shared.domain import events, evidence, states
from shared.domain.reset import HistoryEntry, JobRow, Reset, Scope, State, Stored
from shared.domain.sync_job import Execution, SyncJob
from shared.names import IDS_TABLE, RESETS_QUEUE, RESETS_TABLE

AT_ONCE: Final = 24
_BODY: Final = {"criteria": {"resetScope": "Full"}}
"""One message after the other is taken, 16 in a call, as the host does it."""


class Recorder:
    """A table that writes nothing and keeps what it was to write."""

    def __init__(self) -> None:
        self.transactions: list[list[Operation]] = []

    async def transact(self, operations: list[Operation]) -> str:
        self.transactions.append(operations)
        return "etag"


async def recorded() -> list[list[Operation]]:
    """The three transactions of one reset: accepted, sending, restarted."""
    now = datetime.now(UTC)
    table = Recorder()
    rows = TableResets(cast("Table", table), cast("Table", table), new_id=lambda: "w" * 36)
    job = JobRow(target="t")
    reset = Reset(
        id="r",
        target="t",
        requested_at=now,
        service_principal_id=stub.service_principal(0),
        job_id="job.0",
        scope=Scope.FULL,
        via="queue",
        reason="the links are old",
        seen_number=0,
        due_at=now,
        detail="received (queue)",
        sequence=1,
    )
    entry = HistoryEntry(
        sequence=1, at=now, state=State.ACCEPTED, by="queue", detail="received (queue)"
    )
    first = states.first_place(reset, job, now=now)
    head = _there(first.job)
    stored = await rows.insert(first.reset, entry, (), job=(Stored(row=job), head))
    for event in (_ready(now), _accepted(now)):
        step = _there(states.transition(stored.row, head, event, now=now))
        becomes = (Stored(row=head, etag="etag"), step.job) if step.job is not None else None
        stored = await rows.commit(stored, step.reset, job=becomes, event=step.event)
        head = step.job or head
    return table.transactions


def _ready(now: datetime) -> events.ReadyToSend:
    snapshot = SyncJob(
        id="job.0",
        read_at=now,
        template_id="salesforce",
        code="Active",
        schedule_state="Active",
        interval=timedelta(minutes=40),
        steady_state_first=now,
        steady_state_last=now,
        last_execution=Execution(state="Succeeded", began=now, ended=now, error="", escrowed=0),
        escrows_pruned=False,
        quarantine=None,
        counts={"User to User": 52},
    )
    return events.ReadyToSend(
        before=evidence.dump(snapshot),
        snapshot_at=now,
        client_request_id="c" * 36,
        expected_minutes="",
        warnings=(),
    )


def _accepted(now: datetime) -> events.RestartAccepted:
    return events.RestartAccepted(
        number=1,
        restarted_at=now,
        ends_by=now + timedelta(hours=8),
        look_at=now + timedelta(hours=1),
        graph_request_id="6f0b1c9e-2f4d-4d0a-9f3e-0a4f2b8f7c11",
        detail="",
    )


def _there[T](value: T | None) -> T:
    if value is None:
        raise AssertionError("the state machine does not allow what the floor writes")
    return value


class Floor:
    """Everything of one reset, in the app's order, as bare calls."""

    def __init__(
        self,
        rows: list[list[Operation]],
        clients: tuple[TableClient, TableClient, QueueClient],
        graph: aiohttp.ClientSession,
    ) -> None:
        self._rows = rows
        self._resets, self._ids, self._queue = clients
        self._graph = graph
        self._budget: list[str] = []
        self._etag = ""
        self._spending: asyncio.Task[None] | None = None

    async def one(self, message: Any) -> None:
        name = json.loads(message.content)["target"]
        number = name.rpartition("-")[2]
        place = f"/v1.0/servicePrincipals/{stub.service_principal(int(number))}"
        place += f"/synchronization/jobs/job.{number}"
        claim = {"PartitionKey": f"r{number}", "RowKey": "id", "Target": name, "Hash": "h" * 64}
        await self._ids.create_entity(claim)
        await self._nothing(name, "job")
        etags = await self._transact(name, 0, {})
        fleet = self._nothing("targets", "heartbeat:fleet")
        await asyncio.gather(fleet, self._nothing(name, "watch"))
        await self._graph_call("GET", place)
        await self._spend(name)
        etags = await self._transact(name, 1, etags)
        await self._graph_call("POST", f"{place}/restart", json=_BODY)
        await self._transact(name, 2, etags)
        await self._queue.delete_message(message)

    async def _graph_call(self, method: str, path: str, **body: Any) -> None:
        async with self._graph.request(method, path, **body) as answer:
            await answer.read()

    async def _nothing(self, partition: str, key: str) -> None:
        """A read of a row that is not there, as for a target's first reset."""
        try:
            await self._resets.get_entity(partition, key)
        except Exception as error:
            if getattr(error, "status_code", 0) != 404:
                raise

    async def _transact(self, name: str, step: int, etags: dict[str, str]) -> dict[str, str]:
        operations: list[Any] = []
        keys: list[str] = []
        recorded_operations: list[Any] = copy.deepcopy(self._rows[step])
        for kind, entity, *condition in recorded_operations:
            entity["PartitionKey"] = name
            keys.append(str(entity["RowKey"]))
            if condition and "etag" in condition[0]:
                condition[0]["etag"] = etags[keys[-1]]
            operations.append((kind, entity, *condition))
        results = await self._resets.submit_transaction(operations)
        return {**etags, **{k: str(r.get("etag")) for k, r in zip(keys, results, strict=True)}}

    async def _spend(self, name: str) -> None:
        """One write for all that wait, as the app does it."""
        self._budget.append(name[:16])
        task = self._spending
        if task is None or task.done():
            task = self._spending = asyncio.create_task(self._write_budget())
        await task

    async def _write_budget(self) -> None:
        await asyncio.sleep(0)
        row = {"PartitionKey": "budget", "RowKey": "day", "Spent": "\n".join(self._budget[-900:])}
        if not self._etag:
            self._etag = str((await self._resets.create_entity(row))["etag"])
            return
        written = await self._resets.update_entity(
            row,
            mode=UpdateMode.REPLACE,
            etag=self._etag,
            match_condition=MatchConditions.IfNotModified,
        )
        self._etag = str(written["etag"])


async def run(floor: Floor, queue: QueueClient, number: int) -> None:
    """Take so many messages, 16 in a call and 24 at once, as the host does."""
    gate = asyncio.Semaphore(AT_ONCE)
    left = number

    async def one(message: Any) -> None:
        try:
            await floor.one(message)
        finally:
            gate.release()

    async with asyncio.TaskGroup() as tasks:
        while left > 0:
            most = min(16, left)
            found = queue.receive_messages(messages_per_page=most, max_messages=most)
            for message in [each async for each in found]:
                await gate.acquire()
                tasks.create_task(one(message))
                left -= 1


async def main(warm: int, resets: int) -> dict[str, float]:
    options: dict[str, Any] = {"use_env_settings": False}
    storage = os.environ["STORAGE"]
    async with (
        TableServiceClient.from_connection_string(storage, **options) as tables,
        QueueClient.from_connection_string(storage, RESETS_QUEUE, **options) as queue,
        aiohttp.ClientSession(os.environ["GRAPH"], raise_for_status=True) as graph,
    ):
        clients = (tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), queue)
        floor = Floor(await recorded(), clients, graph)
        await run(floor, queue, warm)
        cpu, began = time.process_time(), time.perf_counter()
        await run(floor, queue, resets)
        taken = time.process_time() - cpu
        return {"cpu": taken / resets * 1000, "rate": resets / (time.perf_counter() - began)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))))
