"""What the gateway makes of real and of odd answers of Graph, over a real socket."""

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from shared.adapters.graph.gateway import JOBS_PAGES, GraphGateway
from shared.domain.errors import (
    FateUnknown,
    GraphError,
    NotSent,
    RefusedForNow,
    Rejected,
    Throttled,
)
from shared.domain.reset import Scope
from shared.domain.sync_job import GraphStatus, RestartSeen, SyncJob
from tests.support.stub_graph import ODD, REAL, Asked, Reply, StubGraph, sample, stub_graph

SP = "11111111-2222-3333-4444-555555555555"
JOB = "job-1"
SINCE = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
OUR_ID = "aaaaaaaa-0000-4000-8000-000000000001"
OUR_APP = "aaaaaaaa-0000-4000-8000-000000000002"


@asynccontextmanager
async def graph_that_says(*replies: Reply) -> AsyncIterator[tuple[GraphGateway, StubGraph]]:
    """Each request gets the next reply, the last one for ever."""
    left = list(replies)

    def reply(_: Asked) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    async with stub_graph(reply) as stub:
        gateway = GraphGateway(stub.url, None)
        yield gateway, stub
        await gateway.close()


async def read(body: Any) -> SyncJob:
    async with graph_that_says(Reply(body=body)) as (graph, _):
        return await graph.read_job(SP, JOB)


def healthy() -> Any:
    return sample(ODD, "01-job")


async def restart(graph: GraphGateway) -> str:
    return await graph.restart(SP, JOB, Scope.FULL, client_request_id="c-1", may_begin=lambda: True)


# What is read of each sample

JOBS_READ = """
real 01 | Quarantine | Active | EncounteredQuarantineException | ? | never
real 02 | Paused | Disabled | - | ? | never
real 03 | Quarantine | Active | EncounteredQuarantineException | ? | never
real 05 | Active | Active | - | 36 | 2019-11-20
real 07 | NotRun | Active | - | ? | never
real 11 | Paused | Disabled | | ? | never
odd  01 | Active | Active | - | 50 | 2026-11-24
odd  15-job-before | Quarantine | Active | EncounteredEscrowProportionThreshold | 50 | 2026-11-24
odd  15-job-after | Quarantine | Active | EncounteredEscrowProportionThreshold | ? | never
odd  17 | Active | Active | - | 50 | 2026-11-24
odd  21 | Active | Active | - | 50 | 2026-11-24
odd  22 | Active | Active | - | ? | 2026-11-24
odd  23 | Quarantine | Active | TooManyDeletes, EncounteredBaseEscrowThreshold | 50 | 2026-11-24
odd  25 | Quarantine | Active | EncounteredQuarantineException | 50 | 2026-11-24
odd  26 | Quarantine | Active | EncounteredEscrowProportionThreshold | 50 | never
odd  32 | Paused | Disabled | - | 50 | 2026-11-24
"""
"""Sample, code, schedule, reason of the quarantine (- for none), size, last steady state."""


@pytest.mark.parametrize("line", JOBS_READ.strip().splitlines())
async def test_every_sample_of_a_job_is_read(line: str) -> None:
    name, *shown = (cell.strip() for cell in line.split("|"))
    folder, name = name.split()

    job = await read(sample({"real": REAL, "odd": ODD}[folder], name))

    steady = f"{job.steady_state_last:%Y-%m-%d}" if job.steady_state_last else "never"
    assert job.knows("steady_state_last")
    assert [
        job.code,
        job.schedule_state,
        job.quarantine.reason if job.quarantine else "-",
        str(job.size or "?"),
        steady,
    ] == shown


async def test_what_a_cycle_left_undone_is_read_under_any_word() -> None:
    job = await read(sample(REAL, "05"))

    assert (job.last_execution.state, job.last_execution.escrowed) == ("Succeeded", 15)


async def test_the_longest_interval_and_offsets_are_read() -> None:
    (listed,) = sample(REAL, "09")["value"]
    job = await read(listed)
    status = sample(REAL, "37")
    odd = await read(healthy() | {"status": status})

    assert job.interval == timedelta(days=10675199, hours=2, minutes=48, seconds=5.4775807)
    assert odd.quarantine is not None
    assert (odd.quarantine.reason, odd.completed_units, odd.total_units) == ("String", 14, 10)
    assert odd.steady_state_last == datetime(2016, 12, 31, 20, 58, 46, 54653, tzinfo=UTC)
    assert (odd.size, odd.code) == (5, "")


