"""Breaks exactly one I/O: numbered in the order in which they happen."""

from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = (
    "crash before",
    "crash after",
    "lost answer",
    "timeout",
    "412",
    "429",
    "429 with Retry-After",
    "500",
    "503",
    "504",
    "504 after it happened",
    "garbage",
)

TAKES_EFFECT = frozenset({"crash after", "lost answer", "504 after it happened", "garbage"})


class Crash(BaseException):
    """The process dies here: no handler of the app may see it as an error of its own."""


@dataclass
class Faults:
    """`at` counts from 1; `log` names every I/O that happened."""

    at: int = 0
    kind: str = ""
    count: int = 0
    log: list[str] = field(default_factory=list)

    def meet[T](
        self, what: str, perform: Callable[[], T], broken: Callable[[str], BaseException]
    ) -> T:
        """Perform an I/O, or break it as the kind says; *broken* is the vendor's error for it."""
        self.count += 1
        self.log.append(what)
        if self.count != self.at:
            return perform()
        if self.kind in TAKES_EFFECT:
            perform()
        if self.kind.startswith("crash"):
            raise Crash(what)
        raise broken(self.kind)
