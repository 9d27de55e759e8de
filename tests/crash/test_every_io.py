"""
Every I/O of a reset's life broken in every way, one at a time.

The I/Os (table, queue, Graph, notifier) are numbered in the order of an unbroken life. For each
number and each kind of fault the whole life is lived again, with that one I/O broken; then messages
are brought again and the sweep ticks until all is quiet. The invariants must hold in every case.
"""

import asyncio
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from shared.models import Scope
from tests.crash.invariants import check
from tests.crash.scenarios import SCENARIOS, live
from tests.support.faults import KINDS

CHUNK = 150


def survive(cases: list[tuple[str, int, str]]) -> list[str]:
    """Live each case; return what went wrong, with what it takes to live it again."""
    logging.disable(logging.CRITICAL)

    async def one(scenario: str, at: int, kind: str) -> str:
        try:
            life = await live(scenario, at=at, kind=kind)
            await check(life.world, life.requests)
        except Exception as error:
            return f"live({scenario!r}, at={at}, kind={kind!r}): {type(error).__name__}: {error}"
        return ""

    async def all_of_them() -> list[str]:
        return [wrong for case in cases if (wrong := await one(*case))]

    return asyncio.run(all_of_them())


async def unbroken() -> dict[str, int]:
    """How many I/Os each life has."""
    counts = {}
    for scenario in SCENARIOS:
        life = await live(scenario)
        await check(life.world, life.requests)
        counts[scenario] = life.faults.count
    return counts


def test_a_fault_in_any_io_of_any_life_breaks_no_promise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = asyncio.run(unbroken())
    cases = [
        (scenario, at, kind)
        for scenario, count in counts.items()
        for at in range(1, count + 1)
        for kind in KINDS
    ]
    chunks = [cases[i : i + CHUNK] for i in range(0, len(cases), CHUNK)]
    with ProcessPoolExecutor(
        os.process_cpu_count(), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        wrong = [each for found in pool.map(survive, chunks) for each in found]
    with capsys.disabled():
        ios = ", ".join(f"{name} {count}" for name, count in counts.items())
        print(f"\n{len(cases):,} lives, each with one I/O broken ({ios} I/Os; {len(KINDS)} kinds)")

    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize(
    ("scenario", "sent"),
    [
        ("quarantine_cleared", [Scope.QUARANTINE]),
        ("stale_links_found", [Scope.FULL]),
        ("mass_deletion_held_back", []),
    ],
)
def test_the_timers_lives_are_what_they_are_called(scenario: str, sent: list[Scope]) -> None:
    life = asyncio.run(live(scenario))

    assert [scope for _, _, scope, _ in life.world.graph.restarts] == sent
    assert (life.world.graph.job.quarantine is None) is (scenario != "mass_deletion_held_back")
