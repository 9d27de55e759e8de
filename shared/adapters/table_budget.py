"""
Keep the day's budget: the row that every restart of every target changes.

One write takes or frees the places of all that wait in this process, under the ETag that the last
write returned. So a storm over many targets costs a write for each round trip, and not a read, a
write and a lost race for each restart.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from shared.adapters.table_client import Table, etag_of
from shared.domain.errors import Conflict, StorageUnavailable
from shared.use_cases.group_commit import GroupCommit

MAX_RACES: Final = 20
DAYS_KEPT: Final = 4
"""In memory; at midnight two are in use."""

Places = tuple[str, ...]
Change = Callable[[Places], Places | None]
"""From the places taken to those taken afterwards; None where the day's budget is spent."""


class _Row(Struct, frozen=True, kw_only=True):
    taken: Places = ()
    etag: str = ""


class _Day(Struct, kw_only=True):
    changes: GroupCommit[Change, bool]
    row: _Row | None = None
    """As this process last read or wrote it; None where it must be read."""


class TableBudget:
    """
    The budget's rows, by UTC date.

    What is remembered serves a write alone, whose ETag shows whether it was still true. An answer
    that writes nothing comes from a row that was read for it.
    """

    def __init__(self, rows: Table) -> None:
        self._rows = rows
        self._days: dict[str, _Day] = {}

    async def spent(self, day: str, *, limit: int | None = None) -> int:
        """Return how many places are taken; below *limit* the number last known will do."""
        known = self._day(day).row
        if known is not None and limit is not None and len(known.taken) < limit:
            return len(known.taken)
        return len((await self._read(day)).taken)

    async def change(self, day: str, change: Change) -> bool:
        """Write what *change* makes of the places; False where it says no."""
        return await self._day(day).changes.ask(change)

    async def _write_all(self, day: str, changes: Sequence[Change]) -> list[bool]:
        """Make the changes; one that was written already changes nothing the second time."""
        this = self._day(day)
        for _ in range(MAX_RACES):
            remembered, this.row = this.row, None
            row = remembered or await self._read(day)
            taken, granted = _apply(changes, row.taken)
            if taken == row.taken:
                if remembered is not None:
                    continue
                this.row = row
            else:
                try:
                    this.row = await self._write(day, taken, row.etag)
                except Conflict:
                    continue
            return granted
        raise StorageUnavailable("the budget row: too many concurrent writes")

    async def _read(self, day: str) -> _Row:
        entity = await self._rows.get("budget", day)
        if entity is None:
            return _Row()
        spent = str(entity["Spent"])
        return _Row(taken=tuple(spent.split("\n")) if spent else (), etag=etag_of(entity))

    async def _write(self, day: str, taken: Places, etag: str) -> _Row:
        row = {"PartitionKey": "budget", "RowKey": day, "Spent": "\n".join(taken)}
        if etag:
            return _Row(taken=taken, etag=await self._rows.replace(row, etag))
        return _Row(taken=taken, etag=await self._rows.create(row))

    def _day(self, day: str) -> _Day:
        if day not in self._days:
            idle = sorted(d for d, each in self._days.items() if not each.changes.busy)
            for old in idle[: 1 - DAYS_KEPT]:
                del self._days[old]
            self._days[day] = _Day(changes=GroupCommit(partial(self._write_all, day)))
        return self._days[day]


def _apply(changes: Sequence[Change], taken: Places) -> tuple[Places, list[bool]]:
    granted = []
    for change in changes:
        wanted = change(taken)
        granted.append(wanted is not None)
        taken = taken if wanted is None else wanted
    return taken, granted
