"""Bytes on the wire: what is refused, faults, paging and the control API."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from local.emulator import Emulator
from local.emulator.values import ServicePrincipal
from local.http_client import HttpClient, http_client
from tests.emulator.emulator_support import APP, JOB, JOB_PATH, START, emulated, tenant

RESTART = f"{JOB_PATH}/restart"
FULL = {"criteria": {"resetScope": "Full"}}


def _client(emulator: Emulator) -> AbstractAsyncContextManager[HttpClient]:
    return http_client(emulator.url)


def _flags(emulator: Emulator) -> list[int]:
    events = emulator.directory.state.events
    return [int(event.detail["flags"]) for event in events if event.name == "JobRestarted"]


@pytest.mark.parametrize(
    ("body", "flags"),
    [
        pytest.param("{}", 14, id="nothing"),
        pytest.param('{"criteria":null}', 14, id="null"),
        pytest.param('{"criteria":{}}', 14, id="empty"),
        pytest.param('{"criteria":{"resetScope":"Full"}}', 15, id="full"),
        pytest.param(
            '{"criteria":{"resetScope":"Watermark, Escrows, QuarantineState"}}', 14, id="three"
        ),
        pytest.param('{"criteria":{"resetScope":"Full,ForceDeletes"}}', 47, id="force"),
        pytest.param('{"criteria":{"resetScope":"None"}}', 0, id="none"),
    ],
)
async def test_what_a_restart_clears(body: str, flags: int) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.post(RESTART, data=body)
        emulator.present()

    assert (answer.status, answer.body) == (204, b"")
    assert _flags(emulator) == [flags]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"criteria":[]}',
        '{"criterion":{}}',
        '{"criteria":{"scope":"Full"}}',
        '{"criteria":{"resetScope":15}}',
        '{"criteria":{"resetScope":["Full"]}}',
        '{"criteria":{"resetScope":"full"}}',
        '{"criteria":{"resetScope":"Everything"}}',
        '{"criteria":{"resetScope":""}}',
    ],
)
async def test_what_graph_would_not_understand_restarts_nothing(body: str) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.post(RESTART, data=body, headers={"client-request-id": "11111111-2222"})

    error = answer.json()["error"]
    assert answer.status == 400
    assert error["code"] == "BadRequest"
    assert error["innerError"]["client-request-id"] == "11111111-2222"
    assert error["innerError"]["date"] == "2026-11-02T08:00:00"
    assert _flags(emulator) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1.0/groups", 400, "BadRequest"),
        ("GET", "/elsewhere", 404, "ResourceNotFound"),
        ("DELETE", "/v1.0/servicePrincipals", 405, "BadRequest"),
        ("GET", "/v1.0/servicePrincipals/not-a-guid", 400, "Request_BadRequest"),
        ("GET", f"/v1.0/servicePrincipals/{JOB[-36:]}", 404, "Request_ResourceNotFound"),
        ("GET", "/v1.0/servicePrincipals?$filter=tags eq 'x'", 400, "Request_UnsupportedQuery"),
        ("GET", "/v1.0/servicePrincipals?$top=1000", 400, "Request_BadRequest"),
        ("GET", "/v1.0/servicePrincipals?$select=nothing", 400, "BadRequest"),
    ],
)
async def test_what_graph_refuses(method: str, path: str, status: int, code: str) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.ask(method, path)

    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


async def test_answers_carry_graphs_headers() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.get(JOB_PATH, headers={"client-request-id": "mine"})

    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert answer.headers["client-request-id"] == "mine"
    assert len(answer.headers["request-id"]) == 36
    assert answer.headers["Date"] == "Mon, 02 Nov 2026 08:00:00 GMT"


async def test_service_principals_come_in_pages() -> None:
    state = tenant()
    state.service_principals.extend(
        ServicePrincipal(id=f"sp-{n}", app_id=f"app-{n}", display_name=f"O'App {n}")
        for n in range(4)
    )
    async with emulated(state) as emulator, _client(emulator) as http:
        url = "/v1.0/servicePrincipals?$top=2&$select=id&$filter=startswith(displayName,'o''app')"
        first = (await http.get(url)).json()
        second = (await http.get(first["@odata.nextLink"])).json()

    assert first["value"] == [{"id": "sp-0"}, {"id": "sp-1"}]
    assert second["value"] == [{"id": "sp-2"}, {"id": "sp-3"}]
    assert "@odata.nextLink" not in second


@pytest.mark.parametrize(
    "path",
    [
        "/v1.0/servicePrincipals?$filter=appId eq '1f5d0b7e-93c4-4a6e-8d2b-7c0e4f6a9b18'",
        "/v1.0/servicePrincipals?$filter=displayName eq 'Salesforce Production'",
        "/v1.0/servicePrincipals(appId='1f5d0b7e-93c4-4a6e-8d2b-7c0e4f6a9b18')",
    ],
)
async def test_a_service_principal_is_found_by(path: str) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        found = (await http.get(path)).json()

    assert [sp["id"] for sp in found.get("value", [found])] == [APP]


@pytest.mark.parametrize(
    ("operator", "shift", "found"),
    [("ge", 0, 1), ("gt", 0, 0), ("le", 0, 1), ("lt", 0, 0), ("ge", -60, 1), ("ge", 60, 0)],
)
async def test_audit_rows_are_filtered_by_activity_and_time(
    operator: str, shift: int, found: int
) -> None:
    since = (START + timedelta(seconds=shift)).isoformat().replace("+00:00", "Z")
    expression = (
        "activityDisplayName eq 'Enable/restart provisioning configuration' "
        f"and activityDateTime {operator} {since}"
    )
    async with emulated() as emulator, _client(emulator) as http:
        await http.post(RESTART, json=FULL)
        await http.post(f"{JOB_PATH}/pause")
        emulator.clock.advance(300)
        answer = await http.get(
            "/v1.0/auditLogs/directoryAudits", params={"$filter": expression, "$top": "5"}
        )

    assert len(answer.json()["value"]) == found


@pytest.mark.parametrize(("target", "found"), [(APP, 1), (JOB[-36:], 0)])
async def test_audit_rows_are_filtered_by_service_principal(target: str, found: int) -> None:
    expression = (
        f"targetResources/any(t: t/id eq '{target}') and category eq 'ProvisioningManagement'"
    )
    async with emulated() as emulator, _client(emulator) as http:
        await http.post(RESTART, json=FULL)
        emulator.clock.advance(300)
        answer = await http.get("/v1.0/auditLogs/directoryAudits", params={"$filter": expression})

    assert len(answer.json()["value"]) == found


@pytest.mark.parametrize(
    "expression",
    [
        "resultReason eq 'x'",
        "activityDisplayName eq 'x' or category eq 'y'",
        "activityDateTime ge 2026-11-02T08:00:00",
        "activityDateTime ge yesterday",
        "category eq 'x' category eq 'x'",
        "startswith(category,'x')",
        "targetResources eq 'x'",
    ],
)
async def test_a_filter_that_is_not_understood_is_refused(expression: str) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.get("/v1.0/auditLogs/directoryAudits", params={"$filter": expression})

    assert answer.status == 400


async def test_an_unreadable_audit_log_is_403() -> None:
    state = tenant()
    state.audit_readable = False
    async with emulated(state) as emulator, _client(emulator) as http:
        answer = await http.get("/v1.0/auditLogs/directoryAudits")

    assert answer.status == 403
    assert answer.json()["error"]["code"] == "Authorization_RequestDenied"


async def _fault(http: HttpClient, **fault: Any) -> None:
    answer = await http.post("/_emulator/faults", json=fault)
    assert answer.status == 201, answer.text


async def test_a_throttled_request_has_no_effect_and_says_when_to_come_again() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, method="POST", path=RESTART, times=2, status=429, retryAfter=7)
        answers = [await http.post(RESTART, json=FULL) for _ in range(3)]

    assert [answer.status for answer in answers] == [429, 429, 204]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["error"]["code"] == "TooManyRequests"
    assert [request.effective for request in emulator.requests] == [False, False, True]
    assert _flags(emulator) == [15]


async def test_a_504_can_come_after_the_restart_happened() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, path="*/restart", status=504, after=True)
        answer = await http.post(RESTART, json=FULL)

    assert answer.status == 504
    assert _flags(emulator) == [15]
    assert emulator.requests[0].effective
    assert emulator.requests[0].status == 504


@pytest.mark.parametrize(("drop", "flags", "status"), [("before", [], None), ("after", [15], 204)])
async def test_a_dropped_connection(drop: str, flags: list[int], status: int | None) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, method="POST", path="*", drop=drop)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(RESTART, json=FULL)
        told = (await http.get("/_emulator/requests")).json()["value"]

    assert _flags(emulator) == flags
    assert [(row["status"], row["effective"]) for row in told] == [(status, bool(flags))]
    assert told[0]["body"] == FULL


async def test_a_late_answer_is_lost_to_an_impatient_caller_but_took_effect() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, method="POST", path=RESTART, delay=0.2)
        with pytest.raises(TimeoutError):
            await http.post(RESTART, json=FULL, timeout=aiohttp.ClientTimeout(total=0.05))
        assert _flags(emulator) == [15]
        await asyncio.sleep(0.2)


async def test_an_answer_can_be_any_text() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, path=JOB_PATH, status=200, body="<html>")
        answer = await http.get(JOB_PATH)

    assert (answer.status, answer.text) == (200, "<html>")


async def test_faults_apply_in_their_order_and_only_where_they_fit() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, method="GET", path=JOB_PATH, status=403)
        await _fault(http, method="*", path="/v1.0/servicePrincipals/*", status=503)
        told = (await http.get("/_emulator/faults")).json()["value"]
        statuses = [(await http.get(JOB_PATH)).status for _ in range(3)]
        rest = (await http.get("/_emulator/faults")).json()["value"]

    assert told[0] == {"method": "GET", "path": JOB_PATH, "status": 403}
    assert statuses == [403, 503, 200]
    assert rest == []


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({}, "status"),
        ({"status": 500, "drop": "after"}, "exclude"),
        ({"status": 500, "times": 0}, "times"),
        ({"drop": "sometimes"}, "$.drop"),
        ({"drop": "after", "retry_after": 1}, "retry_after"),
        ({"drop": "after", "body": "x"}, "body"),
        ({"status": 42}, "status"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_by_name(
    fault: dict[str, Any], word: str
) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        answer = await http.post("/_emulator/faults", json=fault)

    assert answer.status == 400
    assert word in answer.json()["error"]["message"]


async def test_faults_and_requests_can_be_forgotten() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await _fault(http, status=500)
        await http.ask("DELETE", "/_emulator/faults")
        assert (await http.get(JOB_PATH)).status == 200

        await http.ask("DELETE", "/_emulator/requests")
        assert (await http.get("/_emulator/requests")).json() == {"value": []}


async def test_requests_are_told_as_they_came() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        await http.post(RESTART, data=b'{ "criteria": {}}')
        await http.post(RESTART, data=b"oops", params={"a": "1"})
        told = (await http.get("/_emulator/requests")).json()["value"]

    assert [(row["body"], row["rawBody"], row["status"], row["effective"]) for row in told] == [
        ({"criteria": {}}, '{ "criteria": {}}', 204, True),
        ("oops", "oops", 400, False),
    ]
    assert {row["path"] for row in told} == {RESTART}
    assert told[0]["at"] == "2026-11-02T08:00:00Z"
    assert told[1]["query"] == {"a": "1"}


@pytest.mark.parametrize("query", ["", "?replace=true"])
async def test_the_state_makes_the_round_trip_in_the_middle_of_a_cycle(query: str) -> None:
    async with emulated(tenant(statusLag=15)) as emulator, _client(emulator) as http:
        await http.post(RESTART, json=FULL)
        emulator.clock.advance(12)
        state = (await http.get("/_emulator/state")).json()
        again = (await http.put(f"/_emulator/state{query}", json=state)).json()

    assert again == state
    assert state["clock"] == {"now": "2026-11-02T08:00:12Z", "speed": 0}
    job = state["servicePrincipals"][0]["jobs"][0]
    assert job["links"] == {"ann": "005-ann"}
    assert job["cycle"]["done"] == 1


async def test_putting_the_state_changes_only_what_it_names() -> None:
    change = {
        "auditReadable": False,
        "users": [{"id": "cid", "displayName": "Cid"}],
        "servicePrincipals": [
            {
                "id": APP,
                "jobs": [{"id": JOB, "statusLag": 5, "links": {"ann": None, "bob": "005-x"}}],
                "targetAccounts": [{"id": "005-x", "attributes": {"userName": "x"}}],
            },
        ],
    }
    async with emulated() as emulator, _client(emulator) as http:
        state = (await http.put("/_emulator/state", json=change)).json()

    (sp,) = state["servicePrincipals"]
    assert sp["displayName"] == "Salesforce Production"
    assert sp["jobs"][0]["links"] == {"bob": "005-x", "cid": "005-cid-OLD"}
    assert sp["jobs"][0]["statusLag"] == 5
    assert [a["id"] for a in sp["targetAccounts"]][-1] == "005-x"
    assert [user["displayName"] for user in state["users"]] == ["", "", "Cid"]
    assert [user["modified"] is not None for user in state["users"]] == [False, False, True]
    assert state["auditReadable"] is False


async def test_a_user_put_into_the_state_is_provisioned_in_the_next_cycle() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        dan = {"id": "dan", "userPrincipalName": "dan@contoso.com"}
        await http.put("/_emulator/state", json={"users": [dan]})
        await http.post("/_emulator/clock", json={"advance": 3600})
        state = (await http.get("/_emulator/state")).json()

    assert "dan" in state["servicePrincipals"][0]["jobs"][0]["links"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"permission": "perhaps"}, "$.permission"),
        ({"servicePrincipals": [{"id": APP, "jobs": [{"id": JOB, "lag": 5}]}]}, "jobs[0].lag"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_a_state_that_does_not_fit_is_refused_by_name_and_changes_nothing(
    change: dict[str, Any], words: str
) -> None:
    async with emulated() as emulator, _client(emulator) as http:
        before = (await http.get("/_emulator/state")).json()
        answer = await http.put("/_emulator/state", json=change)
        after = (await http.get("/_emulator/state")).json()

    assert answer.status == 400
    assert words in answer.json()["error"]["message"]
    assert after == before


async def test_the_clock_can_be_set_and_sped_up() -> None:
    async with emulated() as emulator, _client(emulator) as http:
        assert (await http.post("/_emulator/clock", json={"advance": -1})).status == 400
        clock = {"now": "2030-01-01T00:00:00Z", "speed": 100_000}
        await http.put("/_emulator/state", json={"clock": clock})
        await asyncio.sleep(0.05)
        told = (await http.get("/_emulator/clock")).json()

    assert told["speed"] == 100_000
    assert told["now"] > "2030-01-01T01:00:00Z"
