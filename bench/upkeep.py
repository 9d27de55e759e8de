"""What the timers and the readers cost: sweeps, a day of nothing, lists, one reset among many."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import ServiceRequestError

from bench.cost import FAR, Figures
from bench.lab import Lab, NothingMeasured, lab, target
from bench.relay import Answers
from bench.tape import Tape
from local.azurite import connection_string
from local.processes import ROOT
from shared.adapters import table_client, table_rows
from shared.adapters.table_calls import PlainCalls
from shared.app import App
from shared.bootstrap import build
from shared.domain.reset import Claim, HistoryEntry, Reset, State
from shared.names import CONNECTION, IDS_TABLE, RESETS_TABLE
from shared.use_cases.lookup import ListQuery

POLLS_A_DAY: Final = 3 * 24 * 360
"""The host looks at an empty queue every ten seconds (host.json), at three of them."""

WRITERS: Final = 8
LOOKS: Final = 10
TRIES: Final = 4
TURNS: Final = 20
WITH_EVENTS: Final = 1_000


@asynccontextmanager
async def apps_in_lab(targets: int) -> AsyncIterator[tuple[Lab, App, App]]:
    """
    The app in this process, twice; none of its timers runs by itself.

    The first talks through the relays, whose calls are counted. They run in this process as well,
    so that processor time is taken of the second, which talks to storage itself.
    """
    async with lab() as it:
        yield it, _app(it, targets, storage=it.counted), _app(it, targets, storage=it.storage)


def _app(it: Lab, targets: int, *, storage: str) -> App:
    settings = {**it.settings(targets, counted=False), CONNECTION: storage}
    made = build({**os.environ, **settings}, app_dir=ROOT)
    if not isinstance(made, App):
        raise NothingMeasured(f"the app cannot be built: {made.settings.problems}")
    return made


async def idle_sweep(targets: int) -> Figures:
    """Nothing is due. The first tick opens connections, the second is measured."""
    async with asyncio.timeout(FAR), apps_in_lab(targets) as (it, counted, app):
        await _remember(it, targets)
        await counted.sweep()
        before = it.start_counting()
        await counted.sweep()
        swept = it.calls(before)
        await counted.remediate()
        it.start_counting()
        await counted.remediate()
        looked = it.tables.total() + it.queues.total()
        await app.sweep()
        # The least of several, as in reading.
        taken = min([await _processor(app.sweep) for _ in range(TRIES)])
    # Once an hour each observation is written again, and retention looks at each target.
    day = 1440 * swept + 96 * looked + 24 * (targets + targets + 2) + POLLS_A_DAY
    return {"calls": swept, "cpu": taken, "remediate": looked, "day": day / 1e6}


async def busy_sweep(rows: int, targets: int = 10) -> Figures:
    """Every row is due; the tick ends within five minutes, or goes on in the next."""
    async with asyncio.timeout(FAR), apps_in_lab(targets) as (it, _, app):
        await _remember(it, targets)
        entities = [
            row
            for number in range(rows)
            for row in table_rows.reset_index(_reset(f"due-{number}", number % targets)).values()
        ]
        await _write(it, RESETS_TABLE, entities)
        began, cpu = time.perf_counter(), time.process_time()
        sent = await app.sweeper.sweep()
        return {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "sent": sent,
            "left": rows - sent,
        }


async def reading(few: int, many: int) -> Figures:
    """
    One reset and the open ones, when there are few and when there are many resets.

    Beside storage the app's own processor time also tells how long storage takes: Azurite looks
    through all rows on the same cores, and what follows a longer wait costs more. So *flat* is of
    the same answers given again at once, in turns; both are told.
    """
    found: Figures = {}
    tapes: dict[str, Answers] = {}
    async with asyncio.timeout(FAR), apps_in_lab(1) as (it, counted, app):
        await _remember(it, 1)
        there = 0
        for name, wanted in (("few", few), ("many", many)):
            await _fill(it, there, wanted)
            there = wanted
            it.tables.kept = tapes[name] = {}
            for kind, look in _looks(counted).items():
                await look()
                before = it.start_counting()
                await _times(LOOKS, look)
                found[f"{kind} {name}"] = it.calls(before) / LOOKS
            it.tables.kept = None
            for kind, look in _looks(app).items():
                await look()
                found[f"cpu {kind} {name}, beside storage"] = await _least(look)
        found |= await _read_from_tape(it, tapes)
    found["flat"] = max(found[f"cpu {k} many"] / found[f"cpu {k} few"] for k in ("one", "open"))
    return found


async def _read_from_tape(it: Lab, tapes: Mapping[str, Answers]) -> Figures:
    """Milliseconds of the app's own processor time, the least of several turns."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    tape = Tape()
    async with tape.playing() as port:
        looks = _looks(_app(it, 1, storage=connection_string("0", "0", str(port))))
        for turn in range(TURNS + 1):
            for name, tape.answers in tapes.items():
                for kind, look in looks.items():
                    spent = await _processor(look, LOOKS, clock=time.thread_time)
                    if turn:  # the first one opens the connections
                        taken[f"cpu {kind} {name}"].append(spent / LOOKS * 1000)
    if tape.missing:
        raise NothingMeasured(f"not on the tape: {tape.missing[0].decode()}")
    return {what: min(spent) for what, spent in taken.items()}


