"""Write times for people: in UTC, with the distance to now; durations in words. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

from shared.web.html import EMPTY, Markup, Part, element

_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))
"""Each is used from two of it on: "90 minutes" and "47 hours" say more than "2 hours"."""

_SOON: Final = 45
"""Seconds that count as now."""

_DAYS: Final = {-1: "yesterday", 0: "today", 1: "tomorrow"}


def distance(at: datetime, now: datetime) -> str:
    """Like `12 minutes ago`, `in 3 hours` or `just now`."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < _SOON:
        return "just now" if seconds <= 0 else "in a moment"
    span = _span(timedelta(seconds=abs(seconds)))
    return f"{span} ago" if seconds < 0 else f"in {span}"


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{round(seconds / size):,} {unit}s"
    return "1 minute"


def clock(at: datetime, now: datetime) -> str:
    """Like `tomorrow 10:00 UTC` or, further off, `2026-11-30 10:00 UTC`."""
    there = at.astimezone(UTC)
    day = _DAYS.get((there.date() - now.astimezone(UTC).date()).days)
    return f"{day or f'{there:%Y-%m-%d}'} {there:%H:%M} UTC"


def moment(at: datetime | None, now: datetime) -> Part:
    """A time with its distance; nothing where there is none."""
    if at is None:
        return EMPTY
    return element("time", f"{clock(at, now)} ({distance(at, now)})", datetime=at.isoformat())


def exact(at: datetime) -> Markup:
    """A time to the second, for the history."""
    return element("time", f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", datetime=at.isoformat())


def minutes_in_words(minutes: int) -> str:
    """Like `1 minute`, `2 hours 5 minutes` or `3 days`."""
    days, rest = divmod(minutes, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [
        f"{count:,} {unit}{'' if count == 1 else 's'}"
        for count, unit in ((days, "day"), (hours, "hour"), (left, "minute"))
        if count
    ]
    return " ".join(parts[:2]) or "0 minutes"


def range_in_words(least: int, most: int) -> str:
    """Like `1 to 2 minutes`; both ends with their unit where those differ."""
    if least == most:
        return minutes_in_words(least)
    first, last = minutes_in_words(least), minutes_in_words(most)
    if most < _HOUR:
        return f"{least} to {last}"
    return f"{first} to {last}"


_HOUR: Final = 60
