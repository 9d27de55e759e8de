"""Webhooks through the whole app but its host: what is taken in, answered, and refused."""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.processes import ROOT
from shared.domain.reset import State
from shared.names import RESETS_QUEUE
from shared.use_cases import submit
from shared.use_cases.receive_webhook import LONGEST_WEBHOOK
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support import canaries, webhooks
from tests.support.calls import call
from tests.support.fuzz import bounded
from tests.support.mutants import mutants, randoms, text_mutant
from tests.support.soak import progress
from tests.support.twins import twins
from tests.support.world import SP, TARGET, World

CATALOGUE = {
    TARGET: {"servicePrincipalId": SP, "jobId": "job-1"},
    "aws": {"servicePrincipalId": "22222222-2222-3333-4444-555555555555"},
}
REQUEST = {"target": TARGET, "reason": "canary of a body", "ticket": {"system": "desk", "id": "7"}}


def world(**changes: str) -> World:
    made = World()
    made.rebuild(
        RESET_TARGETS=json.dumps(CATALOGUE),
        WEBHOOK_SENDERS=(ROOT / "docs" / "use" / "senders.example.json").read_text(
            encoding="utf-8"
        ),
        WEBHOOK_SECRETS=json.dumps({k: [v] for k, v in webhooks.SECRETS.items()}),
        **changes,
    )
    return made


async def post(
    app: World,
    sender: str,
    raw: bytes,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> HttpResponse:
    given_headers = webhooks.signed(sender, raw, app.clock()) if headers is None else headers
    lower = {k.lower(): v for k, v in given_headers.items()}
    request = HttpRequest(
        body=raw,
        headers={"content-type": "application/json", **lower},
        url=f"https://relink.example/api/webhooks/{sender}",
        path={"sender": sender},
        query=query or {},
    )
    reply = await respond(app.app.api.receive_webhook, request)
    # No answer is an oracle: nothing of a secret, a signature or a body comes back.
    said = f"{reply.body}\n{dict(reply.headers)}"
    assert not canaries.holds(said)
    return reply


async def ask(app: World, sender: str, event: Any) -> HttpResponse:
    return await post(app, sender, webhooks.body(event))


def untouched(app: World) -> bool:
    queues = (queue.messages for queue in app.storage.queues.values())
    return not (app.storage.resets.cells or app.storage.ids.cells or any(queues))


EVENTS: dict[str, Any] = {
    "services": REQUEST,
    "zendesk": REQUEST,
    "servicenow": REQUEST,
    "jira-automation": REQUEST,
    "github": {
        "action": "labeled",
        "label": {"name": f"reset:{TARGET}"},
        "issue": {"number": 7, "title": "t", "html_url": "https://github.com/c/it/issues/7"},
        "repository": {"full_name": "c/it"},
        "sender": {"login": "ann"},
    },
    "jira": {
        "timestamp": 1,
        "webhookEvent": "jira:issue_created",
        "user": {"accountId": "ann"},
        "issue": {"key": "IT-7", "fields": {"customfield_10100": {"value": TARGET}}},
    },
    "pagerduty": {
        "event": {
            "id": "01",
            "event_type": "incident.triggered",
            "data": {"id": "P7", "title": "t", "html_url": "https://c.pagerduty.com/incidents/P7"},
        }
    },
    "servicenow-hmac": {
        "u_relink_target": TARGET,
        "short_description": "t",
        "caller_id": "ann",
        "number": "INC7",
        "link": "https://c.service-now.com/x",
        "u_affected_user": "ann@x",
    },
    "freshservice": REQUEST,
    "azure-monitor": {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": "a",
                "originAlertId": "o",
                "monitorCondition": "Fired",
                "firedDateTime": "2026-11-24T08:59:00Z",
                "alertRule": "r",
            },
            "alertContext": {"properties": {"ServicePrincipalId": SP}},
        },
    },
}

every = pytest.mark.parametrize("sender", EVENTS)


