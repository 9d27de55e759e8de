"""Health: good or not for everybody, the detail for who has the key."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.bootstrap import build
from shared.health import Health, longest_gap
from tests.support.world import ENVIRON, World


def health(world: World) -> Health:
    return world.app.health


async def test_a_healthy_app_says_so_and_no_more() -> None:
    world = World()
    report = await health(world).report("")

    assert (report.status, report.body) == (200, {"status": "ok", "problems": []})


@pytest.mark.parametrize("key", ["", "wrong", "kéy"])
async def test_the_detail_needs_the_key(key: str) -> None:
    world = World()
    world.rebuild(HEALTH_KEY="key")

    assert "targets" not in (await health(world).report(key)).body
    detail = (await health(world).report("key")).body
    assert (detail["targets"], detail["resetsEnabled"]) == (["salesforce-prod"], True)
    never = {"lastRun": None, "late": True}
    assert detail["timers"] == {"sweep": never, "remediate": never}


async def test_without_a_key_set_nobody_sees_the_detail() -> None:
    world = World()

    assert "targets" not in (await health(world).report("")).body


async def test_the_timers_heartbeat_is_shown() -> None:
    world = World()
    world.rebuild(HEALTH_KEY="key")
    await world.app.sweep()
    fresh = (await health(world).report("key")).body["timers"]["sweep"]
    world.clock.forward(minutes=6)
    late = (await health(world).report("key")).body["timers"]["sweep"]

    assert (fresh["late"], late["late"]) == (False, True)


async def test_a_bad_setting_is_503_and_named() -> None:
    world = World()
    world.rebuild(RESET_MAX_AGE="soon")

    report = await health(world).report("")

    assert (report.status, report.body["status"]) == (503, "unhealthy")
    assert report.body["problems"][0].startswith("RESET_MAX_AGE: 'soon'")


async def test_storage_that_does_not_answer_is_503() -> None:
    world = World()
    world.faults.at, world.faults.kind = world.faults.count + 1, "timeout"

    report = await health(world).report("")

    assert report.status == 503
    assert report.body["problems"][0].startswith("storage: ")


async def test_the_app_is_built_with_no_settings_at_all_and_says_what_is_missing() -> None:
    services = build({}, app_dir=Path("/nowhere"))

    report = await services.report_health("")
    reply = await services.decide("r1", b"{}")

    assert (report.status, reply.status) == (503, 503)
    assert report.body["problems"][0].startswith("ResetStorage: missing")
    assert "ResetStorage" in reply.body


async def test_a_kill_switch_that_is_off_is_no_fault() -> None:
    services = World(environ={**ENVIRON, "RESETS_ENABLED": "no", "HEALTH_KEY": "key"}).app

    report = await services.report_health("key")

    assert (report.status, report.body["resetsEnabled"]) == (200, False)


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        ("0 */15 * * * *", timedelta(minutes=15)),
        ("* * * * * *", timedelta(minutes=1)),
        ("0 5 * * * *", timedelta(hours=1)),
        ("0 0,30 * * * *", timedelta(hours=1)),
        ("0 0 */6 * * *", timedelta(hours=6)),
        ("0 30 2 * * *", timedelta(days=1)),
        ("0 0 8-18 * * *", timedelta(days=1)),
        ("0 0 8 * * 1-5", timedelta(days=7)),
        ("0 0 8 1 * *", timedelta(days=31)),
        ("0 0 8 1 1 *", timedelta(days=366)),
    ],
)
def test_how_far_apart_two_runs_may_lie(schedule: str, gap: timedelta) -> None:
    assert longest_gap(schedule) == gap


async def test_the_other_timer_is_late_after_two_runs_that_did_not_come() -> None:
    world = World()
    world.rebuild(HEALTH_KEY="key")
    await world.app.remediate()
    late = []
    for minutes in (0, 30, 1):
        world.clock.forward(minutes=minutes)
        shown = (await health(world).report("key")).body["timers"]["remediate"]
        late.append(shown["late"])

    assert late == [False, False, True]


async def test_an_empty_catalogue_is_503_and_named() -> None:
    world = World()
    world.rebuild(RESET_TARGETS="{}")

    report = await health(world).report("")

    assert (report.status, report.body["problems"]) == (
        503,
        ["RESET_TARGETS: empty; nothing may be reset: list the targets"],
    )


async def test_the_detail_shows_the_fleet_as_last_seen() -> None:
    world = World()
    world.rebuild(HEALTH_KEY="key")
    world.graph.quarantine("Unknown")
    await world.app.remediate()

    detail = (await health(world).report("key")).body

    assert detail["fleet"] == {"seen": 1, "quarantined": 1, "stopped": False}
