"""A person's word: who may say it, when it counts, and what it makes of the reset."""

import json
import logging
from copy import replace
from datetime import timedelta

import pytest

from shared.domain.errors import FateUnknown
from shared.domain.reset import State
from shared.domain.sync_job import Quarantine
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.host import resets
from tests.support.world import SP, START, TARGET, World


def asking() -> World:
    world = World()
    world.rebuild(
        RESET_TARGETS=json.dumps(
            {TARGET: {"servicePrincipalId": SP, "jobId": "job-1", "approval": "always"}}
        )
    )
    return world


async def asked_for_fate() -> World:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask(requested_by="Ann@contoso.com")
    for _ in range(6):
        world.clock.forward(minutes=5)
        await world.look()
    return world


async def test_an_approved_reset_is_sent_at_once() -> None:
    world = asking()
    waits = await world.ask(requested_by="ann")

    status = await world.decide("approve", by="boss")
    await world.quiesce()

    assert (waits.state, status) == (State.AWAITING_APPROVAL, 200)
    sent = await world.row()
    assert (sent.state, sent.approved_by, sent.approver_signed_in) == (
        State.RESTARTED,
        "boss",
        False,
    )
    assert [(e.by, str(e.state)) for e in await world.events()][1:3] == [
        ("relink", "awaiting_approval"),
        ("boss", "accepted"),
    ]


@pytest.mark.parametrize("decision", ["approve", "reject", "cancel"])
@pytest.mark.parametrize("by", ["remediate", " Remediate ", "relink"])
async def test_no_machine_decides(decision: str, by: str) -> None:
    world = asking()
    await world.ask(requested_by="ann")

    assert await world.decide(decision, by=by) == 403
    assert (await world.row()).state is State.AWAITING_APPROVAL


async def test_what_a_timer_asked_for_may_be_approved_by_anyone_but_a_machine() -> None:
    world = World()
    entry = {"servicePrincipalId": SP, "jobId": "job-1", "approval": "automatic", "schedule": "P1D"}
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: entry}))
    await world.app.remediate()
    await world.quiesce()
    (asked,) = resets(world)

    machine = await world.decide("approve", by="remediate", request_id=asked.id)
    person = await world.decide("approve", by="ann", request_id=asked.id)
    await world.quiesce()

    assert (asked.state, asked.requested_by) == (State.AWAITING_APPROVAL, "remediate")
    assert (machine, person) == (403, 200)
    assert (await world.row(asked.id)).state is State.RESTARTED


@pytest.mark.parametrize("decision", ["approve", "confirm", "resend"])
@pytest.mark.parametrize("by", ["ann@contoso.com", " ANN@contoso.com "])
async def test_nobody_approves_what_they_asked_for(decision: str, by: str) -> None:
    world = asking()
    await world.ask(requested_by="Ann@contoso.com")

    assert await world.decide(decision, by=by) == 403
    assert (await world.row()).state is State.AWAITING_APPROVAL


@pytest.mark.parametrize("decision", ["reject", "cancel"])
async def test_the_requester_may_stop_it(decision: str) -> None:
    world = asking()
    await world.ask(requested_by="ann")

    assert await world.decide(decision, by="ann") == 200

    ended = await world.row()
    assert ended.state is {"reject": State.REJECTED, "cancel": State.CANCELLED}[decision]
    assert (await world.job()).head == ""


async def test_nobody_decides_in_time_and_it_expires() -> None:
    world = asking()
    await world.ask()
    world.clock.forward(days=1)

    expired = await world.look()

    assert (expired.state, expired.detail) == (State.EXPIRED, "nobody approved it in time")
    assert await world.decide("approve") == 409


async def test_an_approval_is_remembered_in_the_job_row() -> None:
    world = asking()
    await world.ask()
    await world.decide("approve")
    approved = world.clock()
    await world.quiesce()
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look()

    # Not the end: a relapse that this very restart brings was in nobody's approval.
    assert (await world.job()).last_approved_at == approved


@pytest.mark.parametrize(
    ("decision", "state"),
    [("confirm", State.RESTARTED), ("resend", State.RESTARTED), ("cancel", State.FAILED)],
)
async def test_a_person_settles_an_unknown_fate(decision: str, state: State) -> None:
    world = await asked_for_fate()

    status = await world.decide(decision)
    await world.quiesce()

    settled = await world.row()
    assert (status, settled.state) == (200, state)
    assert len(world.graph.restarts) == (1 if decision == "resend" else 0)
    assert settled.restarted_at == {"confirm": START, "resend": world.clock()}.get(decision)


@pytest.mark.parametrize("decision", ["confirm", "resend", "cancel"])
async def test_before_a_person_is_asked_no_live_sender_is_overtaken(decision: str) -> None:
    world = World()
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask()

    assert await world.decide(decision) == 409
    assert (await world.row()).state is State.UNKNOWN


@pytest.mark.parametrize("decision", ["approve", "reject", "cancel", "confirm", "resend"])
async def test_an_ended_reset_is_decided_on_no_more(decision: str) -> None:
    world = World()
    await world.ask(dry_run=True)

    assert await world.decide(decision) == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"decision": "approve", "by": "x"}', 404),
        (b'{"decision": "maybe", "by": "x"}', 400),
        (b'{"decision": "approve", "by": " "}', 400),
        (b'{"decision": "approve"}', 400),
        (b'{"decision": "approve", "by": "x", "why": "y"}', 400),
        (b"", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 413),
    ],
)
async def test_a_bad_decision_is_a_problem_with_its_status(body: bytes, status: int) -> None:
    world = World()

    reply = await respond(world.app.api.decide_reset, call(body, reset_id="nobody"))

    assert (reply.status, json.loads(reply.body)["status"]) == (status, status)
    assert reply.content_type == "application/problem+json"


