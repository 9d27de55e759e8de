"""
Read pages of the provisioning logs, in turns that all instances share.

Graph answers five requests in ten seconds for the whole tenant. So each page takes a turn from one
row, and after a 429 nobody takes one before the time that Graph has named.
https://learn.microsoft.com/graph/throttling-limits#identity-and-access-reports-service-limits
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.domain.errors import Throttled
from shared.domain.links import ProvisioningEntry
from shared.domain.ports import Clock, LinkGraph, Links

TURNS: Final = 5
TURNS_PER: Final = timedelta(seconds=10)

LOG: Final = "provisioning-log"
ON_DEMAND: Final = "provision-on-demand"
"""Its limit is as high, and is counted by itself."""

PAGES_AT_ONCE: Final = 4
"""Pages of one look: the others are read by the next ones, so that each look ends in time."""


class LogRead(Struct, frozen=True, kw_only=True):
    """
    What was read of a log.

    `next_link` leads on where the log was not read to its end; `problem` says why it cannot be
    read at all; `out_of_turns` that another look may read more.
    """

    entries: tuple[ProvisioningEntry, ...] = ()
    next_link: str = ""
    problem: str = ""
    out_of_turns: bool = False

    @property
    def is_whole(self) -> bool:
        return not (self.next_link or self.problem or self.out_of_turns)


class LogTurns(Struct, frozen=True, kw_only=True):
    """Takes turns at Graph from the rows that all instances share."""

    rows: Links
    clock: Clock

    async def take(self, name: str) -> bool:
        return await self.rows.take_turn(name, at=self.clock(), most=TURNS, per=TURNS_PER)

    async def hold(self, name: str, error: Throttled) -> None:
        """Nobody takes a turn before Graph's own time."""
        await self.rows.hold_turns(name, until=self.clock() + (error.retry_after or TURNS_PER))

    async def pages(
        self,
        graph: LinkGraph,
        job_id: str,
        *,
        since: datetime,
        user_id: str = "",
        link: str = "",
    ) -> LogRead:
        """Read the newest pages, or those from *link* on, as far as there are turns."""
        entries: list[ProvisioningEntry] = []
        for _ in range(PAGES_AT_ONCE):
            if not await self.take(LOG):
                return LogRead(entries=tuple(entries), next_link=link, out_of_turns=True)
            try:
                page = await graph.provisioning_page(
                    job_id, since=since, user_id=user_id, link=link
                )
            except Throttled as error:
                await self.hold(LOG, error)
                return LogRead(entries=tuple(entries), next_link=link, out_of_turns=True)
            if page.expired:
                link = ""
                continue
            if page.problem:
                return LogRead(entries=tuple(entries), problem=page.problem)
            entries += page.entries
            link = page.next_link
            if not link:
                break
        return LogRead(entries=tuple(entries), next_link=link)
