"""Count the requests whose ticket will hear nothing, for health."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Census, Clock
from shared.telemetry import emit

A_ROW_EVERY: Final = timedelta(minutes=1)


class UnheardCount(Struct, frozen=True, kw_only=True):
    """
    Write a row for each way of coming, at most once a minute.

    Each process counts for itself. What it has counted and not yet written when it ends is lost:
    the reset's own warning and its log line are not.
    """

    census: Census
    clock: Clock
    _written: dict[str, datetime] = field(default_factory=dict)
    _left: Counter[str] = field(default_factory=Counter)

    async def add(self, via: str) -> None:
        """Count one; a table that does not answer is no reason to fail the request."""
        self._left[via] += 1
        now, last = self.clock(), self._written.get(via)
        if last is not None and timedelta(0) <= now - last < A_ROW_EVERY:
            return
        self._written[via], count = now, self._left.pop(via)
        try:
            await self.census.note_unheard(via, count, at=now)
        except StorageUnavailable as error:
            self._left[via] += count
            emit("storage.failed", what="unheard", why=str(error))