@every
async def test_a_signed_webhook_is_taken_in_and_goes_its_way(sender: str) -> None:
    app = world()
    reply = await ask(app, sender, EVENTS[sender])

    assert reply.status == 202, reply.body
    body = json.loads(reply.body)
    # A sender that follows it has no key to show: Logic Apps would call the action failed.
    assert "Location" not in reply.headers
    assert body["location"] == f"https://relink.example/api/resets/{body['id']}"
    row = await app.row(body["id"])
    assert (row.state, row.via, row.target) == (State.ACCEPTED, f"webhook:{sender}", TARGET)
    assert body["state"] == "accepted"
    # Without a word to Graph: that is the queue's function's work.
    assert not [io for io in app.faults.log if io.startswith("graph")]
    assert len(app.waiting(RESETS_QUEUE)) == 1
    await app.deliver()
    assert (await app.row(body["id"])).state is State.RESTARTED


@every
async def test_sent_again_it_is_answered_by_the_first_reset(sender: str) -> None:
    app = world()
    first = await ask(app, sender, EVENTS[sender])
    app.clock.forward(minutes=4)
    again = await ask(app, sender, EVENTS[sender])

    assert (first.status, again.status) == (202, 200)
    assert json.loads(again.body)["id"] == json.loads(first.body)["id"]
    assert len(app.waiting(RESETS_QUEUE)) == 1


@pytest.mark.parametrize("sender", ["github", "jira", "pagerduty", "servicenow-hmac"])
async def test_a_replay_of_what_carries_no_time_is_answered_by_the_first_reset_for_ever(
    sender: str,
) -> None:
    app = world()
    raw = webhooks.body(EVENTS[sender])
    headers = {**webhooks.signed(sender, raw, app.clock()), "X-GitHub-Delivery": "1"}
    first = await post(app, sender, raw, headers)
    app.clock.forward(days=90)
    again = await post(app, sender, raw, {**headers, "X-GitHub-Delivery": "2"})

    assert again.status == 200
    assert json.loads(again.body)["id"] == json.loads(first.body)["id"]


@pytest.mark.parametrize("sender", ["services", "zendesk"])
async def test_a_replay_of_what_carries_a_time_comes_too_late(sender: str) -> None:
    app = world()
    raw = webhooks.body(EVENTS[sender])
    headers = webhooks.signed(sender, raw, app.clock())
    app.clock.forward(minutes=6)

    assert (await post(app, sender, raw, headers)).status == 401
    assert untouched(app)


async def test_two_senders_with_one_delivery_id_are_two_requests() -> None:
    app, raw = world(), webhooks.body(REQUEST)
    both = {
        "services": webhooks.standard(raw, app.clock(), delivery="one"),
        "zendesk": webhooks.zendesk(raw, app.clock(), delivery="one"),
    }
    ids = [json.loads((await post(app, s, raw, h)).body)["id"] for s, h in both.items()]
    assert len(set(ids)) == 2


async def test_zendesks_delivery_without_its_id_is_known_by_body_and_time() -> None:
    app, raw = world(), webhooks.body(REQUEST)
    headers = webhooks.zendesk(raw, app.clock())
    del headers["X-Zendesk-Webhook-Invocation-Id"]
    first, again = [await post(app, "zendesk", raw, headers) for _ in range(2)]
    app.clock.forward(days=30)
    later = webhooks.zendesk(raw, app.clock())
    del later["X-Zendesk-Webhook-Invocation-Id"]
    third = await post(app, "zendesk", raw, later)

    assert [r.status for r in (first, again, third)] == [202, 200, 202]


async def test_the_apps_own_ids_are_nobodys_to_use_up() -> None:
    app = world()
    for prefix in ("h", "schedule", "quarantine", "stale"):
        own = {"target": TARGET, "requestId": f"{prefix}-{'a' * 32}", "dryRun": True}
        reply = await ask(app, "servicenow", own)
        assert reply.status == 400, prefix
        assert "choose another id" in reply.body
    assert untouched(app)


async def test_a_stranger_is_not_told_which_senders_there_are() -> None:
    app = world()
    wrong = {"X-Relink-Secret": "wrong-secret-0123456", "X-Hub-Signature-256": "sha256=00"}
    answers = [await post(app, name, b"{}", wrong) for name in ("servicenow", "github", "nobody")]

    assert {r.status for r in answers} == {401}
    assert len({r.body for r in answers}) == 1


@pytest.mark.parametrize("sender", ["servicenow", "github", "nobody"])
async def test_a_body_that_is_too_long_is_the_same_to_everybody(sender: str) -> None:
    app = world()
    long, longest = b"x" * (LONGEST_WEBHOOK + 1), b"x" * LONGEST_WEBHOOK

    assert (await post(app, sender, long, {})).status == 413
    assert (await post(app, sender, longest, {})).status == 401


