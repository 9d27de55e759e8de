"""How many cases a fuzzer tries: few in `make test`, 50,000 in `make soak`, which tells how far."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

from tests.support.mutants import EACH
from tests.support.soak import at_length

CASES: Final = int(os.environ.get("CASES", "50000"))
"""Of each format, in `make soak`."""


def bounded(brief: int) -> settings:
    """For a fuzzer that tries `EACH` cases an example; other work on the machine is no failure."""
    return settings(
        max_examples=-(-at_length(brief, CASES) // EACH),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