@pytest.mark.parametrize("name", ["16", "18", "19", "36", "37"])
async def test_an_answer_to_another_question_is_not_a_job(name: str) -> None:
    async with graph_that_says(Reply(body=sample(REAL, name))) as (graph, _):
        for job_id in (JOB, ""):
            with pytest.raises(GraphError):
                await graph.read_job(SP, job_id)


# One member that cannot be read


def with_member(path: str, value: Any) -> Any:
    """The healthy job with one member replaced; ... takes it away."""
    job = json.loads(json.dumps(healthy()))
    *parents, last = path.split(".")
    at = job
    for name in parents:
        at = at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return job


NO_DATES = ["7/19/2017 12:35:27 PM", "9999-12-31T23:59:59-08:00", "", None, 7, ["x"], ..., "24:00"]


@pytest.mark.parametrize("value", NO_DATES, ids=str)
@pytest.mark.parametrize("member", ["steadyStateLastAchievedTime", "steadyStateFirstAchievedTime"])
async def test_a_date_that_cannot_be_read_is_unknown_and_spoils_nothing(
    member: str, value: Any
) -> None:
    job = await read(with_member(f"status.{member}", value))

    field_name = {"L": "steady_state_last", "F": "steady_state_first"}[member[11]]
    assert getattr(job, field_name) is None
    assert job.unknown == (field_name,)
    assert (job.code, job.size) == ("Active", 50)


async def test_the_year_one_is_never_and_not_unknown() -> None:
    job = await read(with_member("status.steadyStateLastAchievedTime", "0001-01-01T00:00:00Z"))

    assert (job.steady_state_last, job.unknown) == (None, ())


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([{"key": "User to User", "value": "120000"}], id="text"),
        pytest.param([{"key": "User to User", "value": 120000.0}], id="point"),
        pytest.param([{"key": "User to User", "value": None}], id="null"),
        pytest.param([{"key": "User to User"}], id="missing"),
        pytest.param([{"key": "User to User", "value": True}], id="true"),
        pytest.param([{"key": "User to User", "value": -1}], id="negative"),
        pytest.param([{"value": 5}], id="key-missing"),
        pytest.param([{"key": "a", "value": 7}, {"key": "b", "value": "120000"}], id="one-of-two"),
        pytest.param(["x"], id="a-text"),
        pytest.param({"User to User": 5}, id="an-object"),
        pytest.param(None, id="none"),
        pytest.param(..., id="absent"),
        pytest.param([], id="empty"),
    ],
)
async def test_a_count_that_is_not_a_whole_number_leaves_the_size_unknown(counts: Any) -> None:
    job = await read(with_member("status.synchronizedEntryCountByType", counts))

    assert job.size is None


async def test_a_key_that_comes_twice_is_summed() -> None:
    twice = [{"key": "User to User", "value": 600}] * 2

    assert (await read(with_member("status.synchronizedEntryCountByType", twice))).size == 1200


@pytest.mark.parametrize(
    ("interval", "read_as"),
    [
        ("PT2M", timedelta(minutes=2)),
        ("P1DT1H", timedelta(days=1, hours=1)),
        ("1.00:40:00", None),
        ("-PT15M", None),
        ("PT", None),
        ("P", None),
        (40, None),
        (None, None),
    ],
)
async def test_an_interval_is_read_or_unknown(interval: Any, read_as: timedelta | None) -> None:
    assert (await read(with_member("schedule.interval", interval))).interval == read_as


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("QuarantineOnDemand", "QuarantineOnDemand"),
        ("TOOMANYDELETES", "TOOMANYDELETES"),
        ("TooManyDeletes, EncounteredBaseEscrowThreshold",) * 2,
        (["TooManyDeletes", "Unknown"], "TooManyDeletes, Unknown"),
        (32, "32"),
        ("line\nbreak  and blanks ", "line break and blanks"),
        (None, ""),
        ({}, ""),
        (True, ""),
    ],
)
async def test_a_reason_is_kept_as_graph_wrote_it(reason: Any, shown: str) -> None:
    job = await read(with_member("status.quarantine", {"reason": reason}))

    assert job.quarantine is not None
    assert job.quarantine.reason == shown


