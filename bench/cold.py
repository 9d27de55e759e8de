"""From the start of a process to its first webhook and to its first restart; memory under load."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from statistics import median
from typing import Final

from bench.cost import FAR, Figures
from bench.lab import SECRET, Host, Lab, NothingMeasured, lab, target
from local.http_client import HttpClient, http_client

AT_ONCE: Final = 30
BOTH: Final = ("relink", "naive")
TRIES: Final = 10
ONLY_HTTP: Final = {
    f"AzureWebJobs.{function}.Disabled": "true"
    for function in ("run_reset", "follow_up_reset", "notify", "sweep", "remediate")
}
HEADERS: Final = {"x-relink-secret": SECRET, "content-type": "application/json"}


async def first_restarts(starts: int) -> Figures:
    """Start both apps so many times, in turns; the message lies there when the process starts."""
    taken = defaultdict[str, list[Figures]](list)
    for app in BOTH * starts:
        taken[app].append(await _first_restart(app))
    return of_starts(taken)


async def _first_restart(app: str) -> Figures:
    async with asyncio.timeout(FAR), lab() as it:
        await it.send([{"requestId": "first", "target": target(0)}])
        async with it.host(app, it.settings(1, counted=False)) as host:
            listening = host.cpu()
            await it.graph.until_restarted(1)
            return {
                "cpu": host.cpu(),
                "seconds": time.perf_counter() - host.began,
                "listening": listening,
            }


async def first_webhooks(starts: int) -> Figures:
    """
    Start both apps so many times, in turns, each on an instance of Flex Consumption for HTTP.

    There the functions of HTTP scale as a group of their own, without queues and timers; in this
    host, their first looks into storage would take the same processor as the webhook. Storage is
    warm, as a service is, and each webhook is for a target of its own.
    """
    taken = defaultdict[str, list[Figures]](list)
    async with asyncio.timeout(FAR), lab() as it:
        await it.used_before()
        settings = it.settings(len(BOTH) * starts, counted=False, **ONLY_HTTP)
        for number, app in enumerate(BOTH * starts):
            async with it.host(app, settings) as host, http_client(host.url, seconds=60) as client:
                taken[app].append(await _first_webhook(host, client, number))
    return of_starts(taken)


async def _first_webhook(host: Host, client: HttpClient, number: int) -> Figures:
    """Sent as soon as the port listens."""
    listening, began = host.cpu(), time.perf_counter()
    await _ask(client, number, number)
    return {
        "milliseconds": (time.perf_counter() - began) * 1000,
        "cpu": host.cpu(),
        "listening": listening,
    }


def of_starts(taken: Mapping[str, Sequence[Figures]]) -> Figures:
    """
    Return what stands for all starts of each app.

    Of processor time that is the least, for what else the machine does only adds to it; of the time
    that a caller waits it is the median, for he also waits for what happens in every other start.
    """
    found: Figures = {}
    for app, starts in taken.items():
        for what in starts[0]:
            found[f"{what} {app}"] = median(each[what] for each in starts)
        found[f"least cpu {app}"] = min(each["cpu"] for each in starts)
    return found


async def memory(early: int, late: int) -> Figures:
    """Webhooks for three targets, with their resets beside; megabytes early and late."""
    async with _asked("relink", 3) as (_, host, client):
        await _many(client, 0, early)
        first, before = host.memory(), host.cpu()
        await _many(client, early, late)
        return {
            "early": first,
            "late": host.memory(),
            "growth": host.memory() / first,
            "cpu": (host.cpu() - before) / (late - early) * 1000,
        }


async def slow_storage(seconds: float) -> Figures:
    """Every storage call takes so long."""
    async with _asked("relink", 1, counted=True) as (it, _, client):
        it.tables.seconds = it.queues.seconds = seconds
        return await _one_webhook(client)


async def dropped_connection() -> Figures:
    """The queue service drops the connection on which the message is to be sent, once."""
    async with _asked("relink", 1, counted=True) as (it, _, client):
        it.queues.drop("POST queue", 1)
        return await _one_webhook(client)


@asynccontextmanager
async def _asked(
    app: str, targets: int, *, counted: bool = False
) -> AsyncIterator[tuple[Lab, Host, HttpClient]]:
    """A host that listens, and a client of it."""
    async with (
        asyncio.timeout(FAR),
        lab() as it,
        it.host(app, it.settings(targets, counted=counted)) as host,
        http_client(host.url, seconds=60) as client,
    ):
        yield it, host, client


async def _one_webhook(client: HttpClient) -> Figures:
    body = json.dumps({"requestId": "w", "target": target(0)})
    began = time.perf_counter()
    answer = await client.post("/api/webhooks/desk", data=body, headers=HEADERS)
    return {"status": answer.status, "seconds": time.perf_counter() - began}


async def _many(client: HttpClient, first: int, last: int) -> None:
    pending = iter(range(first, last))

    async def sender() -> None:
        for number in pending:
            await _ask(client, number, number % 3)

    async with asyncio.TaskGroup() as senders:
        for _ in range(AT_ONCE):
            senders.create_task(sender())


async def _ask(client: HttpClient, number: int, of: int) -> None:
    """Ask as senders do: what is answered 503 is sent again, and is the same request."""
    body = json.dumps({"requestId": f"w{number}", "target": target(of)})
    for _ in range(TRIES):
        answer = await client.post("/api/webhooks/desk", data=body, headers=HEADERS)
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            break
        await asyncio.sleep(1)
    if answer.status not in {200, 202}:
        raise NothingMeasured(f"a webhook was answered {answer.status}: {answer.text}")
