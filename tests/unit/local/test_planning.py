"""The plan says what the engine and the timer then do, and changes nothing."""

import copy
import json
from collections.abc import Callable
from copy import replace
from datetime import timedelta
from typing import Any

import pytest

from local.plan import as_json
from local.planning import Planner, Plans, TargetPlan
from shared.adapters.table_store import TableStore
from shared.domain.errors import NotSent, Rejected, SettingsError, StorageUnavailable
from shared.domain.policy import Ask, Go, Refuse, Wait
from shared.domain.remediation import Skipped, Submit
from shared.domain.reset import Budget, State
from shared.domain.sync_job import Quarantine as Held
from shared.domain.sync_job import StaleLink, StaleLinks
from tests.support.graph import healthy as usual_job
from tests.support.world import SP, START, TARGET, World

OTHER = "22222222-2222-3333-4444-555555555555"
ESCROWS = "EncounteredEscrowProportionThreshold"


def catalogue(**entry: Any) -> str:
    return json.dumps({TARGET: {"servicePrincipalId": SP, "jobId": "job-1"} | entry})


def silent(done: int, of: int) -> None:
    del done, of


async def planned(world: World, *, store: TableStore | None = None, rows: bool = True) -> Plans:
    planner = Planner(
        store=(store or world.storage.store()) if rows else None,
        graph=world.tenant,
        settings=world.settings,
        clock=world.clock,
    )
    return await planner.plan(progress=silent)


async def plan_of(world: World, alias: str = TARGET) -> TargetPlan:
    return next(plan for plan in (await planned(world)).targets if plan.alias == alias)


def quarantined(world: World, reason: str) -> None:
    held = Held(reason=reason, began=world.clock() - timedelta(hours=3))
    world.graph.job = replace(world.graph.job, code="Quarantine", quarantine=held)


def healthy(world: World) -> None:
    del world


def paused(world: World) -> None:
    world.graph.job = replace(world.graph.job, code="Paused")


def unknown(world: World) -> None:
    world.graph.job = replace(world.graph.job, code="")


def many_deletes(world: World) -> None:
    quarantined(world, "TooManyDeletes")


def credentials(world: World) -> None:
    quarantined(world, "EncounteredQuarantineException")


def failures(world: World) -> None:
    quarantined(world, ESCROWS)


def refused_by_graph(world: World) -> None:
    world.graph.failures["read_job"] = [Rejected("401", status=401)] * 2


def throttled(world: World) -> None:
    world.graph.failures["read_job"] = [NotSent("429", retry_after=timedelta(seconds=90))] * 2


def switched_off(world: World) -> None:
    world.rebuild(RESETS_ENABLED="false")


def no_budget(world: World) -> None:
    world.rebuild(RESET_DAILY_BUDGET="0")


def always_asks(world: World) -> None:
    world.rebuild(RESET_TARGETS=catalogue(approval="always"))


OUTCOMES = {
    Go: State.RESTARTED,
    Wait: State.WAITING,
    Ask: State.AWAITING_APPROVAL,
    Refuse: State.REFUSED,
}


@pytest.mark.parametrize(
    ("arrange", "kind"),
    [
        (healthy, Go),
        (paused, Ask),
        (unknown, Ask),
        (many_deletes, Ask),
        (credentials, Ask),
        (failures, Go),
        (refused_by_graph, Refuse),
        (throttled, Wait),
        (switched_off, Wait),
        (no_budget, Wait),
        (always_asks, Ask),
    ],
)
async def test_what_the_plan_says_of_a_request_is_what_the_engine_then_does(
    arrange: Callable[[World], None], kind: type
) -> None:
    world = World()
    arrange(world)

    first = (await plan_of(world)).request[0]
    reset = await world.ask()

    assert type(first) is kind
    assert reset.state is OUTCOMES[kind]
    if not isinstance(first, Go):
        assert (await world.events())[-1].detail == first.reason


