"""Who may do what: every route and decision, for everybody, as one table."""

import json
from dataclasses import replace
from typing import Final

import pytest

from shared.domain.reset import State
from shared.web.messages import HttpRequest
from shared.web.respond import respond
from tests.support.calls import URL, principal
from tests.support.forms import form
from tests.support.world import SP, TARGET, World

ENTRY = {"servicePrincipalId": SP, "jobId": "job-1", "approval": "always", "approvers": 1}
READ, REQUEST, APPROVE = "Resets.Read", "Resets.Request", "Resets.Approve"

PEOPLE: Final = {
    "nobody": "",
    "key": "",
    "no role": principal("eve", roles=()),
    "reader": principal("rita", roles=(READ,)),
    "requester": principal("quinn", roles=(REQUEST,)),
    "approver": principal("boss", roles=(APPROVE,)),
    "asker": principal("ann", roles=(REQUEST, APPROVE)),
    "program": principal("bot", roles=(READ, REQUEST, APPROVE), program=True),
}
# Where people sign in. `key`: a function key alone; the host checks it before, so that to the app
# it is the same as nobody. `status`: who has the address has its token.
TABLE: Final = """
what             nobody key  no-role reader requester approver asker program
submit           401    401  403     403    202       403      202   202
list             401    401  403     200    200       200      200   200
get              401    401  403     200    200       200      200   200
unreadable       401    401  403     200    200       200      200   200
retry            401    401  403     403    202       403      202   202
status           202    202  202     202    202       202      202   202
status-guessed   404    404  404     404    404       404      404   404
page             401    401  403     200    200       200      200   200
approve          401    401  403     403    403       200      403   403
reject           401    401  403     403    403       200      200   403
cancel           401    401  403     403    403       200      200   403
form-approve     401    401  403     403    403       303      403   403
form-reject      401    401  403     403    403       303      303   403
form-cancel      401    401  403     403    403       303      303   403
confirm          401    401  403     403    403       200      403   403
resend           401    401  403     403    403       200      403   403
cancel-unknown   401    401  403     403    403       200      200   403
form-confirm     401    401  403     403    403       303      403   403
form-resend      401    401  403     403    403       303      403   403
let-go           401    401  403     403    403       200      403   403
health           200    200  200     200    200       200      200   200
openapi          200    200  200     200    200       200      200   200
"""


def cases() -> list[tuple[str, str, int]]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return [
        (row[0], who.replace("-", " "), int(status))
        for row in rows
        for who, status in zip(head[1:], row[1:], strict=True)
    ]


def call(body: dict[str, object] | None, who: str, *, key: str = "") -> HttpRequest:
    return HttpRequest(
        body=json.dumps(body).encode() if body is not None else b"",
        url=URL,
        headers={"content-type": "application/json"}
        | ({"x-ms-client-principal": PEOPLE[who]} if PEOPLE[who] else {}),
        path={"id": "r1", "key": key},
    )


async def asked(what: str) -> World:
    """A reset that Ann asked for, in the state in which this can be decided."""
    world = World()
    entry = ENTRY if "confirm" not in what and "resend" not in what else {**ENTRY, "approval": ""}
    world.rebuild(
        WEBSITE_AUTH_ENABLED="True",
        RESET_TARGETS=json.dumps({TARGET: {k: v for k, v in entry.items() if v}}),
    )
    request = call({"target": TARGET, "requestId": "r1"}, "asker")
    await respond(world.app.api.submit_reset, request)
    if not {"confirm", "resend", "unknown"} & set(what.split("-")) and what != "let-go":
        await world.deliver()
        assert (await world.row()).state is State.AWAITING_APPROVAL
        return world
    await rewritten(world, what)
    return world


async def rewritten(world: World, what: str) -> None:
    """Put the reset into a state that takes long to reach, by the store itself."""
    store = world._spectator()
    stored = await store.find_reset("r1")
    assert stored is not None
    changes: dict[str, object] = {"state": State.UNKNOWN, "operator_asked": True, "number": 1}
    if what == "let-go":
        changes = {"state": State.WAITING, "waiting_for": "cooldown"}
    changes |= {"sent_at": world.clock(), "due_at": world.clock.now.replace(hour=23)}
    await store.commit(stored, replace(stored.row, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("what", "who", "status"), cases())
async def test_who_may_what(what: str, who: str, status: int) -> None:
    world = await asked(what)
    api = world.app.api
    decision = what.removeprefix("form-").removesuffix("-unknown").replace("let-go", "approve")
    match what:
        case "submit":
            reply = await respond(api.submit_reset, call({"target": TARGET}, who))
        case "list":
            reply = await respond(api.list_resets, call(None, who))
        case "get":
            reply = await respond(api.get_reset, call(None, who))
        case "unreadable":
            reply = await respond(api.list_unreadable, call(None, who))
        case "retry":
            await world.send("no request")
            (key,) = world.unreadable()
            reply = await respond(api.retry_unreadable, call({"target": TARGET}, who, key=key))
        case "status":
            token = await api.statuses.status.token("r1")
            reply = await respond(api.get_status, replace(call(None, who), query={"token": token}))
        case "status-guessed":
            token = await api.statuses.status.token("r2")
            reply = await respond(api.get_status, replace(call(None, who), query={"token": token}))
        case "page":
            reply = await respond(api.show_reset, call(None, who))
        case "health":
            reply = await respond(api.health, call(None, who))
        case "openapi":
            reply = await respond(api.openapi, call(None, who))
        case _ if what.startswith("form-"):
            request = form(decision=decision, signed_in=PEOPLE[who], path={"id": "r1"})
            reply = await respond(api.decide_on_page, request)
        case _:
            reply = await respond(api.decide_reset, call({"decision": decision}, who))

    assert reply.status == status, reply.body


@pytest.mark.parametrize(
    ("what", "status"), [("submit", 202), ("list", 200), ("get", 200), ("approve", 200)]
)
async def test_where_nobody_can_sign_in_a_key_is_enough(what: str, status: int) -> None:
    world = World()
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: ENTRY}))
    await world.ask(requested_by="ann")
    api = world.app.api
    asked_ = {
        "submit": (api.submit_reset, {"target": TARGET}),
        "list": (api.list_resets, None),
        "get": (api.get_reset, None),
        "approve": (api.decide_reset, {"decision": "approve", "by": "boss"}),
    }

    endpoint, body = asked_[what]
    reply = await respond(endpoint, call(body, "key"))  # type: ignore[arg-type]

    assert reply.status == status
