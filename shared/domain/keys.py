"""Build row keys: newest resets first, and each row beside the reset that it belongs to."""

import re
from datetime import UTC, datetime
from typing import Final

from shared.domain.requests import RESET_ID

_LAST_MS: Final = 10**13 - 1
_RESET_KEY: Final = re.compile(f"reset:[0-9]{{13}}:{RESET_ID.pattern}")


def reset_key(requested_at: datetime, reset_id: str) -> str:
    """Newest first: the key falls as time rises."""
    return f"reset:{_LAST_MS - _milliseconds(requested_at):013d}:{reset_id}"


def is_reset_key(key: str) -> bool:
    return _RESET_KEY.fullmatch(key) is not None


def event_key(reset_id: str, sequence: int) -> str:
    return f"event:{reset_id}:{sequence:06d}"


def subject_key(reset_id: str, number: int) -> str:
    return f"subject:{reset_id}:{number:03d}"


def schema_key(reset_id: str, part: int) -> str:
    return f"schema:{reset_id}:{part:03d}"


def due_key(reset_id: str) -> str:
    return f"due:reset:{reset_id}"


def answer_key(reset_id: str, n: int) -> str:
    return f"due:answer:{reset_id}:{n}"


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def to_milliseconds(at: datetime) -> datetime:
    """The resolution that row keys keep."""
    return datetime.fromtimestamp(_milliseconds(at) / 1000, UTC)
