"""The sweep reads what is due and nothing else, in turns, within its time."""

import asyncio
import json
from collections import Counter
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.keys import reset_due_key, reset_key
from shared.domain.reset import Claim, HistoryEntry, JobRow, LastFull, Reset, State
from shared.names import FOLLOW_UPS_QUEUE, RESETS_QUEUE
from shared.use_cases.sweep import MAX_SENT_A_TARGET, SWEEP_TIMEOUT, TURN, Sweep
from tests.support.faults import Faults
from tests.support.storage import Message, Storage
from tests.support.world import START, TARGET, Clock, World

LATER = START + timedelta(hours=1)


class Desk:
    """A sweep over storage in memory; `calls` counts what it asks of storage."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.storage = Storage(self.clock, Faults())
        self.store = self.storage.store()
        self.sweeper = Sweep(
            schedule=self.store,
            heartbeats=self.store,
            queues=self.storage.adapter(),
            clock=self.clock,
        )

    async def put(self, reset_id: str, target: str = TARGET, **changes: object) -> None:
        reset = Reset(
            **{"id": reset_id, "target": target, "requested_at": START, "due_at": START} | changes  # type: ignore[arg-type]
        )
        entry = HistoryEntry(sequence=1, at=START, state=State.WAITING, by="test", detail="")
        await self.store.remember_target(target, at=START)
        await self.store.claim(
            Claim(id=reset_id, target=target, requested_at=START, content_hash="")
        )
        await self.store.insert(reset, entry, ())

    async def take_head(
        self, reset_id: str, target: str = TARGET, *, last_full: LastFull | None = None
    ) -> None:
        stored = await self.store.find_reset(reset_id or "head")
        assert stored is not None
        job = await self.store.read_job(target)
        taken = JobRow(target=target, head=reset_id, last_full=last_full)
        await self.store.commit(stored, stored.row, job=(job, taken))

    async def sweep(self) -> Counter[str]:
        faults = self.storage.faults
        begin = len(faults.log)
        await self.sweeper.sweep()
        return Counter(faults.log[begin:])

    def sent(self) -> list[str]:
        messages = self.storage.queues[FOLLOW_UPS_QUEUE].messages.values()
        return [json.loads(message.content)["id"] for message in messages]


async def busy(count: int) -> Desk:
    """Half of *count* wait for a moment, half behind a Head that is still there; one is due."""
    desk = Desk()
    for n in range(count // 2):
        await desk.put(f"later-{n}", due_at=LATER)
        await desk.put(f"behind-{n}", due_at=LATER, behind="head")
    await desk.put("head", due_at=LATER)
    await desk.take_head("head")
    await desk.put("due")
    return desk


async def test_a_sweep_costs_the_same_whether_ten_or_ten_thousand_requests_are_open() -> None:
    few, many = await busy(10), await busy(10_000)

    calls = await few.sweep()
    more = await many.sweep()

    assert few.sent() == many.sent() == ["due"]
    assert calls.total() == 6, "targets, what is due, job; send, mark; heartbeat"
    # One full page of what waits, so that the four ranges are asked for one by one.
    assert more.total() == calls.total() + 4


async def test_five_hundred_idle_targets_are_a_call_each() -> None:
    desk = Desk()
    for n in range(500):
        await desk.store.remember_target(f"app-{n}", at=START)

    calls = await desk.sweep()

    assert calls == {"table query": 501, "table upsert": 1}


async def test_what_waits_behind_a_head_that_has_gone_is_sent_at_once() -> None:
    desk = await busy(200)
    await desk.put("another", due_at=LATER)
    await desk.take_head("another")

    await desk.sweep()

    assert sorted(desk.sent()) == sorted(["due", *(f"behind-{n}" for n in range(100))])


@pytest.mark.parametrize(("head", "late"), [("", 32), ("another", 0)], ids=["empty", "taken"])
async def test_a_storm_that_no_ended_restart_stands_for_is_not_woken_whole(
    head: str, late: int
) -> None:
    desk = Desk()
    for n in range(200):
        await desk.put(f"early-{n}", due_at=LATER, behind="head", seen_number=6)
        await desk.put(f"late-{n}", due_at=LATER, behind="head", seen_number=7)
    last = LastFull(number=7, id="head", outcome="completed", service_principal_id="", job_id="")
    await desk.put(head or "head", due_at=LATER)
    await desk.take_head(head, last_full=last)

    await desk.sweep()

    # The others would only note whom they wait behind now; at an empty Head one of them takes it.
    sent = Counter(name.partition("-")[0] for name in desk.sent())
    assert sent == Counter(early=200, late=late)
    desk.clock.forward(hours=1)
    await desk.sweep()
    assert len(set(desk.sent())) == 401, "each is due in the end"


async def test_of_a_storm_whose_head_went_without_a_restart_some_are_woken_each_time() -> None:
    desk = Desk()
    for n in range(100):
        await desk.put(f"r{n}", due_at=LATER, behind="head", seen_number=7)
    await desk.put("head", due_at=LATER)
    await desk.take_head("")

    await desk.sweep()

    assert len(desk.sent()) == 32


async def test_what_is_sent_is_marked_by_one_call_for_many() -> None:
    desk = Desk()
    for n in range(40):
        await desk.put(f"r{n:02d}")

    first, again = await desk.sweep(), await desk.sweep()

    assert (first["queue send"], first["table transaction"], first["table update"]) == (40, 3, 0)
    assert again["queue send"] == 0


async def test_where_one_is_worked_on_before_the_mark_the_others_are_marked() -> None:
    desk = Desk()
    for n in range(3):
        await desk.put(f"r{n}")
    marked = False

    async def work_on_it(call: str) -> None:
        nonlocal marked
        if call == "table transaction" and not marked:
            marked = True
            stored = await desk.store.find_reset("r1")
            assert stored is not None
            await desk.store.commit(stored, replace(stored.row, detail="moved on"))

    desk.storage.interleave(work_on_it)
    await desk.sweep()
    desk.storage.interleave(None)

    await desk.sweep()

    assert desk.sent()[3:] == ["r1"], "its row was written new, and is due again"


async def test_what_was_sent_is_marked_although_another_message_was_not() -> None:
    desk = Desk()
    for n in range(5):
        await desk.put(f"r{n}")
    faults = desk.storage.faults
    # The targets and what is due are read first.
    faults.at, faults.kind = faults.count + 5, "503"

    with pytest.raises(ExceptionGroup):
        await desk.sweep()
    await desk.sweep()

    assert sorted(desk.sent()) == [f"r{n}" for n in range(5)]


async def test_what_was_read_before_a_row_that_cannot_be_read_is_sent() -> None:
    desk = Desk()
    for n in range(20):
        await desk.put(f"due-{n:02d}")
    await desk.put("behind", due_at=LATER, behind="head")
    await desk.put("head", due_at=LATER)
    await desk.take_head("head")
    cells = desk.storage.resets.cells
    values, etag = cells[TARGET, "job"]
    cells[TARGET, "job"] = ({**values, "Version": 99}, etag)

    await desk.sweep()
    desk.clock.forward(minutes=1)
    again = await desk.sweep()

    assert sorted(desk.sent()) == [f"due-{n:02d}" for n in range(20)]
    assert again["queue send"] == 0


async def test_a_message_says_where_the_row_lies() -> None:
    desk = Desk()
    await desk.put("r1")

    await desk.sweep()

    (message,) = desk.storage.queues[FOLLOW_UPS_QUEUE].messages.values()
    place = {"id": "r1", "target": TARGET, "key": reset_key(START, "r1")}
    assert json.loads(message.content) == place


async def test_a_reset_that_is_due_and_waits_behind_nobody_gets_one_message() -> None:
    desk = Desk()
    await desk.put("r1", behind="gone")

    await desk.sweep()

    assert desk.sent() == ["r1"]


async def test_what_was_sent_lately_is_sent_again_after_five_minutes_only() -> None:
    desk = Desk()
    await desk.put("r1")

    for minutes in (0, 4, 1):
        desk.clock.forward(minutes=minutes)
        await desk.sweep()

    assert desk.sent() == ["r1", "r1"]


async def test_a_target_with_much_to_send_gives_the_others_their_turn() -> None:
    desk = Desk()
    names = [f"app-{n}" for n in range(20)]
    for target in names:
        await desk.put(f"{target}-r", target)
    for n in range(500):
        await desk.put(f"many-{n:03d}", "aaa")

    await desk.sweep()

    sent = desk.sent()
    assert len(sent) == 520
    last = max(sent.index(f"{target}-r") for target in names)
    assert len([each for each in sent[:last] if each.startswith("many")]) <= TURN


async def test_one_target_gets_no_more_than_its_share_of_a_sweep() -> None:
    desk = Desk()
    for n in range(MAX_SENT_A_TARGET + 50):
        await desk.put(f"r{n}")

    await desk.sweep()
    first = len(desk.sent())
    desk.clock.forward(minutes=1)
    await desk.sweep()

    assert first == MAX_SENT_A_TARGET
    assert len(set(desk.sent())) == MAX_SENT_A_TARGET + 50


async def test_a_target_that_is_slow_holds_up_no_other() -> None:
    desk = Desk()
    await desk.put("slow", "aaa")
    for n in range(30):
        await desk.put(f"r{n}", f"app-{n}")
    held = asyncio.Event()
    slow: list[str] = []

    async def pause(what: str) -> None:
        if what == "queue send" and not slow:
            slow.append("aaa")
            await held.wait()

    desk.storage.interleave(pause)
    sweeping = asyncio.create_task(desk.sweeper.sweep())
    for _ in range(500):
        await asyncio.sleep(0)
    others = len(desk.sent())
    held.set()
    await sweeping

    assert others == 30
    assert len(desk.sent()) == 31


@pytest.mark.parametrize("later", [1, 90], ids=["the next minute", "after a pause"])
async def test_a_sweep_that_ran_out_of_time_goes_on_where_it_stopped(later: int) -> None:
    desk = Desk()
    names = [f"app-{n:02d}" for n in range(40)]
    for target in names:
        await desk.put(f"{target}-r", target)
    seconds = SWEEP_TIMEOUT.total_seconds() / 10

    async def pause(what: str) -> None:
        if what == "queue send":
            desk.clock.forward(seconds=seconds)

    desk.storage.interleave(pause)
    began = desk.clock()
    await desk.sweep()
    first, lasted = desk.sent(), desk.clock() - began
    desk.clock.forward(minutes=later)
    await desk.sweep()

    assert lasted <= 2 * SWEEP_TIMEOUT
    assert 0 < len(first) < 40
    assert await desk.store.last_beat("sweep") is not None
    second = desk.sent()[len(first) :]
    assert not set(first) & set(second[: 40 - len(first)]), "those that had no turn come first"


async def test_poison_queues_and_retention_wait_for_no_sweep() -> None:
    world = World()
    await world.ask("r1")
    world.clock.forward(minutes=10)
    there = world.storage.queues[f"{RESETS_QUEUE}-poison"]
    there.messages["p1"] = Message("p1", "hello", world.clock())
    held = asyncio.Event()

    async def pause(what: str) -> None:
        if what == "queue send":
            await held.wait()

    world.storage.interleave(pause)
    ticking = asyncio.create_task(world.app.sweep())
    for _ in range(200):
        await asyncio.sleep(0)

    assert there.messages == {}
    assert "heartbeat:retention" in world.keys("targets")
    held.set()
    await ticking


async def test_a_row_of_the_index_is_there_exactly_for_what_is_open() -> None:
    world = World()
    reset = await world.ask("r1")
    assert reset.due_at is not None
    index = [key for key in world.keys(TARGET) if key.startswith("due:")]

    assert index == [reset_due_key(reset.due_at, "r1"), "due:reset:r1"]
