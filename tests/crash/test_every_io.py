"""
Every I/O of a reset's life broken in every way, one at a time.

The I/Os (table, queue, Graph, notifier) are numbered in the order of an unbroken life. For each
number the whole life is lived again, with that one I/O broken: by a crash before it and after it,
and, at every second one, by one of the other kinds of fault in turn; with SOAK set
(`make soak`) by every kind at each.
Then messages are brought again and the sweep ticks until all is quiet. The invariants must hold in
every case.
"""

import asyncio
import logging
import random
from collections.abc import Iterator

import pytest

from shared.domain.reset import Scope, State
from tests.crash.invariants import check
from tests.crash.scenarios import SCENARIOS, live
from tests.support.faults import KINDS
from tests.support.host import resets
from tests.support.soak import at_length, progress

CRASHES = [kind for kind in KINDS if kind.startswith("crash")]
OTHERS = [kind for kind in KINDS if kind not in CRASHES]
ALL_AT_EACH = bool(at_length(0, 1))


def kinds_at(scenario: str, at: int) -> list[str]:
    """
    The faults for one I/O: both crashes, and at every second one of the others, or all of them.

    They are always the same ones, and each of the others comes once in twenty I/Os.
    """
    if ALL_AT_EACH:
        return [*KINDS]
    if at % 2:
        return CRASHES
    # No fixed stride: the sweep's I/Os come in a rhythm of their own.
    turn, place = divmod(at // 2, len(OTHERS))
    order = random.Random(f"{scenario} {turn}").sample(OTHERS, len(OTHERS))
    return [*CRASHES, order[place]]


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def survive(scenario: str, at: int, kind: str) -> str:
    """Live the life with this I/O broken; return what went wrong, with what lives it again."""
    try:
        life = await live(scenario, at=at, kind=kind)
        await check(life.world, life.requests, broken=1)
    except Exception as error:
        return f"live({scenario!r}, at={at}, kind={kind!r}): {type(error).__name__}: {error}"
    return ""


@pytest.mark.soak
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_fault_in_any_io_of_the_life_breaks_no_promise(scenario: str) -> None:
    unbroken = await live(scenario)
    await check(unbroken.world, unbroken.requests)
    ios = unbroken.faults.count
    cases = [(at, kind) for at in range(1, ios + 1) for kind in kinds_at(scenario, at)]
    wrong = [told for at, kind in cases if (told := await survive(scenario, at, kind))]
    progress.say(f"\n{scenario}: {len(cases):,} lives, each with one of {ios} I/Os broken")

    assert ios > 30
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])


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