@pytest.mark.parametrize("value", ["yes", [], 3, False, {}])
async def test_a_quarantine_of_another_kind_is_one_of_an_unknown_reason(value: Any) -> None:
    job = await read(with_member("status.quarantine", value))

    assert job.quarantine is not None
    assert job.quarantine.reason == ""


async def test_a_quarantine_that_is_missing_is_unknown() -> None:
    job = await read(with_member("status.quarantine", ...))

    assert (job.quarantine, job.unknown) == (None, ("quarantine",))


@pytest.mark.parametrize(
    ("word", "read_as"), [("ACTIVE", "Active"), ("Asleep", "Asleep"), (2, "2")]
)
async def test_a_code_is_known_in_any_case_and_else_kept(word: Any, read_as: str) -> None:
    assert (await read(with_member("status.code", word))).code == read_as


async def test_unknown_members_and_annotations_are_passed_over() -> None:
    odd = {
        "x": "PT",
        "y": "19-2026",
        "z": ["now", {"a": ""}],
        "@odata.type": "#microsoft.graph.job",
    }
    job = healthy() | odd
    job["status"] = job["status"] | odd
    job["schedule"] = job["schedule"] | odd

    left, right = await read(job), await read(healthy())

    assert replace(left, read_at=right.read_at) == right


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>", b"[]", b"3", b"null", b"\xff", b"[" * 100_000, b'{"value": 3}'],
    ids=lambda body: str(body[:8]),
)
@pytest.mark.parametrize("job_id", [JOB, ""])
async def test_a_body_that_is_no_answer_is_one_of_the_gateways_own_errors(
    body: bytes, job_id: str
) -> None:
    async with graph_that_says(Reply(body=body)) as (graph, _):
        with pytest.raises(FateUnknown):
            await graph.read_job(SP, job_id)
        with pytest.raises(FateUnknown):
            await graph.stale_links(SP, JOB, since=SINCE)
        with pytest.raises(FateUnknown):
            await graph.audit_trail(SP, since=SINCE)


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 24 Nov 2026 09:00:00 -0000", "99999"])
async def test_an_answer_without_graphs_clock_says_nothing(date: str) -> None:
    async with graph_that_says(Reply(body=healthy(), headers={"Date": date})) as (graph, _):
        with pytest.raises(FateUnknown, match="no Date header"):
            await graph.read_job(SP, JOB)


# Lists


def paged(stub_url: str, *, second: Reply) -> Callable[[Asked], Reply]:
    first = json.loads(json.dumps(sample(ODD, "E2-jobs-page-1")).replace("STUB", stub_url))

    def reply(asked: Asked) -> Reply:
        return second if "skiptoken" in asked.path else Reply(body=first)

    return reply


@asynccontextmanager
async def two_pages(second: Reply) -> AsyncIterator[GraphGateway]:
    async with stub_graph(lambda _: Reply()) as stub:
        stub.reply = paged(stub.url, second=second)
        gateway = GraphGateway(stub.url, None)
        yield gateway
        await gateway.close()


async def test_two_jobs_on_two_pages_are_two() -> None:
    async with two_pages(Reply(body=sample(ODD, "E2-jobs-page-2"))) as graph:
        with pytest.raises(Rejected, match=r"has 2 provisioning jobs.*a\.1, b\.2"):
            await graph.read_job(SP, "")


async def test_an_empty_second_page_leaves_the_only_job() -> None:
    async with two_pages(Reply(body={"value": []})) as graph:
        assert (await graph.read_job(SP, "")).id == "a.1"


@pytest.mark.parametrize("status", [404, 500, 429])
async def test_a_list_of_jobs_that_breaks_off_names_no_only_one(status: int) -> None:
    async with two_pages(Reply(status=status)) as graph:
        with pytest.raises(FateUnknown, match=rf"broke off: page 2: .*{status}"):
            await graph.read_job(SP, "")


async def test_a_list_without_end_is_left_at_a_bound() -> None:
    async with stub_graph(lambda _: Reply()) as stub:
        endless = {"value": [], "@odata.nextLink": f"{stub.url}/v1.0/more"}
        stub.reply = lambda _: Reply(body=endless)
        graph = GraphGateway(stub.url, None)
        with pytest.raises(FateUnknown, match=f"only the first {JOBS_PAGES} pages"):
            await graph.read_job(SP, "")
        await graph.close()

    assert len(stub.asked) == JOBS_PAGES


