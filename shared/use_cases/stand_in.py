"""
Sweep in place of the timer where the platform has lost it.

On Flex Consumption each timer scales apart from everything else: after a deployment all of them
may stay away while HTTP and queues go on. The sweep is harmless twice, so any function may do it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from shared.domain.ports import Clock, Heartbeats
from shared.telemetry import emit
from shared.use_cases.sweep import HEARTBEAT, Sweep

MISSED: Final = "sweep-missed"
"""Beats once for a silence of the timer: when a function first found the heartbeat late."""

STOOD_IN: Final = "sweep-stood-in"
"""Beats whenever a function swept in the timer's place."""

TAKES_AT_MOST: Final = 5.0
"""Seconds for which a caller waits, and for which a sweep lasts; the rest is sent the next time."""

WORTH_IT: Final = 0.2
"""Of that time: with less left, a sweep would only keep others from sweeping."""


class SweepWatch:
    """Knows whether the timer is late. The timer's heartbeat counts alone, not a stand-in's."""

    def __init__(self, *, heartbeats: Heartbeats, late: timedelta, clock: Clock) -> None:
        """*late* is how old the heartbeat may be."""
        self._heartbeats = heartbeats
        self._clock = clock
        self.started: Final = clock()
        self.late: Final = late

    async def silent_since(self) -> datetime | None:
        """
        Return the last heartbeat of a timer that is late, or when the app began without one.

        None also while the app itself is younger than that, as far as anybody knows: this process
        may be a second old, so what another one noted counts as well.
        """
        return await self.silent_after(await self._heartbeats.last_beat(HEARTBEAT))

    async def silent_after(self, beat: datetime | None) -> datetime | None:
        """As `silent_since`, where the last heartbeat has been read."""
        if not self.is_late(beat):
            return None
        began = await self._began(beat)
        return (beat or began) if self.is_late(began) else None

    def is_late(self, beat: datetime | None) -> bool:
        return beat is None or self._clock() - beat > self.late

    async def _began(self, beat: datetime | None) -> datetime:
        """Return the earliest time from which the app is known to have run without the timer."""
        missed = await self._heartbeats.last_beat(MISSED)
        noted = missed is not None and (beat is None or missed > beat)
        return min(self.started, missed) if noted and missed is not None else self.started


class StandIn:
    """Looks at the heartbeat once in a while, and sweeps where it is late."""

    def __init__(
        self,
        *,
        heartbeats: Heartbeats,
        sweep: Sweep,
        watch: SweepWatch,
        clock: Clock,
        within: float = TAKES_AT_MOST,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """*within* is in seconds, which *seconds* counts."""
        self._heartbeats = heartbeats
        self._sweep = sweep
        self._watch = watch
        self._clock = clock
        self._within = within
        self._seconds = seconds
        self._looked: datetime | None = None

    async def beside[T](self, work: Awaitable[T], *, answers: bool = True) -> T:
        """
        Return what *work* returns; sweep after it if the timer is late and nobody has just done so.

        The heartbeat is looked at meanwhile, so that nobody waits for that. What fails of the look
        and of the sweep is only logged: a function's own work must not suffer. *answers*: somebody
        waits for the result, so that the sweep must fit into what the work left of the time.
        """
        now = self._clock()
        if self._looked is not None and now - self._looked < self._watch.late:
            return await work
        self._looked = now
        ends = self._seconds() + self._within
        look = asyncio.create_task(self._guarded(partial(self._is_late, now), ends))
        try:
            result = await work
        except BaseException:
            look.cancel()
            self._looked = None
            raise
        late = await look
        if not answers:
            ends = self._seconds() + self._within
        if late and ends - self._seconds() >= self._within * WORTH_IT:
            await self._guarded(partial(self._sweep_in_its_place, now), ends)
        elif late:
            # The work took all the time that a caller is kept waiting: the next function sweeps.
            self._looked = None
        return result

    async def _guarded(self, step: Callable[[], Awaitable[bool]], ends: float) -> bool:
        """Return what *step* returns, or False where it fails or takes too long."""
        try:
            async with asyncio.timeout(ends - self._seconds()):
                return await step()
        except Exception as error:  # noqa: BLE001 -- the function has done its work
            emit("sweep.failed", why=f"stand-in: {type(error).__name__}: {error}")
            return False

    async def _is_late(self, now: datetime) -> bool:
        """Return whether a sweep is wanted; note a silence that nobody has noted yet."""
        beat = await self._heartbeats.last_beat(HEARTBEAT)
        if not self._watch.is_late(beat):
            return False
        if beat is None and await self._watch.silent_after(beat) is None:
            # A new deployment, or an app that has just come up: the timer has its first minutes.
            return False
        missed = await self._heartbeats.last_beat(MISSED)
        if missed is None or (beat is not None and missed <= beat):
            await self._heartbeats.beat(MISSED, at=now)
        stood_in = await self._heartbeats.last_beat(STOOD_IN)
        return stood_in is None or now - stood_in >= self._watch.late

    async def _sweep_in_its_place(self, now: datetime) -> bool:
        # Noted before the work: others who find the timer late meanwhile leave it to this one.
        await self._heartbeats.beat(STOOD_IN, at=now)
        await self._sweep.stand_in()
        return True
