"""Health: good or not for everybody, the detail for who has the key."""

import json
import tomllib
from copy import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.bootstrap import build
from shared.domain.errors import (
    FateUnknown,
    NotSent,
    RefusedForNow,
    Rejected,
    SettingsError,
    Throttled,
    Undeliverable,
)
from shared.domain.requests import Ticket
from shared.domain.sync_job import AuditTrail
from shared.names import VERSION
from shared.use_cases.health import Health, longest_gap
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.world import ENVIRON, SP, TARGET, World

ROOT = Path(__file__).resolve().parents[3]


def health(world: World) -> Health:
    return world.app.api.reporter


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
    never = {"lastRun": None, "late": False}
    assert detail["timers"] == {"sweep": never, "remediate": never}


@pytest.mark.parametrize("key", ["\udcff", "ÿ", "😀", "x" * 10_000])
async def test_a_key_of_any_text_is_compared_and_wrong(key: str) -> None:
    world = World(environ={**ENVIRON, "HEALTH_KEY": "key"})

    assert "targets" not in (await health(world).report(key)).body


async def test_a_stranger_is_told_of_settings_by_name_alone() -> None:
    world = World()
    address = "https://prod.logic.azure.com/x?sig=S3CRET"
    world.rebuild(NOTIFIERS=json.dumps({address: {"kind": "webhook"}}), RESET_MAX_AGE="S3CRET")

    report = await respond(world.app.api.health, call())

    assert json.loads(report.body) == {
        "status": "unhealthy",
        "problems": ["RESET_MAX_AGE", "NOTIFIERS"],
    }


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
    in_detail = await health(world).report("", signed_in=True)

    assert (report.status, report.body["status"]) == (503, "unhealthy")
    assert report.body["problems"] == ["RESET_MAX_AGE"]
    assert in_detail.body["problems"][0].startswith("RESET_MAX_AGE: is not an ISO 8601 duration")


async def test_a_bad_setting_is_told_again_at_every_tick_of_the_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.rebuild(RESET_MAX_AGE="soon", RESET_DAILY_BUDGET="many")
    for _ in range(2):
        await world.app.sweep()

    said = [r.getMessage() for r in caplog.records if "settings.bad" in r.getMessage()]
    assert [line.split(":")[1].strip(' "') for line in said] == [
        "RESET_DAILY_BUDGET",
        "RESET_MAX_AGE",
    ] * 2


async def test_without_storage_the_tick_fails_and_has_told_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = build({})
    caplog.clear()
    with pytest.raises(SettingsError):
        await app.sweep()

    said = [r.getMessage() for r in caplog.records if "settings.bad" in r.getMessage()]
    assert len(said) == len(app.settings.problems) > 0


async def test_storage_that_does_not_answer_is_503() -> None:
    world = World()
    world.faults.at, world.faults.kind = world.faults.count + 1, "timeout"

    report = await health(world).report("")

    assert report.status == 503
    assert report.body["problems"][0].startswith("storage: ")


async def test_the_app_is_built_with_no_settings_at_all_and_says_what_is_missing() -> None:
    app = build({}, app_dir=Path("/nowhere"))

    report = await respond(app.api.health, call())
    reply = await respond(app.api.decide_reset, call(b"{}", reset_id="r1"))

    assert (report.status, reply.status) == (503, 503)
    assert json.loads(report.body)["problems"][0] == "ResetStorage"
    assert "ResetStorage" in reply.body


async def test_a_kill_switch_that_is_off_is_no_fault() -> None:
    app = World(environ={**ENVIRON, "RESETS_ENABLED": "no", "HEALTH_KEY": "key"}).app

    report = await app.api.reporter.report("key")

    assert (report.status, report.body["resetsEnabled"]) == (200, False)


def seen() -> World:
    world = World()
    world.rebuild(HEALTH_KEY="key")
    return world


async def detail(world: World) -> dict[str, Any]:
    return (await health(world).report("key")).body


async def test_somebody_signed_in_sees_the_detail_where_the_platform_vouches() -> None:
    world = World()
    without = await respond(world.app.api.health, call(signed_in=principal()))
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    vouched = await respond(world.app.api.health, call(signed_in=principal()))
    nobody = await respond(world.app.api.health, call())

    assert ["targets" in json.loads(r.body) for r in (without, vouched, nobody)] == [
        False,
        True,
        False,
    ]


