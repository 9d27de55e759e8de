"""
Parses timer schedules: NCRONTAB with six fields, or a TimeSpan. UTC only.

Common cron libraries differ from NCrontab: here day of month AND day of week must both match, a
reversed range is turned round (22-4 is 4-22), Sunday is 0 and never 7, and L, W, # and ? are
errors. NCrontab also takes five fields; a timer trigger reads those as minutes first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Protocol

from local.host.timespan import parse_timespan

NEVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

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


class Schedule(Protocol):
    """When a timer is due; `adjusts_for_dst` is what the function is told, nothing more."""

    @property
    def adjusts_for_dst(self) -> bool: ...

    @property
    def may_be_monitored(self) -> bool:
        """False where the genuine timer forces useMonitor to false."""

    def next_after(self, moment: datetime) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """A TimeSpan schedule. Zero and negative spans are accepted, as the genuine timer does."""

    every: timedelta
    adjusts_for_dst: bool = False

    @property
    def may_be_monitored(self) -> bool:
        return self.every >= timedelta(minutes=1)

    def next_after(self, moment: datetime) -> datetime:
        try:
            return moment + self.every
        except OverflowError:
            return NEVER


@dataclass(frozen=True, slots=True)
class Cron:
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


def parse_schedule(expression: str) -> Schedule:
    """Read *expression*, or raise ValueError with the words of the genuine host."""
    try:
        return _parse_cron(expression)
    except ValueError:
        pass
    try:
        return Constant(parse_timespan(expression))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"The schedule expression '{expression}' was not recognized as a valid cron "
            "expression or timespan string."
        ) from error


def _parse_cron(expression: str) -> Cron:
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
