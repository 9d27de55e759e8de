"""
The rules made wrong, one at a time: the harness must notice each.

A harness that passes with a wrong engine shows nothing.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterator, Sequence
from copy import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.adapters.table_store import TableStore
from shared.domain import events, policy
from shared.domain.errors import Conflict
from shared.domain.events import Event
from shared.domain.reset import (
    Budget,
    BudgetPlace,
    Claim,
    Fleet,
    HistoryEntry,
    JobObservation,
    JobRow,
    Notification,
    Reset,
    State,
    Stored,
    WaitingFor,
)
from shared.domain.states import transition
from shared.domain.sync_job import AuditTrail, SyncJob
from shared.domain.transitions import StateMachine, Transition
from shared.use_cases.advance import Engine
from tests.crash.invariants import check
from tests.crash.scenarios import CYCLE, ENVIRON, live, put
from tests.support.host import Host, NeverQuiet, places, resets
from tests.support.world import TARGET, World

SOON = 120
"""Seconds: far more than a life here takes, should it wait for something that never comes."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class SendsBeforeIntent(Engine, frozen=True, kw_only=True):
    async def _send(
        self,
        claim: Claim,
        reset: Stored[Reset],
        job: Stored[JobRow],
        ready: events.ReadyToSend,
    ) -> Reset:
        step = transition(reset.row, job.row, ready, now=self.clock())
        assert step is not None
        event = await self.calls.restart(step.reset)
        intent = await self.writer.write(reset, job, ready)
        return await self._report(claim, intent, event)


class TakesALostAnswerForAFailure(Engine, frozen=True, kw_only=True):
    async def _report(self, claim: Claim, intent: Stored[Reset], event: Event) -> Reset:
        if isinstance(event, events.ResponseLost):
            event = events.RestartRejected(number=event.number, reason=event.reason)
        return await super()._report(claim, intent, event)


class JoinsWhatItSaw(Engine, frozen=True, kw_only=True):
    @staticmethod
    def stands_for(job: JobRow, reset: Reset) -> bool:
        last = job.last_full
        seen = reset.seen_number
        return last is not None and seen is not None and last.number >= seen > 0


def keeps_head_on_a_refusal(
    reset: Reset, job: JobRow, event: Event, /, *, now: datetime
) -> Transition | None:
    step = transition(reset, job, event, now=now)
    return replace(step, job=None) if step and isinstance(event, events.Refused) else step


def lets_a_late_word_undo_the_next_intent(
    reset: Reset, job: JobRow, event: Event, /, *, now: datetime
) -> Transition | None:
    if isinstance(event, events.SendPrevented) and reset.number is not None:
        event = replace(event, number=reset.number)
    return transition(reset, job, event, now=now)


class DropsTheFence(TableStore):
    async def commit(
        self,
        before: Stored[Reset],
        after: Reset,
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
        event: HistoryEntry | None = None,
        answers: Sequence[Notification] = (),
        given_up: Stored[Notification] | None = None,
    ) -> Stored[Reset]:
        if job is not None:
            # The lock is ours, even where the job row now says otherwise.
            job = (await self.read_job(after.target), job[1])
        return await super().commit(
            before, after, job=job, event=event, answers=answers, given_up=given_up
        )


class ForgetsWhatTheJobShows(Engine, frozen=True, kw_only=True):
    """Goes wherever the rows do not object."""

    async def _ask_policy(
        self, reset: Reset, job: JobRow
    ) -> events.MustWait | events.MustAsk | events.Refused | events.ReadyToSend | events.Previewed:
        event = await super()._ask_policy(reset, job)
        if not isinstance(event, events.MustAsk | events.Refused):
            return event
        snapshot = await self.calls.read_job(reset)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        history = policy.History(
            job=job, budget=Budget(), fleet=Fleet(), observation=JobObservation(target=reset.target)
        )
        return await self._as_event(reset, policy.Go(), history, snapshot)


class KeepsEveryPlace(TableStore):
    """Gives no place in the budget back."""

    async def give_back(self, place: BudgetPlace) -> None:
        del place


class GivesBackAfterA204(Engine, frozen=True, kw_only=True):
    async def _report(self, claim: Claim, intent: Stored[Reset], event: Event) -> Reset:
        if isinstance(event, events.RestartAccepted):
            await self.budget.give_back_sent(intent.row)
        return await super()._report(claim, intent, event)