async def test_a_next_page_elsewhere_is_never_asked_for() -> None:
    elsewhere = {"value": [], "@odata.nextLink": "https://elsewhere.example/v1.0/more"}
    async with graph_that_says(Reply(body=elsewhere)) as (graph, stub):
        with pytest.raises(FateUnknown, match="somewhere else"):
            await graph.read_job(SP, "")

    assert len(stub.asked) == 1


async def test_a_list_without_its_value_is_not_an_empty_one() -> None:
    async with graph_that_says(Reply(body=sample(REAL, "16"))) as (graph, _):
        with pytest.raises(FateUnknown, match="not a list"):
            await graph.read_job(SP, "")


async def test_an_empty_list_of_jobs_says_that_there_is_none() -> None:
    async with graph_that_says(Reply(body={"value": []})) as (graph, _):
        with pytest.raises(Rejected, match="has no provisioning job") as caught:
            await graph.read_job(SP, "")

    assert caught.value.status == 404


# Status and code


def refusal(name: str, status: int, **headers: str) -> Reply:
    return Reply(status=status, body=sample(REAL, name), headers=headers)


TOKEN_MESSAGES = [
    "Access token has expired or is not yet valid",
    "Access token is empty.",
    "CompactToken parsing failed with error code: 80049217",
    "Access token validation failure. Invalid audience.",
]


@pytest.mark.parametrize("message", TOKEN_MESSAGES)
@pytest.mark.parametrize("code", ["InvalidAuthenticationToken", "UnknownError"])
async def test_a_bad_token_is_told_as_one(message: str, code: str) -> None:
    if code == "UnknownError" and message.startswith("Access token"):
        message = message.replace("Access token", "Lifetime validation failed, the Token")
    body = {"error": {"code": code, "message": message}}
    async with graph_that_says(Reply(status=401, body=body)) as (graph, _):
        with pytest.raises(RefusedForNow, match=r"clock.*GRAPH_ENDPOINT.*audience") as caught:
            await graph.read_job(SP, JOB)

    assert "needs" not in caught.value.reason


async def test_an_unknown_401_names_the_permission_and_the_id() -> None:
    async with graph_that_says(refusal("22", 401)) as (graph, _):
        with pytest.raises(
            RefusedForNow, match=r"Synchronization\.ReadWrite\.All.*after a day.*object id"
        ):
            await graph.read_job(SP, JOB)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("30", 409, r"409 Directory_ConcurrencyViolation: .*wait briefly.*may pass"),
        ("33", 403, r"403 Authorization_RequestDenied: .*needs .*may pass"),
        ("22", 401, r"401 UnknownError; .*may pass"),
        ("30", 423, r"423 .*may pass"),
    ],
)
async def test_what_may_pass_had_no_effect(name: str, status: int, words: str) -> None:
    async with graph_that_says(refusal(name, status)) as (graph, stub):
        with pytest.raises(RefusedForNow, match=words):
            await graph.read_job(SP, JOB)
        with pytest.raises(NotSent, match=words):
            await restart(graph)

    assert len(stub.posts()) == 1


