"""`make faults` in short: storage goes away, Graph's answers are lost; the real processes."""

import asyncio
from copy import replace

from bench.faults import CASES, live
from tests.support.patience import PATIENCE

SHORT = ("storage gone", "answer lost")


async def test_nothing_is_lost_and_nothing_is_sent_twice() -> None:
    """Side by side: each case has its own storage, host and Graph."""
    # How soon a case comes to rest is for `make faults` to say, on a machine of its own.
    cases = [replace(case, within=PATIENCE) for case in CASES if case.name in SHORT]
    async with asyncio.timeout(2 * PATIENCE):
        outcomes = await asyncio.gather(*(live(case, requests=4, seconds=3) for case in cases))

    assert [outcome.name for outcome in outcomes if not outcome.good] == [], outcomes
    assert len(outcomes) == len(SHORT)
