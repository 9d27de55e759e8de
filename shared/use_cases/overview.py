"""Collect what people look at first: what waits for them, what is open, how the targets are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.config import Settings
from shared.domain.moments import budget_day
from shared.domain.ports import Clock, TargetRows
from shared.domain.reset import JobObservation, JobRow, Reset
from shared.domain.waits import asks
from shared.use_cases.lookup import ListPage, ListQuery, Lookup

READS_AT_ONCE: Final = 8
OPEN_SHOWN: Final = 50
TARGETS_SHOWN: Final = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetSight:
    """A target: its lock, what the timer last saw of its job, its newest reset and its Head."""

    alias: str
    job: JobRow
    watch: JobObservation
    last: Reset | None
    head: Reset | None
    cooldown_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sights:
    """
    Everything on the overview; `next_target` begins the next page of targets, where there is one.

    What waits for a person is always the Head of its job: so it is found by the targets' job rows,
    however many resets are open.
    """

    waiting: Sequence[Reset]
    open: ListPage
    targets: Sequence[TargetSight]
    next_target: str
    spent: int
    daily_budget: int


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The use case `show_overview`: point reads and short ranges, a few for each target."""

    rows: TargetRows
    lookup: Lookup
    settings: Settings
    clock: Clock

    async def look(self, *, from_target: str = "", continuation: str = "") -> Sights:
        """Raise InvalidRequest for a continuation that this list did not give."""
        now = self.clock()
        opened = await self.lookup.page(ListQuery(limit=OPEN_SHOWN, continuation=continuation))
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def one(alias: str) -> TargetSight:
            async with gate:
                return await self._sight(alias, now)

        aliases = sorted(self.settings.catalogue or {})
        sights = await asyncio.gather(*map(one, aliases))
        heads = [each.head for each in sights if each.head is not None]
        later = [each for each in sights if each.alias >= from_target]
        rest = later[TARGETS_SHOWN:]
        return Sights(
            waiting=sorted(
                (head for head in heads if asks(head) is not None), key=lambda x: x.requested_at
            ),
            open=opened,
            targets=later[:TARGETS_SHOWN],
            next_target=rest[0].alias if rest else "",
            spent=(await self.rows.budget(budget_day(now))).spent,
            daily_budget=self.settings.daily_budget,
        )

    async def _sight(self, alias: str, now: datetime) -> TargetSight:
        job, watch, newest = await asyncio.gather(
            self.rows.read_job(alias),
            self.rows.read_observation(alias),
            self.rows.resets(alias, after="", most=1),
        )
        head = await self.rows.find_reset(job.row.head) if job.row.head else None
        target = (self.settings.catalogue or {})[alias]
        last = job.row.last_restart_at
        free = last + target.cooldown if last is not None else None
        return TargetSight(
            alias=alias,
            job=job.row,
            watch=watch.row,
            last=newest[0] if newest else None,
            head=head.row if head is not None else None,
            cooldown_until=free if free is not None and free > now else None,
        )
