"""
The parts of what a ticket reads, and how times and durations are written in it. Pure.

Our words come first, then the link with the reference by which a comment is found again; what a
stranger wrote is quoted at the very end.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.domain.ticket_facts import Facts, Minutes

IDENTITY_TEAM: Final = "For the identity team: "
_HOURS_FROM: Final = 120


class Message(Struct, frozen=True, kw_only=True):
    """What a ticket reads, in parts, so that each system can lay it out in its own way."""

    what: str
    when: str = ""
    results: tuple[str, ...] = ()
    next: str = ""
    team: str = ""
    reference: str = ""
    link: str = ""
    quotes: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def own_lines(self) -> tuple[str, ...]:
        """Our words in their order, without link and quotes."""
        team = f"{IDENTITY_TEAM}{self.team}" if self.team else ""
        lines = (self.what, self.when, *self.results, self.next, team)
        return tuple(line for line in lines if line)

    @property
    def last_line(self) -> str:
        """Where to read more, with the reference by which the comment is found again."""
        if self.link:
            return f"Details {self.reference}: {self.link}"
        return f"Reference {self.reference}" if self.reference else ""

    @property
    def quoted_lines(self) -> tuple[str, ...]:
        return tuple(f'{label}: "{text}"' for label, text in self.quotes)

    @property
    def text(self) -> str:
        lines = (*self.own_lines, self.last_line, *self.quoted_lines)
        return "\n".join(line for line in lines if line)


def reference(reset_id: str, message: int) -> str:
    """What a comment is looked up by: the parentheses keep message 3 apart from 31."""
    return f"(reset {reset_id}, message {message})"


class Said(Struct, frozen=True, kw_only=True):
    what: str
    when: str = ""
    next: str = ""
    team: str = ""
    results: tuple[str, ...] = ()


def size(facts: Facts) -> str:
    if facts.accounts is None:
        return ""
    takes = f", which takes {duration(facts.minutes)}" if facts.minutes else ""
    return f" That is {facts.accounts:,} accounts{takes}."


def moment(at: datetime) -> str:
    """A day and a time that need no table to be read."""
    return f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at:%Y, %H:%M} UTC"


# strftime would speak the server's language.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def duration(minutes: Minutes) -> str:
    if minutes.most < _HOURS_FROM:
        return f"{minutes.least} to {minutes.most} minutes"
    hours = -(-minutes.most // 60)
    least = f"{minutes.least} minutes" if minutes.least < _HOURS_FROM else f"{minutes.least // 60}"
    return f"{least} to {hours} hours"


def sentence(text: str) -> str:
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:]}" + ("" if text.endswith((".", "?", "!")) else ".")
