"""Schemathesis against our own OpenAPI document, through the genuine worker."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from local import processes
from shared.adapters.table_rows import reset_from
from shared.domain.keys import ALL_INDEXED
from shared.domain.reset import Reset
from tests.functional.stack import AWS, SALESFORCE, SERVICENOW, Stack, storage_and_graph
from tests.support.fuzz import CASES
from tests.support.soak import at_length, progress

# Of each operation; tests/unit/web/test_openapi_fuzz.py tries ten times as many in its process.
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", str(at_length(12, CASES // 130)))
SEED = os.environ.get("FUZZ_SEED", "1")

# One that the document's examples name, and two that a generator easily comes upon.
TARGETS = {
    "salesforce-prod": {"servicePrincipalId": SALESFORCE},
    "0": {"servicePrincipalId": AWS},
    "a": {"servicePrincipalId": SERVICENOW},
}

SENDER = {"scheme": "header", "header": "x-secret", "format": "relink", "targets": ["0", "a"]}

# The schema cannot say which targets are listed, or which year cannot be a change window.
LEFT_OUT = "positive_data_acceptance"


async def fuzz(url: str, folder: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name("schemathesis")
    process = await asyncio.create_subprocess_exec(
        program,
        "run",
        f"{url}/api/openapi.json",
        "--header",
        "x-functions-key: local",
        "--checks",
        "all",
        "--exclude-checks",
        LEFT_OUT,
        "--max-examples",
        EXAMPLES,
        "--phases",
        "examples,coverage,fuzzing",
        "--seed",
        SEED,
        "--continue-on-failure",
        "--generation-database",
        "none",
        "--no-color",
        "--request-timeout",
        "20",
        # It keeps notes of its runs where it is run.
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def hear(_: str, line: str) -> None:
    """Of every line of the host: a process keeps the last ones alone."""
    if "(Failed" in line:
        failed.append(line)
    if "Executed " in line:
        progress.case("requests over HTTP")


failed: list[str] = []


async def rows_of(stack: Stack) -> tuple[list[Reset], list[str]]:
    """All resets, and the partitions of all rows but the sweep's note on the unreadable ones."""
    table = stack.tables.get_table_client("ProvisioningResets")
    found = [entity async for entity in table.list_entities()]
    resets = [reset_from(e) for e in found if str(e["RowKey"]).startswith("reset:")]
    return resets, [str(e["PartitionKey"]) for e in found if e["RowKey"] != ALL_INDEXED]


@pytest.mark.soak
async def test_whatever_is_sent_is_answered_as_described_and_only_requests_leave_a_trace(
    tmp_path: Path,
) -> None:
    async with storage_and_graph() as stack:
        # Switched off: what is taken in waits, and Graph hears no more than the reads of dry runs.
        environ = {**stack.environ, "RESETS_ENABLED": "no"}
        environ["RESET_TARGETS"] = json.dumps(TARGETS)
        environ["WEBHOOK_SENDERS"] = json.dumps({"0": SENDER})
        environ["WEBHOOK_SECRETS"] = json.dumps({"0": ["not-to-be-come-upon-by-chance"]})
        async with processes.host(environ) as (_, url):
            processes.listeners.append(hear)
            try:
                code, out = await fuzz(url, tmp_path)
            finally:
                processes.listeners.remove(hear)
        resets, partitions = await rows_of(stack)
        unreadable = await stack.unreadable()
        asked = (await stack.graph.get("/_emulator/requests")).json()["value"]

    assert code == 0, out
    assert failed == []
    # Some of it was taken in, all of that for a listed target and with a key, none by a webhook
    # without its secret; and nothing else was written.
    assert {x.via for x in resets} == {"api"}
    assert {x.target for x in resets} <= set(TARGETS)
    assert set(partitions) <= {*TARGETS, "targets", "keys"}, set(partitions)
    assert unreadable == []
    assert [each for each in asked if each["method"] != "GET"] == []
    assert not asked or any(x.dry_run for x in resets)
