"""The emulator as the real Graph SDK sees it."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.synchronization_job_restart_criteria import (
    SynchronizationJobRestartCriteria,
)
from msgraph.generated.models.synchronization_job_restart_scope import (
    SynchronizationJobRestartScope,
)
from msgraph.generated.models.synchronization_schedule_state import SynchronizationScheduleState
from msgraph.generated.models.synchronization_status_code import SynchronizationStatusCode
from msgraph.generated.models.synchronization_task_execution_result import (
    SynchronizationTaskExecutionResult,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (  # noqa: E501
    RestartPostRequestBody,
)
from msgraph.generated.service_principals.service_principals_request_builder import (
    ServicePrincipalsRequestBuilder,
)
from msgraph.graph_service_client import GraphServiceClient

from local.http_client import http_client
from tests.emulator.emulator_support import APP, JOB, JOB_PATH, START, emulated, graph_sdk, tenant

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


def _job(graph: GraphServiceClient, job_id: str = JOB) -> Any:
    jobs = graph.service_principals.by_service_principal_id(APP).synchronization.jobs
    return jobs.by_synchronization_job_id(job_id)


def _restart(scope: Any) -> RestartPostRequestBody:
    return RestartPostRequestBody(criteria=SynchronizationJobRestartCriteria(reset_scope=scope))


async def test_the_sdk_reads_a_healthy_job() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        job = await _job(graph).get()

    assert job.id == JOB
    assert job.schedule.interval == timedelta(minutes=40)
    assert job.schedule.state is SynchronizationScheduleState.Active
    assert job.status.code is SynchronizationStatusCode.Active
    assert job.status.last_execution.state is SynchronizationTaskExecutionResult.Succeeded
    assert job.status.last_execution.time_began == START - timedelta(minutes=20)
    assert job.status.quarantine is None
    assert [(e.key, e.value) for e in job.status.synchronized_entry_count_by_type] == [
        ("User to User", 3),
    ]


async def test_a_full_restart_through_the_sdk_moves_the_link_when_the_cycle_has_ended() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, answers):
        await _job(graph).restart.post(_restart(SynchronizationJobRestartScope.Full))
        assert answers[-1].status_code == 204
        assert answers[-1].content == b""
        assert emulator.requests[-1].raw_body == '{"criteria": {"resetScope": "Full"}}'

        emulator.clock.advance(12)
        during = (await _job(graph).get()).status
        assert during.code is SynchronizationStatusCode.NotRun
        assert during.steady_state_last_achieved_time == YEAR_ONE
        assert during.last_execution.state is SynchronizationTaskExecutionResult.Failed
        assert during.last_execution.time_ended == YEAR_ONE
        assert during.last_successful_execution is None
        assert [(p.completed_units, p.total_units) for p in during.progress] == [(1, 3)]
        assert during.synchronized_entry_count_by_type == []

        emulator.clock.advance(20)
        after = (await _job(graph).get()).status

    assert after.code is SynchronizationStatusCode.Active
    assert after.steady_state_last_achieved_time == START + timedelta(seconds=30)
    assert after.progress == []
    assert emulator.directory.state.service_principals[0].jobs[0].links["cid"] == "005-cid-NEW"


@pytest.mark.parametrize("trap", ["Full", [SynchronizationJobRestartScope.Full]])
async def test_a_scope_that_is_no_enum_member_is_a_portal_restart_and_says_nothing(
    trap: object,
) -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, answers):
        await _job(graph).restart.post(_restart(trap))
        emulator.clock.advance(60)
        await _job(graph).get()

    assert answers[0].status_code == 204
    assert emulator.requests[0].body == {"criteria": {}}
    assert emulator.directory.state.events[0].detail == {"flags": "14"}
    assert emulator.directory.state.service_principals[0].jobs[0].links["cid"] == "005-cid-OLD"


async def test_the_date_header_tells_emulated_time() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, answers):
        emulator.clock.advance(3600)
        await _job(graph).get()

    assert parsedate_to_datetime(answers[0].headers["Date"]) == START + timedelta(hours=1)


async def test_no_answer_needs_authorization_and_none_is_kept() -> None:
    async with emulated() as emulator, http_client(emulator.url) as http:
        await http.get(JOB_PATH)
        await http.get(JOB_PATH, headers={"Authorization": "Bearer secret"})
        told = (await http.get("/_emulator/requests")).text

    assert [r["authorization"] for r in json.loads(told)["value"]] == [False, True]
    assert "secret" not in told


async def test_all_jobs_of_a_service_principal_are_listed() -> None:
    state = tenant()
    state.service_principals[0].jobs.extend(tenant(id="second").service_principals[0].jobs)
    async with emulated(state) as emulator, graph_sdk(emulator) as (graph, _):
        sync = graph.service_principals.by_service_principal_id(APP).synchronization
        jobs = await sync.jobs.get()

    assert jobs is not None
    assert [job.id for job in jobs.value or []] == [JOB, "second"]


async def test_the_schema_names_the_matching_attributes_in_their_order() -> None:
    matching = [{"source": "employeeId", "target": "number"}, {"target": "userName"}]
    async with emulated(tenant(matching=matching)) as emulator, graph_sdk(emulator) as (graph, _):
        schema = await _job(graph).schema.get()

    rule = schema.synchronization_rules[0]
    assert rule.id
    assert [
        (a.matching_priority, a.source.name, a.target_attribute_name)
        for a in rule.object_mappings[0].attribute_mappings
        if a.matching_priority
    ] == [(1, "employeeId", "number"), (2, "userPrincipalName", "userName")]
    assert [(m.source_object_name, m.enabled) for m in rule.object_mappings] == [
        ("User", True),
        ("Group", False),
    ]
    assert any(a.source.name == "Switch" for a in rule.object_mappings[0].attribute_mappings)


async def test_a_job_can_be_paused_and_started() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        await _job(graph).pause.post()
        paused = await _job(graph).get()
        await _job(graph).start.post()
        started = await _job(graph).get()

    assert paused.schedule.state is SynchronizationScheduleState.Paused
    assert paused.status.code is SynchronizationStatusCode.Paused
    assert started.status.code is SynchronizationStatusCode.Active


async def test_a_disabled_schedule_has_the_longest_interval_there_is() -> None:
    async with (
        emulated(tenant(scheduleState="Disabled")) as emulator,
        graph_sdk(emulator) as (graph, _),
    ):
        job = await _job(graph).get()

    assert job.schedule.state is SynchronizationScheduleState.Disabled
    assert job.schedule.interval.days == 10_675_199


async def test_a_job_that_is_not_there_is_404_with_a_graph_error() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        with pytest.raises(ODataError) as caught:
            await _job(graph, "nothing").get()

    assert caught.value.response_status_code == 404
    assert caught.value.error is not None
    assert caught.value.error.inner_error is not None
    assert caught.value.error.inner_error.request_id


async def test_a_missing_permission_is_401_with_nothing_in_it() -> None:
    state = tenant()
    state.permission = "missing"
    async with emulated(state) as emulator, graph_sdk(emulator) as (graph, _):
        with pytest.raises(ODataError) as caught:
            await _job(graph).restart.post(_restart(SynchronizationJobRestartScope.Full))
        found = await graph.service_principals.by_service_principal_id(APP).get()

    assert caught.value.response_status_code == 401
    assert caught.value.error is not None
    assert (caught.value.error.code, caught.value.error.message) == ("UnknownError", "")
    assert emulator.directory.state.events == []
    assert found is not None


async def test_an_unknown_code_reaches_the_sdk_as_none() -> None:
    async with (
        emulated(tenant(unknownCode="Dormant")) as emulator,
        graph_sdk(emulator) as (graph, _),
        http_client(emulator.url) as http,
    ):
        seen = (await _job(graph).get()).status.code
        raw = (await http.get(JOB_PATH)).json()["status"]["code"]

    assert (seen, raw) == (None, "Dormant")


@pytest.mark.parametrize(("absent", "counts"), [("missing", None), ("empty", [])])
async def test_counts_can_be_absent(absent: str, counts: list[object] | None) -> None:
    async with (
        emulated(tenant(countsAbsent=absent)) as emulator,
        http_client(emulator.url) as http,
    ):
        status = (await http.get(JOB_PATH)).json()["status"]

    assert status.get("synchronizedEntryCountByType") == counts


async def test_a_quarantine_is_shown_as_it_was_given() -> None:
    quarantine = {
        "currentBegan": "2026-11-01T00:00:00Z",
        "reason": "EncounteredQuarantineException",
        "seriesCount": 3,
        "error": {"code": "SalesforceInvalidCredentials", "message": "", "tenantActionable": True},
    }
    state = tenant(status={"code": "Quarantine", "quarantine": quarantine})
    async with emulated(state) as emulator, graph_sdk(emulator) as (graph, _):
        job = await _job(graph).get()

    assert job.status.code is SynchronizationStatusCode.Quarantine
    assert job.status.quarantine.error.code == "SalesforceInvalidCredentials"
    assert job.status.quarantine.current_began == datetime(2026, 11, 1, tzinfo=UTC)


async def test_the_status_can_lag_behind_the_204() -> None:
    async with emulated(tenant(statusLag=20)) as emulator, graph_sdk(emulator) as (graph, _):
        before = (await _job(graph).get()).status
        await _job(graph).restart.post(_restart(SynchronizationJobRestartScope.Full))
        emulator.clock.advance(19)
        lagging = (await _job(graph).get()).status
        emulator.clock.advance(1)
        caught_up = (await _job(graph).get()).status

    assert lagging.code is SynchronizationStatusCode.Active
    assert lagging.steady_state_last_achieved_time == before.steady_state_last_achieved_time
    assert caught_up.code is SynchronizationStatusCode.NotRun


async def test_a_service_principal_is_found_by_the_start_of_its_name() -> None:
    parameters = ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetQueryParameters(
        filter="startswith(displayName,'sales')",
        select=["id", "appId", "displayName"],
    )
    configuration = RequestConfiguration(query_parameters=parameters)
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        found = await graph.service_principals.get(configuration)

    assert found is not None
    assert [sp.id for sp in found.value or []] == [APP]


async def test_a_user_is_found_by_id_and_by_name() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        by_name = await graph.users.by_user_id("CID@contoso.com").get()
        with pytest.raises(ODataError) as caught:
            await graph.users.by_user_id("nobody@contoso.com").get()

    assert by_name is not None
    assert by_name.id == "cid"
    assert caught.value.error is not None
    assert caught.value.error.code == "Request_ResourceNotFound"


async def test_a_restart_is_in_the_audit_log_minutes_later() -> None:
    async with emulated() as emulator, graph_sdk(emulator) as (graph, _):
        await _job(graph).restart.post(_restart(SynchronizationJobRestartScope.Full))
        emulator.clock.advance(119)
        early = await graph.audit_logs.directory_audits.get()
        emulator.clock.advance(2)
        late = await graph.audit_logs.directory_audits.get()

    assert early is not None
    assert early.value == []
    assert late is not None
    (row,) = late.value or []
    assert row.activity_display_name == "Enable/restart provisioning configuration"
    assert row.activity_date_time == START
    assert row.logged_by_service == "Account Provisioning"
    assert [target.id for target in row.target_resources or []] == [APP]
