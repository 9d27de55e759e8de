"""Cold starts of the app in each of the ways to deploy it, as a table."""

import asyncio
import json
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from azure.data.tables.aio import TableServiceClient

from bench.variants import Variant, lay_out
from local import processes
from local.package import alone
from local.package.build import ROOT
from shared.names import TABLES

PROGRAM = ROOT / "bench" / "cold_start.py"
STEPS = ("indexed", "identity", "answered", "called Graph")
QUARTER_OF_A_CORE = 4

Taken = dict[str, dict[str, list[float]]]
"""Processor seconds by variant and step, one for each round."""


async def compared(rounds: int, say: Callable[[str], None]) -> str:
    """Start each of them *rounds* times, by turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variants = lay_out(folder, say)
        guests = alone.invite(folder / "guests", {"local": ROOT / "local"})
        async with processes.azurite() as storage, processes.emulator() as graph:
            await _create_tables(storage)
            taken = await _measure(variants, guests, rounds, _settings(storage, graph), say)
    return table(variants, taken, rounds)


def _settings(storage: str, graph: str) -> dict[str, str]:
    target = {"salesforce-prod": {"servicePrincipalId": "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"}}
    return {
        "PATH": os.defpath,
        "ResetStorage": storage,
        "GRAPH_ENDPOINT": graph,
        "RESET_TARGETS": json.dumps(target),
        "RESETS_ENABLED": "true",
    }


async def _create_tables(storage: str) -> None:
    async with TableServiceClient.from_connection_string(storage) as tables:
        for name in TABLES:
            await tables.create_table_if_not_exists(name)


async def _measure(
    variants: list[Variant],
    guests: Path,
    rounds: int,
    settings: dict[str, str],
    say: Callable[[str], None],
) -> Taken:
    """Turn by turn, so that what else the machine does falls on all alike; one round unmeasured."""
    taken: Taken = defaultdict(lambda: defaultdict(list))
    for number in range(rounds + 1):
        for variant in variants:
            say(f"round {number} of {rounds}{'' if number else ' (warming up)'}: {variant.name}")
            steps = await _cold_start(variant, guests, settings)
            if number:
                for step, (_, processor) in steps.items():
                    taken[variant.name][step].append(processor)
    return taken


async def _cold_start(
    variant: Variant, guests: Path, settings: dict[str, str]
) -> dict[str, tuple[float, float]]:
    command = alone.command(variant.folder, guests, str(PROGRAM), str(variant.folder))
    process = await asyncio.create_subprocess_exec(
        *command, env=settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{variant.name}: the cold start failed\n{err.decode()}{out.decode()}")
    steps: dict[str, tuple[float, float]] = json.loads(out.decode().splitlines()[-1])
    return steps


def table(variants: list[Variant], taken: Taken, rounds: int) -> str:
    """Medians, and in brackets how many times faster or smaller than the first."""
    base = variants[0]
    lines = [
        f"Processor seconds from an empty process, median of {rounds} cold starts;",
        "in brackets the baseline (first row) divided by it.",
        "",
        f"| | {' | '.join(STEPS)} | all on a quarter of a core | MB zipped | MB unpacked |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for variant in variants:
        cells = []
        for step in STEPS:
            mine = statistics.median(taken[variant.name][step])
            ratio = statistics.median(taken[base.name][step]) / mine
            cells.append(f"{mine:.2f} ({ratio:.1f})")
        last = statistics.median(taken[variant.name][STEPS[-1]])
        cells.append(f"{last * QUARTER_OF_A_CORE:.1f} s")
        cells.append(f"{variant.zipped / 1e6:.1f} ({base.zipped / variant.zipped:.1f})")
        cells.append(f"{variant.unpacked / 1e6:.0f} ({base.unpacked / variant.unpacked:.1f})")
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    return "\n".join(lines)