async def test_a_cooldown_and_a_reset_under_way_are_seen_in_the_rows() -> None:
    world = World()
    await world.ask()
    under_way = (await plan_of(world)).request[0]
    world.clock.forward(minutes=30)
    world.graph.end_cycle()
    await world.look()
    cooling = (await plan_of(world)).request[0]

    assert isinstance(under_way, Wait)
    assert "another reset of this job is under way" in under_way.reason
    assert isinstance(cooling, Wait)
    assert "the cooldown ends at 2026-11-25 09:00 UTC" in cooling.reason


async def test_a_switch_that_is_off_hides_no_job_that_a_person_would_be_asked_about() -> None:
    world = World()
    world.rebuild(RESETS_ENABLED="false", RESET_DAILY_BUDGET="0")
    paused(world)

    said = (await plan_of(world)).request

    assert [type(decision) for decision in said] == [Wait, Wait, Ask]
    assert "switched off" in getattr(said[0], "reason", "")
    assert "budget" in getattr(said[1], "reason", "")
    assert "Paused" in getattr(said[2], "reason", "")


async def test_a_plan_writes_nothing_and_sends_nothing() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(schedule="P7D", remediate={"staleLinks": 1}))
    await world.app.remediate()
    before = copy.deepcopy(dict(world.storage.resets.cells))
    ids, posts = dict(world.storage.ids.cells), list(world.graph.posts)

    await planned(world)

    assert dict(world.storage.resets.cells) == before
    assert dict(world.storage.ids.cells) == ids
    assert world.graph.posts == posts


async def test_one_target_that_cannot_be_read_hides_no_other() -> None:
    world = World()
    both = json.loads(catalogue()) | {"other": {"servicePrincipalId": OTHER}}
    world.rebuild(RESET_TARGETS=json.dumps(both))
    world.graph.failures["read_job"] = [Rejected("404 no such job", status=404)]

    gone, there = (await planned(world)).targets

    assert (gone.job, gone.request) == (None, (Refuse(reason="404 no such job"),))
    assert isinstance(gone.error, Rejected)
    assert (there.alias, there.request) == ("other", (Go(),))


class Silent(TableStore):
    """Storage that does not answer."""

    async def budget(self, day: str, *, limit: int | None = None) -> Budget:
        del day
        raise StorageUnavailable("no route to host")


async def test_storage_that_does_not_answer_is_named_and_stops_nothing() -> None:
    world = World()

    plans = await planned(world, store=world.storage.store(Silent))

    assert plans.rows_unread == "ResetStorage: storage does not answer: no route to host"
    assert plans.targets[0].request == (Go(),)


async def test_without_storage_it_goes_by_the_jobs_alone_and_says_so() -> None:
    world = World()
    await world.ask()
    world.graph.job = usual_job(world.clock())
    seen = (await plan_of(world)).request[0]
    world.rebuild(ResetStorage="")

    plans = await planned(world, rows=False)

    assert isinstance(seen, Wait)
    assert plans.rows_unread.startswith("ResetStorage: missing")
    assert plans.targets[0].request == (Go(),)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        pytest.param("", "RESET_TARGETS: missing", id="missing"),
        pytest.param("{", "RESET_TARGETS: not valid JSON", id="unreadable"),
        pytest.param("{}", "RESET_TARGETS: empty", id="empty"),
    ],
)
async def test_a_catalogue_that_allows_nothing_is_named(targets: str, words: str) -> None:
    world = World()
    world.rebuild(RESET_TARGETS=targets)

    with pytest.raises(SettingsError, match=words):
        await planned(world)


async def test_any_other_bad_setting_makes_every_request_wait() -> None:
    world = World()
    world.rebuild(RESET_MAX_AGE="soon")

    (first, *_) = (await plan_of(world)).request

    assert isinstance(first, Wait)
    assert "RESET_MAX_AGE" in first.reason


# The timer


async def test_where_nothing_is_due_the_timer_does_nothing() -> None:
    assert (await plan_of(World())).timer == ()


