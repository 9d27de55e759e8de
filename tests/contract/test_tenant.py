"""The discovery of a tenant's provisioning jobs, against the emulator over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Clock, Emulator, serve
from local.emulator.values import ServicePrincipal
from local.http_client import http_client
from local.tenant import TenantGateway
from shared.domain.errors import (
    RefusedForNow,
)

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SALESFORCE = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
AWS = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"
JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
YESTERDAY = START - timedelta(days=1)
NO_JOBS = "00000000-1111-4222-8333-444444444444"
FULL_BODY = '{"criteria": {"resetScope": "Full"}}'


async def fault(emulator: Emulator, **what: Any) -> None:
    async with http_client() as client:
        answer = await client.post(f"{emulator.url}/_emulator/faults", json=what)
    assert answer.ok, answer.text


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with serve(clock=Clock(START, speed=60)) as running:
        yield running


@pytest.fixture
async def graph(emulator: Emulator) -> AsyncIterator[TenantGateway]:
    gateway = TenantGateway(emulator.url, None)
    yield gateway
    await gateway.close()


async def test_every_service_principal_with_jobs_is_found_by_name(
    emulator: Emulator, graph: TenantGateway
) -> None:
    emulator.directory.state.service_principals.append(
        ServicePrincipal(id=NO_JOBS, app_id=NO_JOBS, display_name="A portal without provisioning")
    )
    heard: list[tuple[int, int]] = []

    found = await graph.service_principals_with_jobs(
        progress=lambda done, of: heard.append((done, of))
    )

    names = ["AWS IAM Identity Center", "Salesforce Production", "ServiceNow"]
    assert [sp.name for sp in found.service_principals] == names
    assert [len(sp.jobs) for sp in found.service_principals] == [2, 1, 1]
    assert found.service_principals[1].id == SALESFORCE
    assert found.service_principals[1].jobs[0].id == JOB
    assert (found.looked_at, found.problem) == (4, "")
    assert heard == [(done, 4) for done in range(5)]


async def test_one_service_principal_that_cannot_be_read_hides_no_other(
    emulator: Emulator, graph: TenantGateway
) -> None:
    await fault(emulator, path=f"*{AWS}/synchronization/jobs", times=1, status=403)

    found = await graph.service_principals_with_jobs(progress=silent)

    aws, *others = found.service_principals
    assert (aws.id, aws.jobs) == (AWS, ())
    assert "403" in aws.problem
    assert all(sp.jobs and not sp.problem for sp in others)


async def test_one_without_synchronization_is_left_out(
    emulator: Emulator, graph: TenantGateway
) -> None:
    await fault(emulator, path=f"*{AWS}/synchronization/jobs", times=1, status=404)

    found = await graph.service_principals_with_jobs(progress=silent)

    assert AWS not in {sp.id for sp in found.service_principals}
    assert found.looked_at == 3


async def test_all_pages_of_service_principals_are_read(
    emulator: Emulator, graph: TenantGateway
) -> None:
    emulator.directory.state.largest_page = 1

    found = await graph.service_principals_with_jobs(progress=silent)

    assert (found.looked_at, len(found.service_principals)) == (3, 3)


async def test_a_list_that_breaks_off_says_so_and_keeps_what_it_has(
    emulator: Emulator, graph: TenantGateway
) -> None:
    emulator.directory.state.largest_page = 2
    await fault(emulator, path="/v1.0/servicePrincipals", times=1, delay=0.001)
    await fault(emulator, path="/v1.0/servicePrincipals", times=1, status=429)

    found = await graph.service_principals_with_jobs(progress=silent)

    assert (found.looked_at, len(found.service_principals)) == (2, 2)
    assert "broke off" in found.problem


async def test_a_list_that_may_not_be_read_names_its_permission(
    emulator: Emulator, graph: TenantGateway
) -> None:
    await fault(emulator, path="/v1.0/servicePrincipals", times=1, status=403)

    with pytest.raises(RefusedForNow, match=r"Application\.Read\.All"):
        await graph.service_principals_with_jobs(progress=silent)


def silent(done: int, of: int) -> None:
    del done, of
