"""`targets` and `plan` as processes, against an emulator that is one as well."""

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen

import pytest
from azure.data.tables.aio import TableServiceClient

from local import processes
from local.azurite import connection_string
from local.http_client import HttpClient, http_client
from shared.adapters.table_store import TableStore
from shared.domain.moments import budget_day
from shared.domain.reset import BudgetPlace
from shared.names import IDS_TABLE, RESETS_TABLE
from tests.azurite import start_emulator
from tests.functional.stack import AWS, SALESFORCE, SERVICENOW

AWS_JOB = "aws.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.b0a43127-9b44-5d81-aaff-d7510ac2b027"
DOCS = processes.ROOT / "docs" / "operate" / "operating.md"
SAMPLE = {
    "salesforce-prod": {"servicePrincipalId": SALESFORCE},
    "aws": {"servicePrincipalId": AWS, "jobId": AWS_JOB},
    "servicenow": {"servicePrincipalId": SERVICENOW, "approveAbove": 20, "schedule": "P30D"},
}
OURS = ("ResetStorage", "GRAPH_", "RESET", "IDENTITY_ENDPOINT", "JSON", "AZURE_CLIENT_ID")


@dataclass(frozen=True)
class Seeded:
    """An emulator for all of these tests, and its state as it started."""

    url: str
    state: dict[str, Any]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Seeded]:
    with (
        start_emulator(GRAPH_EMULATOR_SPEED="1") as url,
        urlopen(f"{url}/_emulator/state", timeout=30) as state,
    ):
        yield Seeded(url=url, state=json.load(state))


@pytest.fixture
async def graph(emulator: Seeded) -> AsyncIterator[HttpClient]:
    """The emulator as new."""
    async with http_client(emulator.url, seconds=10) as client:
        seed = emulator.state | {"clock": {"speed": 1}}
        (await client.put("/_emulator/state?replace=true", json=seed)).raise_for_status()
        await client.ask("DELETE", "/_emulator/faults")
        await client.ask("DELETE", "/_emulator/requests")
        yield client


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def run(
    command: str,
    graph: HttpClient | str,
    environ: dict[str, str],
    *,
    stderr: int = asyncio.subprocess.PIPE,
) -> Ran:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    endpoint = graph if isinstance(graph, str) else graph.base
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local",
        command,
        cwd=processes.ROOT,
        env=clean | {"GRAPH_ENDPOINT": endpoint} | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    out, err = await process.communicate()
    return Ran(code=process.returncode or 0, out=out.decode(), err=(err or b"").decode())


async def targets(graph: HttpClient | str, **environ: str) -> Ran:
    return await run("targets", graph, environ)


async def plan(graph: HttpClient | str, catalogue: Any = SAMPLE, **environ: str) -> Ran:
    given = {"RESET_TARGETS": json.dumps(catalogue), "RESETS_ENABLED": "true"} | environ
    return await run("plan", graph, given)


async def put(graph: HttpClient, **state: Any) -> None:
    (await graph.put("/_emulator/state", json=state)).raise_for_status()


async def fault(graph: HttpClient, **what: Any) -> None:
    (await graph.post("/_emulator/faults", json=what)).raise_for_status()


async def quarantine_aws(graph: HttpClient) -> None:
    status = {"code": "Quarantine", "quarantine": {"reason": "TooManyDeletes"}}
    job = {"id": AWS_JOB, "status": status}
    await put(graph, servicePrincipals=[{"id": AWS, "jobs": [job]}])


