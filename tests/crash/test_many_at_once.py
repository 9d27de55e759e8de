"""The seeded simulation, short; `make soak` runs it long."""

import asyncio
import logging
import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest

from shared.adapters.table_store import TableStore
from shared.domain.reset import ENDED, State
from shared.names import REMEDIATE
from shared.use_cases.advance import Engine
from tests.crash.invariants import check
from tests.crash.simulation import Simulation
from tests.support.host import resets
from tests.support.soak import progress

SEEDS = range(int(os.environ.get("SOAK_FROM", "0")), int(os.environ.get("SOAK_TO", "160")))

MUST_HAPPEN = (*(ENDED - {State.PREVIEWED}), "by the timer", "restarts", "waits ended by a person")


async def simulate(
    seed: int,
    engine_type: type[Engine] = Engine,
    store_type: type[TableStore] = TableStore,
) -> Counter[str]:
    """Raise AssertionError where the seed breaks a promise; return what came to pass."""
    simulation = Simulation(seed, engine_type=engine_type, store_type=store_type)
    requests = await simulation.run()
    await check(simulation.world, requests, broken=simulation.broken)
    counts = Counter(str(x.state) for x in resets(simulation.world))
    counts["by the timer"] = sum(x.via == REMEDIATE for x in resets(simulation.world))
    counts["restarts"] = len(simulation.world.graph.restarts)
    counts["waits ended by a person"] = sum(
        x.cooldown_lifted_until is not None or x.budget_lifted_until is not None
        for x in resets(simulation.world)
    )
    counts["I/Os"] = simulation.world.faults.count
    return counts


def run(seed: int) -> tuple[int, str, Counter[str]]:
    logging.disable(logging.CRITICAL)
    try:
        return seed, "", asyncio.run(simulate(seed))
    except Exception as error:
        return seed, f"{type(error).__name__}: {error}", Counter()


@pytest.mark.soak
def test_whatever_is_interleaved_no_promise_is_broken() -> None:
    total: Counter[str] = Counter()
    wrong = []
    with ProcessPoolExecutor(
        os.process_cpu_count(), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        for done, (seed, problem, counts) in enumerate(pool.map(run, SEEDS, chunksize=10), 1):
            total += counts
            if problem:
                wrong.append(f"seed {seed} (simulate({seed}) lives it again): {problem}")
            if len(SEEDS) > 500 and done % 100 == 0:
                progress.say(f"{done:,} of {len(SEEDS):,} seeds, {len(wrong)} wrong")
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(total.items()))
    progress.say(f"\n{len(SEEDS):,} seeds: {counted}")

    if len(SEEDS) >= 100:
        # Dice that never throw what they are for would show nothing.
        assert all(total[what] for what in MUST_HAPPEN), total
    assert not wrong, f"{len(wrong)} of {len(SEEDS)}:\n" + "\n".join(wrong[:20])


def test_a_seed_lives_the_same_life_again() -> None:
    assert asyncio.run(simulate(7)) == asyncio.run(simulate(7))


def test_a_life_in_which_all_wait_for_a_person_until_they_expire_comes_to_its_end() -> None:
    assert asyncio.run(simulate(1127))[State.EXPIRED] == 7
