"""The timer over fakes: what it marks, asks for and leaves alone, and that it harms nothing."""

import asyncio
import itertools
import json
import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from shared.app import App
from shared.domain.errors import FateUnknown, StorageUnavailable, Throttled
from shared.domain.reset import Fleet, Scope, State
from shared.domain.sync_job import StaleLink, StaleLinks
from shared.names import REMEDIATE, RESETS_QUEUE
from shared.telemetry import EVENTS
from tests.support.faults import Faults
from tests.support.host import Host, resets
from tests.support.world import SP, START, TARGET, World

PROPORTION = "EncounteredEscrowProportionThreshold"
QUARTER = timedelta(minutes=15)


def guid(n: int) -> str:
    return str(uuid.UUID(int=n))


def catalogue(count: int = 1, **fields: Any) -> str:
    """The usual target and more of its kind, each with a job of its own."""
    entry = {"jobId": "job-1", "remediate": {}, "notify": "desk", **fields}
    targets = {TARGET: {"servicePrincipalId": SP, **entry}}
    targets |= {f"app-{n}": {"servicePrincipalId": guid(n), **entry} for n in range(1, count)}
    return json.dumps(targets)


def world(count: int = 1, environ: dict[str, str] | None = None, **fields: Any) -> World:
    made = World()
    made.rebuild(RESET_TARGETS=catalogue(count, **fields), **(environ or {}))
    return made


async def ticks(made: World, hours: float = 0, *, live: bool = True) -> None:
    """Tick every quarter of an hour and deliver what comes of it, while the jobs run cycles."""
    for _ in range(int(hours * 4) + 1):
        await made.app.remediate()
        await made.quiesce()
        made.clock.forward(minutes=15)
        for graph in (made.graph, *made.tenant.others.values()):
            if live and graph.job.code == "Active":
                graph.incremental_cycle()


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    lines = [record.getMessage() for record in caplog.records]
    return [json.loads(line.split(" ", 1)[1]) for line in lines if line.startswith(f"{event} ")]


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="relink")


# Quarantine


async def test_a_quarantine_is_marked_looked_at_again_and_cleared_with_its_own_scope() -> None:
    made = world()
    made.graph.quarantine(PROPORTION)
    await ticks(made, 1.75)
    before = list(made.graph.restarts)
    await ticks(made, 0.25)

    assert before == []
    (sent,) = made.graph.restarts
    assert sent[:3] == (SP, "job-1", Scope.QUARANTINE)
    (reset,) = resets(made)
    assert (reset.via, reset.requested_by, reset.scope) == (REMEDIATE, REMEDIATE, Scope.QUARANTINE)
    assert reset.id.startswith("quarantine-")


async def test_a_quarantine_that_is_over_in_time_costs_nothing() -> None:
    made = world()
    made.graph.quarantine(PROPORTION)
    await ticks(made, 1)
    made.graph.lift_quarantine()
    await ticks(made, 3)

    assert (made.graph.restarts, resets(made)) == ([], [])


async def test_one_quarantine_is_cleared_once_and_a_relapse_waits_for_a_person() -> None:
    made = world(cooldown="PT1H")
    made.graph.quarantine(PROPORTION)
    await ticks(made, 2.25)
    made.graph.end_cycle()
    await ticks(made, 0.5)
    made.graph.quarantine(PROPORTION)
    await ticks(made, 6)
    (asked,) = [x for x in resets(made) if x.state is State.AWAITING_APPROVAL]

    assert len(made.graph.restarts) == 1
    assert "went into quarantine again" in asked.detail
    assert (await made.watch()).relapsed_at is not None

    await made.decide("approve", request_id=asked.id)
    await made.quiesce()
    assert len(made.graph.restarts) == 2


