"""Keeps faults on demand: what a network or a busy Graph would do to a request."""

import re
from typing import Literal

from msgspec import Struct

from local.emulator.odd_answers import ODD_ANSWERS, OddAnswer


class Fault(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One row of `/_emulator/faults`; `times` is how often it will still apply."""

    path: str = "*"
    method: str = "*"
    times: int = 1
    status: int | None = None
    #: With a status: the request takes effect, and only the answer is this one.
    after: bool = False
    drop: Literal["before", "after"] | None = None
    #: Seconds, or the header's text as it is sent (a date, blanks around the number).
    retry_after: float | str | None = None
    #: A status and a body that Graph has been seen to send, by name.
    answer: OddAnswer | None = None
    body: str | None = None
    #: Real seconds between the effect (if any) and the answer.
    delay: float = 0

    def __post_init__(self) -> None:
        if self.answer is not None:
            if self.status is not None or self.body is not None:
                raise ValueError("answer excludes status and body")
            self.status, self.body = ODD_ANSWERS[self.answer]
        if self.times < 1:
            raise ValueError("times must be at least 1")
        if self.status is not None and self.drop is not None:
            raise ValueError("status and drop exclude each other")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be from 200 to 599")
        if self.status is None and self.drop is None and not self.delay:
            raise ValueError("one of status, drop and delay is needed")
        if self.status is None and (self.after or self.body is not None):
            raise ValueError("after and body need a status")

    @property
    def takes_effect(self) -> bool:
        """Whether the request is carried out all the same."""
        return self.drop == "after" or self.after or (self.status is None and self.drop is None)

    def applies_to(self, method: str, path: str) -> bool:
        pattern = re.escape(self.path).replace(r"\*", ".*")
        return self.method.upper() in ("*", method) and bool(re.fullmatch(pattern, path))


class Faults:
    """The first that applies is used, in the order in which they were set."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.pending.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self.pending:
            if fault.applies_to(method, path):
                fault.times -= 1
                if not fault.times:
                    self.pending.remove(fault)
                return fault
        return None
