"""Who may do what: every HTTP function and every decision, for everybody, as one table."""

import json
from collections.abc import Awaitable, Callable
from copy import replace
from typing import Any, Final

import pytest

import function_app
from shared.domain.deciders import DECISIONS
from shared.domain.reset import State
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.calls import URL, principal
from tests.support.forms import form
from tests.support.world import SP, TARGET, World

ENTRY = {"servicePrincipalId": SP, "jobId": "job-1", "approval": "always", "approvers": 1}
READ, REQUEST, APPROVE = "Resets.Read", "Resets.Request", "Resets.Approve"

PEOPLE: Final = {
    "nobody": "",
    "key": "",
    "no-role": principal("eve", roles=()),
    "reader": principal("rita", roles=(READ,)),
    "requester": principal("quinn", roles=(REQUEST,)),
    "approver": principal("boss", roles=(APPROVE,)),
    "asker": principal("ann", roles=(REQUEST, APPROVE)),
    "program": principal("bot", roles=(READ, REQUEST, APPROVE), program=True),
}
# Where people sign in. `key`: a function key alone; the host checks it before, so that to the app
# it is the same as nobody. A line is a function, what is decided, and in which state.
TABLE: Final = """
what                           nobody key  no-role reader requester approver asker program
submit_reset                   401    401  403     403    202       403      202   202
receive_webhook                401    401  401     401    401       401      401   401
receive_webhook/signed         202    202  202     202    202       202      202   202
list_resets                    401    401  403     200    200       200      200   200
get_reset                      401    401  403     200    200       200      200   200
get_status                     404    404  404     404    404       404      404   404
get_status/token               202    202  202     202    202       202      202   202
list_unreadable                401    401  403     200    200       200      200   200
retry_unreadable               401    401  403     403    202       403      202   202
show_reset                     401    401  403     200    200       200      200   200
show_overview                  401    401  403     200    200       200      200   200
ask_on_page                    401    401  403     403    303       403      303   303
ask_on_page/cross-site         401    401  403     403    403       403      403   403
openapi                        200    200  200     200    200       200      200   200
health                         200    200  200     200    200       200      200   200
health/detail                  no     no   no      yes    yes       yes      yes   yes
decide_reset/approve           401    401  403     403    403       200      403   403
decide_reset/reject            401    401  403     403    403       200      200   403
decide_reset/cancel            401    401  403     403    403       200      200   403
decide_reset/confirm           401    401  403     403    403       200      403   403
decide_reset/resend            401    401  403     403    403       200      403   403
decide_reset/cancel/unknown    401    401  403     403    403       200      200   403
decide_reset/approve/waiting   401    401  403     403    403       200      403   403
decide_reset/cancel/waiting    401    401  403     403    403       200      200   403
decide_on_page/approve         401    401  403     403    403       303      403   403
decide_on_page/reject          401    401  403     403    403       303      303   403
decide_on_page/cancel          401    401  403     403    403       303      303   403
decide_on_page/confirm         401    401  403     403    403       303      403   403
decide_on_page/resend          401    401  403     403    403       303      403   403
decide_on_page/cancel/unknown  401    401  403     403    403       303      303   403
decide_on_page/approve/waiting 401    401  403     403    403       303      403   403
decide_on_page/cancel/waiting  401    401  403     403    403       303      303   403
decide_on_page/cross-site      401    401  403     403    403       403      403   403
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]


def cases() -> list[tuple[str, str, str]]:
    return [
        (row[0], who, status) for row in ROWS for who, status in zip(HEAD[1:], row[1:], strict=True)
    ]


def http_functions() -> set[str]:
    """Every function of the app that HTTP starts, by the name that it is deployed under."""
    found = set()
    for each in function_app.app.get_functions():
        trigger = each.get_trigger()
        if trigger is not None and trigger.get_binding_name() == "httpTrigger":
            found.add(str(each.get_function_name()))
    return found


def test_the_table_has_a_line_for_every_http_function_and_every_decision() -> None:
    lines = [row[0].split("/") for row in ROWS]

    assert {line[0] for line in lines} == http_functions()
    for function in ("decide_reset", "decide_on_page"):
        decided = {line[1] for line in lines if line[0] == function}
        assert decided >= set(DECISIONS)
    assert HEAD[1:] == [*PEOPLE]


def call(body: dict[str, object] | None, who: str, **path: str) -> HttpRequest:
    return HttpRequest(
        body=json.dumps(body).encode() if body is not None else b"",
        url=URL,
        headers={"content-type": "application/json"}
        | ({"x-ms-client-principal": PEOPLE[who]} if PEOPLE[who] else {}),
        path={"id": "r1", **path},
    )


async def asked(what: str) -> tuple[World, str]:
    """A reset that Ann asked for, in the state in which this can be decided, and its address."""
    world = World()
    _, decision, state = [*what.split("/"), "", ""][:3]
    unknown = decision in {"confirm", "resend"} or state == "unknown"
    entry = {k: v for k, v in ENTRY.items() if not unknown or k != "approval"}
    world.rebuild(
        WEBSITE_AUTH_ENABLED="True",
        RESET_TARGETS=json.dumps({TARGET: entry}),
        WEBHOOK_SENDERS=json.dumps(
            {"sn": {"scheme": "header", "header": "x-relink-secret", "targets": [TARGET]}}
        ),
        WEBHOOK_SECRETS=json.dumps({"sn": ["a-secret-of-the-sender-sn"]}),
    )
    request = call({"target": TARGET, "requestId": "r1"}, "asker")
    reply = await respond(world.app.api.submit_reset, request)
    if unknown or state == "waiting":
        await rewritten(world, State.WAITING if state == "waiting" else State.UNKNOWN)
    else:
        await world.deliver()
        assert (await world.row()).state is State.AWAITING_APPROVAL
    return world, reply.headers["Location"]


async def rewritten(world: World, state: State) -> None:
    """Put the reset into a state that takes long to reach, by the store itself."""
    store = world._spectator()
    stored = await store.find_reset("r1")
    assert stored is not None
    changes: dict[str, object] = {"state": state, "operator_asked": True, "number": 1}
    if state is State.WAITING:
        changes = {"state": state, "waiting_for": "cooldown"}
    changes |= {"sent_at": world.clock(), "due_at": world.clock.now.replace(hour=23)}
    await store.commit(stored, replace(stored.row, **changes))  # type: ignore[arg-type]


def request_of(what: str, who: str, address: str) -> HttpRequest:
    function, detail, _ = [*what.split("/"), "", ""][:3]
    site = "cross-site" if detail == "cross-site" else "same-origin"
    wanted: dict[str, object] = {"target": TARGET}
    match function:
        case "submit_reset":
            return call(wanted, who)
        case "receive_webhook":
            webhook = call(wanted, who, sender="sn")
            secret = {"x-relink-secret": "a-secret-of-the-sender-sn"} if detail else {}
            return replace(webhook, headers={**webhook.headers, **secret})
        case "get_status":
            token = address.partition("token=")[2]
            return replace(call(None, who), query={"token": token if detail else "wrong"})
        case "retry_unreadable":
            return call({"target": TARGET, "dryRun": True}, who, key="m-1")
        case "decide_reset":
            return call({"decision": detail}, who)
        case "decide_on_page":
            decision = "cancel" if detail == "cross-site" else detail
            return form(decision=decision, signed_in=PEOPLE[who], path={"id": "r1"}, site=site)
        case "ask_on_page":
            return form(signed_in=PEOPLE[who], path={}, target=TARGET, requestId="r2", site=site)
        case _:
            return replace(call(None, who), query={})


@pytest.mark.parametrize(("what", "who", "status"), cases())
async def test_who_may_what(what: str, who: str, status: str) -> None:
    world, address = await asked(what)
    await world.app.housekeeping.dead_letters.keep_unreadable(
        "m-1", b"no request", reason="why", queue="provisioning-resets", at=world.clock()
    )
    endpoint: Callable[[HttpRequest], Awaitable[HttpResponse]]
    endpoint = getattr(world.app.api, what.partition("/")[0])

    reply = await respond(endpoint, request_of(what, who, address))

    if what == "health/detail":
        assert ("targets" in json.loads(reply.body)) is (status == "yes")
    else:
        assert reply.status == int(status), reply.body


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("submit_reset", 202),
        ("list_resets", 200),
        ("get_reset", 200),
        ("list_unreadable", 200),
        ("retry_unreadable", 202),
        ("decide_reset", 200),
        ("show_reset", 403),
        ("decide_on_page", 403),
        ("show_overview", 403),
        ("ask_on_page", 403),
    ],
)
async def test_where_nobody_can_sign_in_a_key_is_enough_and_pages_say_so(
    what: str, status: int
) -> None:
    world = World()
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: ENTRY}))
    await world.ask(requested_by="ann")
    await world.app.housekeeping.dead_letters.keep_unreadable(
        "m-1", b"no request", reason="why", queue="provisioning-resets", at=world.clock()
    )
    bodies: dict[str, dict[str, Any]] = {
        "submit_reset": {"target": TARGET},
        "retry_unreadable": {"target": TARGET, "dryRun": True},
        "decide_reset": {"decision": "approve", "by": "boss"},
    }

    request = call(bodies.get(what), "key", key="m-1")
    reply = await respond(getattr(world.app.api, what), request)

    assert reply.status == status, reply.body
