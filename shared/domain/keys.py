"""Build row keys: newest resets first, what is due in the order of time."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain.requests import RESET_ID


class SearchKind(StrEnum):
    """By what a reset is found, beside its id."""

    TICKET = "ticket"
    ASKER = "asker"
    SUBJECT = "subject"


FROM: Final = "due:from:"
"""The index by time."""

BEHIND: Final = "due:behind:"
"""The index by the Head that is waited for."""

ASKED: Final = "request:"
"""The index of unreadable messages by the request's id."""

MESSAGES: Final = "time:"
"""The index of unreadable messages by time. Their own keys sort before both indexes."""

ALL_INDEXED: Final = "version"
"""The row that says that every unreadable message stands in the indexes. It sorts after them."""

_LAST_MS: Final = 10**13 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_@")
_LONGEST_VALUE: Final = 192
_BEGINNING: Final = 64
_RESET_KEY: Final = re.compile(f"reset:[0-9]{{13}}:{RESET_ID.pattern}")
_MESSAGE_PLACE: Final = re.compile(f"{MESSAGES}[0-9]{{13}}:[A-Za-z0-9-]{{1,128}}")


def reset_key(requested_at: datetime, reset_id: str) -> str:
    """Newest first: the key falls as time rises."""
    return f"reset:{_LAST_MS - _milliseconds(requested_at):013d}:{reset_id}"


def is_reset_key(key: str) -> bool:
    return _RESET_KEY.fullmatch(key) is not None


def requested_at_of(key: str) -> datetime:
    """When the reset of this row was asked for; the inverse of `reset_key`."""
    return datetime.fromtimestamp((_LAST_MS - int(key.split(":")[1])) / 1000, UTC)


def after(prefix: str) -> str:
    """The end of a range: `;` is the character after `:`."""
    return f"{prefix.removesuffix(':')};"


def event_key(reset_id: str, sequence: int) -> str:
    return f"event:{reset_id}:{sequence:06d}"


def subject_key(reset_id: str, number: int) -> str:
    return f"subject:{reset_id}:{number:03d}"


def schema_key(reset_id: str, part: int) -> str:
    return f"schema:{reset_id}:{part:03d}"


def open_key(reset_id: str) -> str:
    """The row that exists exactly while the reset is open."""
    return f"due:reset:{reset_id}"


def notification_prefix(reset_id: str) -> str:
    """Where the rows of a reset's notifications begin."""
    return f"due:answer:{reset_id}:"


def notification_key(reset_id: str, n: int) -> str:
    return f"{notification_prefix(reset_id)}{n}"


def find_prefix(kind: SearchKind, value: str) -> str:
    """Where the rows of a searched value begin, whatever its letter case."""
    return f"find:{kind}:{_as_key(value)}:"


def find_key(kind: SearchKind, value: str, requested_at: datetime, reset_id: str) -> str:
    """Newest first, as `reset_key`."""
    place = reset_key(requested_at, reset_id).removeprefix("reset:")
    return find_prefix(kind, value) + place


def _as_key(value: str) -> str:
    """Keep what a row key may hold; a longer value ends in a digest. Keys have 1 KiB at most."""
    folded = value.strip().casefold()
    plain = "".join(
        c if c in _PLAIN else "".join(f"={byte:02x}" for byte in c.encode("utf-8", "surrogatepass"))
        for c in folded
    )
    if len(plain) <= _LONGEST_VALUE:
        return plain
    digest = hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain[:_BEGINNING]}~{digest}"


def message_key(at: datetime, key: str) -> str:
    """Where an unreadable message stands in the index by time, newest first."""
    return f"{MESSAGES}{_LAST_MS - _milliseconds(at):013d}:{key}"


def is_message_place(place: str) -> bool:
    return _MESSAGE_PLACE.fullmatch(place) is not None


def asked_key(request_id: str) -> str:
    """Where the unreadable message is found that brought this request's id."""
    return f"{ASKED}{request_id}"


def reset_due_key(due_at: datetime, reset_id: str) -> str:
    return f"{FROM}{_milliseconds_up(due_at):013d}:reset:{reset_id}"


def notification_due_key(due_at: datetime, reset_id: str, n: int) -> str:
    return f"{FROM}{_milliseconds_up(due_at):013d}:answer:{reset_id}:{n}"


def due_until(now: datetime) -> str:
    """Every key of the index by time below this one is due, and no other."""
    return f"{FROM}{(now - _EPOCH) // _MS + 1:013d}"


def behind_key(head: str, reset_id: str) -> str:
    return f"{BEHIND}{head}:{reset_id}"


def _milliseconds_up(at: datetime) -> int:
    # Upwards: a row that the sweep finds is due, and not only almost.
    return -((_EPOCH - at) // _MS)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def to_milliseconds(at: datetime) -> datetime:
    """The resolution that row keys keep."""
    return datetime.fromtimestamp(_milliseconds(at) / 1000, UTC)
