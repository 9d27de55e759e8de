"""A reset's life over fakes: what is sent, what is written, what it waits for."""

import json
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.errors import (
    FateUnknown,
    IdReused,
    InvalidRequest,
    NotSent,
    RefusedForNow,
    Rejected,
)
from shared.domain.requests import Ticket
from shared.domain.reset import Scope, State
from shared.domain.sync_job import AuditTrail, Quarantine, RestartSeen
from tests.support.world import SP, START, TARGET, World


async def test_a_request_becomes_one_full_restart_watched_to_its_end() -> None:
    world = World()

    sent = await world.ask()
    world.clock.forward(minutes=5)
    running = await world.look()
    world.clock.forward(minutes=5)
    world.graph.end_cycle()
    ended = await world.look()

    assert (sent.state, running.state, ended.state) == (
        State.RESTARTED,
        State.RESTARTED,
        State.COMPLETED,
    )
    assert world.graph.restarts == [(SP, "job-1", Scope.FULL, "client-1")]
    assert await world.history() == ["accepted", "sending", "restarted", "completed"]
    assert (await world.job()).head == ""
    assert not [key for key in world.keys(TARGET) if key.startswith("due:")]


async def test_intent_and_snapshot_stand_before_the_restart_is_sent() -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]

    reset = await world.ask()

    assert reset.state is State.UNKNOWN
    assert await world.history() == ["accepted", "sending", "unknown"]
    assert json.loads(reset.before)["code"] == "Active"
    assert (reset.number, reset.sent_at, reset.snapshot_at) == (1, START, START)


async def test_the_cost_from_message_to_204_is_two_graph_calls_one_insert_three_transactions() -> (
    None
):
    world = World()

    await world.ask()

    assert world.graph.reads + len(world.graph.restarts) == 2
    writes = [what for what in world.faults.log if what not in {"table read", "table query"}]
    assert writes == [
        "table insert",  # the alias, once a process
        "table insert",  # the ids row
        "table transaction",
        "graph read",
        "table insert",  # the budget
        "graph token",
        "table transaction",
        "graph restart",
        "table transaction",
    ]
    # The reset once (its step; acceptance has just written it), the job twice, the day's budget
    # twice (asked, reserved), the fleet's sum and the watch row.
    assert world.faults.log.count("table read") == 7
    assert world.waiting() == []


async def test_a_message_that_comes_twice_restarts_once() -> None:
    world = World()
    text = json.dumps({"target": TARGET, "requestId": "r1"})

    await world.send(text)
    await world.send(text)

    assert len(world.graph.restarts) == 1
    assert await world.history() == ["accepted", "sending", "restarted"]


async def test_the_same_ticket_may_ask_again_after_the_account_was_renamed() -> None:
    world = World()
    ticket = Ticket(system="desk", id="INC1")
    await world.ask("first", ticket=ticket)
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look("first")
    world.clock.forward(days=1)
    world.graph.incremental_cycle()

    second = await world.ask("second", ticket=ticket)

    assert second.state is State.RESTARTED
    assert len(world.graph.restarts) == 2


async def test_the_same_id_with_other_content_is_kept_and_changes_nothing() -> None:
    world = World()
    await world.ask("r1")

    with pytest.raises(IdReused, match=r"requestId: r1 was used"):
        await world.accept("r1", dry_run=True)
    await world.send(json.dumps({"target": TARGET, "requestId": "r1", "dryRun": True}))

    assert await world.history() == ["accepted", "sending", "restarted"]
    assert len(world.unreadable()) == 1


async def test_an_unknown_target_names_the_known_ones() -> None:
    world = World()

    with pytest.raises(InvalidRequest, match=r"target: 'sales' .* salesforce-prod"):
        await world.accept(target="sales")

    assert world.storage.ids.cells == {}