@pytest.mark.parametrize(
    "reason",
    [
        "TooManyDeletes",
        "EncounteredQuarantineException",
        "QuarantinedOnDemand",
        "IngestionInterrupted",
        "Unknown",
        "BrandNew",
        "",
    ],
)
async def test_what_no_restart_cures_is_left_alone_for_ever(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = world(schedule="PT6H", remediate={"staleLinks": 1})
    made.graph.stale = stale("u1")
    made.graph.quarantine(reason)
    await ticks(made, 30)

    assert (made.graph.restarts, resets(made)) == ([], [])
    assert {line["cause"] for line in said(caplog, "remediate.left")} == {"quarantine"}


async def test_a_reason_that_changed_before_the_request_was_taken_is_refused() -> None:
    made = world()
    made.graph.quarantine(PROPORTION)
    await made.app.remediate()
    made.clock.forward(hours=2)
    await made.app.remediate()
    made.graph.quarantine("TooManyDeletes")
    await made.quiesce()

    (reset,) = resets(made)
    assert (reset.state, made.graph.restarts) == (State.REFUSED, [])
    assert "mass deletion" in reset.detail


async def test_a_ticket_under_way_is_not_disturbed() -> None:
    made = world(cooldown="PT0S")
    await made.ask()
    made.graph.quarantine(PROPORTION)
    await made.app.remediate()
    made.clock.forward(hours=3)
    await made.app.remediate()

    assert [x.id for x in resets(made)] == ["r1"]


# Schedules


async def test_a_slot_is_one_restart_and_missed_slots_are_not_caught_up() -> None:
    made = world(schedule="P7D")
    made.graph.cycle_takes = timedelta(minutes=20)
    await ticks(made, 24)
    assert len(made.graph.restarts) == 1

    made.clock.forward(days=21)
    made.graph.incremental_cycle()
    await ticks(made, 12)

    assert len(made.graph.restarts) == 2
    assert {x.id.split("-")[0] for x in resets(made)} == {"schedule"}
    assert {x.state for x in resets(made)} == {State.COMPLETED}


async def test_a_slot_that_must_wait_is_taken_later_in_the_slot() -> None:
    made = world(schedule="P7D", cooldown="PT6H")
    made.graph.cycle_takes = timedelta(minutes=20)
    await made.ask()
    await ticks(made, 5.5)
    waiting = len(resets(made))
    await ticks(made, 1)

    assert waiting == 1
    assert [x.via for x in resets(made)] == [REMEDIATE, "queue"]


# Stale links


def stale(*users: str, **changes: Any) -> StaleLinks:
    links = tuple(StaleLink(user_id=user, at=START) for user in users)
    return StaleLinks(**{"readable": True, "links": links, **changes})


async def test_stale_links_of_enough_users_are_one_full_reset_in_a_cooldown_window() -> None:
    made = world(remediate={"staleLinks": 3})
    made.graph.cycle_takes = timedelta(minutes=20)
    made.graph.stale = stale("u1", "u2")
    await ticks(made, 1)
    assert resets(made) == []

    made.graph.stale = stale("u1", "u2", "u3")
    await ticks(made, 10)

    (sent,) = made.graph.restarts
    assert sent[2] is Scope.FULL
    (reset,) = resets(made)
    assert reset.id.startswith("stale-")
    assert "3 users are linked to accounts that no longer exist" in reset.reason


async def test_few_logs_are_read_in_a_run_and_every_target_has_its_turn() -> None:
    made = world(10, remediate={"staleLinks": 1})
    await made.app.remediate()
    first = made.faults.log.count("graph stale")
    for _ in range(2):
        made.clock.forward(minutes=15)
        await made.app.remediate()

    assert first == 4
    read = [
        alias for alias in made.settings.catalogue or {} if (await made.watch(alias)).links_read_at
    ]
    assert len(read) == 10


async def test_a_throttled_log_is_not_asked_for_again_in_that_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = world(5, remediate={"staleLinks": 1})
    made.graph.failures["stale_links"] = [Throttled("throttled")]
    await made.app.remediate()

    assert made.faults.log.count("graph stale") == 0
    assert [line["why"] for line in said(caplog, "remediate.failed")] == ["throttled"]


async def test_a_log_that_always_fails_keeps_no_other_from_being_read() -> None:
    made = world(6, remediate={"staleLinks": 1})
    made.graph.failures["stale_links"] = [FateUnknown("timeout")] * 9
    await ticks(made, 3)

    read = [(await made.watch(alias)).links_read_at for alias in (TARGET, "app-1", "app-5")]
    assert all(read)


# Many targets


async def test_one_job_that_cannot_be_read_hides_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = world(5)
    made.graph.failures["read_job"] = [FateUnknown("503")]
    made.graph_of("app-2").failures["read_job"] = [FateUnknown("503")]
    await made.app.remediate()

    assert (await made.watch("app-4")).seen_at == START
    assert (await made.watch("app-2")).seen_at is None
    assert [line["target"] for line in said(caplog, "remediate.failed")] == [TARGET, "app-2"]
    (done,) = said(caplog, "remediate.done")
    assert (done["targets"], done["failed"]) == (3, 2)
    assert await made._spectator().fleet() == Fleet(seen=3)


async def test_a_graph_that_hangs_does_not_hold_a_tick_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = world(20)

    async def hang(what: str) -> None:
        made.clock.forward(seconds=29)

    for alias in made.settings.catalogue or {}:
        made.graph_of(alias).pause = hang
    await made.app.remediate()

    (done,) = said(caplog, "remediate.done")
    # 29 s each: eleven have begun within five minutes.
    assert (done["targets"], done["failed"]) == (11, 9)
    assert made.graph_of("app-19").reads == 0


async def test_one_tick_asks_for_no_more_than_the_day_allows() -> None:
    made = world(20, environ={"RESET_DAILY_BUDGET": "3"}, schedule="P7D")
    await ticks(made, 0)
    first = len(resets(made))
    await ticks(made, 10)
    same_day = len(resets(made))
    await ticks(made, 14)

    # Nothing of the timer's waits for the budget at the head of a job, in front of a ticket.
    assert (first, same_day, len(resets(made))) == (3, 3, 6)
    assert State.WAITING not in {x.state for x in resets(made)}


async def test_what_could_not_be_read_at_all_counts_as_ill_and_is_not_summed_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = world(5)
    await made.app.remediate()
    made.rebuild(RESET_TARGETS=catalogue(5, schedule="P7D"))
    for alias in ("app-1", "app-2", "app-3"):
        # A later version of the app wrote them.
        values, etag = made.storage.resets.cells[alias, "watch"]
        made.storage.resets.cells[alias, "watch"] = ({**values, "Version": 99}, etag)
    await made.app.remediate()

    assert resets(made) == []
    assert {line["target"] for line in said(caplog, "remediate.left")} == {TARGET, "app-4"}
    assert await made._spectator().fleet() == Fleet(seen=5, quarantined=3)
    assert said(caplog, "remediate.done")[-1]["failed"] == 3


async def test_a_fault_of_the_whole_fleet_restarts_nothing_and_is_over_by_itself() -> None:
    made = world(10)
    for n in range(1, 6):
        made.graph_of(f"app-{n}").quarantine(PROPORTION)
    await ticks(made, 4)
    held = list(resets(made))
    ticket = await made.ask()

    assert held == []
    assert ticket.state is State.AWAITING_APPROVAL
    assert "5 of 10 jobs are in quarantine at once" in ticket.detail

    for n in range(1, 5):
        made.graph_of(f"app-{n}").lift_quarantine()
    await ticks(made, 0.5)
    assert [x.target for x in resets(made) if x.via == REMEDIATE] == ["app-5"]


async def test_a_request_of_the_timers_is_refused_where_the_fleet_fell_ill_meanwhile() -> None:
    made = world(5, schedule="P7D")
    await made.app.remediate()
    for n in range(1, 5):
        made.graph_of(f"app-{n}").quarantine("EncounteredQuarantineException")
    made.clock.forward(minutes=15)
    await made.app.remediate()
    await made.quiesce()

    states = {x.target: x.state for x in resets(made)}
    assert set(states.values()) == {State.REFUSED}


# Harmless


async def test_duplicate_and_overlapping_runs_ask_once() -> None:
    made = world(schedule="P1D")
    await asyncio.gather(*(made.process().remediate() for _ in range(4)))
    await made.app.remediate()

    assert len(resets(made)) == 1
    assert len({json.loads(m)["requestId"] for m in made.waiting(RESETS_QUEUE)}) == 1
    await made.quiesce()
    assert len(made.graph.restarts) == 1


async def test_overlapping_runs_in_every_interleaving_ask_once() -> None:
    """Two runs; the second begins at each I/O of the first."""
    alone = world(schedule="P1D")
    await alone.app.remediate()
    for place in range(1, alone.faults.count + 1):
        made = world(schedule="P1D")
        places = itertools.count(1)
        made.storage.interleave(partial(_other_run, made.process(), places, place))
        await made.app.remediate()
        made.storage.interleave(_at_once)

        assert len(resets(made)) == 1, place
        await Host(made).until_quiet()
        assert len(made.graph.restarts) == 1


async def _other_run(other: App, places: Iterator[int], place: int, what: str) -> None:
    del what
    if next(places) == place:
        await other.remediate()


async def _at_once(what: str) -> None:
    del what


async def test_storage_that_fails_is_raised_in_the_end_without_a_heartbeat() -> None:
    made = world(3)
    broken = made.storage.shared()
    broken.faults = Faults(at=1, kind="500")
    broken.resets.faults = broken.ids.faults = broken.faults

    with pytest.RaisesGroup(StorageUnavailable):
        await made.process(storage=broken).remediate()

    assert await made._spectator().last_beat(REMEDIATE) is None
    assert (await made.watch("app-2")).seen_at == START
    await made.app.remediate()
    assert await made._spectator().last_beat(REMEDIATE) == START


async def test_an_ids_row_without_its_reset_is_completed_by_the_next_tick() -> None:
    made = world(schedule="P1D")
    await made.app.remediate()
    for key in [k for k in made.keys(TARGET) if k not in {"job", "watch"}]:
        del made.storage.resets.cells[TARGET, key]
    made.storage.queues[RESETS_QUEUE].messages.clear()
    made.clock.forward(minutes=15)
    await made.app.remediate()

    assert len(resets(made)) == 1


# Nothing is sent


@pytest.mark.parametrize(
    ("environ", "words", "status"),
    [
        ({"RESET_TARGETS": "{}"}, "RESET_TARGETS is empty", 503),
        ({"RESET_TARGETS": "{"}, "RESET_TARGETS: not valid JSON", 503),
        ({"RESET_TARGETS": ""}, "RESET_TARGETS: missing", 503),
        (
            {"RESETS_ENABLED": "@Microsoft.KeyVault(SecretUri=https://v/s)"},
            "RESETS_ENABLED: the Key Vault reference is not resolved",
            503,
        ),
        ({"RESET_DAILY_BUDGET": "many"}, "RESET_DAILY_BUDGET", 503),
    ],
)
async def test_what_cannot_be_read_stops_everything_and_health_says_so(
    environ: dict[str, str], words: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    made = world(schedule="P1D")
    made.rebuild(**environ)
    await ticks(made, 1)
    await made.send(json.dumps({"target": TARGET, "requestId": "r1"}))
    await made.quiesce()

    assert (made.graph.posts, made.graph.reads) == ([], 0)
    assert words in said(caplog, "remediate.left")[0]["why"]
    report = await made.app.api.reporter.report("")
    assert report.status == status
    setting = words.partition(" ")[0].rstrip(":")
    assert any(problem.startswith(setting) for problem in report.body["problems"])


@pytest.mark.parametrize("switch", ["", "false", "True", " true", "1"])
async def test_while_resets_are_switched_off_the_timer_rehearses(switch: str) -> None:
    made = world()
    made.rebuild(RESETS_ENABLED=switch)
    made.graph.quarantine(PROPORTION)
    await ticks(made, 6)

    (preview,) = resets(made)
    assert preview.state is State.PREVIEWED
    assert preview.id.endswith("-dry")
    assert preview.detail == (
        "dry run: resets are switched off (RESETS_ENABLED is not `true`); else it would be sent "
        'now. The restart: {"criteria":{"resetScope":"Watermark, Escrows, QuarantineState"}} to '
        "job job-1"
    )
    assert json.loads(preview.before)["quarantine"]["reason"] == PROPORTION
    assert made.graph.posts == []
    assert "job" not in made.keys(TARGET)

    made.rebuild(RESETS_ENABLED="true")
    await ticks(made, 0)
    assert len(made.graph.restarts) == 1


def test_every_event_of_the_timer_is_in_the_closed_list() -> None:
    assert {name for name in EVENTS if name.startswith("remediate.")} == {
        "remediate.asked",
        "remediate.left",
        "remediate.done",
        "remediate.failed",
    }
