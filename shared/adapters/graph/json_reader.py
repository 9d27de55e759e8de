"""
Reads Graph's JSON tolerantly: a member that cannot be read is unknown, and spoils no other.

Unknown is None or an empty text here, and never 0 or False: the caller decides what it means that
a member is not known. Graph's generated models do the opposite in places: one date that is not a
date makes them give up the whole job, and a count that comes as text becomes nothing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

LONGEST_WORD: Final = 200

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_SPAN: Final = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_YEAR_THAT_MEANS_NEVER: Final = 1


class Never:
    """The type of NEVER: Graph's year-1 date, which says that something has not happened."""


NEVER: Final = Never()


def decoded(body: bytes) -> object:
    """Return the JSON value; raise ValueError where *body* is not JSON."""
    try:
        return msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def members(value: object) -> Mapping[str, object]:
    """Return the members of an object; anything else has none."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object] | None:
    """Return the items of an array; None for anything else."""
    return value if isinstance(value, list) else None


def objects(value: object) -> Sequence[Mapping[str, object]]:
    """Return the objects of an array, or the one object that stands in place of an array."""
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


def identifier(value: object) -> str:
    """Return an id as text: a number stands for itself, and of several the first one is it."""
    if isinstance(value, list):
        value = next(iter(value), None)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def text(value: object) -> str:
    """Return a text without the blanks around it; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


def flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def whole_number(value: object) -> int | None:
    """Return a count; one that comes as text, with a point or below nothing is not known."""
    # In Python True is an int.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def rank(value: object) -> int | None:
    """Return a place in an order, from 1 on, also as text or with a point; None for no place."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and number >= 1 else None


def word(value: object, known: Mapping[str, str] | None = None) -> str:
    """
    Return an enumerated value as Graph wrote it; one of *known* in its usual spelling.

    *known* maps each word, casefolded, to that spelling. Numbers stand for themselves. Several
    words come as one text with commas, or as an array.
    """
    if isinstance(value, list):
        value = ", ".join(filter(None, map(word, value)))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    one_line = " ".join(text(value).split())[:LONGEST_WORD]
    return (known or {}).get(one_line.casefold(), one_line)


def moment(value: object) -> datetime | Never | None:
    """Return a date with time, in UTC; NEVER for the year 1; None where it cannot be read."""
    written = text(value)
    if _MOMENT.match(written) is None:
        return None
    try:
        read = datetime.fromisoformat(written)
        if read.year <= _YEAR_THAT_MEANS_NEVER:
            return NEVER
        # OverflowError: the last hours of the year 9999 west of Greenwich.
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def span(value: object) -> timedelta | None:
    """Return an ISO 8601 duration of weeks, days and smaller units; None where it is none."""
    found = _SPAN.fullmatch(text(value))
    if found is None:
        return None
    parts = {unit: float(amount) for unit, amount in found.groupdict().items() if amount}
    if not parts:
        return None
    try:
        return timedelta(**parts)
    except OverflowError:
        return None
