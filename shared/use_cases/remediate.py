"""Observe every target's job and submit the resets that are due; restart nothing."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct, field

from shared.config import Settings
from shared.domain import policy, remediation
from shared.domain.catalogue import Target
from shared.domain.errors import Conflict, GraphError, NewerRow, NotSent, Throttled
from shared.domain.moments import budget_day
from shared.domain.ports import Clock, Graph, Heartbeats, Limits, Observations, Resets
from shared.domain.remediation import Candidate, Observation, Skipped, Submit
from shared.domain.reset import Fleet, JobObservation, JobRow, Stored
from shared.names import REMEDIATE
from shared.telemetry import emit
from shared.use_cases.submit import Submission

MAX_TARGETS_AT_ONCE: Final = 8
"""Targets observed at the same time."""

MAX_LOGS_A_RUN: Final = 4
"""Provisioning logs read in one run, the longest unread first: Graph allows 5 in 10 seconds."""

RUN_TIMEOUT: Final = timedelta(minutes=5)
"""After that a run begins nothing more: a Graph that hangs must not outlast functionTimeout."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Run(Struct, kw_only=True):
    """One tick: what it has done so far, and the failures that are raised in the end."""

    now: datetime
    observed: int = 0
    submitted: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[Exception] = field(default_factory=list)


class Seen(Struct, frozen=True, kw_only=True):
    """One target in a tick: its observation row in any case, what it shows where Graph answered."""

    row: Stored[JobObservation]
    observation: Observation | None = None


