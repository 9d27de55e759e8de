"""The package runs: nothing else is on the path of the genuine worker but the host itself."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest

from local import processes
from local.http_client import http_client
from local.package import alone
from local.package.build import ROOT, SITE
from shared.domain.reset import State
from tests.functional.stack import SALESFORCE, Stack, storage_and_graph
from tests.functional.test_main_job import (
    test_a_missing_permission_is_waited_for_and_named,
    test_a_request_restarts_the_job_in_full_once_and_the_link_is_replaced,
    test_a_restart_whose_answer_is_lost_is_found_by_looking_and_not_sent_again,
    test_several_jobs_are_refused_with_their_ids,
)
from tests.functional.test_start import NAMES
from tests.package.support import run, strangers, venv

__all__ = [
    "test_a_missing_permission_is_waited_for_and_named",
    "test_a_request_restarts_the_job_in_full_once_and_the_link_is_replaced",
    "test_a_restart_whose_answer_is_lost_is_found_by_looking_and_not_sent_again",
    "test_several_jobs_are_refused_with_their_ids",
]

GUESTS = ("local", "azure.storage.blob", "__main__")
INDEX = ROOT / "tests" / "package" / "index_app.py"
KEY = {"x-functions-key": "local"}


@asynccontextmanager
async def host(
    stack: Stack, unpacked: Path, guests: Path, tmp_path: Path, **changes: str
) -> AsyncIterator[str]:
    """The host over the package; at its end it must have kept to the package."""
    report = tmp_path / "report.json"
    command = alone.command(unpacked, guests, "local.host", report=str(report))
    environ = {**stack.environ, "APP_DIR": str(unpacked), **changes}
    async with processes.host(environ, command=command) as (_, address):
        yield address
    assert strangers(report, unpacked, guests=GUESTS) == {}


@pytest.fixture
async def stack(unpacked: Path, host_guests: Path, tmp_path: Path) -> AsyncIterator[Stack]:
    """For the tests of the main job above: here they run over the package."""
    async with storage_and_graph() as stack, host(stack, unpacked, host_guests, tmp_path):
        yield stack


async def test_an_approval_over_http_sends_the_restart(
    unpacked: Path, host_guests: Path, tmp_path: Path
) -> None:
    entry = {"servicePrincipalId": SALESFORCE, "approval": "always"}
    targets = json.dumps({"salesforce-prod": entry})
    async with (
        storage_and_graph() as stack,
        host(stack, unpacked, host_guests, tmp_path, RESET_TARGETS=targets) as address,
        http_client(f"{address}/api", headers=KEY) as client,
    ):
        await stack.ask("r1", requestedBy="ann")
        await stack.reached("r1", State.AWAITING_APPROVAL)
        body = {"decision": "approve", "by": "boss"}
        approved = await client.post("/resets/r1/decision", json=body)
        ended = await stack.ended("r1")
        health = await client.get("/health")

    assert (approved.status, health.status) == (200, 200)
    assert (ended.state, ended.approved_by) == (State.COMPLETED, "boss")


async def test_the_worker_finds_every_function_and_imports_by_bytecode_alone(
    unpacked: Path, host_guests: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    code, said = await run(
        alone.command(unpacked, host_guests, str(INDEX), str(unpacked), report=str(report))
    )

    assert code == 0, said
    *warned, found = said.splitlines()
    assert json.loads(found) == NAMES
    # There are no settings here, and the app that indexing builds says so.
    assert {line.split()[0] for line in warned} == {"settings.bad"}
    assert strangers(report, unpacked, guests=GUESTS) == {}
    files = json.loads(report.read_text(encoding="utf-8"))
    sources = [Path(f) for f in files.values() if f.endswith(".py")]
    sources = [path for path in sources if path.is_relative_to(unpacked)]
    assert len(sources) > 300
    without = [
        str(path.relative_to(unpacked))
        for path in sources
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").exists()
    ]
    assert without == []


async def test_the_gateways_contract_holds_over_the_package(unpacked: Path, tmp_path: Path) -> None:
    ours = {"local": ROOT / "local", "tests": ROOT / "tests"}
    guests = alone.invite(tmp_path / "guests", ours | runner())
    report = tmp_path / "report.json"
    code, said = await run(
        alone.command(
            unpacked,
            guests,
            "pytest",
            str(ROOT / "tests/contract/test_graph_gateway.py"),
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "pythonpath=",
            "--import-mode=importlib",
            report=str(report),
        )
    )

    assert code == 0, said
    assert " passed" in said
    assert strangers(report, unpacked, guests=(*GUESTS, "tests", *RUNNER)) == {}
    files = json.loads(report.read_text(encoding="utf-8"))
    assert files["shared.adapters.graph.gateway"].startswith(str(unpacked))
    assert files["msgraph"].startswith(str(unpacked / SITE))


RUNNER = (
    "pytest",
    "_pytest",
    "pytest_asyncio",
    "pluggy",
    "iniconfig",
    "packaging",
    "py",
    "pygments",
)


def runner() -> dict[str, Path]:
    """The test runner, which is not part of any package."""
    asyncio_plugin = distribution("pytest-asyncio")
    metadata = f"pytest_asyncio-{asyncio_plugin.version}.dist-info"
    found = {venv(name).name: venv(name) for name in RUNNER}
    return {**found, metadata: Path(str(asyncio_plugin.locate_file(metadata)))}
