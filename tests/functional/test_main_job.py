"""The main job through the genuine worker, over real HTTP to the emulator, into Azurite."""

import base64
import json
from collections.abc import AsyncIterator

import pytest

from local import processes
from local.http_client import http_client
from shared.domain.reset import State, WaitingFor
from tests.functional.stack import AWS, SALESFORCE, Stack, eventually, running, storage_and_graph

ADELE = "cea097b7-2680-50c3-84bf-94c9323d3363"
OLD, NEW = "0055e000001aOLDAA2", "0055e000009bNEWAA2"


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    async with running() as started:
        yield started


async def link(stack: Stack) -> str:
    state = (await stack.graph.get("/_emulator/state")).json()
    principal = next(p for p in state["servicePrincipals"] if p["id"] == SALESFORCE)
    return str(principal["jobs"][0]["links"].get(ADELE, ""))


async def test_a_request_restarts_the_job_in_full_once_and_the_link_is_replaced(
    stack: Stack,
) -> None:
    before = await link(stack)
    await stack.ask("r1", subjects=["adele.vance@contoso.com"])

    ended = await stack.ended("r1")

    (sent,) = await stack.restarts()
    assert sent["rawBody"] == '{"criteria": {"resetScope": "Full"}}'
    assert not sent["authorization"]
    assert sent["clientRequestId"] == ended.client_request_id
    assert ended.state is State.COMPLETED
    assert (before, await link(stack)) == (OLD, NEW)
    assert await stack.history(ended) == ["accepted", "sending", "restarted", "completed"]
    assert json.loads(ended.before)["code"] == json.loads(ended.after)["code"] == "Active"
    assert ended.graph_request_id
    assert await eventually_empty(stack, "provisioning-resets")
    assert await eventually_empty(stack, "reset-follow-ups")


async def eventually_empty(stack: Stack, queue: str) -> bool:
    async def look() -> bool | None:
        return True if await stack.messages(queue) == 0 else None

    return await eventually(look)


async def test_plain_json_base64_and_a_cloudevents_envelope_all_work(stack: Stack) -> None:
    state = (await stack.graph.get("/_emulator/state")).json()
    principal = next(p for p in state["servicePrincipals"] if p["id"] == AWS)
    assert len(principal["jobs"]) == 2
    coded = {"target": "servicenow", "requestId": "b64", "dryRun": True}
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/monitor",
        "type": "relink.reset",
        "data": {"target": "salesforce-prod", "requestId": "event", "dryRun": True},
    }

    await stack.ask("plain", dryRun=True)
    await stack.send(base64.b64encode(json.dumps(coded).encode()).decode())
    await stack.send(json.dumps(event))

    ends = [await stack.ended(i) for i in ("plain", "b64", "event")]
    assert [end.state for end in ends] == [State.PREVIEWED] * 3
    assert await stack.restarts() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "message: neither a JSON object nor base64 of one"),
        ('{"target": "sales"}', "target: 'sales' is not in the catalogue; known targets: aws"),
        ('{"target": "aws", "id": "abc", "x": 1}', "id: unknown property"),
    ],
)
async def test_what_is_no_request_is_kept_whole_at_its_first_delivery(
    stack: Stack, text: str, reason: str
) -> None:
    message_id = await stack.send(text)

    async def look() -> dict[str, object] | None:
        return next(iter(await stack.unreadable()), None)

    kept = await eventually(look)
    assert kept["Body"] == text.encode()
    assert str(kept["Reason"]).startswith(reason)
    # A body's own `id` overwrites the message's id in the host.
    key = str(kept["RowKey"])
    assert key.startswith("h-") if '"id"' in text else key == message_id
    assert await eventually_empty(stack, "provisioning-resets")
    with pytest.raises(Exception, match=r"QueueNotFound|does not exist"):
        await stack.messages("provisioning-resets-poison")


async def test_several_jobs_are_refused_with_their_ids(stack: Stack) -> None:
    await stack.ask("r1", target="aws")

    refused = await stack.ended("r1")

    assert refused.state is State.REFUSED
    assert "set jobId in RESET_TARGETS to one of: aws." in refused.detail


async def test_throttling_is_waited_out_and_the_restart_sent_once_more(stack: Stack) -> None:
    await stack.fault(method="POST", path="*/restart", times=1, status=429, retryAfter=1)
    await stack.ask("r1")

    ended = await stack.ended("r1")

    assert ended.state is State.COMPLETED
    sent = await stack.restarts()
    assert [s["status"] for s in sent] == [429, 204]
    assert await stack.history(ended) == [
        "accepted",
        "sending",
        "waiting",
        "sending",
        "restarted",
        "completed",
    ]


