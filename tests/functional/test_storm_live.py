"""A storm of tickets through the real host, queues and tables: `make storm`, smaller."""

import asyncio

import pytest

from local.storm import Storm, report, run
from tests.support.patience import PATIENCE
from tests.support.soak import progress


@pytest.mark.parametrize(
    "storms",
    [
        pytest.param([Storm(tickets=300)], id="default settings"),
        # Side by side, because both mostly wait for a cycle to end.
        pytest.param(
            [Storm(tickets=40, hosts=2), Storm(tickets=40, cooldown="PT0S")],
            id="two hosts on one storage, and no cooldown",
        ),
    ],
)
async def test_a_storm_is_one_restart_and_every_ticket_hears_once(storms: list[Storm]) -> None:
    async with asyncio.timeout(2 * PATIENCE):
        results = await asyncio.gather(*(run(storm, progress=False) for storm in storms))

    for storm, result in zip(storms, results, strict=True):
        progress.say(f"\n{report(storm, result)}")
        assert result.problems(storm) == []
