"""The provisioning log: rows of what was evaluated, filters, pages, delay and permission."""

from typing import Any

import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.audit_logs.provisioning.provisioning_request_builder import (
    ProvisioningRequestBuilder,
)
from msgraph.generated.models.provisioning_action import ProvisioningAction
from msgraph.generated.models.provisioning_result import ProvisioningResult

from local.emulator import Emulator
from local.emulator.scopes import FULL, PORTAL, ResetScope
from local.emulator.values import State
from local.http_client import http_client
from tests.emulator.emulator_support import APP, JOB, emulated, graph_sdk, tenant

LOG = "/v1.0/auditLogs/provisioning"


def restarted(emulator: Emulator, flags: ResetScope, *, seconds: float = 200) -> None:
    directory = emulator.directory
    sp = directory.state.service_principals[0]
    directory.restart(sp, sp.jobs[0], flags)
    emulator.clock.advance(seconds)
    emulator.present()


async def rows(emulator: Emulator, expression: str = "", **options: Any) -> list[dict[str, Any]]:
    if expression:
        options["$filter"] = expression
    async with http_client(emulator.url) as http:
        answer = await http.get(LOG, params=options)
    assert answer.status == 200, answer.text
    value: list[dict[str, Any]] = answer.json()["value"]
    return value


def links(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["sourceIdentity"]["id"], row["targetIdentity"]["id"]) for row in found]


def matching_steps(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (step["name"], step["details"]["id"])
        for step in row["provisioningSteps"]
        if step["provisioningStepType"] == "matching"
    ]


async def test_where_the_attributes_find_the_same_account_only_the_link_is_told() -> None:
    async with emulated() as emulator:
        restarted(emulator, PORTAL)
        (row,) = await rows(emulator, "sourceIdentity/id eq 'ann'")

    assert matching_steps(row) == [("EntryImport", "005-ann")]
    assert [step["name"] for step in row["provisioningSteps"]] == [
        "EntryImportUpdate",
        "EntryImport",
        "EntrySynchronizationScoping",
        "EntrySynchronizationSkip",
    ]
    assert row["provisioningSteps"][-1]["details"]["SkipReason"] == "RedundantExport"


async def test_the_log_shows_the_target_before_and_after_a_full_restart() -> None:
    async with emulated() as emulator:
        restarted(emulator, PORTAL)
        restarted(emulator, FULL)

        found = await rows(emulator, f"jobId eq '{JOB}' and sourceIdentity/id eq 'cid'")

    assert links(found) == [("cid", "005-cid-NEW"), ("cid", "005-cid-OLD")]
    assert matching_steps(found[0]) == [("EntryImportByMatchingProperty", "005-cid-NEW")]
    assert matching_steps(found[1]) == [
        ("EntryImportByJoiningProperty", "005-cid-NEW"),
        ("EntryImport", "005-cid-OLD"),
    ]
    assert found[0]["cycleId"] != found[1]["cycleId"]


async def test_the_sdk_reads_the_row_of_a_link_to_an_account_that_is_gone() -> None:
    state = tenant()
    del state.service_principals[0].target_accounts[0]
    query = ProvisioningRequestBuilder.ProvisioningRequestBuilderGetQueryParameters(
        filter="sourceIdentity/id eq 'ann'", top=1
    )
    async with emulated(state) as emulator, graph_sdk(emulator) as (graph, _):
        restarted(emulator, PORTAL)
        found = await graph.audit_logs.provisioning.get(
            RequestConfiguration(query_parameters=query)
        )

    assert found is not None
    (row,) = found.value or []
    assert row.provisioning_status_info is not None
    assert row.provisioning_status_info.status is ProvisioningResult.Failure
    assert row.provisioning_status_info.error_information is not None
    assert row.provisioning_status_info.error_information.error_code == "InvalidAnchor"
    assert row.source_identity is not None
    assert row.target_identity is not None
    assert (row.source_identity.id, row.target_identity.id) == ("ann", "005-ann")
    assert row.provisioning_action is ProvisioningAction.Update
    assert row.service_principal is not None
    assert (row.service_principal.id, row.job_id) == (APP, JOB)


async def test_a_created_account_is_told_as_a_success_with_its_new_id() -> None:
    state = tenant(links={})
    del state.service_principals[0].target_accounts[0]
    async with emulated(state) as emulator:
        restarted(emulator, PORTAL)
        (row,) = await rows(emulator, "sourceIdentity/id eq 'ann'")
        links_now = emulator.directory.state.service_principals[0].jobs[0].links

    assert (row["provisioningAction"], row["provisioningStatusInfo"]["status"]) == (
        "create",
        "success",
    )
    assert row["targetIdentity"]["id"] == links_now["ann"]


