"""
`make storm`: many tickets for one job at once, through the real host, queues and tables.

TICKETS (2000) messages ask for the same job while Graph throttles it, HOSTS (1) hosts work on one
storage, and in between somebody asks for another target. Every setting that decides about restarts
has its default. It ends with 0 only if there was one restart, one place in the budget was spent,
every ticket heard of its end exactly once, and the other target was restarted meanwhile.

Once means under one `webhook-id`. The app may send an answer again, under the same one, only where
it could not know that the first try had come: each repetition must follow such a try in its log.

With COOLDOWN=PT0S Graph throttles nothing: what comes during the cycle shares a second restart.
"""

import asyncio
import itertools
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local import processes
from local.errors import whole_number
from local.http_client import HttpClient, http_client
from local.listening import listening
from shared.names import CONNECTION, RESETS_QUEUE, RESETS_TABLE

TARGET: Final = "salesforce-prod"
SERVICE_PRINCIPAL: Final = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
OTHER: Final = "servicenow"
OTHER_SERVICE_PRINCIPAL: Final = "2d9b5e74-86a1-4f3c-b0d8-9c7e1a5f3b62"
OTHER_ID: Final = "another-target"
ENDED: Final = frozenset({"completed", "joined"})
SENDERS: Final = 16
HOST: Final = "the development host"
SPEED: Final = "60"
"""The cycle over 52 users takes 8.7 seconds."""

_PUT_OFF: Final = re.compile(r"answer\.put_off (\{.*\})")
_runs: Final = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What is asked for."""

    tickets: int = 2000
    hosts: int = 1
    cooldown: str = ""
    name: str = field(default_factory=lambda: f"storm{next(_runs)}")
    """Its requests' ids begin with it, so that several may pass side by side."""

    @property
    def throttled(self) -> bool:
        """Graph throttles the job until all tickets are in, so that one restart can do for all."""
        return not self.cooldown

    @property
    def gives_up_after(self) -> float:
        return 300 + self.tickets


@dataclass
class Result:
    """What came of it."""

    states: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    other_restarts: int = 0
    spent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    unclear: Counter[str] = field(default_factory=Counter)
    other_took: float | None = None
    took: float = 0

    def problems(self, storm: Storm) -> list[str]:
        """Say what is not as it should be, one line each."""
        most = 2 if storm.cooldown else 1
        wrong = []
        if not 1 <= self.restarts <= most:
            wrong.append(f"{self.restarts} restarts of the job, where {most} would do")
        if self.other_restarts != 1:
            wrong.append(f"{self.other_restarts} restarts of the other target")
        if self.spent != self.restarts + self.other_restarts:
            wrong.append(f"{self.spent} places of the budget are spent")
        if (ended := sum(self.states[state] for state in ENDED)) != storm.tickets:
            wrong.append(f"{ended} of {storm.tickets} tickets have ended: {dict(self.states)}")
        if len(self.answers) != storm.tickets or set(self.answers.values()) != {1}:
            twice = sum(count > 1 for count in self.answers.values())
            wrong.append(f"{len(self.answers)} tickets heard of their end, {twice} of them twice")
        if needless := self.repeats - self.unclear:
            wrong.append(f"sent again although they had come for sure: {dict(needless)}")
        if self.other_took is None:
            wrong.append("the other target was not restarted in between")
        return wrong


class Desk:
    """
    The ticket system: counts the final answers that each ticket hears.

    One that comes again under its `webhook-id` is the same answer: of a delivery that this machine
    was too slow to confirm in time, the app cannot know that it came.
    """

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self._heard: set[str] = set()

    async def _hear(self, request: web.Request) -> web.Response:
        data, delivery = (await request.json())["data"], request.headers["webhook-id"]
        heard = self.repeats if delivery in self._heard else self.answers
        heard[data["id"]] += 1
        self._heard.add(delivery)
        return web.Response(status=204)

    def listening(self) -> AbstractAsyncContextManager[str]:
        return listening("/answers", self._hear)


