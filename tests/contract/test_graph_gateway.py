"""The Graph gateway: real msgraph-sdk, real HTTP, the emulator on the other side."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken

from local.emulator import Clock, Emulator, serve
from shared.errors import FateUnknown, GraphError, NotSent, Rejected, Throttled
from shared.graph import GraphGateway
from shared.models import Scope

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SALESFORCE = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
AWS = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"
JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
FULL_BODY = '{"criteria": {"resetScope": "Full"}}'


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with serve(clock=Clock(START, speed=60)) as running:
        yield running


@pytest.fixture
async def graph(emulator: Emulator) -> AsyncIterator[GraphGateway]:
    gateway = GraphGateway(emulator.url, None)
    yield gateway
    await gateway.close()


async def fault(emulator: Emulator, **what: Any) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{emulator.url}/_emulator/faults", json=what)
    assert answer.is_success, answer.text


async def restart(graph: GraphGateway, scope: Scope = Scope.FULL) -> str:
    return await graph.restart(
        SALESFORCE, JOB, scope, client_request_id="c-1", may_begin=lambda: True
    )


async def test_a_job_is_read_with_graphs_own_clock(graph: GraphGateway) -> None:
    job = await graph.read_job(SALESFORCE, JOB)

    assert (job.id, job.code, job.schedule_state) == (JOB, "Active", "Active")
    assert job.interval == timedelta(minutes=40)
    assert START <= job.read_at <= START + timedelta(minutes=10)
    assert job.size
    assert job.last_execution.state == "Succeeded"
    assert job.steady_state_last is not None
    assert job.quarantine is None


async def test_the_only_job_is_found_without_its_id(graph: GraphGateway) -> None:
    assert (await graph.read_job(SALESFORCE, "")).id == JOB


async def test_several_jobs_are_refused_with_their_ids(graph: GraphGateway) -> None:
    with pytest.raises(Rejected, match=r"has 2 provisioning jobs; set jobId .*aws\..*, aws\."):
        await graph.read_job(AWS, "")


async def test_a_full_restart_leaves_with_exactly_one_body(
    emulator: Emulator, graph: GraphGateway
) -> None:
    request_id = await restart(graph)

    (sent,) = emulator.requests
    assert (sent.method, sent.raw_body, sent.status) == ("POST", FULL_BODY, 204)
    assert sent.client_request_id == "c-1"
    assert request_id
    assert not sent.authorization


async def test_a_quarantine_restart_leaves_with_the_other_body(
    emulator: Emulator, graph: GraphGateway
) -> None:
    await restart(graph, Scope.QUARANTINE)

    (sent,) = emulator.requests
    assert sent.body == {"criteria": {"resetScope": "Watermark, Escrows, QuarantineState"}}


@pytest.mark.parametrize("scope", ["full", "Full", ["full"], None, Scope.SUBJECTS])
async def test_nothing_but_the_enums_members_is_ever_sent(
    emulator: Emulator, graph: GraphGateway, scope: Any
) -> None:
    with pytest.raises(ValueError, match="never sent"):
        await restart(graph, scope)

    assert emulator.requests == []


@pytest.mark.parametrize(
    ("what", "raised", "retry_after"),
    [
        pytest.param({"status": 429, "retryAfter": 7}, Throttled, 7, id="429-with-retry-after"),
        pytest.param({"status": 429}, Throttled, None, id="429"),
        pytest.param({"status": 401}, Rejected, None, id="401"),
        pytest.param({"status": 403}, Rejected, None, id="403"),
        pytest.param({"status": 404}, Rejected, None, id="404"),
        pytest.param({"status": 400}, Rejected, None, id="400"),
        pytest.param({"status": 408}, FateUnknown, None, id="408"),
        pytest.param({"status": 500}, FateUnknown, None, id="500"),
        pytest.param({"status": 503, "retryAfter": 3}, FateUnknown, 3, id="503"),
        pytest.param({"status": 504, "after": True}, FateUnknown, None, id="504-after-it-happened"),
        pytest.param({"drop": "before"}, FateUnknown, None, id="dropped-before"),
        pytest.param({"drop": "after"}, FateUnknown, None, id="answer-lost"),
    ],
)
async def test_each_failure_of_a_restart_has_its_meaning_and_is_never_repeated(
    emulator: Emulator,
    graph: GraphGateway,
    what: dict[str, Any],
    raised: type[GraphError],
    retry_after: int | None,
) -> None:
    await fault(emulator, method="POST", path="*/restart", times=1, **what)

    with pytest.raises(raised) as caught:
        await restart(graph)

    assert type(caught.value) is raised
    assert caught.value.retry_after == (retry_after and timedelta(seconds=retry_after))
    assert len(emulator.requests) == 1


async def test_a_missing_permission_is_named_although_graph_does_not(
    emulator: Emulator, graph: GraphGateway
) -> None:
    async with httpx.AsyncClient() as client:
        await client.put(f"{emulator.url}/_emulator/state", json={"permission": "missing"})

    with pytest.raises(Rejected, match=r"401 UnknownError.*Synchronization\.ReadWrite\.All"):
        await graph.read_job(SALESFORCE, JOB)


async def test_a_missing_job_is_named_with_the_remedy(graph: GraphGateway) -> None:
    with pytest.raises(Rejected, match=r"404 .*servicePrincipalId \(the object id"):
        await graph.read_job(SALESFORCE, "no.such.job")


@pytest.mark.parametrize("garbage", ["", "{", "<html>", "[]", '{"value": 3}'])
async def test_garbage_in_the_body_of_a_read_is_no_job(
    emulator: Emulator, graph: GraphGateway, garbage: str
) -> None:
    await fault(emulator, method="GET", path="*", times=1, status=200, body=garbage)

    with pytest.raises(FateUnknown):
        await graph.read_job(SALESFORCE, JOB)


async def test_no_connection_means_that_nothing_was_sent() -> None:
    gateway = GraphGateway("http://127.0.0.1:9", None)

    with pytest.raises(NotSent, match="no connection"):
        await restart(gateway)
    await gateway.close()


class Credential:
    """Gives a token, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[str] = []

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        del kwargs
        await asyncio.sleep(0)
        self.asked += scopes
        if self.failure is not None:
            raise self.failure
        return AccessToken("canary-token", 4_000_000_000)


