"""What a check found, in lines that a person can act on."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    GOOD = "ok"
    NOT_CHECKED = "not checked"
    MISSING = "missing"
    """The deployment works without it; what does not is said."""
    BEYOND = "too much"
    """It is there and was not asked for."""
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    says: str = ""

    def __str__(self) -> str:
        return f"  {self.verdict:<12} {self.what}" + (f": {self.says}" if self.says else "")


def conclude(lines: Iterable[Line]) -> int:
    """Print every line; 1 where something is wrong."""
    found = list(lines)
    for line in found:
        print(line)
    return 1 if any(line.verdict is Verdict.WRONG for line in found) else 0