class Log:
    """What the hosts say: of which answers the app could not know whether they had come."""

    def __init__(self) -> None:
        self.unclear: Counter[str] = Counter()

    def hear(self, process: str, line: str) -> None:
        if process == HOST and (found := _PUT_OFF.search(line)):
            self.unclear[json.loads(found[1])["id"]] += 1


def environ(storm: Storm, storage: str, graph: str, answers: str) -> Mapping[str, str]:
    """Defaults for all that decides about restarts; shorter times for what only looks and tells."""
    entry = {"servicePrincipalId": SERVICE_PRINCIPAL}
    if storm.cooldown:
        entry["cooldown"] = storm.cooldown
    catalogue = {TARGET: entry, OTHER: {"servicePrincipalId": OTHER_SERVICE_PRINCIPAL}}
    desk = {"kind": "webhook", "url": answers, "on": ["end"], "perMinute": 6000}
    secret = "c3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0tc3Q="
    return {
        "AzureWebJobsStorage": storage,
        CONNECTION: storage,
        "GRAPH_ENDPOINT": graph,
        "RESET_TARGETS": json.dumps(catalogue),
        "RESETS_ENABLED": "true",
        "NOTIFIERS": json.dumps({"desk": desk}),
        "NOTIFIER_SECRETS": json.dumps({"desk": {"signing": [secret]}}),
        "FOLLOW_UP_INTERVAL": "PT2S",
        "SWEEP_SCHEDULE": "*/5 * * * * *",
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
        "APP_DIR": str(processes.ROOT),
    }


async def run(storm: Storm, *, progress: bool = True) -> Result:
    """Let the storm pass, and return what came of it."""
    desk, log, began = Desk(), Log(), time.monotonic()
    async with AsyncExitStack() as opened:
        processes.listeners.append(log.hear)
        opened.callback(processes.listeners.remove, log.hear)
        storage = await opened.enter_async_context(processes.azurite())
        graph = await opened.enter_async_context(
            processes.emulator({"GRAPH_EMULATOR_SPEED": SPEED})
        )
        answers = await opened.enter_async_context(desk.listening())
        settings = environ(storm, storage, graph, answers)
        for _ in range(storm.hosts):
            await opened.enter_async_context(processes.host(settings))
        client = await opened.enter_async_context(http_client(graph))
        tables = await opened.enter_async_context(
            TableServiceClient.from_connection_string(storage)
        )
        queues = await opened.enter_async_context(
            QueueServiceClient.from_connection_string(storage)
        )
        if storm.throttled:
            await _throttle(client)
        sending = asyncio.create_task(_send(storm, queues))
        result = await _watch(storm, tables, client, desk, began, progress=progress)
        await sending
        result.restarts = await _restarts(client, SERVICE_PRINCIPAL)
        result.other_restarts = await _restarts(client, OTHER_SERVICE_PRINCIPAL)
        result.spent = await _spent(tables)
    result.answers = Counter({k: n for k, n in desk.answers.items() if k != OTHER_ID})
    result.repeats, result.unclear = desk.repeats, log.unclear
    result.took = time.monotonic() - began
    return result


async def _throttle(client: HttpClient) -> None:
    fault = {
        "method": "GET",
        "path": f"*{SERVICE_PRINCIPAL}/synchronization/jobs*",
        "times": 100_000,
        "status": 429,
        "retryAfter": 10,
    }
    (await client.post("/_emulator/faults", json=fault)).raise_for_status()