class ReservesBeforeHead(Engine, frozen=True, kw_only=True):
    """Takes its place in the budget first; the Head comes with the intent, or goes to another."""

    async def _before_sending(
        self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]
    ) -> Reset:
        if job.row.head or reset.row.seen_number is None or self.stands_for(job.row, reset.row):
            return await super()._before_sending(claim, reset, job)
        event = await self._ask_policy(reset.row, job.row)
        if not isinstance(event, events.ReadyToSend):
            return await self._write(reset, job, event)
        intent = await self.writer.write(reset, job, event)
        return await self._report(claim, intent, await self.calls.restart(intent.row))


async def noticed(scenario: str, engine_type: type[Engine] = Engine, **how: Any) -> bool:
    try:
        life = await live(scenario, engine_type=engine_type, **how)
        await check(life.world, life.requests, broken=1 if "kind" in how else 0)
    except (AssertionError, Conflict):
        return True
    return False


async def test_sending_before_the_intent_is_noticed() -> None:
    found = [
        at
        for at in range(1, 60)
        if await noticed("single", SendsBeforeIntent, at=at, kind="crash before")
    ]

    assert found
    assert not await noticed("single", Engine, at=found[0], kind="crash before")


async def test_taking_a_lost_answer_for_a_failure_is_noticed() -> None:
    assert await noticed("lost_but_effective", TakesALostAnswerForAFailure)


async def test_joining_a_restart_that_was_seen_is_noticed() -> None:
    assert await noticed("during_the_cycle", JoinsWhatItSaw)


async def test_keeping_the_head_on_a_refusal_is_noticed() -> None:
    assert await noticed("head_is_refused", machine=keeps_head_on_a_refusal)


async def two_at_an_empty_head(store_type: type[TableStore]) -> World:
    """
    Two workers read an empty Head, and write one after the other.

    The change window of both requests has opened. The first worker freezes when it has read the
    job row; the second goes on to its POST, which Graph holds until the first is done.
    """
    world = World(environ=dict(ENVIRON), store_type=store_type)
    world.graph.cycle_takes = CYCLE
    world.graph.trail = AuditTrail(readable=True)
    opens = world.clock() + timedelta(minutes=30)
    for request_id in ("r1", "r2"):
        put(world, request_id, notBefore=opens.isoformat())
    await Host(world).deliver()
    world.clock.now = opens
    for request_id in ("r1", "r2"):
        assert (await world.look(request_id)).seen_number == 0
    frozen, on_the_wire = asyncio.Event(), asyncio.Event()
    thaw, answer = asyncio.Event(), asyncio.Event()

    seen: list[str] = []

    async def freeze(what: str) -> None:
        seen.append(what)
        # After the ids row, the reset and the job row: what follows is to take the Head.
        if len(seen) == 4:
            assert seen[:3] == ["table read"] * 3
            frozen.set()
            await thaw.wait()

    async def hold(what: str) -> None:
        if what == "graph restart" and not on_the_wire.is_set():
            on_the_wire.set()
            await answer.wait()

    first = world.storage.shared()
    first.interleave(freeze)
    world.graph.pause = hold
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(
            world.process(storage=first).follow_up_reset(b'{"id": "r1"}', message_id="m1")
        )
        await frozen.wait()
        tasks.create_task(world.app.follow_up_reset(b'{"id": "r2"}', message_id="m2"))
        await on_the_wire.wait()
        thaw.set()
        await slow
        answer.set()
    world.graph.pause = None
    await Host(world).until_quiet()
    return world


async def test_of_two_workers_at_an_empty_head_one_takes_it() -> None:
    world = await two_at_an_empty_head(TableStore)

    await check(world, 2)
    assert len(world.graph.posts) == 1
    assert {x.id: x.state for x in resets(world)} == {"r1": State.JOINED, "r2": State.COMPLETED}


async def test_dropping_the_fence_is_noticed() -> None:
    with pytest.raises((AssertionError, Conflict)):
        await check(await two_at_an_empty_head(DropsTheFence), 2)


async def test_forgetting_what_the_job_shows_is_noticed() -> None:
    life = await live("put_to_a_person", engine_type=ForgetsWhatTheJobShows)

    with pytest.raises(AssertionError, match="credentials"):
        await check(life.world, life.requests)
    assert not await noticed("put_to_a_person")


@pytest.mark.parametrize("scenario", ["throttled", "lost_and_without_effect"])
async def test_giving_no_place_in_the_budget_back_is_noticed(scenario: str) -> None:
    assert await noticed(scenario, store_type=KeepsEveryPlace)
    assert not await noticed(scenario)


async def test_giving_a_place_back_after_a_204_is_noticed() -> None:
    assert await noticed("single", GivesBackAfterA204)


