"""One user's link: objectConnections (beta), provision on demand, and their limits."""

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from local.emulator import Emulator
from local.emulator.schema import rule_id
from local.emulator.values import State, ThrottleRules
from local.http_client import HttpClient, http_client
from shared.adapters.graph.provisioning import (
    read_connection,
    read_entry,
    read_matching,
    read_on_demand,
    read_user_rule,
)
from tests.emulator.emulator_support import JOB_PATH, START, Story, emulated, tenant

BETA = JOB_PATH.replace("/v1.0/", "/beta/")
ON_DEMAND = f"{JOB_PATH}/provisionOnDemand"
LOGS = ("/v1.0/auditLogs/provisioning", "/v1.0/auditLogs/directoryAudits")


def client(emulator: Emulator) -> AbstractAsyncContextManager[HttpClient]:
    return http_client(emulator.url)


def asked(emulator: Emulator, user: str, **changes: Any) -> dict[str, Any]:
    job = emulator.directory.state.service_principals[0].jobs[0]
    subject = {"objectId": user, "objectTypeName": "User"}
    return {"parameters": [{"ruleId": rule_id(job), "subjects": [subject]} | changes]}


@pytest.mark.parametrize("address", ["objectConnections('cid')", "objectConnections/cid"])
async def test_an_object_connection_shows_the_stored_link(address: str) -> None:
    async with emulated() as emulator, client(emulator) as http:
        answer = await http.get(f"{BETA}/{address}")

    assert answer.json()["targetAnchor"] == "005-cid-OLD"
    link = read_connection(answer.body)
    assert link is not None
    assert (link.source_id, link.target_id) == ("cid", "005-cid-OLD")


async def test_an_object_connection_is_found_by_the_targets_id_too() -> None:
    async with emulated() as emulator, client(emulator) as http:
        answer = (await http.get(f"{BETA}/objectConnections/005-bob")).json()

    assert (answer["objectId"], answer["sourceAnchor"]) == ("005-bob", "bob")


@pytest.mark.parametrize(
    ("change", "address", "status"),
    [
        ({}, "objectConnections/nobody", 404),
        ({}, "objectConnections", 400),
        ({"objectConnections": False}, "objectConnections/cid", 404),
    ],
)
async def test_object_connections_that_are_not_there(
    change: dict[str, Any], address: str, status: int
) -> None:
    async with emulated(tenant(**change)) as emulator, client(emulator) as http:
        answer = await http.get(f"{BETA}/{address}")

    assert answer.status == status


async def test_object_connections_need_a_permission_of_their_own() -> None:
    state = tenant()
    state.object_connections_readable = False
    async with emulated(state) as emulator, client(emulator) as http:
        answer = await http.get(f"{BETA}/objectConnections/cid")

    assert answer.status == 403


async def test_a_connection_is_deleted_only_in_a_paused_job_and_twice_without_an_error() -> None:
    async with emulated() as emulator, client(emulator) as http:
        running = await http.ask("DELETE", f"{BETA}/objectConnections/cid")
        await http.post(f"{JOB_PATH}/pause")
        deleted = [await http.ask("DELETE", f"{BETA}/objectConnections/cid") for _ in range(2)]
        gone = await http.get(f"{BETA}/objectConnections/cid")

    assert running.status == 409
    assert [answer.status for answer in deleted] == [204, 204]
    assert gone.status == 404


async def test_on_demand_keeps_to_the_stored_link() -> None:
    async with emulated() as emulator, client(emulator) as http:
        answer = await http.post(ON_DEMAND, json=asked(emulator, "cid"))
        links = emulator.directory.state.service_principals[0].jobs[0].links

    (entry,) = read_on_demand(answer.body)
    assert (entry.source_id, entry.target_id, entry.is_user) == ("cid", "005-cid-OLD", True)
    assert (entry.stored_target, entry.matched_target) == ("005-cid-OLD", "005-cid-NEW")
    assert links["cid"] == "005-cid-OLD"