async def test_with_a_credential_its_token_is_sent(emulator: Emulator) -> None:
    credential = Credential()
    gateway = GraphGateway(emulator.url, credential)

    await gateway.read_job(SALESFORCE, JOB)

    assert set(credential.asked) == {f"{emulator.url}/.default"}
    assert emulator.requests[0].authorization
    await gateway.close()


async def test_what_may_not_begin_any_more_is_not_sent(
    emulator: Emulator, graph: GraphGateway
) -> None:
    with pytest.raises(NotSent, match="too late to begin"):
        await graph.restart(
            SALESFORCE, JOB, Scope.FULL, client_request_id="c", may_begin=lambda: False
        )

    assert emulator.requests == []


async def test_without_a_token_nothing_is_sent(emulator: Emulator) -> None:
    gateway = GraphGateway(emulator.url, Credential(RuntimeError("no identity here")))

    with pytest.raises(NotSent, match="no token for Microsoft Graph"):
        await restart(gateway)
    with pytest.raises(NotSent):
        await gateway.fetch_token()

    assert emulator.requests == []
    await gateway.close()


async def test_a_value_unknown_to_the_sdk_is_never_taken_for_healthy(
    emulator: Emulator, graph: GraphGateway
) -> None:
    state = emulator.state()
    state.service_principals[0].jobs[0].unknown_code = "Hibernating"

    assert (await graph.read_job(SALESFORCE, JOB)).code == ""


async def test_the_audit_log_shows_our_restart_and_no_other_applications(
    emulator: Emulator, graph: GraphGateway
) -> None:
    await restart(graph)
    async with httpx.AsyncClient() as client:
        await client.post(f"{emulator.url}/_emulator/clock", json={"advance": 600})

    ours = await graph.audit_trail(SALESFORCE, since=START - timedelta(minutes=2))
    others = await graph.audit_trail(AWS, since=START - timedelta(minutes=2))

    assert (ours.readable, len(ours.restarts)) == (True, 1)
    assert (others.readable, others.restarts) == (True, ())


async def test_an_audit_log_that_may_not_be_read_says_nothing(
    emulator: Emulator, graph: GraphGateway
) -> None:
    async with httpx.AsyncClient() as client:
        await client.put(f"{emulator.url}/_emulator/state", json={"auditReadable": False})

    trail = await graph.audit_trail(SALESFORCE, since=START)

    assert (trail.readable, trail.restarts) == (False, ())
