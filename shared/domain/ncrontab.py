"""
Parses NCRONTAB, the timer schedules of Azure Functions: six fields, seconds first. UTC only.

Common cron libraries differ from NCrontab: here day of month AND day of week must both match, a
reversed range is turned round (22-4 is 4-22), Sunday is 0 and never 7, and L, W, # and ? are
errors. NCrontab also takes five fields; a timer trigger reads those as minutes first.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from msgspec import Struct

NEVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

# Weekdays and leap years repeat after 28 years, 1901 to 2099.
_FIRST_DAY: Final = date(2001, 1, 1)
_LAST_DAY: Final = date(2029, 12, 31)
_DAY: Final = timedelta(days=1)

_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS: Final = (
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
)


class Cron(Struct, frozen=True):
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    adjusts_for_dst: bool = True

    @property
    def may_be_monitored(self) -> bool:
        # `* */15 * * * *` fires every second too, yet stays monitored: only the rest counts.
        every_minute = (
            len(self.minutes) == 60
            and len(self.hours) == 24
            and len(self.days) == 31
            and len(self.months) == 12
            and len(self.weekdays) == 7
        )
        return not (every_minute and len(self.seconds) > 1)

    def next_after(self, moment: datetime) -> datetime:
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days_from(start.date()):
            least = start.time() if day == start.date() else time()
            if (found := self._time_from(least)) is not None:
                return datetime.combine(day, found, tzinfo=UTC)
        return NEVER

    @property
    def longest_gap(self) -> timedelta | None:
        """How far apart two runs may lie at most; None where there is no run in 28 years."""
        most = self._longest_wait_for_a_day()
        if most is None:
            return None
        first = time(self.hours[0], self.minutes[0], self.seconds[0])
        last = time(self.hours[-1], self.minutes[-1], self.seconds[-1])
        over_night = most - _since_midnight(last) + _since_midnight(first)
        return max(over_night, self._longest_gap_in_a_day())

    def _longest_wait_for_a_day(self) -> timedelta | None:
        if (len(self.days), len(self.months), len(self.weekdays)) == (31, 12, 7):
            return _DAY
        found = []
        for day in self._days_from(_FIRST_DAY):
            if day > _LAST_DAY:
                break
            found.append(day)
        return max((later - day for day, later in pairwise(found)), default=None)

    def _longest_gap_in_a_day(self) -> timedelta:
        least, most = self.seconds[0], self.seconds[-1]
        gaps = [later - second for second, later in pairwise(self.seconds)]
        gaps += [(later - minute) * 60 + least - most for minute, later in pairwise(self.minutes)]
        least, most = self.minutes[0] * 60 + least, self.minutes[-1] * 60 + most
        gaps += [(later - hour) * 3600 + least - most for hour, later in pairwise(self.hours)]
        return timedelta(seconds=max(gaps, default=0))

    def _days_from(self, first: date) -> Iterator[date]:
        for year in range(first.year, NEVER.year + 1):
            for month in sorted(self.months):
                if (year, month) < (first.year, first.month):
                    continue
                for number in sorted(self.days):
                    try:
                        day = date(year, month, number)
                    except ValueError:  # this month is shorter
                        break
                    if day >= first and day.isoweekday() % 7 in self.weekdays:
                        yield day

    def _time_from(self, least: time) -> time | None:
        for hour in self.hours:
            for minute in self.minutes:
                if (hour, minute) < (least.hour, least.minute):
                    continue
                for second in self.seconds:
                    found = time(hour, minute, second)
                    if found >= least:
                        return found
        return None


def parse_cron(expression: str) -> Cron:
    """Read *expression*, or raise ValueError; the host shows words of its own instead."""
    # Only the blank separates; a tab makes the expression unreadable.
    fields = [part for part in expression.split(" ") if part]
    if len(fields) == 5:
        fields.insert(0, "0")
    elif len(fields) != 6:
        raise ValueError("not six fields")
    second, minute, hour, day, month, weekday = fields
    return Cron(
        seconds=tuple(sorted(_parse_field(second, 0, 59))),
        minutes=tuple(sorted(_parse_field(minute, 0, 59))),
        hours=tuple(sorted(_parse_field(hour, 0, 23))),
        days=_parse_field(day, 1, 31),
        months=_parse_field(month, 1, 12, _MONTHS),
        weekdays=_parse_field(weekday, 0, 6, _WEEKDAYS),
    )


def _parse_field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text) if slash else 1
        if span == "*":
            first, last = low, high
        elif "-" in span:
            left, _, right = span.partition("-")
            first, last = sorted((_value(left, low, names), _value(right, low, names)))
        else:
            first = _value(span, low, names)
            last = high if slash and step > 0 else first
        if first < low or last > high or first > last:
            raise ValueError(f"{part!r} is outside {low} to {high}")
        values.update(range(first, last + 1, max(step, 1)))
    return frozenset(values)


def _value(text: str, low: int, names: tuple[str, ...]) -> int:
    if text[:1].isdigit():
        return _number(text)
    # Any beginning of a name will do: Jan, january, MON.
    for index, name in enumerate(names):
        if text and name.lower().startswith(text.lower()):
            return index + low
    raise ValueError(f"{text!r} is not a value")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _since_midnight(moment: time) -> timedelta:
    return timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
