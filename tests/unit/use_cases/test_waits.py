"""No wait is silent, and none without a way out; what was not sent costs nothing."""

import json
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.errors import FateUnknown, NotSent, Rejected
from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import Scope, State, WaitingFor
from shared.domain.sync_job import AuditTrail
from shared.names import REMEDIATE
from tests.support.host import places
from tests.support.world import ENVIRON, SP, START, TARGET, World

TELLS_ALL = json.dumps(
    {"desk": {"kind": "webhook", "url": "https://desk.example"}},
)
TICKET = {"ticket": {"system": "desk", "id": "INC1"}}
SIGN_IN = {"WEBSITE_AUTH_ENABLED": "True"}


def world(**environ: str) -> World:
    return World(environ={**ENVIRON, "NOTIFIERS": TELLS_ALL, **environ})


async def come(w: World, request_id: str, **fields: object) -> None:
    """A ticket's request comes by queue and takes its first step."""
    body = {"requestId": request_id, "target": TARGET, **TICKET, **fields}
    await w.send(json.dumps(body))


async def restarted_before(w: World) -> None:
    await come(w, "r0")
    w.clock.forward(minutes=10)
    w.graph.end_cycle()
    await w.look("r0")
    await w.quiesce()
    w.desk.delivered.clear()


async def test_a_restart_made_in_the_portal_holds_a_person_back_for_nothing_and_is_recorded() -> (
    None
):
    w = world()
    w.graph.job = replace(w.graph.job, steady_state_first=START - timedelta(hours=1))

    await come(w, "r1")

    row = await w.row("r1")
    assert row.state is State.RESTARTED
    assert len(row.warnings) == 1
    assert "somebody restarted the job outside this tool" in row.warnings[0]
    assert "the portal's button breaks no link" in (await w.events("r1"))[1].detail


async def test_the_cooldown_is_told_once_and_approve_lets_the_request_go() -> None:
    w = world()
    await restarted_before(w)
    await come(w, "r1")
    waits = await w.row("r1")
    await w.quiesce()

    assert (waits.state, waits.waiting_for) == (State.WAITING, WaitingFor.COOLDOWN)
    assert w.told() == [("r1", "waiting")]
    assert await w.decide("approve", request_id="r1") == 200
    await w.quiesce()

    row = await w.row("r1")
    assert row.state is State.RESTARTED
    assert not row.approved
    assert w.told() == [("r1", "waiting"), ("r1", "restarted")]
    assert places(w) == 2


async def test_who_waits_behind_a_waiting_head_is_named_it_and_cannot_be_let_go_alone() -> None:
    w = world()
    await restarted_before(w)
    await come(w, "r1")
    await come(w, "r2")
    behind = await w.row("r2")

    assert (behind.waiting_for, behind.behind) == (WaitingFor.OTHER, "r1")
    assert await w.decide("approve", request_id="r2") == 409
    w.clock.forward(minutes=16)
    told = await w.look("r2")

    assert "waits behind r1 (waiting until" in told.detail
    assert "cooldown" in told.detail
    assert [kind for reset_id, kind in w.told() if reset_id == "r2"] == []
    await w.quiesce()
    assert [kind for reset_id, kind in w.told() if reset_id == "r2"] == ["waiting"]


@pytest.mark.parametrize(("sign_in", "status"), [({}, 409), (SIGN_IN, 200)])
async def test_the_budget_is_lifted_only_where_people_can_sign_in(
    sign_in: dict[str, str], status: int
) -> None:
    other = {"servicePrincipalId": "2" + SP[1:], "jobId": "job-1"}
    catalogue = {TARGET: {"servicePrincipalId": SP, "jobId": "job-1"}, "other": other}
    w = world(RESET_DAILY_BUDGET="1", RESET_TARGETS=json.dumps(catalogue), **sign_in)
    await come(w, "r0", target="other")
    await come(w, "r1")
    waits = await w.row("r1")

    assert (waits.state, waits.waiting_for) == (State.WAITING, WaitingFor.BUDGET)
    decided = await w.decide("approve", request_id="r1")
    await w.quiesce()

    # A name alone does not pass for a person where people can sign in.
    assert decided in {status, 401, 403}
    if decided == 200:
        assert ((await w.row("r1")).state, places(w)) == (State.RESTARTED, 2)
    else:
        assert ((await w.row("r1")).state, places(w)) == (State.WAITING, 1)


@pytest.mark.parametrize(
    "failure",
    [
        NotSent("429"),
        Rejected("400 bad", status=400),
        FateUnknown("lost"),
    ],
)
async def test_what_was_not_sent_costs_nothing(failure: Exception) -> None:
    w = world(RESET_DAILY_BUDGET="1")
    w.graph.trail = AuditTrail(readable=True)
    w.graph.failures["restart"] = [failure]  # type: ignore[list-item]
    await come(w, "r1")
    unclear = (await w.row("r1")).state is State.UNKNOWN
    assert places(w) == (1 if unclear else 0)
    for _ in range(5):
        w.clock.forward(minutes=50)
        w.graph.incremental_cycle()
        w.graph.trail = AuditTrail(readable=True)
        await w.quiesce()

    sent = len(w.graph.restarts)
    assert places(w) == sent + (unclear and not sent)


async def test_a_token_that_is_not_given_costs_nothing() -> None:
    w = world(RESET_DAILY_BUDGET="1")
    w.graph.failures["fetch_token"] = [NotSent("no token")]

    await come(w, "r1")
    assert places(w) == 0
    w.clock.forward(minutes=2)
    await w.quiesce()

    assert ((await w.row("r1")).state, places(w)) == (State.RESTARTED, 1)


async def test_a_resend_gives_its_place_back_first() -> None:
    w = world(RESET_DAILY_BUDGET="1")
    w.graph.failures["restart"] = [FateUnknown("lost")]
    await come(w, "r1")
    for _ in range(7):
        w.clock.forward(minutes=5)
        await w.look("r1")
    assert places(w) == 1

    assert await w.decide("resend", request_id="r1") == 200
    assert places(w) == 0
    await w.quiesce()

    assert ((await w.row("r1")).state, places(w)) == (State.RESTARTED, 1)


async def test_a_timer_waits_without_the_lock_and_tickets_pass_it() -> None:
    entry = {"servicePrincipalId": SP, "jobId": "job-1", "schedule": "P7D", "cooldown": "P1D"}
    w = world(RESET_TARGETS=json.dumps({TARGET: entry}))
    w.graph.job = replace(w.graph.job, steady_state_first=START - timedelta(hours=1))
    request = ResetRequest(target=TARGET, scope=Scope.FULL)
    asked = Received(id="schedule-" + "0" * 32, request=request)
    await w.app.runs.acceptance.accept(asked, via=REMEDIATE)
    waits = await w.look(asked.id)

    assert (waits.state, waits.waiting_for) == (State.WAITING, WaitingFor.COOLDOWN)
    assert (await w.job()).head == ""
    await come(w, "r1")
    assert (await w.row("r1")).state is State.RESTARTED


async def test_the_kill_switch_is_told_after_a_quarter_of_an_hour() -> None:
    w = world(RESETS_ENABLED="no")
    await come(w, "r1")
    for _ in range(6):
        w.clock.forward(minutes=5)
        await w.quiesce()

    assert (await w.row("r1")).waiting_for is WaitingFor.SWITCH
    assert w.told() == [("r1", "waiting")]
