"""
A Graph whose audit log and status come up to two hours late, while a person restarts as well.

The answer to our restart is lost, with or without an effect, which may come 40 seconds after the
intent. Whatever is chosen: never a second Full, and no Full is claimed that did not take effect.
"""

from collections.abc import Callable
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.errors import FateUnknown, RefusedForNow
from shared.domain.reset import OPEN, Reset, Scope, State
from shared.domain.sync_job import AuditTrail, Execution, RestartSeen, SyncJob
from tests.support.graph import FakeGraph, healthy
from tests.support.world import START, World

CYCLE = timedelta(minutes=20)
LATEST = 120


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A restart that took effect; `full` where it was ours."""

    at: datetime
    full: bool


@dataclass
class LateGraph(FakeGraph):
    """Shows the job as it was `lag` ago, and audit rows `delay` late."""

    lag: timedelta = timedelta(0)
    delay: timedelta = timedelta(0)
    effect_after: timedelta = timedelta(0)
    first_post: str = "ok"
    readable: bool = True
    runs_every: timedelta | None = None
    effects: list[Effect] = field(default_factory=list)

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        del service_principal_id, job_id
        now = self.clock()
        return replace(self._job_at(now - self.lag), read_at=now.replace(microsecond=0))

    def _job_at(self, then: datetime) -> SyncJob:
        """Restarts change this job, and its ordinary cycles where it runs every so often."""
        done = [effect.at for effect in self.effects if effect.at <= then]
        if not done:
            return self._ran_on(self.job, then)
        ended = max(done) + CYCLE
        if then < ended:
            return replace(
                self.job,
                code="NotRun",
                steady_state_first=None,
                steady_state_last=None,
                last_execution=Execution(state="Failed"),
                counts={},
            )
        last = Execution(state="Succeeded", began=max(done), ended=ended)
        initial = replace(
            self.job, steady_state_first=ended, steady_state_last=ended, last_execution=last
        )
        return self._ran_on(initial, then)

    def _ran_on(self, job: SyncJob, then: datetime) -> SyncJob:
        assert job.steady_state_last is not None
        if self.runs_every is None or then - job.steady_state_last < self.runs_every:
            return job
        at = job.steady_state_last + (then - job.steady_state_last) // self.runs_every * (
            self.runs_every
        )
        last = Execution(state="Succeeded", began=at - timedelta(minutes=1), ended=at)
        return replace(job, steady_state_last=at, last_execution=last)

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> str:
        del service_principal_id, job_id, scope
        assert may_begin()
        first = self.first_post if not self.posts else "ok"
        self.posts.append((client_request_id, True))
        if first in {"ok", "lost after"}:
            self.effects.append(Effect(at=self.clock() + self.effect_after, full=True))
        if first.startswith("lost"):
            raise FateUnknown("timeout")
        if first != "ok":
            raise RefusedForNow(first, status=int(first))
        return "graph-1"

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        del service_principal_id
        if not self.readable:
            return AuditTrail(readable=False)
        shown = [
            RestartSeen(at=effect.at, ours=effect.full, by="relink" if effect.full else "ann")
            for effect in self.effects
            if since <= effect.at <= self.clock() - self.delay
        ]
        return AuditTrail(readable=True, restarts=tuple(shown))


@dataclass(frozen=True, kw_only=True)
class Life:
    lag: int
    delay: int
    effect_after: int
    first_post: str
    portal: int | None
    readable: bool = True
    runs_every: int | None = None

    async def lived(self) -> tuple[Reset, LateGraph]:
        """From the request to its end, or until a person is asked for an approval."""
        world = World()
        ended = START - timedelta(minutes=10)
        every = None if self.runs_every is None else timedelta(minutes=self.runs_every)
        job = replace(healthy(START), interval=every or timedelta(days=2), steady_state_last=ended)
        graph = LateGraph(
            clock=world.clock,
            job=job,
            lag=timedelta(minutes=self.lag),
            delay=timedelta(minutes=self.delay),
            effect_after=timedelta(seconds=self.effect_after),
            first_post=self.first_post,
            readable=self.readable,
            runs_every=every,
        )
        if self.portal is not None:
            at = START + timedelta(minutes=self.portal)
            graph.effects.append(Effect(at=at, full=False))
        world.tenant.main = world.graph = graph
        world.rebuild()
        reset = await world.ask()
        for _ in range(400):
            if reset.state not in OPEN or reset.state is State.AWAITING_APPROVAL:
                return reset, graph
            assert reset.due_at is not None
            world.clock.now = max(world.clock.now + timedelta(seconds=1), reset.due_at)
            reset = await world.look()
        raise AssertionError(f"it never ends: {reset}")


MINUTES = st.integers(0, LATEST)
LIVES = st.builds(
    Life,
    lag=MINUTES,
    delay=MINUTES,
    effect_after=st.integers(0, 40),
    first_post=st.sampled_from(["ok", "lost before", "lost after", "409", "423", "401"]),
    portal=st.none() | st.integers(-LATEST - 15, 400),
    readable=st.booleans(),
    runs_every=st.sampled_from([None, 20, 40]),
)


@settings(max_examples=150, deadline=None)
@given(LIVES)
@example(Life(lag=60, delay=60, effect_after=0, first_post="lost after", portal=None))
@example(Life(lag=120, delay=120, effect_after=40, first_post="lost after", portal=None))
@example(Life(lag=0, delay=0, effect_after=0, first_post="lost before", portal=1))
@example(Life(lag=0, delay=120, effect_after=0, first_post="lost before", portal=1))
@example(Life(lag=119, delay=120, effect_after=0, first_post="lost before", portal=-90))
@example(Life(lag=0, delay=0, effect_after=0, first_post="409", portal=0))
@example(Life(lag=0, delay=0, effect_after=0, first_post="lost before", portal=1, readable=False))
@example(
    Life(lag=119, delay=120, effect_after=0, first_post="lost before", portal=130, runs_every=20)
)
@example(Life(lag=0, delay=46, effect_after=0, first_post="lost before", portal=90))
async def test_there_is_one_full_at_most_and_none_is_claimed_without_effect(life: Life) -> None:
    reset, graph = await life.lived()

    fulls = [effect for effect in graph.effects if effect.full]
    assert len(fulls) <= 1, (life, reset.detail)
    if reset.state is State.COMPLETED:
        assert fulls, (life, reset.detail)


@pytest.mark.parametrize("lag", [0, 45, 120])
@pytest.mark.parametrize("delay", [0, 45, 120])
@pytest.mark.parametrize("first_post", ["ok", "lost after", "409"])
async def test_what_took_effect_completes_by_itself_where_nobody_else_restarts(
    first_post: str, lag: int, delay: int
) -> None:
    life = Life(lag=lag, delay=delay, effect_after=40, first_post=first_post, portal=None)

    reset, graph = await life.lived()

    assert (reset.state, len(graph.posts)) == (State.COMPLETED, 1 + (first_post == "409"))


@pytest.mark.parametrize("runs_every", [None, 20, 40])
async def test_what_had_no_effect_is_sent_again_by_itself_while_the_job_runs_on(
    runs_every: int | None,
) -> None:
    life = Life(
        lag=15,
        delay=45,
        effect_after=5,
        first_post="lost before",
        portal=None,
        runs_every=runs_every,
    )

    reset, graph = await life.lived()

    assert (reset.state, len(graph.posts)) == (State.COMPLETED, 2)
