"""Limits how many requests of one kind Graph answers in a span of emulated time."""

from collections import defaultdict, deque
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from local.emulator.errors import GraphError
from local.emulator.values import ThrottleRules

type Limited = Literal["reports", "provisionOnDemand"]

# Of the two reports' own 429, and of everybody else's.
_WORDS = {
    "reports": ("UnknownError", "Too Many Requests"),
    "provisionOnDemand": ("TooManyRequests", "Please retry again later."),
}


class Throttle:
    """Counts per application and tenant; here there is one of each."""

    def __init__(self) -> None:
        self._answered: dict[Limited, deque[datetime]] = defaultdict(deque)

    def take(self, kind: Limited, rules: ThrottleRules | None, *, now: datetime) -> None:
        """Count a request, or raise the 429 that it gets."""
        if rules is None:
            return
        span, answered = timedelta(seconds=rules.seconds), self._answered[kind]
        while answered and answered[0] + span <= now:
            answered.popleft()
        if len(answered) >= rules.requests:
            wait = ceil((answered[0] + span - now).total_seconds())
            raise GraphError(429, *_WORDS[kind], retry_after=wait)
        answered.append(now)
