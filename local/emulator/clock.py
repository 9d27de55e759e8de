"""Keeps emulated time: it runs *speed* times as fast as real time, and can be set."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock of speed 0 stands still until it is advanced, which is what most tests want."""

    def __init__(
        self,
        start: datetime | None = None,
        *,
        speed: float = 60,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._origin = start or datetime.now(UTC)
        self._since = monotonic()
        self._speed = speed

    def now(self) -> datetime:
        elapsed = self._monotonic() - self._since
        return self._origin + timedelta(seconds=elapsed * self._speed)

    @property
    def speed(self) -> float:
        return self._speed

    def set(self, now: datetime | None = None, *, speed: float | None = None) -> None:
        self._origin = now or self.now()
        self._since = self._monotonic()
        self._speed = self._speed if speed is None else speed

    def advance(self, seconds: float) -> None:
        self.set(self.now() + timedelta(seconds=seconds))
