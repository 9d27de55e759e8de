"""Look up the reset that others wait behind or join: once for all of them, not once for each."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.domain.ports import Clock, Resets
from shared.domain.reset import ENDED, Reset

GOOD_FOR: Final = timedelta(seconds=10)
"""How old an open reset may be: it is shown in words, nothing is decided by it."""

MOST: Final = 100


class OtherResets(Struct, frozen=True, kw_only=True):
    """A memory of this process. An ended reset does not change any more."""

    resets: Resets
    clock: Clock
    known: dict[str, tuple[Reset, datetime]] = field(default_factory=dict)

    async def read(self, reset_id: str) -> Reset | None:
        """Return it as it is, or was a moment ago; None where there is none."""
        now = self.clock()
        known = self.known.get(reset_id)
        if known is not None and (known[0].state in ENDED or now - known[1] <= GOOD_FOR):
            return known[0]
        claim = await self.resets.find(reset_id)
        stored = await self.resets.read_reset(claim) if claim is not None else None
        if stored is None:
            return None
        self.known.pop(reset_id, None)
        self.known[reset_id] = (stored.row, now)
        while len(self.known) > MOST:
            del self.known[next(iter(self.known))]
        return stored.row
