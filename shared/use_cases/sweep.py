"""Send a message for every due row whose time has come: the only clock."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.domain.errors import NewerRow
from shared.domain.ports import Clock, Heartbeats, Queues, Schedule
from shared.domain.reset import DueRow
from shared.telemetry import emit

RESEND_AFTER: Final = timedelta(minutes=5)
MAX_SENT_A_TARGET: Final = 2_000

SWEEP_TIMEOUT: Final = timedelta(minutes=5)
"""After that a sweep begins nothing more: it must not outlast functionTimeout."""

MAX_TARGETS_AT_ONCE: Final = 8
MAX_SENDS_AT_ONCE: Final = 16
"""
Of one target. Their rows are marked by one call after that.

It is lost where one of the messages has been worked on meanwhile: the sends must be quick.
"""

TURN: Final = 100
"""Messages of one target before the next one has its turn."""

HEARTBEAT: Final = "sweep"


class Turn(Struct, kw_only=True):
    """One target in one sweep: what is due and not read yet, and which resets were sent."""

    target: str
    rows: AsyncGenerator[DueRow]
    first: bool = True
    sent: int = 0
    names: set[tuple[str, int | None]] = field(default_factory=set)
    failed: Exception | None = None
    """What ended the reading, raised once the rows before it are sent."""


class Run(Struct, kw_only=True):
    """
    One sweep: who has a turn next, and the failures raised in the end.

    `left` holds the targets that are not done with, in order; `unseen` counts those without a turn.
    """

    ends: datetime
    line: deque[Turn]
    left: dict[str, Turn]
    unseen: int
    beats: bool
    sent: int = 0
    failures: list[Exception] = field(default_factory=list)


class Sweep(Struct, kw_only=True):
    """The use case `sweep`: harmless when it runs late, twice, or next to another one."""

    schedule: Schedule
    heartbeats: Heartbeats
    queues: Queues
    clock: Clock
    resume_at: str = ""
    """The first target that the sweep before had no time for; in memory only."""

    async def sweep(self) -> int:
        """
        Return how many messages were sent.

        Targets take turns, some at a time, so that one that is slow or has much to send holds up
        no other. All failures are raised together in the end; where a target failed in its first
        turn there is no heartbeat.
        """
        run = await self._send_due(beats=True)
        emit("sweep.done", sent=run.sent, left=len(run.left))
        if run.failures:
            raise ExceptionGroup("some targets could not be swept", run.failures)
        await self._beat(run)
        return run.sent

    async def stand_in(self) -> None:
        """Send what is due in the timer's place; the heartbeat and its event stay the timer's."""
        run = await self._send_due(beats=False)
        emit("sweep.stood_in", sent=run.sent)

    async def _send_due(self, *, beats: bool) -> Run:
        now = self.clock()
        targets = self._in_order(await self.schedule.targets())
        turns = {each: Turn(target=each, rows=self.schedule.due(each, now=now)) for each in targets}
        run = Run(
            ends=now + SWEEP_TIMEOUT,
            line=deque(turns.values()),
            left=turns,
            unseen=len(turns),
            beats=beats,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(MAX_TARGETS_AT_ONCE, len(turns))):
                    tasks.create_task(self._take_turns(run))
        finally:
            # Also where the caller gave it less time, and cancels it.
            unseen = (turn.target for turn in run.left.values() if turn.first)
            self.resume_at = next(unseen, next(iter(run.left), ""))
            for turn in run.left.values():
                await turn.rows.aclose()
        return run

    def _in_order(self, targets: list[str]) -> list[str]:
        """Go on where the sweep before ran out of time."""
        later = [each for each in targets if each >= self.resume_at]
        return [*later, *(each for each in targets if each < self.resume_at)]

    async def _take_turns(self, run: Run) -> None:
        while run.line and self.clock() < run.ends:
            turn = run.line.popleft()
            try:
                goes_on = await self._take_turn(turn, run)
            except NewerRow as error:
                emit("reset.newer_row", target=turn.target, why=str(error))
                goes_on = False
            except Exception as error:  # noqa: BLE001 -- one bad row must not stop the clock
                _fail(run, turn, error)
                goes_on = False
            if turn.first:
                turn.first = False
                run.unseen -= 1
                if run.unseen == 0 and not run.failures:
                    # Every target was seen: what is left to send does not hold this up.
                    await self._beat(run)
            if goes_on:
                run.line.append(turn)
            else:
                del run.left[turn.target]
                await turn.rows.aclose()

    async def _take_turn(self, turn: Turn, run: Run) -> bool:
        """Send some of what is due; True where there may be more."""
        until = min(turn.sent + TURN, MAX_SENT_A_TARGET)
        while turn.sent < until:
            if self.clock() >= run.ends:
                return True
            rows = await self._next_rows(turn, most=min(MAX_SENDS_AT_ONCE, until - turn.sent))
            if not rows:
                return False
            await self._send(rows)
            turn.sent += len(rows)
            run.sent += len(rows)
        return turn.sent < MAX_SENT_A_TARGET

    async def _next_rows(self, turn: Turn, *, most: int) -> list[DueRow]:
        rows: list[DueRow] = []
        try:
            while turn.failed is None and len(rows) < most:
                row = await anext(turn.rows, None)
                if row is None:
                    break
                # A reset may be due and wait behind a Head that has gone: two rows, one message.
                if (row.id, row.n) not in turn.names and should_send(row, now=self.clock()):
                    turn.names.add((row.id, row.n))
                    rows.append(row)
        except Exception as error:  # noqa: BLE001 -- raised below, after the rows that were read
            turn.failed = error
        if turn.failed is not None and not rows:
            raise turn.failed
        return rows

    async def _send(self, rows: Sequence[DueRow]) -> None:
        """Send a message for each of some rows of a target, then mark those that were sent."""
        async with asyncio.TaskGroup() as group:
            tasks = [(row, group.create_task(self._send_one(row))) for row in rows]
        # After the sends: a crash in between sends them twice, which is harmless.
        if sent := [row for row, task in tasks if task.result() is None]:
            await self.schedule.mark_sent(sent, at=self.clock())
        if failures := [error for _, task in tasks if (error := task.result()) is not None]:
            raise ExceptionGroup("some messages could not be sent", failures)

    async def _send_one(self, row: DueRow) -> Exception | None:
        """Return what went wrong, so that the others are sent and marked all the same."""
        try:
            if row.n is None:
                await self.queues.follow_up(row.id, target=row.target, key=row.reset_key)
            else:
                await self.queues.notification(row.target, row.id, row.n)
        except Exception as error:  # noqa: BLE001 -- raised by the caller
            return error
        return None

    async def _beat(self, run: Run) -> None:
        """Once in a sweep; never where it stands in for the timer's."""
        if run.beats:
            run.beats = False
            await self.heartbeats.beat(HEARTBEAT, at=self.clock())


def should_send(row: DueRow, *, now: datetime) -> bool:
    """True where no message was sent for the row within five minutes."""
    return row.sent is None or now - row.sent >= RESEND_AFTER


def _fail(run: Run, turn: Turn, error: Exception) -> None:
    for each in _leaves(error):
        emit("sweep.failed", target=turn.target, why=f"{type(each).__name__}: {each}")
        run.failures.append(each)


def _leaves(error: Exception) -> Iterable[Exception]:
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]
