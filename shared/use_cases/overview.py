"""Collect what people look at first: what waits for them, what is open, how the targets are."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.backlog import Backlog
from shared.domain.moments import budget_day
from shared.domain.ports import Clock, TargetRows
from shared.domain.reset import JobObservation, JobRow, Reset
from shared.use_cases.backlog import ReadBacklog
from shared.use_cases.lookup import ListPage, ListQuery, Lookup

READS_AT_ONCE: Final = 8
OPEN_SHOWN: Final = 50
TARGETS_SHOWN: Final = 25
TOLD_OF: Final = 25
"""Answers that were given up, and unreadable messages, each."""


class TargetSight(Struct, frozen=True, kw_only=True):
    """A target: its lock, what the timer last saw of its job, and its newest reset."""

    alias: str
    job: JobRow
    observation: JobObservation
    last: Reset | None
    cooldown_until: datetime | None


class Sights(Struct, frozen=True, kw_only=True):
    """
    Everything on the overview; `next_target` begins the next page of targets, where there is one.
    """

    backlog: Backlog
    open: ListPage
    targets: Sequence[TargetSight]
    next_target: str
    spent: int
    daily_budget: int


class Overview(Struct, frozen=True, kw_only=True):
    """The use case `show_overview`: point reads and short ranges, a few for each target."""

    rows: TargetRows
    lookup: Lookup
    backlog: ReadBacklog
    settings: Settings
    clock: Clock

    async def look(self, *, from_target: str = "", continuation: str = "") -> Sights:
        """Raise InvalidRequest for a continuation that this list did not give."""
        now = self.clock()
        opened = await self.lookup.page(ListQuery(limit=OPEN_SHOWN, continuation=continuation))
        aliases = sorted(self.settings.catalogue or {})
        later = [alias for alias in aliases if alias >= from_target]
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def one(alias: str) -> TargetSight:
            async with gate:
                return await self._sight(alias, now)

        rest = later[TARGETS_SHOWN:]
        return Sights(
            backlog=await self.backlog.read(most=TOLD_OF),
            open=opened,
            targets=await asyncio.gather(*map(one, later[:TARGETS_SHOWN])),
            next_target=rest[0] if rest else "",
            spent=(await self.rows.budget(budget_day(now))).spent,
            daily_budget=self.settings.daily_budget,
        )

    async def _sight(self, alias: str, now: datetime) -> TargetSight:
        job, observation, newest = await asyncio.gather(
            self.rows.read_job(alias),
            self.rows.read_observation(alias),
            self.rows.resets(alias, after="", most=1),
        )
        target = (self.settings.catalogue or {})[alias]
        last = job.row.last_restart_at
        free = last + target.cooldown if last is not None else None
        return TargetSight(
            alias=alias,
            job=job.row,
            observation=observation.row,
            last=newest[0] if newest else None,
            cooldown_until=free if free is not None and free > now else None,
        )