async def test_refusals_are_a_line_a_minute_with_their_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = world()
    caplog.set_level(logging.WARNING, "relink")

    for _ in range(500):
        await post(app, "github", b"{}", {})
        await post(app, "nobody", b"{}", {})
        await post(app, "somebody", b"{}", {})
    app.clock.forward(seconds=61)
    await post(app, "github", b"{}", {})
    await post(app, "nobody", b"{}", {})

    lines = [json.loads(r.getMessage().removeprefix("webhook.refused ")) for r in caplog.records]
    assert lines == [
        {"sender": "github", "why": "header"},
        {"why": "sender"},
        {"sender": "github", "why": "header", "count": 500},
        {"why": "sender", "count": 1000},
    ]


@pytest.mark.parametrize("value", [{}, [], 1, None, True, {"a": []}])
async def test_an_odd_type_in_a_signed_body_is_never_a_failure(value: Any) -> None:
    app = world()
    for field in ("author_association", "number", "title", "html_url", "body"):
        event = {**EVENTS["github"], "issue": {**EVENTS["github"]["issue"], field: value}}
        assert (await ask(app, "github", event)).status in {200, 202, 204, 400}


async def test_an_unsigned_pagerduty_v2_webhook_is_told_that_v3_is_needed() -> None:
    reply = await post(world(), "pagerduty", b'{"messages": []}', {})

    assert reply.status == 401
    assert "V3" in reply.body


async def test_a_form_of_githubs_is_told_to_become_json() -> None:
    app = world()
    raw = b"payload=%7B%22action%22%3A%22labeled%22%7D"
    headers = webhooks.signed("github", raw, app.clock())
    reply = await post(
        app, "github", raw, {**headers, "content-type": "application/x-www-form-urlencoded"}
    )

    assert reply.status == 415
    assert "application/json" in reply.body


async def test_a_new_issue_with_a_label_is_one_restart_also_where_its_second_event_comes_late() -> (
    None
):
    app = world()
    born = {"created_at": "2026-11-24T08:59:50Z", "updated_at": "2026-11-24T08:59:50Z"}
    issue = {
        "number": 7,
        "url": "https://api.github.com/repos/c/it/issues/7",
        "title": "t",
        "author_association": "MEMBER",
        "body": f"### Target\n\n{TARGET}\n",
        **born,
    }
    opened = {"action": "opened", "issue": issue, "repository": {"full_name": "c/it"}}
    labeled = {**opened, "action": "labeled", "label": {"name": f"reset:{TARGET}"}}
    later = {**labeled, "issue": {**issue, "updated_at": "2026-11-26T09:00:00Z"}}

    first = await ask(app, "github", opened)
    app.clock.forward(hours=26)
    second = await ask(app, "github", labeled)
    third = await ask(app, "github", later)

    assert [reply.status for reply in (first, second, third)] == [202, 200, 202]
    assert json.loads(first.body)["id"] == json.loads(second.body)["id"]


async def test_no_sender_can_use_up_the_ids_of_another() -> None:
    app = world()
    given = {"target": TARGET, "requestId": "INC0099999-1"}
    squatter = await ask(app, "freshservice", {**given, "notBefore": "2026-12-20T00:00:00Z"})
    victim = await ask(app, "servicenow", given)
    api = await respond(app.app.api.submit_reset, call({"target": TARGET, **given}))
    ids = [json.loads(r.body)["id"] for r in (squatter, victim, api)]

    assert [r.status for r in (squatter, victim, api)] == [202, 202, 202]
    assert ids == ["freshservice.INC0099999-1", "servicenow.INC0099999-1", "INC0099999-1"]


async def test_an_id_of_full_length_goes_its_way_under_its_senders_name() -> None:
    app = world()
    reply = await ask(app, "freshservice", {"target": TARGET, "requestId": "x" * 128})
    await app.quiesce()

    reset_id = json.loads(reply.body)["id"]
    assert reset_id == f"freshservice.{'x' * 128}"
    assert (await app.row(reset_id)).state is State.RESTARTED
    assert app.unreadable() == []
    found = await respond(app.app.api.get_reset, call(reset_id=reset_id))
    assert found.status == 200