async def test_storage_that_is_down_is_a_503_that_says_when() -> None:
    world = World()
    world.faults.at, world.faults.kind = world.faults.count + 1, "503"

    reply = await respond(
        world.app.api.decide_reset, call(b'{"decision": "approve", "by": "x"}', reset_id="r1")
    )

    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")


async def test_a_signed_in_person_decides_in_their_own_name() -> None:
    world = asking()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    ann = {"signed_in": principal("ann@contoso.com")}
    asked: dict[str, object] = {"target": TARGET, "requestId": "r1"}
    await respond(world.app.api.submit_reset, call(asked, **ann))
    await world.quiesce()
    body = b'{"decision": "approve", "by": "somebody else"}'

    own = await respond(world.app.api.decide_reset, call(body, reset_id="r1", **ann))
    boss = await respond(
        world.app.api.decide_reset,
        call(b'{"decision": "approve"}', reset_id="r1", signed_in=principal()),
    )

    approved = await world.row()
    assert (own.status, boss.status) == (403, 200)
    assert (approved.approved_by, approved.approver_signed_in) == ("boss@contoso.com", True)


@pytest.mark.parametrize("enabled", ["", "1", "yes", "False"])
async def test_the_header_is_believed_only_where_the_platform_puts_it(enabled: str) -> None:
    world = asking()
    world.rebuild(WEBSITE_AUTH_ENABLED=enabled)
    await world.ask()
    body = b'{"decision": "approve", "by": "claimed"}'

    await respond(world.app.api.decide_reset, call(body, reset_id="r1", signed_in=principal()))

    approved = await world.row()
    assert (approved.approved_by, approved.approver_signed_in) == ("claimed", False)


@pytest.mark.parametrize(("sign_in", "how"), [("True", "signed in"), ("", "name as claimed")])
@pytest.mark.parametrize("decision", ["reject", "cancel"])
async def test_the_history_says_whether_who_decided_was_signed_in(
    decision: str, sign_in: str, how: str
) -> None:
    world = asking()
    world.rebuild(WEBSITE_AUTH_ENABLED=sign_in)
    await world.ask()
    header = principal() if sign_in else ""
    body: dict[str, object] = {"decision": decision, "by": "boss@contoso.com"}

    await respond(world.app.api.decide_reset, call(body, reset_id="r1", signed_in=header))

    last = (await world.events())[-1]
    assert last.by == "boss@contoso.com"
    assert last.detail.endswith(f" ({how})")


@pytest.mark.parametrize("decision", ["confirm", "resend", "cancel"])
async def test_the_history_of_an_unknown_fate_says_whether_the_person_was_signed_in(
    decision: str,
) -> None:
    world = await asked_for_fate()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    body: dict[str, object] = {"decision": decision}

    await respond(world.app.api.decide_reset, call(body, reset_id="r1", signed_in=principal()))

    last = (await world.events())[-1]
    assert last.by == "boss@contoso.com"
    assert "(signed in)" in last.detail


async def test_only_two_different_signed_in_persons_let_a_mass_deletion_go() -> None:
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True")
    world.graph.job = replace(
        world.graph.job,
        code="Quarantine",
        quarantine=Quarantine(reason="TooManyDeletes", began=START),
    )
    await world.ask()

    async def approve(header: str) -> int:
        body: dict[str, object] = {"decision": "approve", "by": "claimed"}
        call_ = call(body, reset_id="r1", signed_in=header)
        return (await respond(world.app.api.decide_reset, call_)).status

    nobody = await approve("")
    first, again = await approve(principal("ann")), await approve(principal("ann"))
    await world.quiesce()
    one_of_two = await world.row()
    second = await approve(principal("bob"))
    await world.quiesce()

    assert (nobody, first, again, second) == (401, 200, 409, 200)
    assert one_of_two.state is State.AWAITING_APPROVAL
    assert [e.detail for e in await world.events() if "approved" in e.detail] == [
        "approved 1 of 2 (signed in)",
        "approved 2 of 2 (signed in)",
    ]
    assert (await world.row()).state is State.RESTARTED


async def test_the_approval_expires_from_the_setting() -> None:
    world = asking()
    world.rebuild(APPROVAL_EXPIRY="PT2H")

    waits = await world.ask()

    assert waits.due_at == START + timedelta(hours=2)


async def test_a_refused_decision_stands_in_the_history_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "relink")
    world = asking()
    await world.ask(requested_by="ann@contoso.com")

    assert await world.decide("approve", by="Ann@contoso.com") == 403

    last = (await world.events())[-1]
    assert (last.state, last.by) == (State.AWAITING_APPROVAL, "Ann@contoso.com")
    assert last.detail.startswith("refused to approve: ")
    lines = [r.getMessage() for r in caplog.records]
    assert [line for line in lines if line.startswith('decision.refused {"id": "r1"')]
    assert (await world.row()).state is State.AWAITING_APPROVAL


async def test_the_log_line_of_a_decision_says_who_decided(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "relink")
    world = asking()
    await world.ask(requested_by="ann@contoso.com")

    assert await world.decide("approve", by="boss@contoso.com") == 200

    lines = [r.getMessage() for r in caplog.records if '"by": "boss@contoso.com"' in r.getMessage()]
    assert lines


@pytest.mark.parametrize("by", ["ann@contoso.com\u200b", "ann\x00", "\u202eann"])
async def test_who_decides_has_a_name_that_can_be_seen(by: str) -> None:
    world = asking()
    await world.ask(requested_by="ann@contoso.com")

    assert await world.decide("approve", by=by) == 400
