"""One HTTP answer of Graph as bytes and headers, and what its headers say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Final

from msgspec import Struct

LONGEST_RETRY_AFTER: Final = timedelta(days=1)

_SECONDS: Final = re.compile(r"\d+(?:\.\d*)?", re.ASCII)


class Answer(Struct, frozen=True, kw_only=True):
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        return self.headers.get("request-id", "")

    @property
    def date(self) -> datetime | None:
        """Graph's own clock."""
        return _http_date(self.headers.get("date", ""))

    @property
    def retry_after(self) -> timedelta | None:
        """
        Seconds, whole or broken and then rounded up, or an HTTP date; anything else is not a hint.

        RFC 9110 knows whole seconds only; Graph has been seen to send `2.128`.
        """
        value = self.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(value):
            most = LONGEST_RETRY_AFTER.total_seconds()
            return timedelta(seconds=ceil(min(float(value), most)))
        until, now = _http_date(value), self.date
        if until is None or now is None:
            return None
        return min(max(timedelta(0), until - now), LONGEST_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
        # Without a zone (-0000) a date does not say when.
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
