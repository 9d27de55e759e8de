"""The Graph gateway: real msgraph-sdk, real HTTP, the emulator on the other side."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from local.emulator import Clock, Emulator, serve
from local.emulator.values import Event, JobError
from local.http_client import http_client
from shared.adapters.graph.gateway import LOG_PAGES, GraphGateway
from shared.domain.errors import (
    FateUnknown,
    GraphError,
    NotSent,
    RefusedForNow,
    Rejected,
    Throttled,
)
from shared.domain.reset import ON_THE_WIRE, Scope
from shared.domain.sync_job import StaleLink

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SALESFORCE = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
AWS = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"
JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
YESTERDAY = START - timedelta(days=1)
NO_JOBS = "00000000-1111-4222-8333-444444444444"
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
    async with http_client() as client:
        answer = await client.post(f"{emulator.url}/_emulator/faults", json=what)
    assert answer.ok, answer.text


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
    assert job.steady_state_first is not None
    assert job.steady_state_first < job.steady_state_last
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


@pytest.mark.parametrize("scope", ON_THE_WIRE)
async def test_what_a_dry_run_says_would_be_sent_is_what_is_sent(
    emulator: Emulator, graph: GraphGateway, scope: Scope
) -> None:
    await restart(graph, scope)

    (sent,) = emulator.requests
    assert json.loads(ON_THE_WIRE[scope]) == sent.body


async def test_a_restart_takes_the_first_steady_state_away(graph: GraphGateway) -> None:
    before = await graph.read_job(SALESFORCE, JOB)
    await restart(graph)
    after = await graph.read_job(SALESFORCE, JOB)

    assert before.steady_state_first is not None
    assert (after.code, after.steady_state_first) == ("NotRun", None)


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
        pytest.param({"status": 401}, RefusedForNow, None, id="401"),
        pytest.param({"status": 403}, RefusedForNow, None, id="403"),
        pytest.param({"status": 409}, RefusedForNow, None, id="409"),
        pytest.param({"status": 423, "retryAfter": 9}, RefusedForNow, 9, id="423"),
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

    assert isinstance(caught.value, raised)
    assert caught.value.retry_after == (retry_after and timedelta(seconds=retry_after))
    assert len(emulator.requests) == 1


async def test_a_missing_permission_is_named_although_graph_does_not(
    emulator: Emulator, graph: GraphGateway
) -> None:
    async with http_client() as client:
        await client.put(f"{emulator.url}/_emulator/state", json={"permission": "missing"})

    with pytest.raises(RefusedForNow, match=r"401 UnknownError.*Synchronization\.ReadWrite\.All"):
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


async def test_a_word_that_is_not_known_stands_as_graph_wrote_it(
    emulator: Emulator, graph: GraphGateway
) -> None:
    state = emulator.state()
    state.service_principals[0].jobs[0].unknown_code = "Hibernating"

    assert (await graph.read_job(SALESFORCE, JOB)).code == "Hibernating"


async def test_a_quarantine_tells_when_it_was_imposed_last_and_first(
    emulator: Emulator, graph: GraphGateway
) -> None:
    job = emulator.directory.state.service_principals[0].jobs[0]
    job.sign_in_fails = JobError(code="SalesforceInvalidCredentials", message="Wrong password.")
    emulator.clock.advance(8 * 3600)
    emulator.present()

    found = (await graph.read_job(SALESFORCE, JOB)).quarantine

    assert found is not None
    assert found.reason == "EncounteredQuarantineException"
    assert found.error == "SalesforceInvalidCredentials: Wrong password."
    assert found.began is not None
    assert found.series_began is not None
    assert found.began - found.series_began == timedelta(hours=6)


async def test_the_audit_log_shows_our_restart_and_no_other_applications(
    emulator: Emulator, graph: GraphGateway
) -> None:
    await restart(graph)
    async with http_client() as client:
        await client.post(f"{emulator.url}/_emulator/clock", json={"advance": 600})

    ours = await graph.audit_trail(SALESFORCE, since=START - timedelta(minutes=2))
    others = await graph.audit_trail(AWS, since=START - timedelta(minutes=2))

    assert (ours.readable, [seen.ours for seen in ours.restarts]) == (True, [True])
    assert (others.readable, others.restarts) == (True, ())


async def test_an_audit_log_that_may_not_be_read_says_nothing(
    emulator: Emulator, graph: GraphGateway
) -> None:
    async with http_client() as client:
        await client.put(f"{emulator.url}/_emulator/state", json={"auditReadable": False})

    trail = await graph.audit_trail(SALESFORCE, since=START)

    assert (trail.readable, trail.restarts) == (False, ())


async def evaluate_everyone(emulator: Emulator, graph: GraphGateway, *, scope: Scope) -> None:
    """A restart, its whole initial cycle, and the time until its rows show."""
    await restart(graph, scope)
    emulator.clock.advance(3600)
    emulator.present()


def lose_accounts(emulator: Emulator, count: int) -> list[str]:
    """Delete the linked accounts of the first users of the Salesforce job; return those users."""
    sp = emulator.directory.state.service_principals[0]
    users = list(sp.jobs[0].links)[:count]
    gone = {sp.jobs[0].links[user] for user in users}
    sp.target_accounts[:] = [account for account in sp.target_accounts if account.id not in gone]
    return users


def log_rows(emulator: Emulator, user: str, count: int) -> None:
    detail = {"user": user, "target": "005", "error": "InvalidAnchor"}
    event = Event(START - timedelta(hours=1), "EntryEvaluated", SALESFORCE, JOB, detail)
    emulator.directory.state.events += [event] * count


async def test_stale_links_are_the_users_whose_accounts_are_gone(
    emulator: Emulator, graph: GraphGateway
) -> None:
    users = lose_accounts(emulator, 3)
    await evaluate_everyone(emulator, graph, scope=Scope.QUARANTINE)

    found = await graph.stale_links(SALESFORCE, JOB, since=START)

    assert (found.readable, found.whole) == (True, True)
    assert {link.user_id for link in found.links} == set(users)
    assert all(link.at > START for link in found.links)
    assert len(emulator.requests) == 2


async def test_links_that_a_full_restart_has_broken_are_stale_no_more(
    emulator: Emulator, graph: GraphGateway
) -> None:
    lose_accounts(emulator, 3)
    await evaluate_everyone(emulator, graph, scope=Scope.QUARANTINE)
    await evaluate_everyone(emulator, graph, scope=Scope.FULL)

    found = await graph.stale_links(SALESFORCE, JOB, since=START)

    assert (found.readable, found.links) == (True, ())


async def test_stale_links_of_before_and_of_other_jobs_do_not_count(
    emulator: Emulator, graph: GraphGateway
) -> None:
    lose_accounts(emulator, 1)
    await evaluate_everyone(emulator, graph, scope=Scope.QUARANTINE)
    later = emulator.directory.now
    (other,) = emulator.directory.state.service_principals[2].jobs

    assert (await graph.stale_links(SALESFORCE, JOB, since=later)).links == ()
    assert (await graph.stale_links(SALESFORCE, other.id, since=START)).links == ()


async def test_more_rows_than_a_few_pages_hold_are_said_not_to_be_all(
    emulator: Emulator, graph: GraphGateway
) -> None:
    (user,) = lose_accounts(emulator, 1)
    log_rows(emulator, user, LOG_PAGES)
    emulator.directory.state.largest_page = 1
    # After the cycle of the day before, whose rows are in the log as well.
    since = START - timedelta(hours=2)

    exactly = await graph.stale_links(SALESFORCE, JOB, since=since)
    log_rows(emulator, user, 1)
    # The log gives an app five requests in ten seconds.
    emulator.clock.advance(11)
    one_more = await graph.stale_links(SALESFORCE, JOB, since=since)

    assert (exactly.whole, one_more.whole) == (True, False)
    assert [link.user_id for link in one_more.links] == [user]
    assert len(emulator.requests) == 2 * LOG_PAGES


async def test_a_later_page_that_fails_leaves_what_was_read(
    emulator: Emulator, graph: GraphGateway
) -> None:
    (user,) = lose_accounts(emulator, 1)
    log_rows(emulator, user, 2)
    emulator.directory.state.largest_page = 1
    # The first that fits applies: a fault without effect stands for the page that succeeds.
    await fault(emulator, path="*/provisioning", times=1, delay=0.001)
    await fault(emulator, path="*/provisioning", times=1, status=429)

    found = await graph.stale_links(SALESFORCE, JOB, since=YESTERDAY)

    assert (found.readable, found.whole, len(found.links)) == (True, False, 1)


def user(user_id: str) -> dict[str, str]:
    return {"id": user_id, "identityType": "User"}


async def test_rows_without_date_user_or_error_are_passed_over(
    emulator: Emulator, graph: GraphGateway
) -> None:
    stale = {"errorInformation": {"errorCode": "InvalidAnchor"}}
    row = {
        "activityDateTime": "2026-11-24T09:00:00Z",
        "sourceIdentity": user("u1"),
        "provisioningStatusInfo": stale,
        "servicePrincipal": [],
    }
    rows = [
        row | {"activityDateTime": ""},
        row | {"sourceIdentity": None},
        row | {"sourceIdentity": user("u2"), "provisioningStatusInfo": None},
        row | {"sourceIdentity": user("u3"), "provisioningStatusInfo": {"status": "success"}},
        row | {"sourceIdentity": {"id": "g1", "identityType": "Group"}},
        row | {"sourceIdentity": {"id": "not-said"}},
        row,
    ]
    body = json.dumps({"value": rows})
    await fault(emulator, path="*/provisioning", times=1, status=200, body=body)

    found = await graph.stale_links(SALESFORCE, JOB, since=YESTERDAY)

    assert found.links == (StaleLink(user_id="u1", at=START),)


@pytest.mark.parametrize("status", [401, 403])
async def test_provisioning_logs_that_may_not_be_read_say_nothing(
    emulator: Emulator, graph: GraphGateway, status: int
) -> None:
    await fault(emulator, path="*/provisioning", times=1, status=status)

    found = await graph.stale_links(SALESFORCE, JOB, since=START)

    assert (found.readable, found.links) == (False, ())


@pytest.mark.parametrize(
    ("what", "raised"),
    [
        pytest.param({"status": 429, "retryAfter": 7}, NotSent, id="429"),
        pytest.param({"status": 503}, FateUnknown, id="503"),
        pytest.param({"drop": "before"}, FateUnknown, id="dropped"),
        pytest.param({"status": 200, "body": "<html>"}, FateUnknown, id="garbage"),
    ],
)
async def test_a_failed_read_of_the_provisioning_logs_is_raised(
    emulator: Emulator, graph: GraphGateway, what: dict[str, Any], raised: type[GraphError]
) -> None:
    await fault(emulator, path="*/provisioning", times=1, **what)

    with pytest.raises(raised):
        await graph.stale_links(SALESFORCE, JOB, since=START)


async def test_the_provisioning_logs_are_never_asked_without_a_job(graph: GraphGateway) -> None:
    with pytest.raises(ValueError, match="own id"):
        await graph.stale_links(SALESFORCE, "", since=START)