async def at_once(world: World, works: list[Coroutine[Any, Any, None]]) -> None:
    """All at work at the same time: each I/O lets the others go first."""

    async def others_first(what: str) -> None:
        del what
        await asyncio.sleep(0)

    world.storage.interleave(others_first)
    world.graph.pause = others_first
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(work)
    world.storage.interleave(None)
    world.graph.pause = None


TICKETS = 20


async def storm(engine_type: type[Engine] = Engine, *, opens_in: timedelta | None = None) -> World:
    """Tickets for one job at the same time: as they come, or as their change window opens."""
    world = World(environ={**ENVIRON, "RESET_DAILY_BUDGET": "1"}, engine_type=engine_type)
    world.graph.cycle_takes = CYCLE
    opens = {} if opens_in is None else {"notBefore": (world.clock() + opens_in).isoformat()}
    texts = [
        json.dumps({"requestId": f"r{n}", "target": TARGET, **opens}).encode()
        for n in range(TICKETS)
    ]
    await at_once(
        world,
        [
            world.app.run_reset(text, message_id=f"m{n}", came_at=world.clock())
            for n, text in enumerate(texts)
        ],
    )
    if opens_in is not None:
        world.clock.now += opens_in
        for _ in range(2):
            await at_once(
                world,
                [
                    world.app.follow_up_reset(json.dumps({"id": f"r{n}"}).encode(), message_id="m")
                    for n in range(TICKETS)
                ],
            )
    return world


@pytest.mark.parametrize("opens_in", [None, timedelta(minutes=30)])
async def test_of_a_storm_one_asks_graph_and_spends_one_place(opens_in: timedelta | None) -> None:
    world = await storm(opens_in=opens_in)

    assert (places(world), len(world.graph.restarts), world.graph.reads) == (1, 1, 1)
    waits = {x.waiting_for for x in resets(world) if x.state is State.WAITING}
    assert waits == {WaitingFor.OTHER}


async def test_reserving_before_the_head_is_taken_is_noticed() -> None:
    """The losers have asked Graph, and have had a place for nothing."""
    world = await storm(ReservesBeforeHead, opens_in=timedelta(minutes=30))

    assert world.graph.reads > 1


async def late_429(machine: StateMachine) -> World:
    """
    A worker freezes with its 429 in hand. The next intent is on the wire when it wakes up.

    The first worker's storage lets it go no further than its last transaction, Graph holds the
    second worker's POST; then the first wakes up, and only then does the second hear its 204.
    """
    world = World(environ=dict(ENVIRON), machine=machine)
    world.graph.cycle_takes = CYCLE
    world.graph.trail = AuditTrail(readable=True)
    world.graph.scripted = ["429"]
    frozen, on_the_wire = asyncio.Event(), asyncio.Event()
    thaw, answer = asyncio.Event(), asyncio.Event()

    async def freeze(what: str) -> None:
        if what == "table transaction" and world.graph.posts:
            frozen.set()
            await thaw.wait()

    async def hold(what: str) -> None:
        if what == "graph restart" and world.graph.posts:
            on_the_wire.set()
            await answer.wait()

    first = world.storage.shared()
    first.interleave(freeze)
    text = json.dumps(
        {"requestId": "r1", "target": TARGET, "ticket": {"system": "desk", "id": "T"}}
    )
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        one = tasks.create_task(
            world.process(storage=first).run_reset(
                text.encode(), message_id="m1", came_at=world.clock()
            )
        )
        await frozen.wait()
        # Long enough to be taken for dead, looked for, shown not to have happened and sent again.
        for _ in range(8):
            world.clock.forward(minutes=61)
            await world.app.follow_up_reset(b'{"id": "r1"}', message_id="m2")
            if (await world.row()).state is State.WAITING:
                break
        world.graph.pause = hold
        tasks.create_task(world.app.follow_up_reset(b'{"id": "r1"}', message_id="m3"))
        await on_the_wire.wait()
        thaw.set()
        await one
        answer.set()
    world.graph.pause = None
    for queue in world.storage.queues.values():
        queue.messages.clear()
    await Host(world).until_quiet()
    return world


async def test_a_late_429_does_not_undo_the_next_intent() -> None:
    world = await late_429(transition)

    await check(world, 1)
    assert [took for _, took in world.graph.posts] == [False, True]
    assert (await world.row()).state is State.COMPLETED


async def test_letting_a_late_429_undo_the_next_intent_is_noticed() -> None:
    with pytest.raises((AssertionError, NeverQuiet)):
        await check(await late_429(lets_a_late_word_undo_the_next_intent), 1)
