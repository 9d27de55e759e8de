"""
Give out turns: one pace for each notifier, shared by every instance through one row. Pure.

Ten thousand answers each take a turn of their own and come back when it has come, so that none of
them asks again and again. A system that is down, or says Retry-After, holds all turns back; no
other notifier's.
"""

from copy import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

TURN_LASTS: Final = timedelta(seconds=75)
"""
A turn is good this long; later, another one is taken.

The sweep looks once a minute. Were turns good for longer, those that a busy sweep has let go by
would all be used at once: so they are a minute's and the burst's, and no more.
"""

LEAST_BURST: Final = 5
PAUSES_AFTER: Final = 3
SHORTEST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)

_MINUTE: Final = timedelta(minutes=1)


class Pace(Struct, frozen=True, kw_only=True):
    """
    Where a notifier's turns stand.

    `next_at` is when the next one would come if none had been given ahead of its time; `failures`
    are those since the last success; `gone` is the digest of the address that has answered 410.
    """

    notifier: str
    next_at: datetime | None = None
    held_until: datetime | None = None
    failures: int = 0
    gone: str = ""


class Terms(Struct, frozen=True, kw_only=True):
    """What is configured of a notifier: its pace, and which address it is (a digest)."""

    per_minute: int = 600
    address: str = ""

    @property
    def interval(self) -> timedelta:
        return _MINUTE / self.per_minute

    @property
    def burst(self) -> int:
        """How many may go at once after a quiet time."""
        return max(LEAST_BURST, self.per_minute // 4)


def take_turn(pace: Pace, terms: Terms, *, now: datetime) -> tuple[Pace, datetime]:
    """Return the pace after this turn, and when the turn is: now, or later."""
    earliest = max(now, pace.held_until or now)
    base = max(earliest, pace.next_at or earliest)
    turn = max(earliest, base - terms.interval * (terms.burst - 1))
    return replace(pace, next_at=base + terms.interval), turn


def has_turn(pace: Pace, turn: datetime | None, *, now: datetime) -> bool:
    """Whether a turn that was taken before has come, has not gone by, and is not held back."""
    if turn is None or not turn <= now < turn + TURN_LASTS:
        return False
    return pace.held_until is None or pace.held_until <= now


def after_failure(pace: Pace, *, now: datetime, retry_after: timedelta | None) -> Pace:
    """Hold everything back by the system's own word, or once several tries in a row have failed."""
    failures = pace.failures + 1
    wait = retry_after or timedelta(0)
    if failures >= PAUSES_AFTER:
        doubled = SHORTEST_PAUSE * (1 << min(failures - PAUSES_AFTER, 10))
        wait = max(wait, min(doubled, LONGEST_PAUSE))
    held = max(now + wait, pace.held_until or now)
    return replace(pace, failures=failures, held_until=held if held > now else None)


def after_success(pace: Pace) -> Pace:
    """What held it back is over."""
    return replace(pace, failures=0, held_until=None)
