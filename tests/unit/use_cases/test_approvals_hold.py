"""
No sequence of approvals, changes of the job and time sends what nobody validly approved.

The engine and the decisions are the app's own, over storage in memory. At each POST the present
rules are asked as if nobody had approved; every reason that they give must be covered by approvals
that were given in time, for the job as it was shown, by enough persons. What covers is said here by
hand, in other words than the code's; engines made wrong must be noticed.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from shared.domain import approvals, evidence, policy
from shared.domain.errors import RefusedForNow
from shared.domain.events import MustAsk, MustWait, Previewed, ReadyToSend, Refused
from shared.domain.reset import BEFORE_SENDING, Budget, JobRow, Reset, State
from shared.domain.sync_job import Quarantine, SyncJob
from shared.use_cases.advance import Engine
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.soak import at_length
from tests.support.world import ENVIRON, SP, TARGET, World

VALID = timedelta(hours=4)
Asked = MustWait | MustAsk | Refused | ReadyToSend | Previewed
Step = tuple[str, Any]


@dataclass(frozen=True)
class Given:
    """An approval that counted: who, when, which reasons, of which job."""

    who: str
    at: datetime
    keys: tuple[str, ...]
    shown: SyncJob


@dataclass
class Watched:
    """One reset, and who looks at every POST."""

    approvers: int = 1
    vouched: bool = True
    engine_type: type[Engine] = Engine
    given: list[Given] = field(default_factory=list)
    restarted_by_others_at: datetime | None = None
    posts: int = 0

    def __post_init__(self) -> None:
        entry = {"servicePrincipalId": SP, "jobId": "job-1", "approval": "always"}
        entry |= {"approveAbove": 60, "approvers": self.approvers, "cooldown": "PT0S"}  # type: ignore[dict-item]
        environ = {
            **ENVIRON,
            "WEBSITE_AUTH_ENABLED": "True",
            "RESET_DAILY_BUDGET": "1000",
            "APPROVAL_EXPIRY": "P2D",
            "RESET_TARGETS": json.dumps({TARGET: entry}),
        }
        self.world = World(environ=environ, engine_type=self.engine_type)
        self.world.graph.pause = self._look_at_post

    # What happens

    async def begin(self) -> None:
        body: dict[str, object] = {"target": TARGET, "requestId": "r1"}
        if self.vouched:
            await respond(self.world.app.api.submit_reset, call(body, signed_in=principal("asker")))
        else:
            await self.world.send(json.dumps(body))
        await self.world.tick()

    async def step(self, what: str, value: Any) -> None:
        await getattr(self, f"_{what}")(value)

    async def _look(self, _: Any) -> None:
        await self.world.tick()

    async def _time(self, minutes: int) -> None:
        self.world.clock.forward(minutes=minutes)

    async def _approve(self, who: str) -> None:
        """Nothing moves on until the next look: the job may change in between."""
        row = await self.world.row()
        shown = evidence.load(row.before)
        request = call({"decision": "approve"}, reset_id="r1", signed_in=principal(who))
        reply = await respond(self.world.app.api.decide_reset, request)
        if reply.status == 200 and row.state is State.AWAITING_APPROVAL:
            assert shown is not None
            told = Given(who=who, at=self.world.clock(), keys=row.questions, shown=shown)
            self.given.append(told)

    async def _size(self, count: int | None) -> None:
        self._change(counts={} if count is None else {"User": count})

    async def _ill(self, reason: str) -> None:
        now = self.world.clock()
        held = Quarantine(reason=reason, began=now, series_began=now if reason else None)
        self._change(code="Quarantine", quarantine=held)

    async def _well(self, _: Any) -> None:
        self._change(code="Active", quarantine=None)

    async def _interval(self, known: bool) -> None:
        self._change(interval=timedelta(minutes=40) if known else None)

    async def _schedule(self, state: str) -> None:
        self._change(schedule_state=state)

    async def _cycle(self, _: Any) -> None:
        if self.world.graph.job.code == "Active":
            self.world.graph.incremental_cycle()

    async def _conflict(self, _: Any) -> None:
        """Graph will not take the next restart: something else changes the job just then."""
        refusal = RefusedForNow("Microsoft Graph answered 409", status=409)
        self.world.graph.failures["restart"] = [refusal]

    async def _portal(self, _: Any) -> None:
        """Somebody else restarts the job, and its cycle ends."""
        row, graph = await self.world.row(), self.world.graph
        before = evidence.load(row.before)
        shows = before is not None and before.steady_state_first is not None
        if row.state not in BEFORE_SENDING or graph.job.code != "Active":
            return
        self.world.clock.forward(minutes=1)
        ours = graph.restarted_at
        graph.take_restart()
        self.world.clock.forward(minutes=1)
        graph.end_cycle()
        graph.restarted_at = ours
        if row.number is not None and shows:
            self.restarted_by_others_at = self.world.clock()

    def _change(self, **columns: Any) -> None:
        self.world.graph.job = replace(self.world.graph.job, **columns)

    # At each POST

    async def _look_at_post(self, what: str) -> None:
        if what != "graph restart":
            return
        self.posts += 1
        x, now = await self.world.row(), self.world.clock()
        job = replace(self.world.graph.job, read_at=now)
        if (since := self.restarted_by_others_at) is not None:
            told = [each for each in self.given if each.at >= since]
            self._assert_covered("restarted since", job, told, x)
            self.restarted_by_others_at = None
        bare = replace(x, approvals="", number=None)
        store = self.world._spectator()
        history = policy.History(
            job=JobRow(target=TARGET),
            budget=Budget(),
            fleet=await store.fleet(),
            observation=await self.world.watch(),
        )
        rules = self.world.settings.rules
        ruling = policy.after_reading(bare, job, history, rules, now=now)
        assert isinstance(ruling, policy.Ask), ruling
        for question in ruling.questions:
            self._assert_covered(question.key, job, self.given, x)

    def _assert_covered(self, key: str, job: SyncJob, told: list[Given], x: Reset) -> None:
        persons = {
            each.who
            for each in told
            if self.world.clock() <= each.at + VALID
            and any(asked.startswith(key) for asked in each.keys)
            and not news(each.shown, job)
            and not (self.vouched and each.who == "asker")
        }
        two = self.approvers == 2 or "TooManyDeletes" in key or key == "always"
        needed = 2 if two and not self.vouched else 1
        assert len(persons) >= needed, f"{x.id} is sent, and {key} is approved by {persons}"


def news(shown: SyncJob, job: SyncJob) -> bool:
    """Whether the job is worse than, or other than, what the approver was shown."""
    if shown.size is not None and (job.size is None or job.size > shown.size):
        return True
    if shown.interval is not None and job.interval is None:
        return True
    if job.quarantine is None:
        return False
    before, now = shown.quarantine, job.quarantine
    return before is None or (before.reason, before.series_began) != (now.reason, now.series_began)


# Engines made wrong


class CoversEverything(Engine, frozen=True, kw_only=True):
    """One approval opens whatever is asked later."""

    async def _ask_policy(self, reset: Reset, job: JobRow) -> Asked:
        event = await super()._ask_policy(reset, job)
        if not isinstance(event, MustAsk) or not reset.approvals:
            return event
        snapshot = await self.calls.read_job(reset)
        assert isinstance(snapshot, SyncJob)
        return await self._prepare(reset, snapshot, job)


class NeverLapses(Engine, frozen=True, kw_only=True):
    async def _ask_policy(self, reset: Reset, job: JobRow) -> Asked:
        now = self.clock()
        kept = [
            approvals.Approval(
                by=each.by,
                at=now,
                reasons=each.reasons,
                seen=each.seen,
                object_id=each.object_id,
                tenant_id=each.tenant_id,
            )
            for each in approvals.load(reset.approvals)
        ]
        return await super()._ask_policy(replace(reset, approvals=approvals.dump(kept)), job)


class ForgetsWhatWasShown(Engine, frozen=True, kw_only=True):
    async def _ask_policy(self, reset: Reset, job: JobRow) -> Asked:
        snapshot = await self.calls.read_job(reset)
        assert isinstance(snapshot, SyncJob)
        kept = [
            approvals.Approval(
                by=each.by,
                at=each.at,
                reasons=each.reasons,
                seen=approvals.shown(snapshot),
                object_id=each.object_id,
                tenant_id=each.tenant_id,
            )
            for each in approvals.load(reset.approvals)
        ]
        return await super()._ask_policy(replace(reset, approvals=approvals.dump(kept)), job)


class TakesTheFirstForBoth(Engine, frozen=True, kw_only=True):
    """Counts each person twice."""

    async def _ask_policy(self, reset: Reset, job: JobRow) -> Asked:
        told = approvals.load(reset.approvals)
        again = [
            approvals.Approval(
                by=each.by,
                at=each.at,
                reasons=each.reasons,
                seen=each.seen,
                object_id=f"{each.object_id}-again",
                tenant_id=each.tenant_id,
            )
            for each in told
        ]
        kept = approvals.dump([*told, *again])
        return await super()._ask_policy(replace(reset, approvals=kept), job)


class ForgetsRestartsByOthers(Engine, frozen=True, kw_only=True):
    """Holds what it asked about a restart in the portal for answered, however long ago."""

    async def _ask_policy(self, reset: Reset, job: JobRow) -> Asked:
        return await super()._ask_policy(replace(reset, questions=()), job)


CHANGES = st.one_of(
    st.tuples(st.just("size"), st.sampled_from([50, 55, 61, 62, None])),
    st.tuples(st.just("ill"), st.sampled_from(["TooManyDeletes", "Unknown", "BrandNew", ""])),
    st.tuples(st.just("well"), st.none()),
    st.tuples(st.just("interval"), st.booleans()),
    st.tuples(st.just("schedule"), st.sampled_from(["Active", "Odd", "Disabled"])),
    st.tuples(st.just("portal"), st.none()),
)
APPROVALS = st.tuples(st.just("approve"), st.sampled_from(["ann", "bob", "asker"]))
ONE = st.one_of(
    APPROVALS,
    APPROVALS,
    CHANGES,
    st.tuples(st.just("time"), st.sampled_from([1, 30, 130, 239, 241])),
    st.tuples(st.just("cycle"), st.none()),
    st.tuples(st.just("conflict"), st.none()),
    st.tuples(st.just("look"), st.none()),
)
LOOK: Step = ("look", None)
BOTH: list[Step] = [("approve", "ann"), ("approve", "bob")]
STEPS = st.lists(
    st.one_of(ONE.map(lambda step: [step]), st.just([*BOTH]), st.just([*BOTH, LOOK])),
    max_size=14,
).map(lambda parts: [step for part in parts for step in part])
WITHOUT_A_CHANGE: list[Step] = [*BOTH, LOOK]
REFUSED_THEN_RESTARTED: list[Step] = [
    ("conflict", None),
    *BOTH,
    LOOK,
    ("portal", None),
    ("time", 30),
    LOOK,
    *BOTH,
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def lived(steps: list[Step], **how: Any) -> Watched:
    watched = Watched(**how)
    await watched.begin()
    for what, value in [*steps, LOOK]:
        await watched.step(what, value)
    return watched


@pytest.mark.soak
@settings(
    max_examples=at_length(120, 5_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, approvers=st.sampled_from([1, 2]), vouched=st.booleans())
@example(steps=REFUSED_THEN_RESTARTED, approvers=1, vouched=True)
def test_nothing_is_sent_that_no_valid_approval_covers(
    steps: list[Step], approvers: int, vouched: bool
) -> None:
    asyncio.run(lived(steps, approvers=approvers, vouched=vouched))


@pytest.mark.parametrize(
    ("steps", "posts"),
    [
        (WITHOUT_A_CHANGE, 1),
        ([("approve", "asker")], 0),
        ([("size", 61), *BOTH], 0),
        ([("size", 61), *BOTH, LOOK, *BOTH, LOOK], 1),
        ([*BOTH, ("time", 241)], 0),
        (REFUSED_THEN_RESTARTED, 2),
        (REFUSED_THEN_RESTARTED[:-2], 1),
    ],
)
@pytest.mark.parametrize("approvers", [1, 2])
def test_the_steps_do_send_restarts_where_all_is_approved(
    steps: list[Step], posts: int, approvers: int
) -> None:
    """A property that nothing ever happens under would show nothing."""
    assert asyncio.run(lived(steps, approvers=approvers)).posts == posts


def test_what_was_asked_about_a_restart_by_others_is_asked_again_once_its_approval_has_lapsed() -> (
    None
):
    steps = [*REFUSED_THEN_RESTARTED, ("time", 241)]

    async def life() -> tuple[int, tuple[str, ...]]:
        watched = await lived(steps)
        return watched.posts, (await watched.world.row()).questions

    posts, questions = asyncio.run(life())

    assert posts == 1
    assert [key.partition(" ")[0] for key in questions] == [
        "restarted",
        "always",
        "leavers",
    ]


WRONG: list[tuple[type[Engine], list[Step], dict[str, Any]]] = [
    (CoversEverything, [("approve", "ann"), ("size", 61)], {}),
    (NeverLapses, [("approve", "ann"), ("time", 241), ("cycle", None)], {}),
    (ForgetsWhatWasShown, [("approve", "ann"), ("size", 55)], {}),
    (
        TakesTheFirstForBoth,
        [
            ("approve", "ann"),
            ("time", 239),
            ("approve", "bob"),
            ("time", 2),
            ("cycle", None),
        ],
        {"vouched": False, "approvers": 2},
    ),
    (ForgetsRestartsByOthers, [*REFUSED_THEN_RESTARTED, ("time", 241), LOOK, *BOTH], {}),
]


@pytest.mark.parametrize(
    ("engine_type", "steps", "how"), WRONG, ids=[each[0].__name__ for each in WRONG]
)
def test_an_engine_made_wrong_is_noticed(
    engine_type: type[Engine], steps: list[Step], how: dict[str, Any]
) -> None:
    asyncio.run(lived(steps, **how))

    with pytest.raises(AssertionError, match="is sent, and"):
        asyncio.run(lived(steps, engine_type=engine_type, **how))


def test_an_approval_that_covers_everything_is_found_among_random_sequences() -> None:
    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=STEPS, approvers=st.sampled_from([1, 2]), vouched=st.booleans())
    def holds(steps: list[Step], approvers: int, vouched: bool) -> None:
        how = {"approvers": approvers, "vouched": vouched}
        asyncio.run(lived(steps, engine_type=CoversEverything, **how))

    with pytest.raises(AssertionError, match="is sent, and"):
        holds()