async def test_the_detail_says_what_is_configured_and_no_secret() -> None:
    world = seen()

    found = await detail(world)

    assert found["notifiers"] == ["desk"]
    assert (found["storage"], found["credential"]) == ("connection string", "none (emulator)")
    assert "AccountKey" not in json.dumps(found)


async def test_the_age_of_each_queues_oldest_message_is_shown() -> None:
    world = seen()
    await respond(world.app.api.submit_reset, call({"target": "salesforce-prod"}))
    world.clock.forward(seconds=90)

    found = (await detail(world))["queues"]

    assert found == {
        "provisioning-resets": {"oldestMessageSeconds": 90},
        "reset-follow-ups": {"oldestMessageSeconds": None},
        "reset-notifications": {"oldestMessageSeconds": None},
    }


async def test_how_graph_was_last_seen_is_shown_without_asking_it() -> None:
    world = seen()
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')
    reads = world.graph.reads

    found = (await detail(world))["graph"]

    assert found == {"answered": {"at": "2026-11-24T09:00:00+00:00", "call": "restart", "why": ""}}
    assert world.graph.reads == reads


@pytest.mark.parametrize(
    ("error", "mood"),
    [
        (Throttled("Microsoft Graph answered 429"), "throttled"),
        (RefusedForNow("Microsoft Graph answered 403", status=403, permission=True), "refused"),
        (Rejected("Microsoft Graph answered 404", status=404), "answered"),
        (NotSent("no connection"), "failed"),
    ],
)
async def test_what_graph_answered_is_told_by_kind(
    error: NotSent | Rejected | Throttled, mood: str
) -> None:
    world = seen()
    world.graph.failures["read_job"] = [error]
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')

    (found,) = (await detail(world))["graph"].items()

    assert found[0] == mood
    assert found[1]["why"] == error.reason


async def test_an_audit_log_that_cannot_be_read_is_told() -> None:
    world = seen()
    world.graph.trail = AuditTrail(readable=False)
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')
    world.clock.forward(minutes=5)
    await world.app.follow_up_reset(b'{"id": "r1"}', message_id="m2")

    found = (await detail(world))["graph"]

    assert list(found) == ["answered", "failed", "auditLogUnreadable"]
    assert found["auditLogUnreadable"]["call"] == "audit_trail"


async def test_it_is_written_when_the_mood_changes_or_once_in_five_minutes() -> None:
    world = seen()
    written = []
    for minute in range(12):
        world.clock.forward(minutes=1)
        if minute in {2, 3}:
            world.graph.failures["read_job"] = [Throttled("429")]
        world.faults.log.clear()
        body = {"requestId": f"r{minute}", "target": "salesforce-prod", "dryRun": True}
        await world.send(json.dumps(body))
        if "table upsert" in world.faults.log:
            written.append(minute)

    assert written == [0, 2, 4, 9]


async def test_a_note_that_cannot_be_written_harms_no_reset() -> None:
    counted = seen()
    await counted.send('{"requestId": "r1", "target": "salesforce-prod"}')
    world = seen()
    world.faults.at, world.faults.kind = counted.faults.count, "503"

    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')

    assert await world.history() == ["accepted", "sending", "restarted"]
    assert (await detail(world))["graph"] == {}


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        ("0 */15 * * * *", timedelta(minutes=15)),
        ("* * * * * *", timedelta(seconds=1)),
        ("0 5 * * * *", timedelta(hours=1)),
        ("0 0,30 * * * *", timedelta(minutes=30)),
        ("0 0,10 * * * *", timedelta(minutes=50)),
        ("0,20 */25 * * * *", timedelta(minutes=24, seconds=40)),
        ("0 0 */6 * * *", timedelta(hours=6)),
        ("0 30 2 * * *", timedelta(days=1)),
        ("0 0 8-18 * * *", timedelta(hours=14)),
        ("0 0 8 * * 1-5", timedelta(days=3)),
        ("0 0 8 * * MON", timedelta(days=7)),
        ("0 0 8 31 * *", timedelta(days=61)),
        ("0 0 8 13 * 5", timedelta(days=427)),
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
        ["RESET_TARGETS"],
    )


async def test_the_detail_shows_the_fleet_as_last_seen() -> None:
    world = World()
    world.rebuild(HEALTH_KEY="key")
    world.graph.quarantine("Unknown")
    await world.app.remediate()

    detail = (await health(world).report("key")).body

    assert detail["fleet"] == {"seen": 1, "quarantined": 1, "stopped": False}