async def test_scope_quarantine_is_not_for_callers() -> None:
    world = World()

    with pytest.raises(InvalidRequest, match=r"scope: `quarantine` is made only by the app"):
        await world.accept("r1", scope=Scope.QUARANTINE)


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        pytest.param(NotSent("429", retry_after=timedelta(seconds=90)), State.WAITING, id="429"),
        pytest.param(RefusedForNow("403", status=403), State.WAITING, id="403"),
        pytest.param(Rejected("400", status=400), State.FAILED, id="400"),
        pytest.param(FateUnknown("504"), State.UNKNOWN, id="504"),
    ],
)
async def test_what_the_post_answers_decides_the_state(
    failure: NotSent | Rejected | FateUnknown, state: State
) -> None:
    world = World()
    world.graph.failures["restart"] = [failure]

    assert (await world.ask()).state is state


async def test_a_throttled_restart_waits_as_long_as_graph_says_and_is_sent_again() -> None:
    world = World()
    world.graph.failures["restart"] = [NotSent("429", retry_after=timedelta(seconds=90))]

    waiting = await world.ask()
    world.clock.forward(seconds=89)
    await world.look()
    early = len(world.graph.restarts)
    world.clock.forward(seconds=1)
    sent = await world.look()

    assert waiting.due_at == START + timedelta(seconds=90)
    assert early == 0
    assert (sent.state, sent.number, len(world.graph.restarts)) == (State.RESTARTED, 2, 1)


async def test_a_sender_that_died_leaves_its_reset_alone_until_two_minutes_after_the_deadline() -> (
    None
):
    world = World()
    await _die_while_sending(world)
    world.clock.forward(seconds=40 + 119)
    before = await world.look()
    world.clock.forward(seconds=1)
    after = await world.look()

    assert (before.state, after.state) == (State.SENDING, State.UNKNOWN)
    assert [json.loads(text)["id"] for text in world.waiting()] == ["r1"]


async def test_an_unknown_fate_is_shown_by_the_audit_log() -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    world.graph.trail = AuditTrail(
        readable=True, restarts=(RestartSeen(at=START + timedelta(seconds=1), ours=True),)
    )
    world.clock.forward(minutes=5)

    shown = await world.look()

    assert shown.state is State.RESTARTED
    assert "audit log shows the restart" in shown.detail
    assert shown.restarted_at == START


@pytest.mark.parametrize("readable", [True, False])
async def test_an_unknown_fate_is_shown_by_the_job_where_the_audit_log_names_nobody_else(
    readable: bool,
) -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    world.graph.take_restart()
    world.graph.trail = AuditTrail(readable=readable)
    world.clock.forward(minutes=5)

    assert (await world.look()).state is (State.RESTARTED if readable else State.UNKNOWN)


async def test_a_restart_shown_not_to_have_happened_is_sent_again_after_135_minutes() -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    world.graph.trail = AuditTrail(readable=True)
    seen = []
    for minutes in (15, 16, 60, 43, 60):
        world.clock.forward(minutes=minutes)
        # The job's ordinary cycles go on meanwhile.
        world.graph.incremental_cycle()
        seen.append((await world.look()).state)
    await world.quiesce()

    # A person is asked after half an hour, and evidence is still looked for.
    assert seen == [State.UNKNOWN] * 4 + [State.WAITING]
    assert (await world.row()).state is State.RESTARTED
    assert len(world.graph.restarts) == 1


async def test_an_unreadable_audit_log_never_shows_that_nothing_happened() -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()
    for _ in range(6):
        world.clock.forward(minutes=5)
        last = await world.look()

    assert (last.state, last.operator_asked) == (State.UNKNOWN, True)
    assert last.due_at == world.clock() + timedelta(hours=1)
    assert last.deadline == world.clock() + timedelta(days=1)
    world.clock.forward(days=1)
    ended = await world.look()
    assert (ended.state, ended.outcome) == (State.FAILED, "fate unknown")
    assert world.graph.restarts == []


