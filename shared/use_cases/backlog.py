"""Collect what waits for a person: questions, answers that were given up, unreadable messages."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.backlog import Backlog
from shared.domain.ports import Clock, WaitingRows
from shared.domain.reset import Reset
from shared.domain.waits import asks

READS_AT_ONCE: Final = 8
READ_OF_MESSAGES: Final = 25
"""Each is kept whole, so that a few are read and no more."""

NEWS_FOR: Final = timedelta(days=7)


class ReadBacklog(Struct, frozen=True, kw_only=True):
    """Point reads, two for each target that was ever used, and the beginning of each list."""

    rows: WaitingRows
    settings: Settings
    clock: Clock

    async def read(self, *, most: int) -> Backlog:
        """
        Return all questions, the oldest first, and the beginning of each other list.

        A message that became no reset counts for a week, or until it was sent again: nobody can
        take it out of the list.
        """
        known = await self.rows.targets()
        questions, undelivered, unreadable = await asyncio.gather(
            self._questions({*known, *(self.settings.catalogue or {})}),
            self.rows.undelivered(most=most),
            self.rows.unreadable(after="", most=READ_OF_MESSAGES),
        )
        since = self.clock() - NEWS_FOR
        return Backlog(
            questions=questions,
            undelivered=undelivered,
            unreadable=[each for each in unreadable if not each.sent_as and each.at >= since],
        )

    async def _questions(self, aliases: Collection[str]) -> list[Reset]:
        """Also of targets that the catalogue no longer names: what was sent there may be asked."""
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def head(alias: str) -> Reset | None:
            async with gate:
                job = await self.rows.read_job(alias)
                if not job.row.head:
                    return None
                found = await self.rows.find_reset(job.row.head)
                return found.row if found is not None else None

        heads = await asyncio.gather(*map(head, sorted(aliases)))
        asking = [each for each in heads if each is not None and asks(each) is not None]
        return sorted(asking, key=lambda each: each.requested_at)
