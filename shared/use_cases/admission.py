"""Bound how many resets one sender can leave open."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.config import Settings
from shared.domain.errors import TooManyOpen
from shared.domain.ports import Census, Clock
from shared.names import REMEDIATE
from shared.telemetry import emit

COUNT_EVERY: Final = 1_000
"""Requests that a process admits before it counts again what the sender has left open."""

COUNT_AGAIN_AFTER: Final = timedelta(minutes=1)
"""How long a sender at its bound is refused before its resets are counted again."""

NOTE_EVERY: Final = timedelta(minutes=1)
MAX_READS_AT_ONCE: Final = 16


class Tally(Struct, kw_only=True):
    """One sender, as this process knows it; `room` is what it may admit before it counts."""

    room: int
    open: int = 0
    counted_at: datetime | None = None
    admitted: bool = False
    refused: int = 0
    noted_at: datetime | None = None
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Admission(Struct, frozen=True, kw_only=True):
    """
    Asked before rows are written. A sender is a `via`: `webhook:<name>`, `api` or `queue`.

    What a sender has open is counted in the rows `due:reset:` of its targets, a thousand keys a
    call. A process counts after each 1,000 requests of the sender that it has admitted, and sooner
    where the last count left less room. So the bound is passed by at most 1,000 for each instance,
    and by what is under way. The timer's own requests are not bounded.
    """

    census: Census
    settings: Settings
    clock: Clock
    tallies: dict[str, Tally] = field(default_factory=dict)

    async def admit(self, via: str) -> None:
        """Raise TooManyOpen where the sender has left as many open as it may."""
        if via == REMEDIATE:
            return
        bound = self.settings.max_open
        tally = self.tallies.setdefault(via, Tally(room=min(bound, COUNT_EVERY)))
        if tally.room <= 0:
            async with tally.counting:
                # Another request may have counted while this one waited.
                if tally.room <= 0 and self._may_have_changed(tally):
                    tally.open, tally.counted_at = await self._count(via), self.clock()
                    tally.room = min(bound - tally.open, COUNT_EVERY)
                    tally.admitted = False
        if tally.room <= 0:
            await self._refuse(via, tally)
        tally.room -= 1
        tally.admitted = True

    def _may_have_changed(self, tally: Tally) -> bool:
        if tally.admitted or tally.counted_at is None:
            return True
        return self.clock() - tally.counted_at >= COUNT_AGAIN_AFTER

    async def _count(self, via: str) -> int:
        gate = asyncio.Semaphore(MAX_READS_AT_ONCE)

        async def one(target: str) -> int:
            async with gate:
                return await self.census.count_open(target, via)

        return sum(await asyncio.gather(*map(one, await self._targets(via))))

    async def _targets(self, via: str) -> list[str]:
        """A webhook's sender reaches its own targets only; API and queue reach all."""
        sender = self.settings.senders.get(via.removeprefix("webhook:"))
        if via.startswith("webhook:") and sender is not None:
            return list(sender.entry.targets)
        return await self.census.targets()

    async def _refuse(self, via: str, tally: Tally) -> None:
        """Refuse, and keep count: a row a sender, written once a minute at most."""
        tally.refused, now = tally.refused + 1, self.clock()
        if tally.noted_at is None or now - tally.noted_at >= NOTE_EVERY:
            refused, tally.refused, tally.noted_at = tally.refused, 0, now
            emit("sender.at_bound", via=via, open=tally.open, refused=refused)
            await self.census.note_refused(via, refused, at=now)
        raise TooManyOpen(
            f"{tally.open:,} requests of this sender are open, and at most "
            f"{self.settings.max_open:,} may be (RESET_MAX_OPEN); send again later",
            retry_after=COUNT_AGAIN_AFTER,
        )