async def _send(storm: Storm, queues: QueueServiceClient) -> None:
    """Put the tickets on the queue, some at a time, and the other request among them."""
    queue = queues.get_queue_client(RESETS_QUEUE)
    texts = [
        json.dumps(
            {
                "requestId": f"{storm.name}-{n}",
                "target": TARGET,
                "ticket": {"system": "desk", "id": f"INC{n}"},
            }
        )
        for n in range(storm.tickets)
    ]
    other = {"requestId": OTHER_ID, "target": OTHER}
    texts.insert(len(texts) // 2, json.dumps(other))
    await send_all(queue, texts, at_once=SENDERS)


async def send_all(queue: QueueClient, texts: Iterable[str], *, at_once: int) -> None:
    """Put the messages on the queue, some at a time; they never expire."""
    pending = iter(texts)

    async def sender() -> None:
        for text in pending:
            await queue.send_message(text, time_to_live=-1)

    async with asyncio.TaskGroup() as senders:
        for _ in range(at_once):
            senders.create_task(sender())


async def _watch(
    storm: Storm,
    tables: TableServiceClient,
    client: HttpClient,
    desk: Desk,
    began: float,
    *,
    progress: bool,
) -> Result:
    """Look every other second until all have ended and been told of, or time is up."""
    result, throttled = Result(), storm.throttled
    while time.monotonic() - began < storm.gives_up_after:
        await asyncio.sleep(2)
        result.states = await _states(tables, TARGET)
        other = await _states(tables, OTHER)
        ended = sum(result.states[state] for state in ENDED)
        if result.other_took is None and (other["restarted"] or other["completed"]):
            result.other_took = time.monotonic() - began
        if throttled and result.states.total() == storm.tickets:
            throttled = False
            (await client.ask("DELETE", "/_emulator/faults")).raise_for_status()
        told = len(desk.answers) - (OTHER_ID in desk.answers)
        if progress:
            states = ", ".join(f"{n} {state}" for state, n in sorted(result.states.items()))
            elapsed = time.monotonic() - began
            print(f"  {elapsed:6.0f} s  {states or 'nothing yet'}; {told} told", flush=True)
        if ended == storm.tickets == told and result.other_took is not None:
            break
    # An answer that came twice would come now.
    await asyncio.sleep(3)
    return result


async def _states(tables: TableServiceClient, target: str) -> Counter[str]:
    found = tables.get_table_client(RESETS_TABLE).query_entities(
        "PartitionKey eq @target and RowKey ge 'reset:' and RowKey lt 'reset;'",
        parameters={"target": target},
        select=["State"],
    )
    return Counter([str(entity["State"]) async for entity in found])


async def _spent(tables: TableServiceClient) -> int:
    found = tables.get_table_client(RESETS_TABLE).query_entities("PartitionKey eq 'budget'")
    return sum([len(str(entity["Spent"]).split()) async for entity in found])


async def _restarts(client: HttpClient, service_principal: str) -> int:
    received: list[dict[str, Any]] = (await client.get("/_emulator/requests")).json()["value"]
    return sum(
        each["path"].endswith("/restart") and service_principal in each["path"] for each in received
    )


def report(storm: Storm, result: Result) -> str:
    """Say in a few lines what came of it."""
    states = ", ".join(f"{n} {state}" for state, n in sorted(result.states.items()))
    other = "never" if result.other_took is None else f"after {result.other_took:.0f} s"
    return "\n".join(
        (
            f"{storm.tickets} tickets, {storm.hosts} host(s), {result.took:.0f} s: {states}",
            f"  restarts of the job       {result.restarts}",
            f"  budget spent              {result.spent} (the other target's restart included)",
            f"  final answers             {sum(result.answers.values())} to {len(result.answers)}",
            f"  tries not confirmed       {result.unclear.total()}",
            f"  sent again, to be dropped {result.repeats.total()} (under the same webhook-id)",
            f"  other target restarted    {other}",
        )
    )


async def main() -> int:
    storm = Storm(
        tickets=whole_number(os.environ, "TICKETS", 2000),
        hosts=whole_number(os.environ, "HOSTS", 1),
        cooldown=os.environ.get("COOLDOWN", ""),
    )
    print(f"{storm.tickets} tickets for one job; progress every two seconds", flush=True)
    result = await run(storm)
    print(report(storm, result))
    problems = result.problems(storm)
    for problem in problems:
        print(f"  WRONG: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
