"""How many cases a fuzzer tries: few in `make test`, 50,000 in `make soak`, which tells how far."""

import os
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from hypothesis import HealthCheck, settings

from tests.support.soak import at_length

CASES: Final = int(os.environ.get("CASES", "50000"))
"""Of each format, in `make soak`."""

TELL_EVERY: Final = 2_500


class Capture(Protocol):
    """As much of pytest's capture manager as lets a line through."""

    def global_and_fixture_disabled(self) -> AbstractContextManager[None]: ...


class Progress:
    """Counts the cases of each fuzzer, and says how far it is."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.capture: Capture | None = None

    def case(self, fuzzer: str) -> None:
        self.done[fuzzer] += 1
        if self.done[fuzzer] % TELL_EVERY == 0:
            self.tell(fuzzer, self.done[fuzzer])

    def tell(self, fuzzer: str, cases: int) -> None:
        with self.capture.global_and_fixture_disabled() if self.capture else nullcontext():
            print(f"{fuzzer}: {cases:,} cases", flush=True)


progress: Final = Progress()


def bounded(brief: int) -> settings:
    """Without a deadline: other work on the machine is no failure."""
    return settings(
        max_examples=at_length(brief, CASES),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
