"""Log lines cost money and fill a daily cap: what the timers write is counted."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from local.processes import ROOT
from shared.names import QUEUES, TABLES
from tests.functional.stack import SALESFORCE, Stack, storage_and_graph
from tests.support.patience import PATIENCE

SCRIPT = Path(__file__).with_name("log_a_tick.py")


async def lines_of(stack: Stack, timer: str, *, targets: int) -> list[tuple[str, str]]:
    catalogue = {
        f"target-{n}": {"servicePrincipalId": SALESFORCE, "jobId": f"job-{n}"}
        for n in range(targets)
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        timer,
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            **stack.environ,
            "RESET_TARGETS": json.dumps(catalogue),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return [(name, text) for name, text in json.loads(out)]


@pytest.mark.parametrize("targets", [1, 10])
async def test_a_sweep_writes_one_line_however_many_targets_there_are(targets: int) -> None:
    async with storage_and_graph() as stack:
        for table in TABLES:
            await stack.tables.create_table(table)
        for queue in QUEUES:
            await stack.queues.create_queue(queue)
            await stack.queues.create_queue(f"{queue}-poison")
        # The first remediation makes the rows of the targets, which is what a sweep goes through.
        await lines_of(stack, "remediate", targets=targets)
        lines = await lines_of(stack, "sweep", targets=targets)
        again = await lines_of(stack, "remediate", targets=targets)

    assert [text for _, text in lines] == ['sweep.done {"sent": 0, "left": 0}']
    assert {name for name, _ in again} == {"relink"}
    assert len(again) <= 2 * targets + 1