def _looks(app: App) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "one": lambda: app.api.lookup.find("read-0"),
        "open": lambda: app.api.lookup.page(ListQuery(limit=50)),
    }


async def _least(look: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds; the least of several, for what else the machine does only adds to it."""
    return min([await _processor(look, LOOKS) for _ in range(TRIES)]) / LOOKS * 1000


async def _times(times: int, work: Callable[[], Awaitable[object]]) -> None:
    for _ in range(times):
        await work()


async def _processor(
    work: Callable[[], Awaitable[object]],
    times: int = 1,
    *,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Processor seconds of doing it some times."""
    began = clock()
    await _times(times, work)
    return clock() - began


def _reset(name: str, of: int, *, ended: bool = False) -> Reset:
    came = datetime.now(UTC) - timedelta(days=1)
    return Reset(
        id=name,
        target=target(of),
        requested_at=came,
        state=State.COMPLETED if ended else State.WAITING,
        due_at=None if ended else came,
        via="queue",
        detail="as written by the bench",
        sequence=1,
    )


async def _remember(it: Lab, targets: int) -> None:
    now = datetime.now(UTC)
    rows = [
        {"PartitionKey": "targets", "RowKey": target(n), "FirstUsedAt": now, "Version": 2}
        for n in range(targets)
    ]
    await _write(it, RESETS_TABLE, rows)


async def _fill(it: Lab, there: int, wanted: int) -> None:
    """Fifty are open, and each of the first thousand has two events."""
    rows: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    for number in range(there, wanted):
        reset = _reset(f"read-{number}", 0, ended=number >= 50)
        rows.append(table_rows.reset_entity(reset))
        if number < 50:
            rows.append(table_rows.open_entity(reset))
        for sequence in (1, 2) if number < WITH_EVENTS else ():
            entry = HistoryEntry(
                sequence=sequence, at=reset.requested_at, state=reset.state, by="bench", detail=""
            )
            rows.append(table_rows.event_entity(reset, entry))
        if number < 50:
            claim = Claim(
                id=reset.id, target=reset.target, requested_at=reset.requested_at, content_hash="h"
            )
            claims.append(table_rows.claim_entity(claim))
    await _write(it, RESETS_TABLE, rows)
    table = it.table_client.get_table_client(IDS_TABLE)
    for claim_row in claims:
        await table.upsert_entity(claim_row)


async def _write(it: Lab, name: str, entities: list[dict[str, Any]]) -> None:
    """A hundred rows in a transaction, some at a time."""
    by_partition: dict[str, list[dict[str, Any]]] = {}
    for entity in entities:
        by_partition.setdefault(str(entity["PartitionKey"]), []).append(entity)
    batches = iter(
        [
            rows[first : first + 100]
            for rows in by_partition.values()
            for first in range(0, len(rows), 100)
        ]
    )
    table = it.table_client.get_table_client(name)
    calls = PlainCalls(it.table_client)

    async def writer() -> None:
        for batch in batches:
            puts = [table_client.put(row) for row in batch]
            try:
                await calls.transact(table, puts)
            except ServiceRequestError:
                # A kept connection that the service has closed. Put twice is put once.
                await calls.transact(table, puts)

    async with asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(writer())
