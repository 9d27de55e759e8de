"""
Sweep in place of the timer where the platform has lost it.

On Flex Consumption each timer scales apart from everything else: after a deployment all of them
may stay away while HTTP and queues go on. The sweep is harmless twice, so any function may do it.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from shared.domain.errors import RelinkError
from shared.domain.ports import Clock, Heartbeats
from shared.telemetry import emit
from shared.use_cases.sweep import HEARTBEAT, Sweep

MISSED: Final = "sweep-missed"
"""Beats once for a silence of the timer: when a function first found the heartbeat late."""

STOOD_IN: Final = "sweep-stood-in"
"""Beats whenever a function swept in the timer's place."""

TAKES_AT_MOST: Final = 5.0
"""Seconds. A caller waits meanwhile; what is cut off is sent the next time."""


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
        beat = await self._heartbeats.last_beat(HEARTBEAT)
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
        self, *, heartbeats: Heartbeats, sweep: Sweep, watch: SweepWatch, clock: Clock
    ) -> None:
        self._heartbeats = heartbeats
        self._sweep = sweep
        self._watch = watch
        self._clock = clock
        self._looked: datetime | None = None

    async def stand_in(self) -> None:
        """
        Sweep if the timer is late and nobody else has just done so.

        Called after a function's own work, which must not suffer: what fails here is only logged.
        """
        now = self._clock()
        if self._looked is not None and now - self._looked < self._watch.late:
            return
        self._looked = now
        try:
            async with asyncio.timeout(TAKES_AT_MOST):
                await self._sweep_if_late(now)
        except (RelinkError, TimeoutError) as error:
            emit("sweep.failed", why=f"stand-in: {type(error).__name__}: {error}")

    async def _sweep_if_late(self, now: datetime) -> None:
        beat = await self._heartbeats.last_beat(HEARTBEAT)
        if beat is None and await self._watch.silent_since() is None:
            # A new deployment, or an app that has just come up: the timer has its first minutes.
            return
        if not self._watch.is_late(beat):
            return
        missed = await self._heartbeats.last_beat(MISSED)
        if missed is None or (beat is not None and missed <= beat):
            await self._heartbeats.beat(MISSED, at=now)
        stood_in = await self._heartbeats.last_beat(STOOD_IN)
        if stood_in is not None and now - stood_in < self._watch.late:
            return
        # Noted before the work: others who find the timer late meanwhile leave it to this one.
        await self._heartbeats.beat(STOOD_IN, at=now)
        await self._sweep.stand_in()
