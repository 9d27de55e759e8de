"""
`make bench`: the app beside the one that anyone would write, and beside the bare calls.

ROUNDS (3) interleaved rounds; QUICK=1 does one of everything, smaller; ONLY=reset,storm does those
alone, ONLY=starts compares the ways to deploy. The table goes to the terminal, every figure of
every round to dist/bench.json. A measure that fails is named, the others go on, and the exit code
is 1.
"""

import json
import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import cold, cost, goals, packages, starts, stoppable, upkeep
from bench.cost import Figures
from bench.lab import in_words
from local.errors import whole_number
from local.package.build import ROOT

DEFAULT_OUT: Final = ROOT / "dist" / "bench.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One thing to measure; *once* where more rounds would tell nothing more."""

    name: str
    run: Callable[[], Awaitable[Figures]]
    once: bool = False


def measures(*, quick: bool) -> list[Measure]:
    """Small where *quick*: the same things, with more noise."""

    def size(whole: int, part: int) -> int:
        return part if quick else whole

    resets = size(250, 60)
    return [
        *(
            Measure(name=f"reset {app}", run=partial(cost.distinct, app, resets))
            for app in ("relink", "naive", "empty")
        ),
        Measure(name="floor", run=lambda: cost.floor(resets)),
        Measure(name="restart", run=lambda: cold.first_restarts(size(4, 2))),
        Measure(name="webhook", run=lambda: cold.first_webhooks(size(16, 5))),
        *(
            Measure(name=f"calls {app}", run=partial(cost.counted, app, resets), once=True)
            for app in ("relink", "naive")
        ),
        Measure(name="storm", run=lambda: cost.storm(size(2000, 500)), once=True),
        Measure(name="slow target", run=lambda: cost.beside_a_slow_one(20, 60, 19), once=True),
        Measure(name="slow storage", run=lambda: cold.slow_storage(2), once=True),
        Measure(name="dropped", run=cold.dropped_connection, once=True),
        Measure(name="idle", run=lambda: upkeep.idle_sweep(500), once=True),
        Measure(name="busy", run=lambda: upkeep.busy_sweep(size(20_000, 2_000)), once=True),
        Measure(name="reading", run=lambda: upkeep.reading(1_000, size(100_000, 3_000)), once=True),
        Measure(
            name="memory", run=lambda: cold.memory(size(1_000, 200), size(6_000, 800)), once=True
        ),
        Measure(name="package", run=packages.weighed, once=True),
    ]


async def main(environ: dict[str, str], known: Sequence[Measure] = ()) -> int:
    """Return the exit code. *known* are the measures, where not those of the app."""
    quick = environ.get("QUICK") == "1"
    known = known or measures(quick=quick)
    rounds = whole_number(environ, "ROUNDS", 1 if quick else 3)
    only = [name.strip() for name in environ.get("ONLY", "").split(",") if name.strip()]
    wanted = [m for m in known if not only or m.name.startswith(tuple(only))]
    if only and not wanted and only != ["starts"]:
        names = sorted({measure.name.split()[0] for measure in known})
        listed = ", ".join([*names, "starts"])
        raise SystemExit(f"ONLY: {','.join(only)!r} is not known; known are {listed}")
    started, taken = time.perf_counter(), defaultdict[str, list[Figures]](list)
    out = Path(environ.get("OUT") or DEFAULT_OUT)
    failed: dict[str, str] = {}
    # One round does not show what other load on the machine does.
    for number in range(1, rounds + 1):
        for measure in wanted:
            if measure.name in failed or (measure.once and number > 1):
                continue
            began = time.perf_counter()
            try:
                figures = await measure.run()
            except Exception as error:  # noqa: BLE001 -- one that fails must not cost the others
                failed[measure.name] = in_words(error)
                _say(f"round {number} of {rounds}: {measure.name} failed: {in_words(error)}")
                continue
            took = time.perf_counter() - began
            _say(f"round {number} of {rounds}: {measure.name}, {took:.0f} s")
            taken[measure.name].append({**figures, "took": took})
            _keep(out, taken, [])
    found = goals.judged({name: each for name, each in taken.items() if name not in failed})
    _keep(out, taken, found)
    if found:
        print(goals.table(found))
        minutes = (time.perf_counter() - started) / 60
        print(f"{minutes:.0f} minutes; every figure of every round: {out}")
    for name, why in failed.items():
        print(f"not measured: {name}: {why}")
    if "starts" in only:
        print("\n" + await starts.compared(rounds, _say))
    return 1 if failed else 0


def _keep(out: Path, taken: dict[str, list[Figures]], found: list[goals.Found]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    verdicts: list[dict[str, Any]] = [
        {
            "name": each.goal.name,
            "values": list(each.values),
            "median": each.median,
            "goal": each.goal.goal,
            "verdict": str(each.verdict),
        }
        for each in found
    ]
    text = json.dumps({"goals": verdicts, "measures": taken}, indent=1)
    out.write_text(text + "\n", encoding="utf-8")


def _say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # An app in this process keeps its clients open, as it does in Azure.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    sys.exit(stoppable.run(main(dict(os.environ))))
