"""Log refused webhooks, at most one line a minute for each sender and reason."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.domain.ports import Clock
from shared.telemetry import emit

A_LINE_EVERY: Final = timedelta(minutes=1)


class RefusalLog(Struct, frozen=True, kw_only=True):
    """
    Counts what it does not write: anybody can have a webhook refused, thousands of times a second.

    Each process counts for itself. Senders come from the settings and reasons from a short list, so
    that the two mappings stay small; all unknown senders are one.
    """

    clock: Clock
    _written: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def refused(self, *, sender: str, why: str) -> None:
        """`count`, where it is more than this one, is the refusals since the last line."""
        key, now = (sender, why), self.clock()
        last = self._written.get(key)
        if last is not None and timedelta(0) <= now - last < A_LINE_EVERY:
            self._left_out[key] += 1
            return
        self._written[key] = now
        count = self._left_out.pop(key, 0) + 1
        emit("webhook.refused", sender=sender, why=why, count=count if count > 1 else None)
