"""Says how much a test does: briefly in `make test`, at length and aloud in `make soak`."""

import os
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


def at_length(brief: int, long: int) -> int:
    """Return `long` under SOAK=1, which `make soak` sets, else `brief`. Mark such a test `soak`."""
    return long if os.environ.get("SOAK") else brief


TELL_EVERY: Final = 2_500


class Capture(Protocol):
    """As much of pytest's capture manager as lets a line through."""

    def global_and_fixture_disabled(self) -> AbstractContextManager[None]: ...


class Progress:
    """Says how far a long test is, and counts the cases of each fuzzer."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.capture: Capture | None = None

    def case(self, fuzzer: str) -> None:
        self.done[fuzzer] += 1
        if self.done[fuzzer] % TELL_EVERY == 0:
            self.tell(fuzzer, self.done[fuzzer])

    def tell(self, fuzzer: str, cases: int) -> None:
        self.say(f"{fuzzer}: {cases:,} cases")

    def say(self, text: str) -> None:
        """Print at once, past pytest's capture; to stderr, as a worker's stdout is not shown."""
        with self.capture.global_and_fixture_disabled() if self.capture else nullcontext():
            print(text, file=sys.stderr, flush=True)


progress: Final = Progress()
