"""What others do: restarts by people and other apps, jobs made again, delays, several pages."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from local.emulator import Emulator
from local.emulator.scopes import FULL, PORTAL
from local.emulator.values import State
from local.http_client import HttpClient, http_client
from tests.emulator.emulator_support import APP, JOB, JOB_PATH, Story, emulated, tenant

LIST = f"/v1.0/servicePrincipals/{APP}/synchronization/jobs"
AUDIT = "/v1.0/auditLogs/directoryAudits"
FULL_BODY = {"criteria": {"resetScope": "Full"}}
ROBOT = {"kind": "app", "id": "9a7d-robot", "name": "Robot"}


def client(emulator: Emulator) -> AbstractAsyncContextManager[HttpClient]:
    return http_client(emulator.url)


async def audit(http: HttpClient) -> list[dict[str, Any]]:
    query = {"$filter": "activityDisplayName eq 'Enable/restart provisioning configuration'"}
    value: list[dict[str, Any]] = (await http.get(AUDIT, params=query)).json()["value"]
    return value


def with_audit_delay(state: State, seconds: float) -> State:
    state.audit_delay = seconds
    return state


async def test_an_audit_row_names_the_caller_a_person_or_another_app() -> None:
    state = with_audit_delay(tenant(), 0)
    async with emulated(state) as emulator, client(emulator) as http:
        await http.post(f"{JOB_PATH}/restart", json=FULL_BODY)
        emulator.clock.advance(1)
        await http.post("/_emulator/restarts", json={"servicePrincipalId": APP})
        emulator.clock.advance(1)
        await http.post("/_emulator/restarts", json={"servicePrincipalId": APP, "by": ROBOT})
        robot, person, ours = await audit(http)

    assert ours["initiatedBy"]["user"] is None
    assert (
        ours["initiatedBy"]["app"]["servicePrincipalId"] == "00000000-0000-0000-0000-000000000000"
    )
    assert person["initiatedBy"]["app"] is None
    assert person["initiatedBy"]["user"]["userPrincipalName"] == "ann.admin@contoso.com"
    assert robot["initiatedBy"]["app"]["servicePrincipalId"] == "9a7d-robot"


async def test_the_service_itself_is_an_app_without_ids() -> None:
    state = with_audit_delay(tenant(signInFails={"code": "Bad"}), 0)
    async with emulated(state) as emulator, client(emulator) as http:
        emulator.clock.advance(1300)
        rows = (await http.get(AUDIT)).json()["value"]

    assert rows[0]["activityDisplayName"] == "Quarantine"
    assert rows[0]["initiatedBy"]["app"] == {
        "appId": None,
        "displayName": "Azure AD Provisioning Service",
        "servicePrincipalId": None,
        "servicePrincipalName": None,
    }


async def test_a_restart_by_somebody_else_comes_at_its_time_and_breaks_only_what_it_says() -> None:
    async with emulated() as emulator, client(emulator) as http:
        body = {"servicePrincipalId": APP, "after": 600, "resetScope": "Full", "by": ROBOT}
        planned = await http.post("/_emulator/restarts", json=body)
        emulator.clock.advance(599)
        before = (await http.get(JOB_PATH)).json()["status"]["code"]
        emulator.clock.advance(2)
        after = (await http.get(JOB_PATH)).json()["status"]["code"]
        requests = (await http.get("/_emulator/requests")).json()["value"]

    assert planned.status == 204
    assert (before, after) == ("Active", "NotRun")
    assert all(request["method"] == "GET" for request in requests)


@pytest.mark.parametrize(
    "body",
    [
        {"servicePrincipalId": "nobody"},
        {"servicePrincipalId": APP, "jobId": "other"},
        {"servicePrincipalId": APP, "resetScope": "Everything"},
    ],
)
async def test_a_restart_of_what_does_not_exist_is_refused(body: dict[str, str]) -> None:
    async with emulated() as emulator, client(emulator) as http:
        assert (await http.post("/_emulator/restarts", json=body)).status == 400


def test_a_slow_restart_takes_effect_after_its_answer() -> None:
    story = Story(tenant(effectDelay=40))
    story.restart(FULL)
    assert story.job.links["cid"] == "005-cid-OLD"

    story.advance(39)
    assert story.status.code == "Active"
    story.advance(1)
    assert (story.status.code, story.job.links) == ("NotRun", {})
    story.advance(60)
    assert story.job.links["cid"] == "005-cid-NEW"


def test_a_restart_during_our_cycle_begins_another() -> None:
    story = Story()
    story.restart(FULL)
    story.directory.restart(story.sp, story.job, PORTAL, after=15)

    story.advance(60)

    kinds = [detail["kind"] for detail in story.happened("CycleBegan")]
    assert kinds == ["initial", "initial"]


async def test_the_audit_row_and_the_status_are_late_together() -> None:
    state = with_audit_delay(tenant(statusLag=3600), 3600)
    async with emulated(state) as emulator, client(emulator) as http:
        await http.post(f"{JOB_PATH}/restart", json=FULL_BODY)
        emulator.clock.advance(3590)
        silent, shown = await audit(http), (await http.get(JOB_PATH)).json()["status"]
        emulator.clock.advance(20)
        told, later = await audit(http), (await http.get(JOB_PATH)).json()["status"]

    assert (silent, shown["code"]) == ([], "Active")
    assert len(told) == 1
    assert later["steadyStateLastAchievedTime"] > shown["steadyStateLastAchievedTime"]


async def test_a_deleted_job_is_404_and_the_list_is_empty() -> None:
    async with emulated() as emulator, client(emulator) as http:
        deleted = await http.ask("DELETE", JOB_PATH)
        alone, listed = await http.get(JOB_PATH), await http.get(LIST)

    assert deleted.status == 204
    assert alone.status == 404
    assert listed.json()["value"] == []


async def test_a_job_made_again_has_another_id_and_no_past() -> None:
    async with emulated() as emulator, client(emulator) as http:
        body = {"servicePrincipalId": APP, "newId": "scim.a.2", "hiddenFor": 120}
        made = await http.post("/_emulator/jobs", json=body)
        hidden, old = await http.get(f"{LIST}/scim.a.2"), await http.get(JOB_PATH)
        emulator.clock.advance(121)
        found = (await http.get(f"{LIST}/scim.a.2")).json()

    assert made.status == 201
    assert (hidden.status, old.status) == (404, 404)
    assert found["id"] == "scim.a.2"
    assert found["status"]["code"] == "Active"
    assert found["status"]["steadyStateFirstAchievedTime"] > "2026-11-02T08"


async def test_jobs_come_in_pages_and_each_next_link_leads_on() -> None:
    state = tenant()
    jobs = state.service_principals[0].jobs
    for name in ("b", "c"):
        jobs.append(type(jobs[0])(id=name))
    state.jobs_page = 1
    async with emulated(state) as emulator, client(emulator) as http:
        found, address = [], LIST
        while address:
            page = (await http.get(address)).json()
            found += [job["id"] for job in page["value"]]
            address = page.get("@odata.nextLink", "")

    assert found == [JOB, "b", "c"]


def test_a_steady_state_can_be_out_of_reach() -> None:
    story = Story(tenant(steadyState="never"))
    story.restart(FULL)
    story.advance(60)

    assert story.status.last_execution is not None
    assert story.status.last_execution.state == "Succeeded"
    assert story.status.steady_state_last_achieved is None


async def test_users_need_a_permission_of_their_own() -> None:
    state = tenant()
    state.users_readable = False
    async with emulated(state) as emulator, client(emulator) as http:
        answer = await http.get("/v1.0/users/ann@contoso.com")

    assert answer.status == 403
    assert answer.json()["error"]["code"] == "Authorization_RequestDenied"
