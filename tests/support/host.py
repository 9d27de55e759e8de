"""
The Functions host over a `World`: brings messages, again after a failure; ticks the sweep.

A Crash ends the process: what it held in memory is gone, the messages that it was working on come
back when their lease ends. Time jumps to the next moment at which something can happen.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.adapters.table_rows import reset_from
from shared.domain.errors import InvalidRequest, NewerRow, StorageUnavailable
from shared.domain.reset import ENDED, Reset, State
from shared.invocation import InvocationCancelled
from shared.names import FOLLOW_UPS_QUEUE, RESETS_QUEUE
from shared.use_cases.sweep import RESEND_AFTER
from tests.support.faults import Crash
from tests.support.storage import MemoryQueue, Message
from tests.support.world import TARGET, World

LEASE = timedelta(minutes=10)
RETRY = timedelta(seconds=30)
MAX_DEQUEUE = 5
TICK = timedelta(minutes=1)


EXPECTED = (StorageUnavailable, NewerRow, InvalidRequest, InvocationCancelled)
"""After these the host brings a message again. Anything else is a defect, and fails the test."""


class NeverQuiet(AssertionError):
    """Something goes on forever, or hangs."""


@dataclass
class Host:
    world: World

    async def until_quiet(self, *, rounds: int = 1_000) -> None:
        """
        Until all resets have ended, or wait for a person, and nothing lies on a queue.

        Seven that expire behind one another, each looked at once an hour, take 416 rounds.
        """
        for _ in range(rounds):
            await self.deliver()
            await self.sweep()
            if self.ready():
                continue
            if self.is_quiet():
                return
            self.world.clock.now = self._next_moment()
        raise NeverQuiet([(x.id, x.state, x.detail) for x in resets(self.world)])

    async def deliver(self) -> None:
        for name, queue in self.world.storage.queues.items():
            if not name.endswith("-poison"):
                for message in queue.take(LEASE, most=10_000):
                    await self.bring(name, queue, message)

    async def remediate(self) -> None:
        """One tick of the other timer."""
        await self._survive(self.world.app.remediate())

    async def sweep(self) -> None:
        await self._survive(self.world.app.sweep())

    async def bring(self, name: str, queue: MemoryQueue, message: Message) -> None:
        """One delivery, to its end."""
        app, text = self.world.app, message.content
        receipt = message.pop_receipt
        if name == RESETS_QUEUE:
            work = app.run_reset(text.encode(), message_id=message.id, came_at=self.world.clock())
        elif name == FOLLOW_UPS_QUEUE:
            work = app.follow_up_reset(text.encode(), message_id=message.id)
        else:
            work = app.notify(text.encode())
        done = await self._survive(work)
        if done is None or message.pop_receipt != receipt:
            return
        if done:
            queue.messages.pop(message.id, None)
        elif message.dequeue_count >= MAX_DEQUEUE:
            queue.messages.pop(message.id, None)
            poison = self.world.storage.queues[f"{name}-poison"]
            copy = f"copy-of-{message.id}"
            poison.messages[copy] = Message(copy, text, self.world.clock())
        else:
            message.visible_at = self.world.clock() + RETRY

    async def decide(self, decision: str, request_id: str) -> int:
        """Try again where there is no response; return the last status."""
        for _ in range(4):
            try:
                status = await self.world.decide(decision, request_id=request_id)
            except Crash:
                self._crashed()
                continue
            except EXPECTED:
                continue
            if status != 503:
                return status
        return 503

    async def _survive(self, work: Awaitable[object]) -> bool | None:
        """True: succeeded; False: failed; None: the process died."""
        try:
            await work
        except Crash:
            self._crashed()
            return None
        except BaseExceptionGroup as group:
            # The process died in one of several tasks, or some targets of a timer failed.
            if group.subgroup(Crash) is not None:
                self._crashed()
                return None
            if group.split(EXPECTED)[1] is not None:
                raise
            return False
        except EXPECTED:
            return False
        return True

    def _crashed(self) -> None:
        restarts = took_effect(self.world) + unclear(self.world)
        self.world.spent_at_crashes.append((places(self.world), restarts))
        self.world.rebuild()

    def ready(self) -> bool:
        """A message can be brought at this moment, poison apart (the sweep reads that)."""
        now = self.world.clock()
        return any(
            message.visible_at <= now
            for queue in self.world.storage.queues.values()
            for message in queue.messages.values()
        )

    def is_quiet(self) -> bool:
        messages = any(queue.messages for queue in self.world.storage.queues.values())
        unsaid = bool(self.world.answers())
        return not (messages or unsaid) and all(
            x.state in ENDED or waits_for_person(x) for x in resets(self.world)
        )

    def _next_moment(self) -> datetime:
        now = self.world.clock()
        moments = [
            message.visible_at
            for queue in self.world.storage.queues.values()
            for message in queue.messages.values()
        ]
        for (_, key), (row, _) in self.world.storage.resets.cells.items():
            if key.startswith("due:") and row.get("DueAt"):
                moments.append(row["DueAt"])
            if key.startswith("due:") and row.get("Sent"):
                moments.append(row["Sent"] + RESEND_AFTER)
        later = [moment for moment in moments if moment > now]
        return max(min(later, default=now + TICK), now + timedelta(seconds=1))


def waits_for_person(x: Reset) -> bool:
    return x.state is State.AWAITING_APPROVAL or (x.state is State.UNKNOWN and x.operator_asked)


def resets(world: World) -> list[Reset]:
    found = []
    for (partition, key), (values, _) in sorted(world.storage.resets.cells.items()):
        if key.startswith("reset:"):
            found.append(reset_from({"PartitionKey": partition, "RowKey": key, **values}))
    return found


def target_rows(world: World, prefix: str) -> list[str]:
    return [key for key in world.keys(TARGET) if key.startswith(prefix)]


def places(world: World) -> int:
    """How many places of the budget are taken, over all days."""
    cells = world.storage.resets.cells
    rows = [cells[key][0] for key in cells if key[0] == "budget"]
    return sum(len(str(row["Spent"]).split()) for row in rows)


def took_effect(world: World) -> int:
    """The restarts that took effect."""
    return len({client_id for client_id, took in world.graph.posts if took})


def unclear(world: World) -> int:
    """The restarts without effect that the rows do not know to be without effect."""
    effective = {client_id for client_id, took in world.graph.posts if took}
    return sum(
        (x.state in {State.SENDING, State.UNKNOWN} or x.outcome == "fate unknown")
        and x.state is not State.JOINED
        and x.client_request_id not in effective
        for x in resets(world)
    )