async def test_a_held_deletion_is_told_as_staged_and_a_forced_one_as_done() -> None:
    async with emulated(tenant(heldDeletes=["ann"])) as emulator:
        emulator.clock.advance(24 * 60)
        emulator.present()
        staged = await rows(emulator, "provisioningAction eq 'stagedDelete'")
        restarted(emulator, ResetScope.FORCE_DELETES)
        done = await rows(emulator, "provisioningAction eq 'disable'")

    assert links(staged) == links(done) == [("ann", "005-ann")]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        pytest.param(f"jobId eq '{JOB}'", 3, id="job"),
        pytest.param(f"jobId eq '{JOB.upper()}'", 0, id="case-matters"),
        pytest.param(f"contains(jobId, '{JOB[:10]}')", 3, id="contains"),
        pytest.param("activityDateTime gt 2026-11-02T08:00:15Z", 2, id="after"),
        pytest.param("activityDateTime lt 2026-11-02T08:00:15Z", 1, id="before"),
        pytest.param("sourceIdentity/id eq 'bob'", 1, id="one-user"),
        pytest.param("targetIdentity/id eq '005-bob'", 1, id="one-account"),
        pytest.param("sourceIdentity/id eq 'ann' or sourceIdentity/id eq 'bob'", 2, id="or"),
        pytest.param(
            f"((contains(tolower(servicePrincipal/id), '{APP}') or "
            f"contains(tolower(servicePrincipal/displayName), '{APP}')) and "
            "activityDateTime gt 2026-11-02 and activityDateTime lt 2026-11-03)",
            3,
            id="microsofts-own",
        ),
    ],
)
async def test_documented_filters_find(expression: str, found: int) -> None:
    async with emulated() as emulator:
        restarted(emulator, PORTAL)

        assert len(await rows(emulator, expression)) == found


@pytest.mark.parametrize(
    "options",
    [
        {"$filter": "activityDateTime ge 2026-11-02T08:00:00Z"},
        {"$filter": "provisioningStatusInfo/status eq 'failure'"},
        {"$filter": "startswith(jobId,'x')"},
        {"$filter": "jobId ne 'x'"},
        {"$filter": "jobId eq 'x' and"},
        {"$filter": "(jobId eq 'x'"},
        {"$filter": "jobId eq 'x')"},
        {"$filter": "jobId eq 'x"},
        {"$filter": "contains(activityDateTime, '2026')"},
        {"$filter": "activityDateTime gt yesterday"},
        {"$filter": "activityDateTime gt 2026-11-02T08:00:00"},
        {"$orderby": "jobId"},
        {"$select": "id"},
        {"$search": "x"},
    ],
)
async def test_what_is_not_documented_is_refused(options: dict[str, str]) -> None:
    async with emulated() as emulator, http_client(emulator.url) as http:
        restarted(emulator, PORTAL)
        answer = await http.get(LOG, params=options)

    assert answer.status == 400


async def test_pages_and_order() -> None:
    async with emulated() as emulator, http_client(emulator.url) as http:
        restarted(emulator, PORTAL)
        first = (await http.get(LOG, params={"$top": "2"})).json()
        second = (await http.get(first["@odata.nextLink"])).json()
        oldest = await rows(emulator, **{"$orderby": "activityDateTime asc", "$top": "1"})

    assert [user for user, _ in links(first["value"])] == ["cid", "bob"]
    assert [user for user, _ in links(second["value"])] == ["ann"]
    assert "@odata.nextLink" not in second
    assert links(oldest) == [("ann", "005-ann")]


async def test_rows_show_after_the_delay_and_go_after_their_days() -> None:
    async with emulated() as emulator:
        restarted(emulator, PORTAL, seconds=100)
        assert await rows(emulator) == []

        emulator.clock.advance(60)
        assert len(await rows(emulator)) == 3

        emulator.clock.advance(31 * 24 * 3600)
        assert await rows(emulator) == []


def unreadable() -> State:
    state = tenant()
    state.provisioning_log_readable = False
    return state


async def test_without_the_permission_it_is_403() -> None:
    async with emulated(unreadable()) as emulator, http_client() as http:
        answer = await http.get(f"{emulator.url}{LOG}")

    assert answer.status == 403
    assert answer.json()["error"]["code"] == "Authorization_RequestDenied"


async def test_a_users_rows_stay_after_the_user_is_gone() -> None:
    async with emulated() as emulator:
        restarted(emulator, PORTAL)
        emulator.directory.state.users.pop(0)

        (row,) = await rows(emulator, "sourceIdentity/id eq 'ann'")

    assert row["sourceIdentity"]["displayName"] == ""