@pytest.mark.parametrize("shape", ["resultInKey", "listInValue"])
async def test_on_demand_after_a_full_restart_matches_and_stores_the_new_link(shape: Any) -> None:
    state = tenant()
    state.on_demand_shape = shape
    async with emulated(state) as emulator, client(emulator) as http:
        await http.post(f"{JOB_PATH}/restart", json={"criteria": {"resetScope": "Full"}})
        answer = await http.post(ON_DEMAND, json=asked(emulator, "cid"))
        link = await http.get(f"{BETA}/objectConnections/cid")

    pair = answer.json()
    assert isinstance(json.loads(pair["value"]), dict if shape == "resultInKey" else list)
    (entry,) = read_on_demand(answer.body)
    assert (entry.target_id, entry.matched_target) == ("005-cid-NEW", "005-cid-NEW")
    assert link.json()["targetAnchor"] == "005-cid-NEW"


async def test_on_demand_answers_200_also_where_nothing_was_done() -> None:
    state = tenant(scope=["ann"])
    async with emulated(state) as emulator, client(emulator) as http:
        outside = await http.post(ON_DEMAND, json=asked(emulator, "cid"))
        nobody = await http.post(ON_DEMAND, json=asked(emulator, "nobody"))
        emulator.directory.state.users[0].fails = True
        fails = await http.post(ON_DEMAND, json=asked(emulator, "ann"))

    results = [json.loads(answer.json()["key"]) for answer in (outside, nobody, fails)]
    assert [result["result"] for result in results] == ["Skipped", "Skipped", "Failure"]
    assert [result["details"]["errorCode"] for result in results] == [
        "NotEffectivelyEntitled",
        "EntryNotFound",
        "InvalidProperty",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"ruleId": "another"},
        {"subjects": []},
        {"subjects": [{"objectId": "cid", "objectTypeName": "Group"}]},
        {"subjects": "cid"},
    ],
)
async def test_on_demand_refuses_what_it_does_not_know(change: dict[str, Any]) -> None:
    async with emulated() as emulator, client(emulator) as http:
        answer = await http.post(ON_DEMAND, json=asked(emulator, "cid", **change))

    assert answer.status == 400


def throttled() -> State:
    state = tenant()
    state.throttle = ThrottleRules()
    return state


async def test_both_logs_together_answer_five_requests_in_ten_seconds() -> None:
    async with emulated(throttled()) as emulator, client(emulator) as http:
        answers = [await http.get(LOGS[number % 2]) for number in range(6)]
        emulator.clock.advance(10)
        later = await http.get(LOGS[0])

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "10"
    assert answers[-1].json()["error"]["message"] == "Too Many Requests"
    assert later.status == 200


async def test_on_demand_has_a_limit_of_its_own() -> None:
    async with emulated(throttled()) as emulator, client(emulator) as http:
        for _ in range(5):
            await http.get(LOGS[0])
        answers = [await http.post(ON_DEMAND, json=asked(emulator, "cid")) for _ in range(6)]

    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert "Retry-After" in answers[-1].headers


async def test_the_schema_is_read_by_the_app() -> None:
    matching = [{"source": "employeeId", "target": "number"}, {"target": "userName"}]
    state = tenant(matching=matching)
    async with emulated(state) as emulator, client(emulator) as http:
        schema = (await http.get(f"{JOB_PATH}/schema")).body

    assert [(a.priority, a.source, a.target) for a in read_matching(schema)] == [
        (1, "employeeId", "number"),
        (2, "userPrincipalName", "userName"),
    ]
    assert read_user_rule(schema) == rule_id(state.service_principals[0].jobs[0])


async def test_a_job_with_a_history_tells_its_links_before_anything_happened() -> None:
    async with emulated(tenant(history=True)) as emulator, client(emulator) as http:
        query = {"$filter": "sourceIdentity/id eq 'cid'"}
        (row,) = (await http.get(LOGS[0], params=query)).json()["value"]

    entry = read_entry(row)
    assert entry is not None
    assert entry.at is not None
    assert entry.at < START
    assert (entry.stored_target, entry.matched_target) == ("005-cid-OLD", "005-cid-NEW")


def test_a_history_changes_no_link_and_is_written_once() -> None:
    story = Story(tenant(history=True))
    links = dict(story.job.links)
    again = Story(story.directory.state)

    assert links == {"ann": "005-ann", "bob": "005-bob", "cid": "005-cid-OLD"}
    assert len(again.happened("EntryEvaluated")) == 3