async def told(world: World, level: str) -> list[str]:
    """The sentences, where the report is of that level."""
    report = await health(world).report("key")
    assert (report.status, report.body["status"]) == (503 if level == "unhealthy" else 200, level)
    assert (await health(world).report("")).status == report.status
    return list(report.body["problems"])


async def test_ok_means_that_nothing_is_late_refused_or_waits() -> None:
    world = seen()
    await world.tick()
    await world.app.remediate()

    assert await told(world, "ok") == []


async def test_a_sweep_that_is_slow_asks_for_attention_before_it_is_silent() -> None:
    world = seen()
    await world.app.sweep()
    await world.app.remediate()
    levels = []
    for _ in range(6):
        world.clock.forward(minutes=1, seconds=1)
        report = await health(world).report("key")
        levels.append(report.body["status"])

    assert levels == ["ok", "ok", "attention", "attention", "unhealthy", "unhealthy"]


async def test_a_timer_that_has_never_run_is_late_once_the_app_is_old_enough() -> None:
    world = seen()
    young = await told(world, "ok")
    await world.app.sweep()
    world.clock.forward(minutes=31)
    await world.app.sweep()

    assert young == []
    (said,) = await told(world, "attention")
    assert said.startswith("remediate: the timer has not run yet")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RefusedForNow("Microsoft Graph answered 403", status=403, permission=True), "refused"),
        (NotSent("no connection"), "could not be reached"),
    ],
)
async def test_graph_that_refuses_asks_for_attention(error: NotSent, words: str) -> None:
    world = seen()
    await world.tick()
    world.graph.failures["read_job"] = [error]
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')

    (said,) = await told(world, "attention")

    assert said.startswith("graph: Microsoft Graph ")
    assert words in said
    assert error.reason in said


async def test_a_refusal_is_told_for_an_hour_although_other_calls_succeed() -> None:
    world = seen()
    world.graph.failures["restart"] = [
        RefusedForNow("Microsoft Graph answered 403", status=403, permission=True)
    ]
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')
    world.clock.forward(minutes=6)
    await world.send('{"requestId": "r2", "target": "salesforce-prod", "dryRun": true}')
    await world.tick()
    still = await told(world, "attention")
    world.clock.forward(minutes=55)
    await world.tick()
    await world.app.remediate()

    assert [said.partition(":")[0] for said in still] == ["graph"]
    assert await told(world, "ok") == []


async def test_what_waits_for_a_person_is_counted_and_named() -> None:
    world = seen()
    world.rebuild(
        RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "approval": "always"}})
    )
    await world.ask()
    await world.tick()

    (said,) = await told(world, "attention")
    found = await detail(world)

    assert said.startswith("people: 1 reset waits (r1, until 2026-11-25 09:00 UTC) for an approval")
    assert found["people"] == {
        "approvals": 1,
        "fates": 0,
        "oldestAt": "2026-11-24T09:00:00+00:00",
    }


async def test_a_fate_is_asked_for_also_where_the_catalogue_has_lost_the_target() -> None:
    world = seen()
    world.graph.trail = AuditTrail(readable=False)
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    for _ in range(8):
        world.clock.forward(minutes=5)
        await world.tick()
    other = {"other": {"servicePrincipalId": "99999999-2222-3333-4444-555555555555"}}
    world.rebuild(RESET_TARGETS=json.dumps(other))

    said = await told(world, "attention")

    assert any("1 reset asks (r1, until" in each and "fate-unknown" in each for each in said)
    assert (await detail(world))["people"]["fates"] == 1


async def test_a_ticket_that_was_not_told_asks_for_attention_until_it_is_sent_again() -> None:
    world = seen()
    world.desk.refuses = Undeliverable("the ticket system answered 404")
    await world.ask(ticket=Ticket(system="desk", id="INC7"))
    await world.tick()
    (said,) = [each for each in await told(world, "attention") if each.startswith("tickets")]
    world.desk.refuses = None
    await world.resend()
    await world.tick()

    assert said.startswith("tickets: 1 answer could not be brought to the ticket (desk)")
    assert "make resend" in said
    assert not [each for each in await told(world, "ok") if each.startswith("tickets")]


async def test_messages_that_lie_in_a_queue_for_long_ask_for_attention() -> None:
    world = seen()
    await respond(world.app.api.submit_reset, call({"target": TARGET}))
    await world.app.sweep()
    world.clock.forward(minutes=16)
    await world.app.sweep()

    said = await told(world, "attention")

    assert "queues: the oldest message of provisioning-resets has waited for 16 minutes" in said[0]