@pytest.mark.parametrize(
    "request_id", ["freshservice.INC1", "h-" + "a" * 32, "schedule-" + "0" * 32, "a." + "b" * 128]
)
async def test_neither_the_api_nor_the_queue_takes_an_id_of_another_form(request_id: str) -> None:
    app = world()
    wanted = {"target": TARGET, "requestId": request_id}
    reply = await respond(app.app.api.submit_reset, call(dict(wanted)))
    await app.send(json.dumps(wanted))

    assert reply.status == 400
    assert "requestId" in json.loads(reply.body)["detail"]
    assert len(app.unreadable()) == 1
    assert not app.storage.ids.cells


async def test_a_window_that_lies_years_ahead_is_refused() -> None:
    app = world()
    for moment, status in (("2026-12-24T08:00:00Z", 202), ("2026-12-24T10:00:00Z", 400)):
        reply = await ask(app, "servicenow", {"target": TARGET, "notBefore": moment})
        assert reply.status == status, moment


async def test_the_same_id_with_another_window_is_another_request() -> None:
    app = world()
    given = {"target": TARGET, "requestId": "r1"}
    first = await ask(app, "servicenow", {**given, "notBefore": "2026-12-20T00:00:00Z"})

    assert (first.status, (await ask(app, "servicenow", given)).status) == (202, 422)


async def test_junk_is_not_even_read_without_a_signature() -> None:
    app = world()
    for sender in EVENTS:
        assert (await post(app, sender, b"{junk", {})).status == 401


async def test_a_secret_in_a_header_makes_one_request_of_a_body_in_ten_minutes() -> None:
    app = world()
    ids = []
    for minutes in (0, 9, 1):
        app.clock.forward(minutes=minutes)
        ids.append(json.loads((await ask(app, "servicenow", REQUEST)).body)["id"])
    assert ids[0] == ids[1] != ids[2]


async def test_either_secret_is_good_while_one_is_being_replaced() -> None:
    app = world()
    old, new = webhooks.SECRETS["github"], "canary-the-new-secret"
    secrets = {k: [v] for k, v in webhooks.SECRETS.items()} | {"github": [old, new]}
    app.rebuild(WEBHOOK_SECRETS=json.dumps(secrets))
    raw = webhooks.body(EVENTS["github"])

    assert (await post(app, "github", raw, webhooks.github(raw, secret=old))).status == 202
    assert (await post(app, "github", raw, webhooks.github(raw, secret=new))).status == 200


async def test_an_event_that_asks_for_nothing_is_204_and_says_why() -> None:
    app = world()
    reply = await ask(app, "github", {"zen": "Keep it logically awesome."})

    assert (reply.status, reply.body) == (204, "")
    assert reply.headers["Relink-Reason"] == "only events of issues ask for anything"
    assert untouched(app)


REFUSED: dict[str, tuple[str, Any, dict[str, str] | None, int, str]] = {
    "unknown sender": ("nobody", REQUEST, {}, 401, "there is no such sender"),
    "no signature": ("github", EVENTS["github"], {}, 401, "x-hub-signature-256: missing"),
    "not reachable": (
        "github",
        {**EVENTS["github"], "label": {"name": "reset:aws"}},
        None,
        403,
        "may not reach aws",
    ),
    "unknown target": (
        "servicenow",
        {"target": "nowhere"},
        None,
        400,
        "target: unknown; sender servicenow may reach: salesforce-prod",
    ),
    "unknown property": (
        "servicenow",
        {"target": TARGET, "y": 1},
        None,
        400,
        "y: unknown property",
    ),
    "utf-16": (
        "servicenow",
        REQUEST,
        {
            "X-Relink-Secret": webhooks.SECRETS["servicenow"],
            "Content-Type": "application/json; charset=utf-16",
        },
        415,
        "application/json",
    ),
    "a batch": (
        "servicenow",
        REQUEST,
        {
            "X-Relink-Secret": webhooks.SECRETS["servicenow"],
            "Content-Type": "application/cloudevents-batch+json",
        },
        415,
        "application/json",
    ),
    "no object": ("servicenow", [], None, 400, ""),
    "scope of our own": (
        "servicenow",
        {"target": TARGET, "scope": "quarantine"},
        None,
        400,
        "scope",
    ),
    "a form": (
        "servicenow",
        REQUEST,
        {
            "X-Relink-Secret": webhooks.SECRETS["servicenow"],
            "Content-Type": "application/x-www-form-urlencoded",
        },
        415,
        "application/json",
    ),
}


