"""The timer that looks at every target's job and asks for what is due; it restarts nothing."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.config import Settings
from shared.domain import policy, remediation
from shared.domain.catalogue import Target
from shared.domain.errors import Conflict, GraphError, NewerRow, NotSent, Throttled
from shared.domain.ports import Clock, Graph, Store
from shared.domain.remediation import Candidate, Observation, Skipped, Submit
from shared.domain.reset import Fleet, JobObservation, Stored
from shared.names import REMEDIATE
from shared.telemetry import emit
from shared.use_cases.submit import Submission

AT_ONCE: Final = 8
"""Targets looked at at the same time."""

LOGS_A_RUN: Final = 4
"""Provisioning logs read in one run, the longest unread first: Graph allows 5 in 10 seconds."""


LOOKS_FOR: Final = timedelta(minutes=5)
"""After that a tick begins no more looks: a Graph that hangs must not outlast functionTimeout."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class Run:
    """One tick: what it has done so far, and the failures that are raised in the end."""

    now: datetime
    looked_at: int = 0
    asked: int = 0
    left: int = 0
    failed: int = 0
    broken: list[Exception] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetObservation:
    """A look at one target: its watch row in any case, the sight where Graph answered."""

    watch: Stored[JobObservation]
    sight: Observation | None = None