async def test_a_fleet_in_quarantine_asks_for_attention() -> None:
    world = seen()
    targets = {f"t{n}": {"servicePrincipalId": f"{n}{SP[1:]}"} for n in range(3)}
    world.rebuild(RESET_TARGETS=json.dumps(targets))
    for alias in targets:
        world.graph_of(alias).quarantine("Unknown")
    await world.tick()
    await world.app.remediate()

    said = await told(world, "attention")

    assert [each for each in said if each.startswith("fleet: 3 of 3 jobs are in quarantine")]


@pytest.mark.parametrize("sign_in", [False, True])
async def test_a_target_whose_approvals_nobody_could_give_asks_for_attention(
    sign_in: bool,
) -> None:
    world = seen()
    entry = {"servicePrincipalId": SP, "approvers": 2}
    world.rebuild(
        RESET_TARGETS=json.dumps({TARGET: entry}), WEBSITE_AUTH_ENABLED=str(sign_in).lower()
    )

    said = await told(world, "ok" if sign_in else "attention")

    assert [each.partition(" needs")[0] for each in said] == (
        [] if sign_in else [f"approvals: {TARGET}:"]
    )
    warnings = (await detail(world))["warnings"]
    assert bool([each for each in warnings if "approval" in each]) is not sign_in


async def test_the_worst_is_told_first_and_decides_the_status() -> None:
    world = seen()
    world.rebuild(RESET_MAX_AGE="soon", WEBSITE_AUTH_ENABLED="")
    entry = {"servicePrincipalId": SP, "approvers": 2}
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: entry}))

    said = await told(world, "unhealthy")

    assert [each.partition(":")[0] for each in said] == ["RESET_MAX_AGE", "approvals"]


async def test_a_stranger_is_not_told_what_asks_for_attention_nor_the_version() -> None:
    world = seen()
    world.rebuild(
        RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "approval": "always"}})
    )
    await world.ask()

    bare = await health(world).report("")

    assert bare.body == {"status": "ok", "problems": []}
    assert (await detail(world))["version"] == VERSION


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["project"]["version"] == VERSION


@pytest.mark.parametrize(("roles", "sees"), [((), False), (("Resets.Read",), True)])
async def test_who_is_signed_in_needs_a_role_to_see_the_detail(
    roles: tuple[str, ...], sees: bool
) -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")

    reply = await respond(world.app.api.health, call(signed_in=principal(roles=roles)))

    assert ("targets" in json.loads(reply.body)) is sees


async def test_an_unreadable_message_asks_for_attention_until_it_was_sent_again() -> None:
    world = seen()
    await world.tick()
    await world.send('{"requestId": "r1", "target": "sales"}', message_id="m-1")
    (said,) = await told(world, "attention")
    (key,) = world.unreadable()
    body = {"requestId": "r1", "target": TARGET, "dryRun": True}
    request = replace(call(body), path={"key": key})
    reply = await respond(world.app.api.retry_unreadable, request)
    await world.tick()

    assert said.startswith("messages: 1 message became no reset in the last week")
    assert reply.status == 202
    assert await told(world, "ok") == []


async def test_an_unreadable_message_is_news_for_a_week() -> None:
    world = seen()
    await world.send("no request", message_id="m-1")
    found = []
    for days in (0, 6, 2):
        world.clock.forward(days=days)
        found.append((await detail(world))["messages"]["unreadable"])

    assert found == [1, 1, 0]


async def test_the_permission_that_evidence_lacks_is_a_warning_with_what_it_would_buy() -> None:
    world = seen()
    world.graph.trail = AuditTrail(readable=False)
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.send('{"requestId": "r1", "target": "salesforce-prod"}')
    world.clock.forward(minutes=5)
    await world.app.follow_up_reset(b'{"id": "r1"}', message_id="m2")

    found = await detail(world)

    grants = {each["permission"]: each["grant"] for each in found["evidence"]}
    assert grants["AuditLog.Read.All"] == "missing"
    assert grants["User.Read.All"] == "not seen yet"
    (warning,) = (each for each in found["warnings"] if "Read.All" in each)
    assert "AuditLog.Read.All is missing; it would show whether a restart happened" in warning
    assert "readAuditLogs" in warning
