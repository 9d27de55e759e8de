"""Parses durations as .NET writes them: host.json and timer schedules use `TimeSpan.Parse`."""

import re
from datetime import timedelta

_DAYS = re.compile(r"(\d+)")
_CLOCK = re.compile(r"(?:(\d+)\.)?(\d+):(\d+)(?::(\d+)(?:\.(\d{1,7}))?)?")
_FOUR_PARTS = re.compile(r"(\d+):(\d+):(\d+):(\d+)(?:\.(\d{1,7}))?")


def parse_timespan(text: str) -> timedelta:
    """
    Parse like .NET, traps included, or raise ValueError.

    `5` is five days, `00:05` five minutes, and `24:00:00` is 24 days: an hour above 23 makes
    .NET read the three numbers as days, hours and minutes.
    """
    body = text.strip()
    sign = -1 if body.startswith("-") else 1
    body = body.removeprefix("-")
    if not body.isascii():
        raise ValueError(f"{text!r} is no TimeSpan")
    if found := _DAYS.fullmatch(body):
        return sign * timedelta(days=int(found[1]))
    if found := _FOUR_PARTS.fullmatch(body):
        return sign * _span(text, found[1], found[2], found[3], found[4], found[5])
    if found := _CLOCK.fullmatch(body):
        days, hours, minutes, seconds, fraction = found.groups()
        if int(hours) > 23 and days is None and seconds is not None and fraction is None:
            return sign * _span(text, hours, minutes, seconds, None, None)
        return sign * _span(text, days, hours, minutes, seconds, fraction)
    raise ValueError(f"{text!r} is no TimeSpan")


def _span(text: str, *parts: str | None) -> timedelta:
    days, hours, minutes, seconds = (int(part or 0) for part in parts[:4])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{text!r} is no TimeSpan: a part is too large")
    ticks = int((parts[4] or "0").ljust(7, "0"))
    return timedelta(
        days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=ticks // 10
    )