class Remediation:
    """The use case `remediate`: harmless when it runs late, twice, or next to another one."""

    def __init__(
        self,
        *,
        store: Store,
        submission: Submission,
        graph: Callable[[], Awaitable[Graph]],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._submission = submission
        self._graph = graph
        self._rules = settings.rules
        self._clock = clock

    async def remediate(self) -> Run:
        """
        Look at every target, then ask for what is due.

        A job that cannot be read holds up no other and is no failure of the timer. Storage that
        fails is raised in the end, and then there is no heartbeat.
        """
        run = Run(now=self._clock())
        if why := self._standstill():
            emit("remediate.left", why=why)
        else:
            await self._go_round(run)
        emit(
            "remediate.done",
            targets=run.looked_at,
            asked=run.asked,
            left=run.left,
            failed=run.failed,
        )
        if run.broken:
            raise run.broken[0]
        await self._store.beat(REMEDIATE, at=run.now)
        return run

    def _standstill(self) -> str:
        """A setting that cannot be read stops everything: not even a dry run is asked for."""
        if self._rules.problem or self._rules.catalogue is None:
            return f"a setting must be put right: {self._rules.problem}"
        return "" if self._rules.catalogue else "RESET_TARGETS is empty"

    async def _go_round(self, run: Run) -> None:
        catalogue = self._rules.catalogue or {}
        looks = await _each(run, catalogue, self._look)
        fleet = policy.fleet_of(look.watch.row for look in looks.values())
        if unread := len(catalogue) - len(looks):
            # The sum of a part is no sum: what cannot be read counts as ill.
            fleet = Fleet(seen=fleet.seen + unread, quarantined=fleet.quarantined + unread)
        # Noted before anything is asked for: the policy finds it there. A tick that began later
        # has the last word, here too.
        fleet = await self._store.note_fleet(fleet, at=run.now)
        idle = await _each(run, looks, lambda run, _, look: self._act(run, look, fleet))
        await self._read_logs(run, [looks[alias] for alias, free in idle.items() if free], fleet)

    async def _look(self, run: Run, alias: str, target: Target) -> FleetObservation:
        watch = await self._store.read_watch(alias)
        job = (await self._store.read_job(alias)).row
        try:
            if self._late(run):
                raise NotSent("the others took too long; it is looked at in the next tick")
            graph = await self._graph()
            snapshot = await graph.read_job(target.service_principal_id, target.job_id)
        except GraphError as error:
            _graph_failed(run, alias, error)
            return FleetObservation(watch=watch)
        run.looked_at += 1
        after = remediation.look(watch.row, job, snapshot, target, now=run.now)
        try:
            watch = await self._store.write_watch(watch, after)
        except Conflict:
            # Another run is at it just now, and sees to this target.
            return FleetObservation(watch=replace(watch, row=after))
        sight = Observation(alias=alias, target=target, job=job, watch=after, snapshot=snapshot)
        return FleetObservation(watch=watch, sight=sight)

    async def _act(self, run: Run, look: FleetObservation, fleet: Fleet) -> bool:
        """Ask for what is due by the mark or the slot; True where nothing was."""
        if (sight := look.sight) is None or self._late(run):
            return False
        for found in remediation.wishes(sight, now=run.now):
            if isinstance(found, Skipped):
                _left(run, sight, found)
            elif not await self._is_asked_for(run, found, sight):
                await self._ask(run, found, sight, fleet)
                return False
        return not sight.watch.quarantined

    def _late(self, run: Run) -> bool:
        return self._clock() - run.now > LOOKS_FOR

    async def _read_logs(self, run: Run, looks: list[FleetObservation], fleet: Fleet) -> None:
        """One after the other, and no more once one is throttled: no limit is tighter."""
        looks.sort(key=lambda look: look.watch.row.links_read_at or _NEVER)
        read = 0
        for look in looks:
            sight = look.sight
            wish = remediation.reads_logs(sight) if sight is not None else None
            if sight is None or wish is None or read >= LOGS_A_RUN or self._late(run):
                continue
            try:
                read += await self._stale(run, wish, look, sight, fleet)
            except GraphError as error:
                _graph_failed(run, sight.alias, error)
                if isinstance(error, Throttled):
                    return
                # Also after a failure it is the others' turn first.
                read += 1
                await self._note_read(run, look, sight)
            except Exception as error:  # noqa: BLE001 -- one failure hides no other
                _broken(run, sight.alias, error)

    async def _stale(
        self, run: Run, wish: Candidate, look: FleetObservation, sight: Observation, fleet: Fleet
    ) -> bool:
        """Read the logs where a full restart may be asked for at all; True where they were read."""
        if await self._is_asked_for(run, wish, sight):
            return False
        if isinstance(await self._judge(run, wish, sight, fleet), Skipped):
            return False
        graph = await self._graph()
        links = await graph.stale_links(
            sight.target.service_principal_id,
            sight.snapshot.id,
            since=remediation.logs_since(sight, now=run.now),
        )
        found = remediation.stale(wish, sight, links)
        if isinstance(found, Skipped):
            _left(run, sight, found)
        else:
            await self._ask(run, found, sight, fleet)
        # Last: what was found is asked for, whatever becomes of this note.
        await self._note_read(run, look, sight)
        return True

    async def _note_read(self, run: Run, look: FleetObservation, sight: Observation) -> None:
        with contextlib.suppress(Conflict):
            await self._store.write_watch(look.watch, replace(sight.watch, links_read_at=run.now))

    async def _is_asked_for(self, run: Run, wish: Candidate, sight: Observation) -> bool:
        """With its reset: an ids row alone, after a crash, is completed by asking again."""
        dry = not self._rules.enabled
        there = remediation.received(wish, sight, now=run.now, dry_run=dry)
        claim = await self._store.find(there.id)
        return claim is not None and await self._store.read_reset(claim) is not None

    async def _ask(self, run: Run, wish: Candidate, sight: Observation, fleet: Fleet) -> None:
        found = await self._judge(run, wish, sight, fleet)
        if isinstance(found, Skipped):
            _left(run, sight, found)
            return
        request = found.received.request
        # Counted first: the others' wishes are judged meanwhile, under the same budget.
        run.asked += 1
        accepted = await self._submission.submit(found.received, via=REMEDIATE)
        run.asked -= accepted.known
        emit(
            "remediate.asked",
            id=found.received.id,
            target=sight.alias,
            cause=str(wish.cause),
            scope=str(request.scope),
            why=found.why,
            dryRun=request.dry_run,
        )

    async def _judge(
        self, run: Run, wish: Candidate, sight: Observation, fleet: Fleet
    ) -> Submit | Skipped:
        budget = await self._store.budget(f"{run.now:%Y-%m-%d}", "")
        # What this tick has asked for is spent soon.
        budget = replace(budget, spent=budget.spent + run.asked)
        history = policy.History(job=sight.job, budget=budget, fleet=fleet, watch=sight.watch)
        return remediation.judge(wish, sight, history, self._rules, now=run.now)


async def _each[Value, Found](
    run: Run,
    items: Mapping[str, Value],
    do: Callable[[Run, str, Value], Awaitable[Found]],
) -> dict[str, Found]:
    """Do it for every alias, some at a time; one failure hides no other."""
    gate, found = asyncio.Semaphore(AT_ONCE), dict[str, Found]()

    async def one(alias: str, value: Value) -> None:
        async with gate:
            try:
                found[alias] = await do(run, alias, value)
            except NewerRow as error:
                run.failed += 1
                emit("reset.newer_row", target=alias, why=str(error))
            except Exception as error:  # noqa: BLE001 -- see above
                _broken(run, alias, error)

    async with asyncio.TaskGroup() as tasks:
        for alias, value in items.items():
            tasks.create_task(one(alias, value))
    return found


def _graph_failed(run: Run, alias: str, error: GraphError) -> None:
    run.failed += 1
    emit("remediate.failed", target=alias, why=error.reason)


def _broken(run: Run, alias: str, error: Exception) -> None:
    run.failed += 1
    run.broken.append(error)
    emit("remediate.failed", target=alias, why=f"{type(error).__name__}: {error}")


def _left(run: Run, sight: Observation, found: Skipped) -> None:
    run.left += 1
    emit("remediate.left", target=sight.alias, cause=str(found.cause), why=found.why)
