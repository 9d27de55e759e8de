"""
No sequence of requests, ticks, faults and states of the job sends what the policy refuses.

At the moment of each POST the policy is asked again, with the rows and the job as they are then,
and must say go. A few rules are checked beside it by hand, so that a policy that forgot them is
noticed as well. Hypothesis draws the sequences and shrinks a breach to the fewest steps.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.domain import policy
from shared.domain.moments import budget_day
from shared.domain.quarantine import QUARANTINE_RULES, RESTART_HELPS
from shared.domain.reset import Budget, Reset, Scope, State
from shared.domain.sync_job import AuditTrail, StaleLink, StaleLinks
from shared.names import REMEDIATE
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.host import resets
from tests.support.world import ENVIRON, SP, START, TARGET, World

COOLDOWN = timedelta(hours=2)
BUDGET = 3
APPROVE_ABOVE = 60
ALIASES = [TARGET, "app-1", "app-2", "app-3"]
ENTRY = {
    "jobId": "job-1",
    "cooldown": "PT2H",
    "notify": "desk",
    "approveAbove": APPROVE_ABOVE,
    "remediate": {"after": "PT1H", "reasons": sorted(RESTART_HELPS), "staleLinks": 1},
}
SETTINGS = {
    **ENVIRON,
    "WEBSITE_AUTH_ENABLED": "True",
    "RESET_DAILY_BUDGET": str(BUDGET),
    "RESET_TARGETS": json.dumps(
        {
            alias: {
                "servicePrincipalId": SP if n == 0 else f"{n:08d}" + SP[8:],
                "schedule": "PT12H" if n > 1 else None,
                **ENTRY,
            }
            for n, alias in enumerate(ALIASES)
        }
    ),
}
WHO = principal("boss")


@dataclass
class Watched:
    """The world, and who looks at every POST in it."""

    world: World = field(default_factory=lambda: World(environ=dict(SETTINGS)))
    last: dict[str, datetime] = field(default_factory=dict)
    days: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each day, which reset each POST was for, by its client-request-id."""
    posts: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        for alias in ALIASES:
            graph = self.world.graph_of(alias)
            graph.trail = AuditTrail(readable=True)
            graph.stale = StaleLinks(readable=True, links=(StaleLink(user_id="u", at=START),))
            graph.pause = partial(self._look, alias)

    async def _look(self, alias: str, what: str) -> None:
        if what != "graph restart":
            return
        (x,) = [r for r in resets(self.world) if r.target == alias and r.state is State.SENDING]
        await self._policy_says_go(x)
        self._rules_hold(x)
        await self.rows_allow(x)

    async def _policy_says_go(self, x: Reset) -> None:
        world, now = self.world, self.world.clock()
        store = world._spectator()
        history = policy.History(
            job=await world.job(x.target),
            budget=Budget(spent=max(0, (await store.budget(budget_day(now))).spent - 1)),
            fleet=await store.fleet(),
            observation=await world.watch(x.target),
        )
        rules = world.settings.rules
        shown = world.graph_of(x.target).job
        decision = policy.decide(x, replace(shown, read_at=now), history, rules, now=now)
        assert decision == policy.Go(), f"{x.id} is sent, and the policy says {decision}"

    def _rules_hold(self, x: Reset) -> None:
        world, now = self.world, self.world.clock()
        job = world.graph_of(x.target).job
        reason = job.quarantine.reason if job.quarantine is not None else None
        assert world.environ["RESETS_ENABLED"] == "true"
        assert job.code in {"Active", "Quarantine"} or x.approved
        assert job.code not in {"Paused", "NotConfigured", "NotRun"}
        assert reason != "EncounteredQuarantineException"
        assert reason != "TooManyDeletes" or (x.approver_signed_in and x.via != REMEDIATE)
        assert x.via != REMEDIATE or reason is None or reason in RESTART_HELPS
        assert x.scope is Scope.FULL or x.via == REMEDIATE
        assert now - self.last.get(x.target, START - 2 * COOLDOWN) >= COOLDOWN
        self._within_the_budget(x)
        self.posts += 1

        # By hand what approvals are for, and what a machine may meet.
        assert x.approved or (job.size is not None and job.size <= APPROVE_ABOVE)
        assert x.via != REMEDIATE or reason is None or x.id.startswith("quarantine-")
        ended, interval = job.last_execution.ended or job.steady_state_last, job.interval
        fresh = ended is not None and interval is not None and now - ended <= 3 * interval
        assert x.approved or x.scope is not Scope.FULL or fresh

    def _within_the_budget(self, x: Reset) -> None:
        """Count what Graph took today: a restart that it refused gives its place back."""
        day = self.days.setdefault(f"{self.world.clock():%Y-%m-%d}", {})
        posts = (post for alias in ALIASES for post in self.world.graph_of(alias).posts)
        took = {
            day[client_request_id]
            for client_request_id, took in posts
            if took and client_request_id in day
        }
        day[x.client_request_id] = x.id
        assert len(took | {x.id}) <= BUDGET

    async def rows_allow(self, x: Reset) -> None:
        """Fleet stop and breaker, from the rows alone."""
        watches = [await self.world.watch(alias) for alias in ALIASES]
        ill = sum(watch.quarantined for watch in watches)
        if ill >= 3:
            assert x.approved
            assert x.via != REMEDIATE
        row, relapsed = await self.world.job(x.target), watches[ALIASES.index(x.target)].relapsed_at
        closed = (
            row.last_approved_at is not None
            and relapsed is not None
            and (relapsed <= row.last_approved_at)
        )
        assert (
            relapsed is None or closed or (x.approved_at is not None and relapsed <= x.approved_at)
        )

    # What happens

    async def step(self, name: str, alias: str, value: Any) -> None:
        await getattr(self, f"_{name}")(alias, value)
        for each in ALIASES:
            graph = self.world.graph_of(each)
            if graph.restarts and graph.restarted_at is not None:
                self.last[each] = graph.restarted_at

    async def _ticket(self, alias: str, value: Any) -> None:
        self.asked += 1
        body = {"requestId": f"r{self.asked}", "target": alias, "requestedBy": "ann"}
        await self.world.send(json.dumps(body))

    async def _dry_run(self, alias: str, value: Any) -> None:
        self.asked += 1
        body = {"requestId": f"r{self.asked}", "target": alias, "dryRun": True}
        await self.world.send(json.dumps(body))

    async def _tick(self, alias: str, value: Any) -> None:
        await self.world.app.remediate()

    async def _sweep(self, alias: str, value: Any) -> None:
        await self.world.quiesce()

    async def _time(self, alias: str, value: Any) -> None:
        self.world.clock.forward(minutes=[1, 20, 61, 130, 13 * 60, 25 * 60][value % 6])

    async def _live(self, alias: str, value: Any) -> None:
        """Cycles end; an initial one too."""
        for each in ALIASES:
            graph = self.world.graph_of(each)
            if graph.job.code == "NotRun":
                graph.end_cycle()
            elif graph.job.code == "Active":
                graph.incremental_cycle()

    async def _quarantine(self, alias: str, value: Any) -> None:
        reasons = [*QUARANTINE_RULES, "BrandNew", ""]
        self.world.graph_of(alias).quarantine(reasons[value % len(reasons)])

    async def _lift(self, alias: str, value: Any) -> None:
        if self.world.graph_of(alias).job.quarantine is not None:
            self.world.graph_of(alias).lift_quarantine()

    async def _state(self, alias: str, value: Any) -> None:
        graph = self.world.graph_of(alias)
        code = ["Active", "Paused", "NotConfigured", ""][value % 4]
        schedule = ["Active", "Disabled", "Paused", ""][value // 4 % 4]
        graph.job = replace(graph.job, code=code, schedule_state=schedule, quarantine=None)

    async def _elsewhere(self, alias: str, value: Any) -> None:
        """Somebody restarts the job in the portal."""
        graph = self.world.graph_of(alias)
        kept = graph.restarted_at
        graph.take_restart()
        graph.restarted_at = kept

    async def _decide(self, alias: str, value: Any) -> None:
        for x in resets(self.world):
            if x.target == alias and (x.state is State.AWAITING_APPROVAL or x.operator_asked):
                decision = ["approve", "approve", "reject", "cancel"][value % 4]
                if x.operator_asked:
                    took = dict(self.world.graph_of(alias).posts).get(x.client_request_id, False)
                    decision = "confirm" if took else "resend"
                body: dict[str, object] = {"decision": decision, "by": "somebody"}
                signed_in = WHO if value % 2 else ""
                await respond(
                    self.world.app.api.decide_reset, call(body, reset_id=x.id, signed_in=signed_in)
                )

    async def _switch(self, alias: str, value: Any) -> None:
        self.world.rebuild(RESETS_ENABLED=["true", "true", "no"][value % 3])

    async def _fault(self, alias: str, value: Any) -> None:
        self.world.graph_of(alias).scripted = [["timeout", "lost answer", "429", "503"][value % 4]]

    async def _size(self, alias: str, value: Any) -> None:
        graph = self.world.graph_of(alias)
        graph.job = replace(graph.job, counts=[{"u": 50}, {"u": 61}, {}][value % 3])


STEPS = sorted(
    name[1:]
    for name in vars(Watched)
    if name.startswith("_")
    and not name.startswith("__")
    and name not in {"_look", "_policy_says_go", "_rules_hold", "_within_the_budget"}
)
# Often what moves things on, seldom what stops them.
OFTEN = [
    "ticket",
    "tick",
    "tick",
    "sweep",
    "sweep",
    "time",
    "time",
    "live",
    "live",
    "decide",
    "quarantine",
]
step = st.tuples(
    st.sampled_from([*STEPS, *OFTEN, *OFTEN]), st.sampled_from(ALIASES), st.integers(0, 15)
)


def episode(alias: str, value: int) -> list[tuple[str, str, int]]:
    """A quarantine that stands for its grace period, with two ticks."""
    return [
        ("quarantine", alias, value),
        ("tick", alias, 0),
        ("time", alias, 2),
        ("tick", alias, 0),
        ("sweep", alias, 0),
    ]


CLEARED = episode(TARGET, 2)
REFUSED_WITHIN_THE_BUDGET = [("fault", TARGET, 2), *episode("app-1", 0)]
steps_of = st.lists(
    st.one_of(
        st.builds(lambda each: [each], step),
        st.builds(lambda each: [each], step),
        st.builds(episode, st.sampled_from(ALIASES), st.integers(0, 15)),
    ),
    min_size=4,
    max_size=30,
).map(lambda parts: [each for part in parts for each in part])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def lived(steps: list[tuple[str, str, int]]) -> Watched:
    watched = Watched()
    for each in steps:
        await watched.step(*each)
    return watched


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps_of)
@example(CLEARED)
@example(REFUSED_WITHIN_THE_BUDGET)
def test_nothing_is_sent_that_the_policy_asked_at_that_moment_refuses(
    steps: list[tuple[str, str, int]],
) -> None:
    asyncio.run(lived(steps))