@pytest.mark.parametrize("read_what", ["job", "jobs", "restart"])
async def test_nothing_of_an_inner_service_is_told(read_what: str) -> None:
    async with graph_that_says(refusal("24", 404)) as (graph, _):
        calls: dict[str, Coroutine[Any, Any, object]] = {
            "job": graph.read_job(SP, JOB),
            "jobs": graph.read_job(SP, ""),
            "restart": restart(graph),
        }
        called = calls.pop(read_what)
        for other in calls.values():
            other.close()
        with pytest.raises(
            Rejected, match=r"^Microsoft Graph answered 404 UnknownError; "
        ) as caught:
            await called

    assert "take some minutes" in caught.value.reason
    assert not any(sign in caught.value.reason for sign in ("{", "windowsazure", "http"))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Failed: {'a': 1}", "Failed"),
        ('Not now. [{"x": "y"}] later', "Not now."),
        ("See https://syncfabric.windowsazure.com/api/x?y=z, please", "See (an address), please"),
        ("Host adhs.core.windows.net is down", "Host (an address) is down"),
        ("Two\nlines", "Two lines"),
        ("{}", ""),
        ("404 Not Found from /scim/v2/Groups", "404 Not Found from /scim/v2/Groups"),
    ],
)
async def test_words_are_cut_where_json_begins(message: str, told: str) -> None:
    body = {"error": {"code": "BadRequest", "message": message}}
    async with graph_that_says(Reply(status=400, body=body)) as (graph, _):
        with pytest.raises(Rejected) as caught:
            await graph.read_job(SP, JOB)

    assert caught.value.reason == ": ".join(
        filter(None, ("Microsoft Graph answered 400 BadRequest", told))
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2.128", 3),
        ("10.0", 10),
        ("0.2", 1),
        ("600.5", 601),
        (" 10 ", 10),
        ("0", 0),
        ("9" * 400, 86_400),
        ("Tue, 24 Nov 2026 09:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 08:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_in_every_way_that_it_is_written(
    value: str, seconds: int | None
) -> None:
    date = format_datetime(datetime(2026, 11, 24, 9, 0, tzinfo=UTC), usegmt=True)
    headers = {"Retry-After": value, "Date": date}
    async with graph_that_says(refusal("26", 429, **headers)) as (graph, _):
        with pytest.raises(Throttled) as caught:
            await graph.read_job(SP, JOB)

    found = caught.value.retry_after
    assert (found.total_seconds() if found is not None else None) == seconds


@pytest.mark.parametrize("name", ["26", "27"])
async def test_throttled_names_no_permission(name: str) -> None:
    async with graph_that_says(refusal(name, 429)) as (graph, _):
        for call in (graph.read_job(SP, JOB), graph.audit_trail(SP, since=SINCE)):
            with pytest.raises(Throttled, match=r"429 \w+ \(throttled\)$"):
                await call


# The token


@dataclass
class Credential:
    """Gives one token after the other; `renewed` counts how often it forgot them."""

    claims: dict[str, str] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    renewed: int = 0

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        del scopes, kwargs
        payload = base64.urlsafe_b64encode(json.dumps(self.claims).encode()).decode().rstrip("=")
        token = f"h{self.renewed}.{payload}.s"
        self.given.append(token)
        return AccessToken(token, 4_000_000_000)

    async def renew(self) -> None:
        self.renewed += 1


async def test_a_token_that_a_read_refused_is_fetched_once_more() -> None:
    credential = Credential()

    def reply(asked: Asked) -> Reply:
        old = "Bearer h0" in asked.headers["authorization"]
        return refusal("32", 401) if old else Reply(body=healthy())

    async with stub_graph(reply) as stub:
        graph = GraphGateway(stub.url, credential)
        job = await graph.read_job(SP, JOB)
        await graph.close()

    assert (job.code, credential.renewed, len(stub.asked)) == ("Active", 1, 2)


async def test_a_token_that_is_refused_again_is_not_fetched_for_ever() -> None:
    credential = Credential()
    async with stub_graph(lambda _: refusal("32", 401)) as stub:
        graph = GraphGateway(stub.url, credential)
        with pytest.raises(RefusedForNow):
            await graph.read_job(SP, JOB)
        await graph.close()

    assert (credential.renewed, len(stub.asked)) == (1, 2)


async def test_at_the_post_no_other_token_is_tried_within_one_intent() -> None:
    credential = Credential()
    answers = itertools.chain([refusal("32", 401)], itertools.repeat(Reply(status=204)))
    async with stub_graph(lambda _: next(answers)) as stub:
        graph = GraphGateway(stub.url, credential)
        with pytest.raises(NotSent):
            await restart(graph)
        assert (credential.renewed, len(stub.asked)) == (0, 1)

        await restart(graph)
        await graph.close()

    assert (credential.renewed, len(stub.posts())) == (1, 2)


# The audit log


def audit_row(**changes: Any) -> Any:
    row = {
        "activityDisplayName": "Enable/restart provisioning configuration",
        "activityDateTime": "2026-11-24T09:01:00Z",
        "result": "success",
        "initiatedBy": {"user": None, "app": {"servicePrincipalId": OUR_ID, "appId": None}},
        "targetResources": [{"id": SP, "displayName": "Salesforce"}],
    } | changes
    return {name: value for name, value in row.items() if value is not ...}


async def trail_of(*rows: Any, claims: dict[str, str] | None = None) -> Any:
    credential = Credential(claims={"oid": OUR_ID, "appid": OUR_APP} if claims is None else claims)
    async with stub_graph(lambda _: Reply(body={"value": list(rows)})) as stub:
        graph = GraphGateway(stub.url, credential)
        found = await graph.audit_trail(SP, since=SINCE)
        await graph.close()
        return found


PERSON = {"user": {"userPrincipalName": "ann@contoso.com", "id": "u-1"}, "app": None}
AT = datetime(2026, 11, 24, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("initiator", "ours", "by"),
    [
        ({"app": {"servicePrincipalId": OUR_ID.upper()}}, True, OUR_ID.upper()),
        ({"app": {"appId": OUR_APP, "displayName": "Relink"}}, True, "Relink"),
        ({"user": {"id": OUR_ID, "userPrincipalName": "me@x"}}, True, "me@x"),
        (PERSON, False, "ann@contoso.com"),
        ({"app": {"servicePrincipalId": "other", "displayName": "A script"}}, False, "A script"),
        ({"app": {"servicePrincipalId": None, "appId": None, "displayName": "X"}}, False, "X"),
        ({"app": None, "user": None}, False, ""),
        (None, False, ""),
        (..., False, ""),
    ],
    ids=str,
)
async def test_a_restart_is_ours_only_where_its_initiator_says_so(
    initiator: Any, ours: bool, by: str
) -> None:
    found = await trail_of(audit_row(initiatedBy=initiator))

    assert found.restarts == (RestartSeen(at=AT, ours=ours, by=by),)


async def test_with_a_token_that_tells_no_identity_nothing_is_ours() -> None:
    (seen,) = (await trail_of(audit_row(), claims={})).restarts

    assert not seen.ours


async def test_the_sample_of_a_person_is_a_restart_by_somebody_else() -> None:
    (row,) = sample(ODD, "30-audit")["value"]
    found = await trail_of(row)

    assert found.restarts == (RestartSeen(at=AT, by="ann@contoso.com"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"targetResources": [{"id": None, "displayName": "Salesforce"}]},
        {"targetResources": [{"displayName": "Salesforce"}]},
        {"targetResources": []},
        {"targetResources": ...},
        {"targetResources": "x"},
        {"activityDateTime": "soon"},
        {"activityDateTime": ...},
        {"activityDisplayName": ...},
        {"result": "failure"},
    ],
    ids=str,
)
async def test_a_row_that_cannot_be_placed_makes_the_log_not_silent(changes: Any) -> None:
    found = await trail_of(audit_row(**changes))

    assert (found.restarts, found.unplaced, found.silent(since=SINCE)) == ((), 1, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"activityDisplayName": "Export"},
        {"targetResources": [{"id": "99999999-2222-3333-4444-555555555555"}]},
        {"activityDateTime": "2026-11-24T06:59:59Z"},
    ],
    ids=str,
)
async def test_other_activities_targets_and_times_are_no_restart_of_ours(changes: Any) -> None:
    found = await trail_of(audit_row(**changes))

    assert (found.restarts, found.silent(since=SINCE)) == ((), True)


