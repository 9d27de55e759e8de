"""
`make faults`: what breaks while requests are under way, on the real processes.

Each case sends a request for each of REQUESTS (20) targets, breaks something, and waits until all
have been restarted. It ends with 0 only if no request was lost, none was restarted twice, and each
case came to rest within its time. ONLY=killed,storage runs those alone.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from bench import stoppable
from bench.lab import Host, Lab, lab, target
from local.errors import whole_number
from shared.names import RESETS_TABLE

DONE: Final = frozenset({"restarted", "completed"})
OPEN_FATE: Final = DONE | {"unknown"}
"""Where no answer shows what became of a POST, and the job shows nothing: it is looked for on."""

KILLS: Final = 3
SECONDS_OF_TROUBLE: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """
    One thing that breaks. *trouble* runs beside the requests and ends when it is over.

    *rests* are the states in which nothing more is to be done soon.
    """

    name: str
    trouble: Callable[["Scene"], Awaitable[None]]
    rests: frozenset[str] = DONE
    within: float = 90
    hosts: int = 1


@dataclass(kw_only=True)
class Scene:
    """A lab with running hosts."""

    lab: Lab
    requests: int
    seconds: float
    hosts: list[Host] = field(default_factory=list)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_host(self) -> None:
        settings = self.lab.settings(
            self.requests,
            counted=True,
            SWEEP_SCHEDULE="*/5 * * * * *",
            FOLLOW_UP_INTERVAL="PT2S",
            LOCAL_LEASE_SECONDS="5",
        )
        self.hosts.append(await self.stack.enter_async_context(self.lab.host("relink", settings)))

    async def states(self) -> Counter[str]:
        table = self.lab.table_client.get_table_client(RESETS_TABLE)
        found = table.query_entities(
            "RowKey ge 'reset:' and RowKey lt 'reset;'", select=["State", "RowKey"]
        )
        return Counter([str(row["State"]) async for row in found])


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a case; *seconds* from the end of the trouble until all had come to rest."""

    name: str
    requests: int
    states: Counter[str]
    restarts: Counter[str]
    seconds: float
    rested: bool

    @property
    def lost(self) -> int:
        return self.requests - self.states.total()

    @property
    def twice(self) -> int:
        return sum(count > 1 for count in self.restarts.values())

    @property
    def good(self) -> bool:
        unsent = sum(self.states[state] for state in DONE) > len(self.restarts)
        return not self.lost and not self.twice and not unsent and self.rested


async def killed(scene: Scene) -> None:
    """SIGKILL in the middle of the work, again and again; another process starts at once."""
    for number in range(KILLS):
        await asyncio.sleep(0.4 + 0.3 * number)
        await scene.hosts.pop().process.kill()
        await scene.start_host()


async def storage_gone(scene: Scene) -> None:
    """Every connection to tables and queues is dropped for a while."""
    for relay in (scene.lab.tables, scene.lab.queues):
        relay.drop("", 1_000_000)
    await asyncio.sleep(scene.seconds)
    for relay in (scene.lab.tables, scene.lab.queues):
        relay.faults.clear()


async def storage_slow(scene: Scene) -> None:
    """Every storage call takes two seconds more for a while."""
    for relay in (scene.lab.tables, scene.lab.queues):
        relay.seconds = 2
    await asyncio.sleep(scene.seconds)
    for relay in (scene.lab.tables, scene.lab.queues):
        relay.seconds = 0


async def graph_throttles(scene: Scene) -> None:
    """Graph answers 429 to every read for a while."""
    scene.lab.graph.retry_after = 2
    scene.lab.graph.fault["GET"] = [429] * 1_000_000
    await asyncio.sleep(scene.seconds)
    scene.lab.graph.fault.clear()


async def answer_lost(scene: Scene) -> None:
    """Half of the restarts take effect, and their answers are lost."""
    scene.lab.graph.drop = ["after"] * (scene.requests // 2)


async def restart_lost(scene: Scene) -> None:
    """Two restarts never arrive: nothing shows that, so they must not be sent again soon."""
    scene.lab.graph.drop = ["before"] * 2


async def restart_refused(scene: Scene) -> None:
    """Two restarts are answered 503, which may follow one that took effect."""
    scene.lab.graph.fault["POST"] = [503, 503]


async def nothing(scene: Scene) -> None:
    """Two hosts race for the same work."""
    del scene


CASES: Final = (
    Case(name="killed", trouble=killed, within=240),
    Case(name="storage gone", trouble=storage_gone),
    Case(name="storage slow", trouble=storage_slow),
    Case(name="graph throttles", trouble=graph_throttles),
    Case(name="answer lost", trouble=answer_lost),
    Case(name="restart lost", trouble=restart_lost, rests=OPEN_FATE),
    Case(name="restart refused", trouble=restart_refused, rests=OPEN_FATE),
    Case(name="two hosts", trouble=nothing, hosts=2),
)


async def live(case: Case, requests: int, *, seconds: float = SECONDS_OF_TROUBLE) -> Outcome:
    """Run one case to its end, or to the end of its time."""
    # Long enough that a look at the job shows it running.
    async with lab(cycle=60) as it:
        scene = Scene(lab=it, requests=requests, seconds=seconds)
        async with scene.stack:
            for _ in range(case.hosts):
                await scene.start_host()
            early = case.trouble in {answer_lost, restart_lost, restart_refused}
            if early:
                await case.trouble(scene)
            await it.send({"requestId": f"f{n}", "target": target(n)} for n in range(requests))
            if not early:
                await case.trouble(scene)
            over = time.perf_counter()
            states = await scene.states()
            while not (rested := _at_rest(case, states, requests)):
                if time.perf_counter() - over > case.within:
                    break
                await asyncio.sleep(0.5)
                states = await scene.states()
            return Outcome(
                name=case.name,
                requests=requests,
                states=states,
                restarts=it.graph.restarts,
                seconds=time.perf_counter() - over,
                rested=rested,
            )


def _at_rest(case: Case, states: Counter[str], requests: int) -> bool:
    return states.total() == requests and set(states) <= case.rests


def table(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{'':<16}{'lost':>6}{'twice':>7}{'recovered':>11}  states", "-" * 78]
    for each in outcomes:
        states = ", ".join(f"{count} {state}" for state, count in sorted(each.states.items()))
        after = f"{each.seconds:.0f} s" if each.rested else "not"
        mark = "" if each.good else "  WRONG"
        lines.append(f"{each.name:<16}{each.lost:>6}{each.twice:>7}{after:>11}  {states}{mark}")
    return "\n".join(lines)


async def main() -> int:
    requests = whole_number(os.environ, "REQUESTS", 20)
    only = tuple(filter(None, os.environ.get("ONLY", "").split(",")))
    cases = [case for case in CASES if not only or case.name.startswith(only)]
    if not cases:
        known = ", ".join(case.name for case in CASES)
        raise SystemExit(f"ONLY: {','.join(only)!r} is not known; known are {known}")
    outcomes = []
    for case in cases:
        print(f"  {case.name}: {(case.trouble.__doc__ or '').strip()}", file=sys.stderr)
        outcomes.append(await live(case, requests))
    print(table(outcomes))
    return 0 if all(each.good for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(stoppable.run(main()))
