"""Read a row once for all that ask while another read of it is under way."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from shared.domain.errors import RelinkError


class _Next[T](Struct, kw_only=True):
    """The read that has not begun yet: it serves all that came before it begins."""

    found: T | None = None
    failed: RelinkError | None = None


class _Row[T](Struct, kw_only=True):
    next: _Next[T]
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: int = 0


class SharedReads[T]:
    """
    Reads by key, of which one at a time is under way.

    A read under way when somebody asks may have seen less than there is now, so that it is not
    for them: they share the next one. Under a storm the job row is read once a round trip, and
    not once a ticket.
    """

    def __init__(self, read: Callable[[str], Awaitable[T]]) -> None:
        self._read = read
        self._rows: dict[str, _Row[T]] = {}

    async def read(self, key: str) -> T:
        """Return what a read finds that begins from now on."""
        row = self._rows.setdefault(key, _Row(next=_Next()))
        mine = row.next
        row.asking += 1
        try:
            async with row.reading:
                if mine.found is None and mine.failed is None:
                    row.next = _Next()
                    await self._settle(key, mine)
        finally:
            row.asking -= 1
            if not row.asking:
                del self._rows[key]
        if mine.failed is not None:
            raise mine.failed
        if mine.found is None:
            raise AssertionError("a read that settled nothing")
        return mine.found

    async def _settle(self, key: str, mine: _Next[T]) -> None:
        """Where the one that reads is cancelled, the next of those that wait reads."""
        try:
            mine.found = await self._read(key)
        except RelinkError as error:
            mine.failed = error