async def test_the_sample_of_exports_shows_no_restart() -> None:
    found = await trail_of(*sample(REAL, "19")["value"])

    assert (found.restarts, found.silent(since=SINCE)) == ((), True)


@pytest.mark.parametrize(("name", "status"), [("29", 400), ("24", 404), ("33", 403)])
async def test_a_refused_log_is_told_in_graphs_words(name: str, status: int) -> None:
    told: list[tuple[GraphStatus, str]] = []
    async with stub_graph(lambda _: refusal(name, status)) as stub:
        graph = GraphGateway(stub.url, None, on_call=lambda how, _, why: told.append((how, why)))
        audit = await graph.audit_trail(SP, since=SINCE)
        links = await graph.stale_links(SP, JOB, since=SINCE)
        await graph.close()

    assert (audit.readable, audit.silent(since=SINCE), links.readable) == (False, False, False)
    for why, permission in ((audit.why, "AuditLog.Read"), (links.why, "ProvisioningLog.Read")):
        assert str(status) in why
        assert (permission in why) == (status == 403)
    assert [how for how, _ in told] == [
        GraphStatus.ANSWERED,
        GraphStatus.AUDIT_LOG_UNREADABLE,
        GraphStatus.ANSWERED,
        GraphStatus.PROVISIONING_LOG_UNREADABLE,
    ]


async def test_a_conflict_at_a_log_is_a_read_that_failed() -> None:
    async with graph_that_says(refusal("30", 409)) as (graph, _):
        with pytest.raises(NotSent):
            await graph.audit_trail(SP, since=SINCE)