async def test_a_second_request_waits_behind_the_first_and_joins_it() -> None:
    world = World()
    world.graph.failures["restart"] = [NotSent("429", retry_after=timedelta(minutes=1))]
    await world.ask("r1")
    waits = await world.ask("r2")
    world.clock.forward(minutes=1)
    await world.look("r1")
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look("r1")
    joined = await world.look("r2")

    assert (waits.state, waits.behind) == (State.WAITING, "r1")
    assert (joined.state, joined.leader, joined.outcome) == (State.JOINED, "r1", "completed")
    assert len(world.graph.restarts) == 1


async def test_a_request_that_came_during_the_cycle_waits_out_the_cooldown_for_its_own() -> None:
    world = World()
    await world.ask("r1")
    world.clock.forward(minutes=1)
    await world.ask("r2")
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look("r1")
    waits = await world.look("r2")
    world.clock.forward(days=1)
    world.graph.incremental_cycle()
    sent = await world.look("r2")

    assert (waits.state, waits.due_at) == (State.WAITING, START + timedelta(days=1))
    assert "cooldown" in waits.detail
    assert sent.state is State.RESTARTED
    assert len(world.graph.restarts) == 2


async def test_a_dry_run_is_previewed_and_sends_nothing() -> None:
    world = World()

    preview = await world.ask(dry_run=True)

    assert (preview.state, preview.detail) == (
        State.PREVIEWED,
        'dry run: would be sent now. The restart: {"criteria":{"resetScope":"Full"}} to job job-1',
    )
    assert json.loads(preview.before)["code"] == "Active"
    assert world.graph.restarts == []
    assert "job" not in world.keys(TARGET)


async def test_the_change_window_is_waited_for_and_counts_as_coming_then() -> None:
    world = World()
    opens = START + timedelta(hours=3)
    shut = await world.ask(not_before=opens)
    world.clock.now = opens
    world.graph.incremental_cycle()
    opened = await world.look()
    await world.quiesce()

    assert (shut.state, shut.due_at, shut.seen_number) == (State.WAITING, opens, None)
    assert (opened.state, opened.seen_number) == (State.WAITING, 0)
    assert (await world.row()).state is State.RESTARTED


async def test_the_kill_switch_keeps_requests_waiting_and_graph_unread() -> None:
    world = World()
    world.rebuild(RESETS_ENABLED="false")

    waits = await world.ask()
    world.rebuild(RESETS_ENABLED="true")
    world.clock.forward(minutes=5)
    sent = await world.look()

    assert (waits.state, world.graph.reads > 0) == (State.WAITING, True)
    assert "RESETS_ENABLED" in waits.detail
    assert sent.state is State.RESTARTED


async def test_a_catalogue_that_cannot_be_read_keeps_requests_and_sends_nothing() -> None:
    world = World()
    catalogue = world.environ["RESET_TARGETS"]
    world.rebuild(RESET_TARGETS="{")

    waits = await world.ask()
    world.rebuild(RESET_TARGETS=catalogue)
    world.clock.forward(minutes=5)
    sent = await world.look()

    assert (waits.state, waits.service_principal_id) == (State.WAITING, "")
    assert "RESET_TARGETS" in waits.detail
    assert (sent.state, sent.service_principal_id) == (State.RESTARTED, SP)


async def test_a_target_that_was_changed_meanwhile_is_refused() -> None:
    world = World()
    await world.ask(not_before=START + timedelta(hours=1))
    other = SP.replace("1", "9")
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": other}}))
    world.clock.forward(hours=1)
    await world.look()

    refused = await world.look()

    assert refused.state is State.REFUSED
    assert "another service principal" in refused.detail


async def test_the_budget_of_a_day_is_kept_over_all_targets() -> None:
    world = World()
    other = SP.replace("1", "9")
    world.rebuild(
        RESET_DAILY_BUDGET="1",
        RESET_TARGETS=json.dumps(
            {TARGET: {"servicePrincipalId": SP}, "other": {"servicePrincipalId": other}}
        ),
    )
    await world.ask("r1")
    waits = await world.ask("r2", target="other")

    assert (waits.state, waits.due_at) == (
        State.WAITING,
        START.replace(hour=0) + timedelta(days=1),
    )
    assert len(world.graph.restarts) == 1


