"""What the app reads of users' links in real and in odd answers of Graph, over a real socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from shared.adapters.graph.gateway import GraphGateway
from shared.adapters.graph.link_evidence import GraphLinks
from shared.domain.errors import FateUnknown, GraphError, Throttled
from shared.domain.links import EntriesRead
from shared.domain.sync_job import GraphStatus
from tests.support.stub_graph import REAL, Asked, Reply, StubGraph, sample, stub_graph

SP = "11111111-2222-3333-4444-555555555555"
JOB = "salesforce.b7c2f0a4.3ab45132"
USER = "cea097b7-2680-50c3-84bf-94c9323d3363"
SINCE = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@asynccontextmanager
async def links_that_say(
    *replies: Reply, told: list[GraphStatus] | None = None
) -> AsyncIterator[tuple[GraphLinks, StubGraph]]:
    """Each request gets the next reply, the last one for ever."""
    left = list(replies)

    def reply(_: Asked) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    heard = told if told is not None else []
    async with stub_graph(reply) as stub:
        gateway = GraphGateway(stub.url, None, on_call=lambda status, _, __: heard.append(status))
        yield gateway.links(), stub
        await gateway.close()


def refusal(name: str, status: int) -> Reply:
    return Reply(status=status, body=sample(REAL, name))


def person(**members: Any) -> Reply:
    return Reply(body={"id": USER, **members})


# Users


@pytest.mark.parametrize(
    "upn",
    [
        "adele.vance@contoso.com",
        "miles.o'brien@contoso.com",
        "100%.sure@contoso.com",
        "a%2Fb@contoso.com",
        "jörg.müller@contoso.com",
        "渡辺@contoso.com",
        "adele_fabrikam.com#EXT#@contoso.onmicrosoft.com",
        "$adele@contoso.com",
        "a/b?c@contoso.com",
        "a b@contoso.com",
    ],
)
async def test_a_user_is_asked_for_by_the_very_name_that_was_given(upn: str) -> None:
    async with links_that_say(person(userPrincipalName=upn)) as (links, stub):
        found = await links.find_user(upn, ["userPrincipalName"])

    path = urlsplit(stub.asked[0].path)
    assert unquote(path.path.removeprefix("/v1.0/users/")) == upn
    assert "/" not in path.path.removeprefix("/v1.0/users/")
    assert (found.object_id, found.attributes) == (USER, {"userPrincipalName": upn})


async def test_only_what_a_user_has_in_graph_is_selected_whatever_a_mapping_calls_it() -> None:
    body = {
        "businessPhones": ["+1 425", "+1 426"],
        "mail": None,
        "onPremisesExtensionAttributes": {"extensionAttribute3": "E-3", "extensionAttribute4": 4},
    }
    sources = ["telephoneNumber", "MAIL", "extensionAttribute3", "objectId", "Replace([mail])"]
    async with links_that_say(person(**body)) as (links, stub):
        found = await links.find_user(USER, sources)

    (selected,) = parse_qs(urlsplit(stub.asked[0].path).query)["$select"]
    assert set(selected.split(",")) == {
        "id",
        "businessPhones",
        "mail",
        "onPremisesExtensionAttributes",
    }
    assert found.attributes == {
        "telephoneNumber": "+1 425",
        "MAIL": "",
        "extensionAttribute3": "E-3",
        "objectId": USER,
    }


@pytest.mark.parametrize(
    ("reply", "words", "told"),
    [
        (refusal("33", 403), "grant User.Read.All", GraphStatus.USERS_UNREADABLE),
        (refusal("22", 401), "grant User.Read.All", GraphStatus.USERS_UNREADABLE),
        (refusal("24", 404), "no user of this object id", GraphStatus.USERS_READ),
        (Reply(status=400, body={"error": {"code": "Request_BadRequest"}}), "400", None),
    ],
)
async def test_a_user_who_cannot_be_read_is_an_answer_with_its_reason(
    reply: Reply, words: str, told: GraphStatus | None
) -> None:
    heard: list[GraphStatus] = []
    async with links_that_say(reply, told=heard) as (links, _):
        found = await links.find_user("someone@fabrikam.com", [])

    assert found.object_id == ""
    assert words in found.problem
    assert heard == ([told] if told else [])


@pytest.mark.parametrize(
    "reply",
    [
        refusal("26", 429),
        refusal("32", 401),
        Reply(status=500),
        Reply(status=503),
        Reply(body=b"<html>"),
        Reply(body=b"[" * 100_000),
    ],
)
async def test_what_may_pass_by_itself_is_raised_and_asked_again(reply: Reply) -> None:
    async with links_that_say(reply) as (links, _):
        for call in (
            links.find_user("adele@contoso.com", []),
            links.mappings(SP, JOB),
            links.provisioning_page(JOB, since=SINCE),
            links.object_connection(SP, JOB, USER),
            links.provision_on_demand(SP, JOB, rule_id="r", user_id=USER),
        ):
            with pytest.raises(GraphError):
                await call


# The log


def row(**members: Any) -> dict[str, Any]:
    source = {"id": USER, "identityType": "User"}
    return {
        "activityDateTime": "2026-11-24T09:00:00Z",
        "jobId": JOB,
        "sourceIdentity": source,
        "targetIdentity": {"id": "0051NEW"},
        **members,
    }


def page(*rows: Any, **more: Any) -> Reply:
    return Reply(body={"value": list(rows), **more})


async def test_a_page_is_asked_for_by_job_time_and_user() -> None:
    async with links_that_say(page(row())) as (links, stub):
        found = await links.provisioning_page("o'job", since=SINCE, user_id=USER)

    query = parse_qs(urlsplit(stub.asked[0].path).query)
    assert query["$filter"] == [
        (
            "jobId eq 'o''job' and activityDateTime gt 2026-11-24T07:00:00Z "
            f"and sourceIdentity/id eq '{USER}'"
        )
    ]
    assert found.entries == ()  # of another job


async def test_rows_of_another_job_are_not_this_users_link_here() -> None:
    rows = (row(), row(jobId=JOB.upper()), row(jobId=None), row(jobId="other"))
    async with links_that_say(page(*rows, "no row", None)) as (links, _):
        found = await links.provisioning_page(JOB, since=SINCE)

    assert [entry.job_id for entry in found.entries] == [JOB, JOB.upper(), ""]


async def test_a_filter_that_graph_does_not_combine_is_tried_once_for_each_process() -> None:
    bad = refusal("29", 400)
    async with links_that_say(bad, page(row())) as (links, stub):
        first = await links.provisioning_page(JOB, since=SINCE, user_id=USER)
        second = await links.provisioning_page(JOB, since=SINCE, user_id=USER)

    filters = [parse_qs(urlsplit(asked.path).query)["$filter"][0] for asked in stub.asked]
    assert [USER in each for each in filters] == [True, False, False]
    assert len(first.entries) == len(second.entries) == 1


async def test_a_next_page_that_has_expired_says_so_and_one_elsewhere_is_not_followed() -> None:
    async with links_that_say(refusal("29", 400)) as (links, stub):
        link = f"{stub.url}/v1.0/auditLogs/provisioning?$skiptoken=x"
        assert await links.provisioning_page(JOB, since=SINCE, link=link) == EntriesRead(
            expired=True
        )
        with pytest.raises(FateUnknown):
            await links.provisioning_page(JOB, since=SINCE, link="https://evil.example/x")


@pytest.mark.parametrize("name", ["26", "27"])
async def test_a_429_of_the_log_carries_graphs_time(name: str) -> None:
    throttled = Reply(status=429, body=sample(REAL, name), headers={"Retry-After": "17"})
    async with links_that_say(throttled) as (links, _):
        with pytest.raises(Throttled) as raised:
            await links.provisioning_page(JOB, since=SINCE)

    assert raised.value.retry_after == timedelta(seconds=17)


async def test_without_the_permission_the_page_says_how_to_grant_it() -> None:
    heard: list[GraphStatus] = []
    async with links_that_say(refusal("33", 403), page(), told=heard) as (links, _):
        refused = await links.provisioning_page(JOB, since=SINCE)
        await links.provisioning_page(JOB, since=SINCE)

    assert "grant ProvisioningLog.Read.All" in refused.problem
    assert "readProvisioningLogs" in refused.problem
    assert heard == [GraphStatus.PROVISIONING_LOG_UNREADABLE, GraphStatus.PROVISIONING_LOG_READ]


# Schema, object connections, on demand


async def test_a_schema_behind_a_byte_order_mark_is_read_and_kept_as_it_came() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"synchronizationRules": []}).encode()
    async with links_that_say(Reply(body=body)) as (links, _):
        found = await links.mappings(SP, JOB)

    assert (found.schema, found.matching, found.problem) == (body, (), "")


async def test_an_object_connection_is_asked_for_in_beta_and_may_not_be_there() -> None:
    body = {"objectId": USER, "sourceAnchor": USER, "targetAnchor": 701984}
    async with links_that_say(Reply(body=body), refusal("24", 404)) as (links, stub):
        found = await links.object_connection(SP, JOB, USER)
        gone = await links.object_connection(SP, JOB, USER)

    assert stub.asked[0].path.startswith("/beta/servicePrincipals/")
    assert unquote(stub.asked[0].path).endswith(f"/objectConnections('{USER}')")
    assert found.link is not None
    assert found.link.target_id == "701984"
    assert (gone.link, "no object connection" in gone.problem) == (None, True)


@pytest.mark.parametrize("name", ["16", "18"])
async def test_provision_on_demand_sends_the_documented_body_and_reads_both_shapes(
    name: str,
) -> None:
    async with links_that_say(Reply(body=sample(REAL, name))) as (links, stub):
        found = await links.provision_on_demand(SP, JOB, rule_id="rule-1", user_id=USER)

    assert json.loads(stub.asked[0].body) == {
        "parameters": [
            {
                "ruleId": "rule-1",
                "subjects": [{"objectId": USER, "objectTypeName": "User"}],
            }
        ]
    }
    assert len(found.entries) == 1


@pytest.mark.parametrize("value", ["{", '{"a":', "<html>"])
async def test_a_result_that_is_not_json_within_json_is_asked_for_again(value: str) -> None:
    async with links_that_say(Reply(body={"key": "k", "value": value})) as (links, _):
        with pytest.raises(FateUnknown):
            await links.provision_on_demand(SP, JOB, rule_id="rule-1", user_id=USER)