async def test_a_log_whose_second_page_fails_is_not_silent() -> None:
    async with stub_graph(lambda _: Reply()) as stub:
        first = {"value": [], "@odata.nextLink": f"{stub.url}/v1.0/more"}
        replies = iter([Reply(body=first), refusal("29", 400)])
        stub.reply = lambda _: next(replies)
        graph = GraphGateway(stub.url, None)
        found = await graph.audit_trail(SP, since=SINCE)
        await graph.close()

    assert (found.readable, found.whole, found.silent(since=SINCE)) == (True, False, False)
    assert "page 2: Microsoft Graph answered 400: Token not found" in found.why


# Stale links


async def stale(rows: list[Any]) -> set[str]:
    async with graph_that_says(Reply(body={"value": rows})) as (graph, _):
        found = await graph.stale_links(SP, JOB, since=SINCE)
    return {link.user_id for link in found.links}


def log_row(user: str, hour: int, error: str | None, **changes: Any) -> Any:
    info = {"status": "failure" if error else "success", "errorInformation": {"errorCode": error}}
    return {
        "activityDateTime": f"2026-11-24T{hour:02}:00:00Z",
        "sourceIdentity": {"id": user, "identityType": "User"},
        "provisioningStatusInfo": info,
    } | changes


async def test_the_newest_row_of_a_user_counts_in_any_order() -> None:
    rows = [
        log_row("sick", 9, None),
        log_row("sick", 10, "InvalidAnchor"),
        log_row("healed", 9, "InvalidAnchor"),
        log_row("healed", 10, None),
    ]

    found = [await stale(list(order)) for order in itertools.permutations(rows)]

    assert found == [{"sick"}] * len(found)


async def test_of_a_tie_or_without_a_date_nothing_is_guessed() -> None:
    tie = [log_row("tie", 9, "InvalidAnchor"), log_row("tie", 9, None)]
    undated = log_row("undated", 9, None) | {"activityDateTime": None}
    later = [log_row("undated", 10, "InvalidAnchor"), undated]

    assert await stale(tie) == await stale(tie[::-1]) == set()
    assert await stale(later) == await stale(later[::-1]) == set()


@pytest.mark.parametrize(("name", "users"), [("11", set()), ("12", set()), ("13", {"u1", "u2"})])
async def test_the_odd_samples_of_the_log_are_read(name: str, users: set[str]) -> None:
    assert await stale(sample(ODD, name)["value"]) == users


async def test_the_real_samples_of_the_log_show_no_stale_link() -> None:
    rows = [sample(REAL, "12"), *sample(REAL, "13")["value"], *sample(REAL, "15")["value"]]

    assert await stale(rows) == set()


@pytest.mark.parametrize("kind", ["Group", "RolesCompound", "ServicePrincipal"])
async def test_only_users_have_stale_links(kind: str) -> None:
    of_other = log_row("g", 9, "InvalidAnchor", sourceIdentity={"id": "g", "identityType": kind})

    assert await stale([of_other]) == set()


@pytest.mark.parametrize(
    ("source", "user"),
    [
        ({"identityType": "User"}, True),
        ({"identityType": "user"}, True),
        ({"type": "User"}, True),
        ({"details": {"odatatype": "User"}}, True),
        ({"details": {"odatatype": "#microsoft.graph.user"}}, True),
        ({"details": {"odatatype": "Group"}}, False),
        ({"identityType": "Group", "details": {"odatatype": "User"}}, False),
        ({}, False),
        ({"identityType": None}, False),
        ({"identityType": 7, "details": ["User"]}, False),
    ],
)
async def test_a_row_counts_where_it_says_that_it_is_of_a_user(
    source: dict[str, Any], user: bool
) -> None:
    row = log_row("u", 9, "InvalidAnchor", sourceIdentity={"id": "u", **source})

    assert await stale([row]) == ({"u"} if user else set())


async def test_who_is_a_user_in_one_row_is_one_in_all() -> None:
    untold = {"sourceIdentity": {"id": "u"}}
    told = log_row("u", 9, "InvalidAnchor")

    assert await stale([told, log_row("u", 10, "InvalidAnchor", **untold)]) == {"u"}
    assert await stale([told, log_row("u", 10, None, **untold)]) == set()


async def test_the_flat_shape_of_beta_is_read() -> None:
    flat = log_row("u", 9, None, provisioningStatusInfo=...)
    flat = {name: value for name, value in flat.items() if value is not ...}
    flat["statusInfo"] = {"status": "failure", "errorCode": "invalidanchor"}

    assert await stale([flat]) == {"u"}