async def test_a_request_that_waited_too_long_expires() -> None:
    world = World()
    world.rebuild(RESETS_ENABLED="false")
    await world.ask()
    world.clock.forward(days=3, minutes=1)

    expired = await world.look()

    assert expired.state is State.EXPIRED
    assert (await world.job()).head == ""


async def test_several_jobs_are_refused_with_their_ids() -> None:
    world = World()
    world.graph.failures["read_job"] = [
        Rejected("service principal has 2 provisioning jobs; set jobId to one of: a, b", status=409)
    ]

    refused = await world.ask()

    assert (refused.state, refused.detail.endswith("a, b")) == (State.REFUSED, True)


async def test_a_cycle_that_ends_in_quarantine_is_a_failure_that_frees_the_job() -> None:
    world = World()
    await world.ask()
    world.clock.forward(minutes=5)
    world.graph.job = replace(
        world.graph.job,
        code="Quarantine",
        quarantine=Quarantine(reason="EncounteredEscrowProportionThreshold", began=world.clock()),
    )

    failed = await world.look()

    assert (failed.state, failed.outcome) == (State.FAILED, "quarantined")
    assert (await world.job()).head == ""


async def test_a_cycle_that_never_ends_fails_at_its_deadline() -> None:
    world = World()
    reset = await world.ask()
    assert reset.deadline is not None
    world.clock.now = reset.deadline
    world.graph.failures["read_job"] = [FateUnknown("503")]

    failed = await world.look()

    assert (failed.state, failed.outcome) == (State.FAILED, "not ended in time")


async def test_fewer_managed_accounts_are_named() -> None:
    world = World()
    await world.ask()
    world.clock.forward(minutes=10)
    world.graph.end_cycle(entries=36)

    ended = await world.look()

    assert "14 fewer accounts are managed" in ended.detail


async def test_a_reset_whose_sender_was_overtaken_drops_its_late_word() -> None:
    world = World()

    class Overtaken(NotSent):
        pass

    original = world.graph.restart

    async def slow(*args: object, **named: object) -> str:
        # While the POST hangs, the takeover finds the sender dead and a person says: resend.
        world.clock.forward(minutes=10)
        await world.look()
        raise Overtaken("429")

    world.graph.restart = slow  # type: ignore[method-assign]
    last = await world.ask()
    world.graph.restart = original  # type: ignore[method-assign]

    assert last.state is State.UNKNOWN
    assert await world.history() == ["accepted", "sending", "unknown"]


async def _die_while_sending(world: World) -> None:
    class Died(BaseException):
        pass

    async def die(*args: object, **named: object) -> str:
        raise Died

    original = world.graph.restart
    world.graph.restart = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        await world.ask()
    world.graph.restart = original  # type: ignore[method-assign]


@pytest.mark.parametrize("ago", [timedelta(days=-700), timedelta(hours=-1), timedelta(hours=1)])
async def test_a_body_cannot_date_its_message_back(ago: timedelta) -> None:
    """The host lets a property `InsertionTime` overwrite the time at which it was queued."""
    world = World()
    text = json.dumps({"requestId": "r1", "target": TARGET}).encode()

    await world.app.run_reset(text, message_id="m1", came_at=START + ago)

    assert (await world.row()).requested_at == START


async def test_a_message_that_waited_for_minutes_came_when_it_was_queued() -> None:
    world = World()
    text = json.dumps({"requestId": "r1", "target": TARGET}).encode()

    await world.app.run_reset(text, message_id="m1", came_at=START - timedelta(minutes=5))

    assert (await world.row()).requested_at == START - timedelta(minutes=5)
