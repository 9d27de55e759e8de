"""
Parses timer schedules as the genuine host does: NCRONTAB, or a TimeSpan.

The app judges its settings by the same NCRONTAB parser.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from local.host.timespan import parse_timespan
from shared.domain.ncrontab import NEVER, parse_cron


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


def parse_schedule(expression: str) -> Schedule:
    """Read *expression*, or raise ValueError with the words of the genuine host."""
    try:
        return parse_cron(expression)
    except ValueError:
        pass
    try:
        return Constant(parse_timespan(expression))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"The schedule expression '{expression}' was not recognized as a valid cron "
            "expression or timespan string."
        ) from error