REFUSED_AS = {400: "body", 401: "header", 403: "target", 415: "content-type"}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_is_told_why_and_leaves_no_trace(
    case: tuple[str, Any, dict[str, str] | None, int, str], caplog: pytest.LogCaptureFixture
) -> None:
    sender, event, headers, status, why = case
    app = world()
    caplog.set_level(logging.DEBUG)
    reply = await post(app, sender, webhooks.body(event), headers)

    assert reply.status == status, reply.body
    problem = json.loads(reply.body)
    assert reply.content_type == "application/problem+json"
    assert problem["status"] == status
    assert why in problem["detail"]
    assert untouched(app)
    # Counted, in one line of a few words.
    (line,) = [r.getMessage() for r in caplog.records if r.name == "relink"]
    name, _, fields = line.partition(" ")
    assert name == "webhook.refused"
    known, why = ({}, "sender") if sender == "nobody" else ({"sender": sender}, REFUSED_AS[status])
    assert json.loads(fields) == {**known, "why": why}


@every
async def test_a_body_of_a_megabyte_is_413(sender: str) -> None:
    app = world()
    reply = await post(app, sender, webhooks.body({"target": TARGET, "x": "x" * 2**20}))

    assert reply.status == 413
    assert untouched(app)


async def test_a_native_body_may_be_larger_than_a_request() -> None:
    app = world()
    event = {**EVENTS["github"], "filler": "x" * (LONGEST_WEBHOOK - 2000)}

    assert (await ask(app, "github", event)).status == 202
    long_request = {"target": TARGET, "reason": "x", "subjects": ["x" * 256] * 100}
    assert (await ask(app, "servicenow", {**long_request, "filler": "x" * 50_000})).status == 413


@pytest.mark.parametrize("name", ["dryRun", "dry_run", "DryRun", "target", "request-id"])
async def test_what_a_request_says_is_not_taken_from_the_address(name: str) -> None:
    app = world()
    raw = webhooks.body(REQUEST)
    reply = await post(app, "services", raw, query={name: "true"})
    stranger = await post(app, "services", raw, {}, query={name: "true"})

    assert (reply.status, stranger.status) == (400, 401)
    assert "put it into the body" in json.loads(reply.body)["detail"]
    assert untouched(app)
    # Whatever else stands there is the sender's own affair.
    assert (await post(app, "services", raw, query={"source": "desk"})).status == 202


@pytest.mark.parametrize("left", ["{{ticket.id}}", "${number}", " {{ x }} ", "<%= id %>"])
async def test_a_placeholder_that_was_not_filled_in_is_no_ticket_and_no_user(left: str) -> None:
    app = world()
    ticket = await ask(app, "freshservice", {**REQUEST, "ticket": {"system": "desk", "id": left}})
    subject = await ask(app, "freshservice", {**REQUEST, "subjects": ["ann@x", left]})

    for reply, name in ((ticket, "ticket.id"), (subject, "subjects")):
        assert reply.status == 400
        assert json.loads(reply.body)["detail"].startswith(f"{name}: a placeholder")
    assert untouched(app)


async def test_one_id_with_other_content_is_422() -> None:
    app = world()
    first = await ask(app, "servicenow", {"target": TARGET, "requestId": "r1"})
    other = await ask(app, "servicenow", {"target": TARGET, "requestId": "r1", "dryRun": True})

    assert (first.status, other.status) == (202, 422)


async def test_while_a_setting_is_wrong_every_webhook_is_503_and_comes_again() -> None:
    app = world()
    app.rebuild(RESET_DAILY_BUDGET="ten")
    reply = await ask(app, "github", EVENTS["github"])

    assert reply.status == 503
    detail = json.loads(reply.body)["detail"]
    assert detail == "RESET_DAILY_BUDGET: must be put right; GET /api/health says how"
    assert reply.headers["Retry-After"] == "30"
    assert untouched(app)