async def test_what_the_plan_says_of_the_timer_is_what_it_then_asks_for() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(remediate={"after": "PT2H", "reasons": [ESCROWS]}))
    failures(world)
    await world.app.remediate()
    (waiting,) = (await plan_of(world)).timer

    world.clock.forward(hours=2)
    (due,) = (await plan_of(world)).timer
    await world.app.remediate()
    (asked,) = (await plan_of(world)).timer

    assert isinstance(waiting, Skipped)
    assert "grace period" in waiting.why
    assert isinstance(due, Submit)
    assert (await world.row(due.received.id)).via == "remediate"
    assert isinstance(asked, Skipped)
    assert due.received.id in asked.why


@pytest.mark.parametrize("reason", ["TooManyDeletes", "EncounteredQuarantineException", "New"])
async def test_what_no_timer_may_clear_is_left_alone_with_the_reason(reason: str) -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(remediate={"after": "PT0S", "reasons": [ESCROWS]}))
    quarantined(world, reason)

    (left,) = (await plan_of(world)).timer

    assert isinstance(left, Skipped)
    assert reason in left.why


async def test_a_slot_that_is_due_is_shown_with_its_scope() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(schedule="P7D"))

    (due,) = (await plan_of(world)).timer

    assert isinstance(due, Submit)
    assert due.received.request.scope == "quarantine"


async def test_while_switched_off_the_timer_would_only_rehearse() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(schedule="P7D"), RESETS_ENABLED="false")

    (due,) = (await plan_of(world)).timer

    assert isinstance(due, Submit)
    assert due.received.request.dry_run


def stale(world: World, *, users: int, least: int = 2) -> None:
    world.rebuild(RESET_TARGETS=catalogue(remediate={"staleLinks": least}))
    at = START - timedelta(hours=1)
    links = tuple(StaleLink(user_id=f"u{n}", at=at) for n in range(users))
    world.graph.stale = StaleLinks(readable=True, links=links)


async def test_stale_links_of_enough_users_would_ask_for_a_full_restart() -> None:
    world = World()
    stale(world, users=2)

    (due,) = (await plan_of(world)).timer

    assert isinstance(due, Submit)
    assert due.received.request.scope == "full"
    assert "2 users" in due.why


async def test_stale_links_of_too_few_users_are_left_alone_with_their_number() -> None:
    world = World()
    stale(world, users=1)

    (left,) = (await plan_of(world)).timer

    assert isinstance(left, Skipped)
    assert left.why.startswith("1 users")


async def test_logs_that_cannot_be_read_are_said_to_be_so() -> None:
    world = World()
    stale(world, users=2)
    world.graph.failures["stale_links"] = [NotSent("throttled")]

    (left,) = (await plan_of(world)).timer

    assert isinstance(left, Skipped)
    assert left.why == "the provisioning logs: throttled"


async def test_progress_is_told_target_by_target() -> None:
    world = World()
    heard: list[tuple[int, int]] = []
    planner = Planner(store=None, graph=world.tenant, settings=world.settings, clock=world.clock)

    await planner.plan(progress=lambda done, of: heard.append((done, of)))

    assert heard == [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("sign_in", "entry", "reason", "words"),
    [
        ("", {}, "TooManyDeletes", "would ask now for 2 signed-in persons"),
        ("", {"approvers": 2, "approval": "always"}, "", "would ask now for 2 signed-in persons"),
        ("", {"approvers": 2}, "", "no approval could be given"),
        ("", {"approval": "always"}, "", "with a function key alone"),
        ("True", {"approval": "always"}, "", "heard by nobody"),
        ("True", {"approvers": 2, "approval": "always", "notify": "desk"}, "TooManyDeletes", ""),
        ("True", {}, "", ""),
    ],
)
async def test_the_plan_warns_where_an_approval_could_not_be_given(
    sign_in: str, entry: dict[str, Any], reason: str, words: str
) -> None:
    world = World()
    world.rebuild(RESET_TARGETS=catalogue(**entry), WEBSITE_AUTH_ENABLED=sign_in)
    if reason:
        quarantined(world, reason)

    plans = await planned(world)

    assert bool(plans.warnings) is bool(words)
    assert words in " ".join(plans.warnings)
    assert json.loads(as_json(plans))["warnings"] == list(plans.warnings)