def sample(name: str) -> str:
    """The block of docs/operate/operating.md under the comment of this name."""
    found = re.search(rf"<!-- {name} -->\n```text\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


async def test_targets_prints_what_the_documentation_shows(graph: HttpClient) -> None:
    ran = await targets(graph)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out == sample("make targets")


async def test_plan_prints_what_the_documentation_shows(graph: HttpClient) -> None:
    await quarantine_aws(graph)

    ran = await plan(graph)

    assert ran.code == 0
    assert ran.out == sample("make plan")
    assert ran.err.startswith(
        "Cooldowns, the budget and resets under way were not looked at: Reset"
    )
    requests = (await graph.get("/_emulator/requests")).json()["value"]
    assert {request["method"] for request in requests} == {"GET"}


async def test_the_catalogue_that_targets_prints_is_one_that_plan_takes(
    graph: HttpClient,
) -> None:
    ran = await targets(graph, JSON="1")
    document = json.loads(ran.out)
    planned = await plan(graph, document["catalogue"], JSON="1")

    assert [len(sp["jobs"]) for sp in document["servicePrincipals"]] == [2, 1, 1]
    found = json.loads(planned.out)
    assert {entry["target"] for entry in found["targets"]} == set(document["catalogue"])
    assert all(entry["request"] == [{"decision": "go"}] for entry in found["targets"])
    assert found["rows"]["read"] is False
    assert "ResetStorage" in found["rows"]["why"]


async def test_what_the_catalogue_has_by_now_is_listed_under_its_alias(
    graph: HttpClient,
) -> None:
    ran = await targets(graph, RESET_TARGETS=json.dumps(SAMPLE), JSON="1")

    document = json.loads(ran.out)
    assert set(document["catalogue"]) == {"aws-iam-identity-center"}
    listed = {job["alias"] for sp in document["servicePrincipals"] for job in sp["jobs"]}
    assert listed == {*SAMPLE, "aws-iam-identity-center"}


async def test_a_catalogue_that_names_no_job_of_several_is_pointed_out(
    graph: HttpClient,
) -> None:
    catalogue = {"aws": {"servicePrincipalId": AWS}}

    listed = await targets(graph, RESET_TARGETS=json.dumps(catalogue))
    planned = await plan(graph, catalogue)

    assert "RESET_TARGETS: aws names a service principal with several jobs" in listed.err
    assert planned.code == 0
    assert "be refused" in planned.out
    assert "has 2 provisioning jobs; set jobId in RESET_TARGETS to one of" in planned.out


async def test_one_service_principal_that_cannot_be_read_is_said_and_hides_no_other(
    graph: HttpClient,
) -> None:
    await fault(graph, path=f"*{AWS}/synchronization/jobs", status=403)

    ran = await targets(graph)

    assert ran.code == 0
    assert "cannot be read" in ran.out
    assert "Salesforce Production" in ran.out
    assert ran.err.startswith(f"AWS IAM Identity Center ({AWS}) cannot be read: ")
    assert "Synchronization.ReadWrite.All" in ran.err


async def test_a_missing_permission_is_one_line_and_exit_code_1(graph: HttpClient) -> None:
    await put(graph, permission="missing")

    for ran in (await targets(graph), await plan(graph)):
        assert (ran.code, ran.out) == (1, "")
        (line,) = ran.err.splitlines()
        assert "401 UnknownError" in line
        assert "Synchronization.ReadWrite.All" in line


async def test_service_principals_that_may_not_be_listed_are_one_line(
    graph: HttpClient,
) -> None:
    await fault(graph, path="/v1.0/servicePrincipals", status=403)

    ran = await targets(graph)

    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert "Application.Read.All" in line


async def test_a_tenant_without_jobs_is_said_to_have_none(graph: HttpClient) -> None:
    state: dict[str, Any] = {"users": [], "servicePrincipals": []}
    (await graph.put("/_emulator/state?replace=true", json=state)).raise_for_status()

    ran = await targets(graph)

    assert (ran.code, ran.out) == (0, "None of 0 service principals has a provisioning job.\n")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        pytest.param({"RESET_TARGETS": "{}"}, "RESET_TARGETS: empty", id="empty"),
        pytest.param({"RESET_TARGETS": "{"}, "RESET_TARGETS: not valid JSON", id="unreadable"),
        pytest.param({"RESET_TARGETS": ""}, "RESET_TARGETS: missing", id="missing"),
        pytest.param({"RESET_TARGETS": "@none.json"}, "RESET_TARGETS: the file", id="no-file"),
        pytest.param({"GRAPH_ENDPOINT": "https://evil.example"}, "GRAPH_ENDPOINT: ", id="endpoint"),
        pytest.param({"GRAPH_ENDPOINT": "http://127.0.0.1:9"}, "make emulator", id="no-emulator"),
    ],
)
async def test_what_stands_in_the_way_of_a_plan_is_one_line(
    environ: dict[str, str], words: str
) -> None:
    ran = await plan("http://127.0.0.1:9", **environ)

    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert words in line


async def test_no_emulator_is_one_line_for_targets_too() -> None:
    ran = await targets("http://127.0.0.1:9")

    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("GRAPH_ENDPOINT: http://127.0.0.1:9: no connection")


async def test_a_bad_catalogue_does_not_keep_targets_from_listing(
    graph: HttpClient,
) -> None:
    ran = await targets(graph, RESET_TARGETS="{")

    assert ran.code == 0
    assert "Salesforce Production" in ran.out
    assert "LISTED is not known: RESET_TARGETS: not valid JSON" in ran.err


async def test_a_terminal_sees_the_progress_and_the_pipe_only_the_result(
    graph: HttpClient,
) -> None:
    ours, theirs = pty.openpty()
    try:
        ran = await run("targets", graph, {"JSON": "1"}, stderr=theirs)
        os.set_blocking(ours, False)
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert "3 of 3 service principals looked at" in shown
    assert json.loads(ran.out)["lookedAt"] == 3


async def test_the_rows_are_looked_at_where_there_is_storage(graph: HttpClient) -> None:
    async with (
        processes.azurite() as storage,
        TableServiceClient.from_connection_string(storage) as tables,
    ):
        for name in (RESETS_TABLE, IDS_TABLE):
            await tables.create_table(name)
        store = TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=str
        )
        today = budget_day(datetime.now(UTC))
        place = BudgetPlace(day=today, reset_id="another", client_request_id="c")
        await store.reserve(place, limit=1)
        ran = await plan(graph, ResetStorage=storage, RESET_DAILY_BUDGET="1", JSON="1")

    found = json.loads(ran.out)
    assert ran.code == 0
    assert all(line.startswith("Approvals: ") for line in ran.err.splitlines())
    assert found["rows"] == {"read": True, "why": ""}
    assert all(
        entry["request"][0]["reason"]
        == "today's budget of 1 restarts is spent (RESET_DAILY_BUDGET)"
        for entry in found["targets"]
    )


async def test_storage_that_is_not_there_is_said_and_stops_nothing(
    graph: HttpClient,
) -> None:
    ran = await plan(graph, ResetStorage=connection_string("9", "9", "9"))

    assert ran.code == 0
    assert "salesforce-prod" in ran.out
    assert "not looked at: ResetStorage: storage does not answer" in ran.err