def test_the_steps_do_send_restarts() -> None:
    """A property that nothing ever happens under would show nothing."""
    ticket = [("ticket", TARGET, 0), ("sweep", TARGET, 0)]

    # The quarantine's, and the periodic ones of the other targets as far as the budget reaches.
    assert asyncio.run(lived(CLEARED)).posts == BUDGET
    assert asyncio.run(lived(ticket)).posts == 1


def test_a_restart_beyond_the_budget_is_noticed() -> None:
    watched = asyncio.run(lived(CLEARED))
    (x, *_) = resets(watched.world)

    with pytest.raises(AssertionError, match=rf"<= {BUDGET}"):
        watched._within_the_budget(replace(x, id="one-more", client_request_id="one-more"))


def test_a_breach_is_noticed() -> None:
    """The kill switch is thrown between the engine's question and the POST: not as it should be."""

    async def breach() -> None:
        watched = Watched()

        async def throw(what: str) -> None:
            if what == "graph restart":
                watched.world.environ["RESETS_ENABLED"] = "no"
                watched.world.settings = replace(watched.world.settings, enabled=False)
                await watched._look(TARGET, what)

        watched.world.graph.pause = throw
        await watched.step("ticket", TARGET, 0)

    with pytest.raises(AssertionError, match="switched off"):
        asyncio.run(breach())
