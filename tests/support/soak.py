"""Says how much a test does: briefly in `make test`, at length in `make soak`."""

import os


def at_length(brief: int, long: int) -> int:
    """Return `long` under SOAK=1, which `make soak` sets, else `brief`. Mark such a test `soak`."""
    return long if os.environ.get("SOAK") else brief
