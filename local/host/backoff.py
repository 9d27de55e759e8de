"""Computes how long the queue listener waits between polls that find nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT = 0.1
LONGEST_DOUBLING = 40


@dataclass(slots=True)
class Backoff:
    """
    100 ms, then 100 ms plus a doubling part of it that is jittered by 0.8 to 1.2, up to *maximum*.

    The maximum itself has no jitter, and stays until a message is found.
    """

    maximum: float
    uniform: Callable[[float, float], float]
    _waits: int = field(default=0, init=False)
    _at_maximum: bool = field(default=False, init=False)

    def found(self) -> None:
        self._waits = 0
        self._at_maximum = False

    def next_wait(self) -> float:
        self._waits += 1
        if self._at_maximum:
            return self.maximum
        wait = FIRST_WAIT
        if self._waits > 1:
            doublings = min(self._waits - 2, LONGEST_DOUBLING)
            wait += FIRST_WAIT * 2**doublings * self.uniform(0.8, 1.2)
        self._at_maximum = wait >= self.maximum
        return min(wait, self.maximum)
