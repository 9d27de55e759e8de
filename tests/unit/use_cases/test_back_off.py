"""What Graph refused at one moment is not asked again at one moment."""

from datetime import timedelta

import pytest

from shared.domain import events
from shared.domain.errors import NotSent
from shared.domain.ports import Graph
from shared.domain.reset import Reset, State
from shared.use_cases.job_calls import BACK_OFF_FROM, JobCalls
from tests.support.world import START, TARGET, Clock, World

ASKED = [timedelta(0), timedelta(seconds=5), timedelta(seconds=90), timedelta(hours=1)]


async def due_after(asked: timedelta, jitter: float, *, tries: int = 0) -> timedelta:
    """How long after a refusal with this Retry-After the reset is looked at again."""
    graph = World().graph
    graph.failures["read_job"] = [NotSent("429", retry_after=asked)]

    async def opened() -> Graph:
        return graph

    drawn = iter([jitter])
    calls = JobCalls(
        graph=opened,
        settings=World().settings,
        clock=Clock(),
        jitter=lambda: next(drawn),
    )
    reset = Reset(
        id="r1", target=TARGET, requested_at=START, state=State.ACCEPTED, due_at=START, tries=tries
    )
    event = await calls.read_job(reset)
    assert isinstance(event, events.MustWait)
    return event.until - START


@pytest.mark.parametrize("asked", ASKED)
async def test_resets_that_were_throttled_together_come_back_apart(asked: timedelta) -> None:
    spread = {await due_after(asked, jitter / 10) for jitter in range(10)}

    assert len(spread) == 10
    assert min(spread) >= asked, "never earlier than Graph said"
    assert max(spread) <= max(asked, timedelta(seconds=1)) + BACK_OFF_FROM


@pytest.mark.parametrize("tries", [0, 3, 40])
async def test_tries_count_under_a_retry_after_of_nothing(tries: int) -> None:
    assert await due_after(timedelta(0), 0.5, tries=tries) >= timedelta(seconds=2 ** min(tries, 9))
