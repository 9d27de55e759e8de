"""What a distinct reset costs, and a storm: processor time, remote calls, memory."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench import stub
from bench.lab import Host, Lab, NothingMeasured, lab, target
from local.processes import ROOT
from shared.names import RESETS_TABLE

WARM: Final = 20
FAR: Final = 600.0
"""Seconds after which a run has gone wrong."""

TAKEN_IN: Final = 50
"""Tickets of a storm that are taken in a second, at least."""

Figures = dict[str, float]


async def distinct(app: str, resets: int) -> Figures:
    """Each request is for another target; the queue is filled while the host stands still."""
    async with asyncio.timeout(FAR), lab() as it, _warm(it, app, resets, counted=False) as host:
        cpu, azurite, began = host.cpu(), it.cpu(), time.perf_counter()
        with host.halted():
            await it.send(_request(n) for n in range(WARM, WARM + resets))
            azurite, began = it.cpu(), time.perf_counter()
        await _restarted(it, app, WARM + resets)
        took = time.perf_counter() - began
        found = {
            "cpu": (host.cpu() - cpu) / resets * 1000,
            "rate": resets / took,
            "azurite": (it.cpu() - azurite) / resets * 1000,
            "peak": host.peak(),
        }
        await _all_are_there(it, app, WARM + resets)
    return found


async def counted(app: str, resets: int) -> Figures:
    """The same through the relays: calls a reset, by name."""
    async with asyncio.timeout(FAR), lab() as it, _warm(it, app, resets, counted=True) as host:
        with host.halted():
            await it.send(_request(n) for n in range(WARM, WARM + resets))
            before = it.start_counting()
        await _restarted(it, app, WARM + resets)
        found = {"calls": it.calls(before) / resets, **_by_name(it, resets)}
        await _all_are_there(it, app, WARM + resets)
    return found


@asynccontextmanager
async def _warm(it: Lab, app: str, resets: int, *, counted: bool) -> AsyncIterator[Host]:
    """A host whose process has done the same before: what is done once is done."""
    async with it.host(app, it.settings(WARM + resets, counted=counted)) as host:
        await it.send(_request(n) for n in range(WARM))
        await _restarted(it, app, WARM)
        yield host


async def floor(resets: int) -> Figures:
    """The same calls by the same SDKs, without an app and without a host."""
    async with asyncio.timeout(FAR), lab() as it:
        await it.send(_request(n) for n in range(WARM + resets))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.floor",
            str(WARM),
            str(resets),
            cwd=ROOT,
            env={"STORAGE": it.storage, "GRAPH": it.graph_url, "PATH": "/usr/bin"},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        if process.returncode != 0 or it.graph.restarts.total() != WARM + resets:
            raise NothingMeasured("bench.floor has failed")
    found: Figures = json.loads(out)
    return found


async def storm(tickets: int) -> Figures:
    """
    Many tickets for one job; the queue is filled while the host stands still.

    Those that are taken in before the first restart share it, the others the second. A cycle takes
    so long that none comes later on a busy machine either: a third restart would cost reads of
    Graph, and their number would say how fast Azurite is. As with the defaults, a cycle is looked
    at less often than the sweep comes.
    """
    cycle = max(20, tickets // TAKEN_IN)
    async with asyncio.timeout(FAR), lab(cycle=cycle) as it:
        settings = it.settings(
            1,
            counted=True,
            SWEEP_SCHEDULE="*/10 * * * * *",
            FOLLOW_UP_INTERVAL=f"PT{cycle // 2}S",
            RESET_TARGETS=json.dumps({target(0): {**stub.target(0), "cooldown": "PT0S"}}),
        )
        async with it.host("relink", settings) as host:
            with host.halted():
                asked = ({"requestId": f"s-{n}", "target": target(0)} for n in range(tickets))
                await it.send(asked)
                cpu, before, began = host.cpu(), it.start_counting(), time.perf_counter()
            await it.graph.until_restarted(1)
            while await it.is_open(target(0)):
                await asyncio.sleep(1)
            await it.until_empty()
            ended = await it.states(target(0), "completed", "joined")
            if ended != tickets:
                raise NothingMeasured(f"{ended} of {tickets} tickets have ended well")
            took = time.perf_counter() - began
            graph = it.graph.calls() - before
            return {
                "cpu": (host.cpu() - cpu) / tickets * 1000,
                "reads": it.graph.reads.total(),
                "calls": (it.calls(before) - graph) / tickets,
                "restarts": it.graph.restarts.total(),
                "seconds": took,
                "ended": ended,
                "peak": host.peak(),
                **_by_name(it, tickets),
            }


async def beside_a_slow_one(seconds: float, tickets: int, others: int) -> Figures:
    """Reading one job takes long and its tickets lie first on the queue: when are the others?"""
    async with asyncio.timeout(FAR), lab() as it:
        it.graph.slow[stub.service_principal(0)] = seconds
        async with it.host("relink", it.settings(others + 2, counted=False)) as host:
            # What the first restart of a process imports is measured elsewhere.
            await it.send([_request(others + 1)])
            await _restarted(it, "relink", 1)
            with host.halted():
                slow = ({"requestId": f"s-{n}", "target": target(0)} for n in range(tickets))
                await it.send(slow)
                await it.send(_request(n) for n in range(1, others + 1))
                began = time.perf_counter()
            await it.graph.until_restarted(others + 1)
            took = time.perf_counter() - began
            if stub.service_principal(0) in it.graph.restarts:
                raise NothingMeasured("the slow job was not slow")
    return {"seconds": took}


def _request(number: int) -> dict[str, object]:
    return {"requestId": f"r{number}", "target": target(number), "reason": "the links are old"}


async def _restarted(it: Lab, app: str, number: int) -> None:
    if app != "empty":
        await it.graph.until_restarted(number)
    await it.until_empty()


async def _all_are_there(it: Lab, app: str, number: int) -> None:
    """A run that lost or repeated one measures nothing."""
    if app == "empty":
        return
    table = it.table_client.get_table_client(RESETS_TABLE)
    # The history's rows have a state as well.
    found = table.query_entities("State eq 'restarted'", select=["RowKey"])
    there = len([None async for row in found if not row["RowKey"].startswith("event:")])
    if there != number or set(it.graph.restarts.values()) != {1}:
        raise NothingMeasured(f"{app}: {there} of {number} are restarted")


def _by_name(it: Lab, resets: int) -> Figures:
    calls = {**it.tables.calls, **it.queues.calls}
    named = {name: count / resets for name, count in sorted(calls.items())}
    lost = it.tables.refused.total() / resets
    return {**named, "answered 409 or 412": lost}
