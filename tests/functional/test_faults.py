"""`make faults` in short: storage goes away, Graph's answers are lost; the real processes."""

import asyncio

import pytest

from bench.faults import CASES, Case, live

SHORT = ("storage gone", "answer lost")


@pytest.mark.parametrize("case", [c for c in CASES if c.name in SHORT], ids=lambda c: str(c.name))
async def test_nothing_is_lost_and_nothing_is_sent_twice(case: Case) -> None:
    async with asyncio.timeout(200):
        outcome = await live(case, requests=4, seconds=3)

    assert outcome.good, outcome