class Remediation(Struct, frozen=True, kw_only=True):
    """The use case `remediate`: harmless when it runs late, twice, or next to another one."""

    observations: Observations
    resets: Resets
    limits: Limits
    heartbeats: Heartbeats
    submission: Submission
    graph: Callable[[], Awaitable[Graph]]
    settings: Settings
    clock: Clock
    known: dict[str, Stored[JobObservation]] = field(default_factory=dict)
    """The rows that this process has read or written last; their ETags guard each write."""

    async def remediate(self) -> Run:
        """
        Observe every target, then submit what is due.

        A job that cannot be read holds up no other and does not fail the timer. Failures of
        storage are raised together in the end, and then there is no heartbeat.
        """
        run = Run(now=self.clock())
        if why := self._standstill():
            emit("remediate.left", why=why)
        else:
            await self._go_round(run)
        emit(
            "remediate.done",
            targets=run.observed,
            asked=run.submitted,
            left=run.skipped,
            failed=run.failed,
        )
        if run.failures:
            raise ExceptionGroup("some targets could not be remediated", run.failures)
        await self.heartbeats.beat(REMEDIATE, at=run.now)
        return run

    def _standstill(self) -> str:
        """A setting that cannot be read stops everything: not even a dry run is asked for."""
        if self.settings.rules.problem or self.settings.rules.catalogue is None:
            return f"a setting must be put right: {self.settings.rules.problem}"
        return "" if self.settings.rules.catalogue else "RESET_TARGETS is empty"

    async def _go_round(self, run: Run) -> None:
        catalogue = self.settings.rules.catalogue or {}
        seen = await _each(run, catalogue, self._observe)
        fleet = policy.fleet_of(each.row.row for each in seen.values())
        if unread := len(catalogue) - len(seen):
            # A partial sum would understate the fleet: unread targets count as quarantined.
            fleet = Fleet(seen=fleet.seen + unread, quarantined=fleet.quarantined + unread)
        # Noted before anything is asked for: the policy finds it there. A tick that began later
        # has the last word, here too.
        fleet = await self.observations.note_fleet(fleet, at=run.now)
        idle = await _each(run, seen, lambda run, _, each: self._act(run, each, fleet))
        await self._read_logs(run, [seen[alias] for alias, free in idle.items() if free], fleet)

    async def _observe(self, run: Run, alias: str, target: Target) -> Seen:
        try:
            if self._late(run):
                raise NotSent("the others took too long; it is observed in the next tick")
            graph = await self.graph()
            snapshot = await graph.read_job(target.service_principal_id, target.job_id)
        except GraphError as error:
            _graph_failed(run, alias, error)
            return Seen(row=await self._last_seen(alias))
        run.observed += 1
        job = JobRow(target=alias)
        if remediation.concerns(snapshot, target):
            # What decides is read; of an idle target what was last known is enough.
            self.known.pop(alias, None)
            job = (await self.resets.read_job(alias)).row
        row = await self._last_seen(alias)
        after = remediation.observe(row.row, job, snapshot, target, now=run.now)
        if remediation.is_news(row.row, after):
            try:
                row = await self.observations.write_observation(row, after)
            except Conflict:
                # Another run is under way, and sees to this target.
                self.known.pop(alias, None)
                return Seen(row=replace(row, row=after))
        self.known[alias] = row
        found = Observation(alias=alias, target=target, job=job, row=after, snapshot=snapshot)
        return Seen(row=row, observation=found)

    async def _last_seen(self, alias: str) -> Stored[JobObservation]:
        return self.known.get(alias) or await self.observations.read_observation(alias)

    async def _act(self, run: Run, seen: Seen, fleet: Fleet) -> bool:
        """Submit what is due by the observation or the slot; True where nothing was."""
        if (observation := seen.observation) is None or self._late(run):
            return False
        for found in remediation.candidates(observation, now=run.now):
            if isinstance(found, Skipped):
                _skip(run, observation, found)
            elif not await self._is_submitted(run, found, observation):
                await self._submit(run, found, observation, fleet)
                return False
        return not observation.row.quarantined

    def _late(self, run: Run) -> bool:
        return self.clock() - run.now > RUN_TIMEOUT

    async def _read_logs(self, run: Run, idle: list[Seen], fleet: Fleet) -> None:
        """One after the other, and no more once one is throttled: no limit is tighter."""
        idle.sort(key=lambda each: each.row.row.links_read_at or _NEVER)
        read = 0
        for seen in idle:
            observation = seen.observation
            candidate = remediation.reads_logs(observation) if observation is not None else None
            if (
                observation is None
                or candidate is None
                or read >= MAX_LOGS_A_RUN
                or self._late(run)
            ):
                continue
            try:
                read += await self._stale(run, candidate, seen, observation, fleet)
            except GraphError as error:
                _graph_failed(run, observation.alias, error)
                if isinstance(error, Throttled):
                    return
                # Also after a failure it is the others' turn first.
                read += 1
                await self._note_read(run, seen, observation)
            except Exception as error:  # noqa: BLE001 -- one failure hides no other
                _fail(run, observation.alias, error)

    async def _stale(
        self, run: Run, candidate: Candidate, seen: Seen, observation: Observation, fleet: Fleet
    ) -> bool:
        """Read the logs where a full restart may be asked for at all; True where they were read."""
        if await self._is_submitted(run, candidate, observation):
            return False
        if isinstance(await self._judge(run, candidate, observation, fleet), Skipped):
            return False
        graph = await self.graph()
        links = await graph.stale_links(
            observation.target.service_principal_id,
            observation.snapshot.id,
            since=remediation.logs_since(observation, now=run.now),
        )
        found = remediation.stale(candidate, observation, links)
        if isinstance(found, Skipped):
            _skip(run, observation, found)
        else:
            await self._submit(run, found, observation, fleet)
        # Last: requests are submitted even if this note cannot be written.
        await self._note_read(run, seen, observation)
        return True

    async def _note_read(self, run: Run, seen: Seen, observation: Observation) -> None:
        self.known.pop(observation.alias, None)
        with contextlib.suppress(Conflict):
            await self.observations.write_observation(
                seen.row, replace(observation.row, links_read_at=run.now)
            )

    async def _is_submitted(self, run: Run, candidate: Candidate, observation: Observation) -> bool:
        """An ids row alone, after a crash, does not count: asking again completes it."""
        dry = not self.settings.rules.enabled
        there = remediation.received(candidate, observation, now=run.now, dry_run=dry)
        return await self.resets.find_reset(there.id) is not None

    async def _submit(
        self, run: Run, candidate: Candidate, observation: Observation, fleet: Fleet
    ) -> None:
        found = await self._judge(run, candidate, observation, fleet)
        if isinstance(found, Skipped):
            _skip(run, observation, found)
            return
        request = found.received.request
        # Counted first: other candidates are judged meanwhile, under the same budget.
        run.submitted += 1
        accepted = await self.submission.submit(found.received, via=REMEDIATE)
        run.submitted -= accepted.known
        emit(
            "remediate.asked",
            id=found.received.id,
            target=observation.alias,
            cause=str(candidate.cause),
            scope=str(request.scope),
            why=found.why,
            dryRun=request.dry_run,
        )

    async def _judge(
        self, run: Run, candidate: Candidate, observation: Observation, fleet: Fleet
    ) -> Submit | Skipped:
        budget = await self.limits.budget(budget_day(run.now))
        # What this tick has submitted is spent soon.
        budget = replace(budget, spent=budget.spent + run.submitted)
        history = policy.History(
            job=observation.job, budget=budget, fleet=fleet, observation=observation.row
        )
        return remediation.judge(candidate, observation, history, self.settings.rules, now=run.now)


async def _each[Value, Found](
    run: Run,
    items: Mapping[str, Value],
    do: Callable[[Run, str, Value], Awaitable[Found]],
) -> dict[str, Found]:
    """Do it for every alias, some at a time; one failure hides no other."""
    gate, found = asyncio.Semaphore(MAX_TARGETS_AT_ONCE), dict[str, Found]()

    async def one(alias: str, value: Value) -> None:
        async with gate:
            try:
                found[alias] = await do(run, alias, value)
            except NewerRow as error:
                run.failed += 1
                emit("reset.newer_row", target=alias, why=str(error))
            except Exception as error:  # noqa: BLE001 -- see above
                _fail(run, alias, error)

    async with asyncio.TaskGroup() as tasks:
        for alias, value in items.items():
            tasks.create_task(one(alias, value))
    return found


def _graph_failed(run: Run, alias: str, error: GraphError) -> None:
    run.failed += 1
    emit("remediate.failed", target=alias, why=error.reason)


def _fail(run: Run, alias: str, error: Exception) -> None:
    run.failed += 1
    run.failures.append(error)
    emit("remediate.failed", target=alias, why=f"{type(error).__name__}: {error}")


def _skip(run: Run, observation: Observation, found: Skipped) -> None:
    run.skipped += 1
    emit("remediate.left", target=observation.alias, cause=str(found.cause), why=found.why)