async def test_a_restart_whose_answer_is_lost_is_found_by_looking_and_not_sent_again(
    stack: Stack,
) -> None:
    await stack.fault(method="POST", path="*/restart", times=1, drop="after")
    await stack.ask("r1")

    ended = await stack.ended("r1")

    assert ended.state is State.COMPLETED
    assert len(await stack.restarts()) == 1
    assert await stack.history(ended) == [
        "accepted",
        "sending",
        "unknown",
        "restarted",
        "completed",
    ]


async def switch(stack: Stack, **switches: object) -> None:
    """The odd but legal, switched on in the emulator."""
    state = (await stack.graph.get("/_emulator/state")).json()
    principal = next(p for p in state["servicePrincipals"] if p["id"] == SALESFORCE)
    job = {"id": principal["jobs"][0]["id"], **switches}
    change = {"servicePrincipals": [{"id": SALESFORCE, "jobs": [job]}]}
    (await stack.graph.put("/_emulator/state", json=change)).raise_for_status()


@pytest.mark.parametrize(
    "switches",
    [
        pytest.param({"statusLag": 300}, id="the-status-lags-behind-the-204"),
        pytest.param({"countsAbsent": "missing"}, id="counts-absent"),
    ],
)
async def test_the_odd_but_legal_does_not_mislead_the_watch(
    stack: Stack, switches: dict[str, object]
) -> None:
    await switch(stack, **switches)
    await stack.ask("r1")

    ended = await stack.ended("r1")

    assert ended.state is State.COMPLETED
    assert await link(stack) == NEW
    assert len(await stack.restarts()) == 1


async def test_a_cycle_with_errors_on_entries_is_completed_and_says_so(stack: Stack) -> None:
    state = (await stack.graph.get("/_emulator/state")).json()
    failing = {"id": state["users"][3]["id"], "fails": True}
    await stack.graph.put("/_emulator/state", json={"users": [failing]})
    await stack.ask("r1")

    ended = await stack.ended("r1")

    assert ended.state is State.COMPLETED
    assert "1 entry failed" in ended.detail


async def test_a_state_that_the_sdk_does_not_know_asks_a_person(stack: Stack) -> None:
    await switch(stack, unknownCode="Hibernating")
    await stack.ask("r1")

    waits = await stack.reached("r1", State.AWAITING_APPROVAL)

    assert "does not know" in waits.detail
    assert await stack.restarts() == []


async def test_a_missing_permission_is_waited_for_and_named(stack: Stack) -> None:
    await stack.graph.put("/_emulator/state", json={"permission": "missing"})
    await stack.ask("r1")

    waiting = await stack.reached("r1", State.WAITING)

    assert waiting.waiting_for is WaitingFor.GRAPH
    assert "Synchronization.ReadWrite.All" in waiting.detail


async def test_killing_the_host_while_it_runs_and_starting_it_again_finishes_the_reset() -> None:
    async with storage_and_graph(speed=60) as stack:
        async with processes.host(stack.environ) as (host, _):
            await stack.ask("r1")
            await stack.reached("r1", State.RESTARTED)
            await host.kill()
        stopped = await stack.reset("r1")
        async with processes.host(stack.environ):
            ended = await stack.ended("r1")

        assert stopped is not None
        assert stopped.state is State.RESTARTED
        assert ended.state is State.COMPLETED
        assert len(await stack.restarts()) == 1


async def test_killing_the_host_before_it_reads_the_job_still_restarts_once() -> None:
    async with storage_and_graph() as stack:
        await stack.fault(method="GET", path="*/jobs*", times=1, delay=5)

        async def asked_graph() -> bool | None:
            received = (await stack.graph.get("/_emulator/requests")).json()["value"]
            return bool(received) or None

        async with processes.host(stack.environ) as (host, _):
            await stack.ask("r1")
            await eventually(asked_graph)
            await host.kill()
        async with processes.host(stack.environ):
            ended = await stack.ended("r1")

        assert ended.state is State.COMPLETED
        assert len(await stack.restarts()) == 1


async def test_health_says_what_is_configured_to_who_has_the_key(stack: Stack) -> None:
    async with processes.host(stack.environ) as (_, url), http_client() as client:
        bare = await client.get(f"{url}/api/health")
        detail = await client.get(f"{url}/api/health", headers={"x-functions-key": "local"})
        wrong = await client.get(f"{url}/api/health", headers={"x-functions-key": "guess"})

    assert (bare.status, bare.json()["status"]) == (200, "ok")
    assert bare.json() == wrong.json()
    assert detail.json()["targets"] == ["aws", "salesforce-prod", "servicenow"]
    assert detail.json()["credential"] == "none (emulator)"
