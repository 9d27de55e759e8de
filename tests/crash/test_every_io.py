"""
Every I/O of a reset's life broken in every way, one at a time.

The I/Os (table, queue, Graph, notifier) are numbered in the order of an unbroken life. For each
number the whole life is lived again, with that one I/O broken: by a crash before it and after it,
and by some of the other kinds of fault in turn; with SOAK set (`make soak`) by every kind.
Then messages are brought again and the sweep ticks until all is quiet. The invariants must hold in
every case.
"""

import asyncio
import logging
import random
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from shared.domain.reset import Scope, State
from tests.crash.invariants import check
from tests.crash.scenarios import SCENARIOS, live
from tests.support.faults import KINDS
from tests.support.host import resets
from tests.support.soak import at_length

CHUNK = 150
CRASHES = [kind for kind in KINDS if kind.startswith("crash")]
OTHERS = [kind for kind in KINDS if kind not in CRASHES]
OTHERS_AT_EACH = at_length(1, len(OTHERS))


def kinds_at(scenario: str, at: int) -> list[str]:
    """The faults for one I/O: always the same ones, and over all I/Os each of them as often."""
    # No fixed stride: the sweep's I/Os come in a rhythm of their own.
    return CRASHES + random.Random(f"{scenario} {at}").sample(OTHERS, OTHERS_AT_EACH)


def survive(cases: list[tuple[str, int, str]]) -> list[str]:
    """Live each case; return what went wrong, with what it takes to live it again."""
    logging.disable(logging.CRITICAL)

    async def one(scenario: str, at: int, kind: str) -> str:
        try:
            life = await live(scenario, at=at, kind=kind)
            await check(life.world, life.requests, broken=1)
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


def plan() -> tuple[dict[str, int], list[list[tuple[str, int, str]]]]:
    """The I/Os of each scenario, and all cases in chunks: also what a worker may find out."""
    logging.disable(logging.CRITICAL)
    counts = asyncio.run(unbroken())
    cases = [
        (scenario, at, kind)
        for scenario, count in counts.items()
        for at in range(1, count + 1)
        for kind in kinds_at(scenario, at)
    ]
    return counts, [cases[i : i + CHUNK] for i in range(0, len(cases), CHUNK)]


_begun: list[Future[list[str]]] = []
_counts: dict[str, int] = {}


def begin(pool: ProcessPoolExecutor) -> None:
    """Called when the run begins, so that the lives are lived while other tests wait for I/O."""
    counts, chunks = pool.submit(plan).result()
    _counts.update(counts)
    _begun.extend(pool.submit(survive, chunk) for chunk in chunks)


@pytest.mark.soak
def test_a_fault_in_any_io_of_any_life_breaks_no_promise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = [each for future in _begun for each in future.result()]
    kinds = len(CRASHES) + OTHERS_AT_EACH
    lives = sum(_counts.values()) * kinds
    with capsys.disabled():
        ios = ", ".join(f"{name} {count}" for name, count in _counts.items())
        print(f"\n{lives:,} lives, each with one I/O broken ({ios} I/Os; {kinds} kinds at each)")

    assert lives > 9_000
    assert not wrong, f"{len(wrong)} of {lives}:\n" + "\n".join(wrong[:20])


def test_every_kind_of_fault_is_met_in_every_life() -> None:
    for scenario in SCENARIOS:
        met = {kind for at in range(1, 40) for kind in kinds_at(scenario, at)}
        assert met == set(KINDS)


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


def test_the_head_and_who_waits_behind_it_are_refused_where_nothing_is_broken() -> None:
    """With r0 broken there is no cooldown, and r1 may go before the job is changed."""
    life = asyncio.run(live("head_is_refused"))

    ends = {x.id: x.state for x in resets(life.world)}
    assert ends == {"r0": State.COMPLETED, "r1": State.REFUSED, "r2": State.REFUSED}