async def test_storage_that_is_down_is_503_and_the_same_webhook_later_is_taken_in_once() -> None:
    probe = world()
    await ask(probe, "github", EVENTS["github"])
    ios = len(probe.faults.log)
    assert ios > 4
    for at in range(1, ios + 1):
        app = world()
        app.faults.at, app.faults.kind = at, "timeout"
        reply = await ask(app, "github", EVENTS["github"])
        app.faults.at = 0
        again = await ask(app, "github", EVENTS["github"])

        if reply.status == 503:
            assert reply.headers["Retry-After"] == "30"
            assert again.status in {200, 202}
        else:
            assert (reply.status, again.status) == (202, 200)
        await app.quiesce()
        reset = json.loads(again.body)["id"]
        assert (await app.row(reset)).state is State.RESTARTED
        assert len([k for k in app.keys(TARGET) if k.startswith("reset:")]) == 1
        assert len(app.graph.restarts) == 1


async def test_storage_that_is_slow_is_503_before_the_sender_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submit, "ANSWERS_WITHIN", timedelta(seconds=0.05))
    app = world()

    async def never(_: str) -> None:
        await asyncio.sleep(60)

    app.storage.interleave(never)
    reply = await ask(app, "github", EVENTS["github"])

    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    assert untouched(app)


# Whatever comes

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "x-hub-signature-256",
            "x-hub-signature",
            "x-zendesk-webhook-signature",
            "x-pagerduty-signature",
            "x-zendesk-webhook-signature-timestamp",
            "x-hmac-signature",
            "x-relink-secret",
            "content-type",
            "x-ms-client-principal",
        ]
    ),
    st.text(max_size=80) | st.sampled_from(["v1,", "sha256=", "v1=", "application/json"]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
SENDERS = st.sampled_from(sorted(EVENTS))
QUICK = bounded(400)


@pytest.mark.soak
@QUICK
@given(
    sender=SENDERS | st.text(max_size=10),
    headers=HEADERS,
    raw=st.binary(max_size=400),
    random=randoms,
)
async def test_no_raw_bytes_without_a_signature_get_in(
    sender: str, headers: dict[str, str], raw: bytes, random: Random
) -> None:
    app = FUZZED
    for body in mutants(raw, random):
        progress.case("raw bytes")
        varied = {name: text_mutant(value, random) for name, value in headers.items()}
        reply = await post(app, sender, body, headers if body is raw else varied)

        assert reply.status == 401
        json.loads(reply.body)
        assert untouched(app)


@pytest.mark.soak
@QUICK
@given(sender=SENDERS, raw=st.binary(max_size=400) | JSON.map(webhooks.body), random=randoms)
async def test_no_signed_nonsense_is_a_failure_or_gets_in(
    sender: str, raw: bytes, random: Random
) -> None:
    app = FUZZED
    for body in mutants(raw, random):
        progress.case("signed nonsense")
        reply = await post(app, sender, body)

        assert reply.status in {204, 400, 403, 413, 415}, body
        assert untouched(app)


@pytest.mark.soak
@QUICK
@given(sender=SENDERS, data=st.data(), random=randoms)
async def test_a_good_event_with_one_value_replaced_is_never_a_failure(
    sender: str, data: st.DataObject, random: Random
) -> None:
    event = json.loads(json.dumps(EVENTS[sender]))
    at, inside = event, data.draw(st.sampled_from(sorted(_paths(event))))
    for key in inside[:-1]:
        at = at[key]
    at[inside[-1]] = data.draw(JSON)
    app = world()
    # An unknown property is refused by its name, and a variant may make one of the canary.
    plain = webhooks.body(event).replace(b"canary of a body", b"why")
    for body in mutants(plain, random):
        progress.case("one value replaced")
        if not untouched(app):
            app = world()
        reply = await post(app, sender, body)

        assert reply.status in {202, 204, 400, 403, 413, 415}, body
        taken = [k for k in app.keys(TARGET) if k.startswith("reset:")]
        assert bool(taken) == (reply.status == 202), body


@pytest.mark.soak
@QUICK
@given(sender=SENDERS, random=randoms)
async def test_no_event_with_a_name_given_twice_gets_in(sender: str, random: Random) -> None:
    app = FUZZED
    for raw in twins(EVENTS[sender], random):
        progress.case("signed twins")
        reply = await post(app, sender, raw)

        assert reply.status == 400, raw
        assert "given twice" in reply.body or "not valid JSON" in reply.body
        assert untouched(app)


def _paths(value: Any, so_far: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, inner in value.items():
        found.append((*so_far, key))
        if isinstance(inner, dict):
            found += _paths(inner, (*so_far, key))
    return found


FUZZED = world()
