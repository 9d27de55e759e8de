"""
Predict, for every target, what the policy says to a request and what the timer would submit.

It asks the same policy and the same pure half of `remediate` as the app; it sends and writes
nothing.
"""

import asyncio
from collections.abc import Callable
from copy import replace
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shared.config import Settings
from shared.domain import approvals, policy, remediation
from shared.domain.approvability import SIGN_IN_FIRST, gaps
from shared.domain.catalogue import Catalogue, Target
from shared.domain.errors import GraphError, Rejected, SettingsError, StorageUnavailable
from shared.domain.moments import budget_day
from shared.domain.policy import Ask, Go, History, Refuse, Rules, Ruling, Wait
from shared.domain.ports import Clock, Graph, Limits, Resets
from shared.domain.remediation import Candidate, Observation, Skipped, Submit
from shared.domain.reset import Budget, Fleet, JobObservation, JobRow, Reset, Scope, WaitingFor
from shared.domain.sync_job import SyncJob
from shared.names import CONNECTION

MAX_READS_AT_ONCE: Final = 8


class Rows(Resets, Limits, Protocol):
    """What the plan reads of the app's rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetPlan:
    """
    `request`: what the policy says to a full reset that is asked for now; the first is what would
    happen, the others would stand in the way after it. `timer`: what `remediate` would ask for or
    leave alone; nothing where nothing is due. `job` is None where it cannot be read, by `error`.
    """

    alias: str
    target: Target
    job: SyncJob | None
    request: tuple[Ruling, ...]
    timer: tuple[Submit | Skipped, ...]
    error: GraphError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """
    `rows_unread` says why cooldowns, budget and what was seen before were not looked at;
    `warnings`, where an approval could not be given, or a question would not be heard.
    """

    at: datetime
    targets: tuple[TargetPlan, ...]
    rows_unread: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """
    A target as its rows show it, as if new where they were not read, and as Graph does: there is
    either a snapshot or what kept it from being read.
    """

    alias: str
    target: Target
    job: JobRow
    watch: JobObservation
    snapshot: SyncJob | None = None
    unread: GraphError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Day:
    """What is one for all targets: the budget, and the fleet as the rows have it and as it is."""

    now: datetime
    budget: Budget
    noted: Fleet
    seen: Fleet


class Planner:
    """The use case `make plan`."""

    def __init__(
        self, *, store: Rows | None, graph: Graph, settings: Settings, clock: Clock
    ) -> None:
        self._store = store
        self._graph = graph
        self._settings = settings
        self._clock = clock
        self._rules = _rules(settings)

    async def plan(self, *, progress: Callable[[int, int], None]) -> Plans:
        """
        Look at every target of the catalogue; one that cannot be read hides no other.

        Raise SettingsError where there is no catalogue, or an empty one.
        """
        catalogue = _catalogue(self._settings)
        now = self._clock()
        if unread := await self._rows_unread(now):
            self._store = None
        places, done = asyncio.Semaphore(MAX_READS_AT_ONCE), 0
        progress(done, len(catalogue))

        async def look(alias: str, target: Target) -> _Look:
            nonlocal done
            async with places:
                found = await self._look(alias, target, now)
            done += 1
            progress(done, len(catalogue))
            return found

        looks = await asyncio.gather(*(look(*entry) for entry in catalogue.items()))
        day = await self._day(looks, now)
        # One after the other: of the provisioning logs Graph allows few reads at a time.
        plans = [await self._plan(look, day) for look in looks]
        sign_in = self._rules.sign_in
        warnings = [str(gap) for gap in gaps(catalogue, sign_in=sign_in)]
        stuck = (_stuck(plan, self._rules, now) for plan in plans)
        return Plans(
            at=now,
            targets=tuple(plans),
            rows_unread=unread,
            warnings=(*(words for words in stuck if words), *warnings),
        )

    async def _rows_unread(self, now: datetime) -> str:
        """Why the rows cannot be read; empty where they can."""
        if self._store is None:
            return next((p for p in self._settings.problems if p.startswith(CONNECTION)), "")
        try:
            await self._store.budget(budget_day(now))
        except StorageUnavailable as error:
            return f"{CONNECTION}: storage does not answer: {error}"
        return ""

    async def _look(self, alias: str, target: Target, now: datetime) -> _Look:
        job, watch = JobRow(target=alias), JobObservation(target=alias)
        if self._store is not None:
            job = (await self._store.read_job(alias)).row
            watch = (await self._store.read_observation(alias)).row
        look = _Look(alias=alias, target=target, job=job, watch=watch)
        try:
            seen = await self._graph.read_job(target.service_principal_id, target.job_id)
        except GraphError as error:
            return replace(look, unread=error)
        watch = remediation.observe(watch, job, seen, target, now=now)
        return replace(look, watch=watch, snapshot=seen)

    async def _day(self, looks: list[_Look], now: datetime) -> _Day:
        seen = policy.fleet_of(look.watch for look in looks)
        if self._store is None:
            return _Day(now=now, budget=Budget(), noted=seen, seen=seen)
        budget = await self._store.budget(budget_day(now))
        return _Day(now=now, budget=budget, noted=await self._store.fleet(), seen=seen)

    async def _plan(self, look: _Look, day: _Day) -> TargetPlan:
        ticks = [] if look.snapshot is None else await self._on_tick(look, look.snapshot, day)
        return TargetPlan(
            alias=look.alias,
            target=look.target,
            job=look.snapshot,
            request=on_request(look, day, self._rules),
            timer=tuple(ticks),
            error=look.unread,
        )

    async def _on_tick(self, look: _Look, snapshot: SyncJob, day: _Day) -> list[Submit | Skipped]:
        """What a tick of `remediate` would do, in its order: mark, slot, then the logs."""
        observation = Observation(
            alias=look.alias,
            target=look.target,
            job=look.job,
            row=look.watch,
            snapshot=snapshot,
        )
        history = History(job=look.job, budget=day.budget, fleet=day.seen, observation=look.watch)
        found: list[Submit | Skipped] = []
        for candidate in remediation.candidates(observation, now=day.now):
            found.append(await self._grant(candidate, observation, history, day))
            if isinstance(found[-1], Submit):
                return found
        logs_candidate = remediation.reads_logs(observation)
        if logs_candidate is None:
            return found
        allowed = await self._grant(logs_candidate, observation, history, day)
        if isinstance(allowed, Submit):
            granted = await self._read_logs(logs_candidate, observation, day)
            allowed = await self._grant(granted, observation, history, day)
        return [*found, allowed]

    async def _grant(
        self, candidate: Candidate | Skipped, observation: Observation, history: History, day: _Day
    ) -> Submit | Skipped:
        if isinstance(candidate, Skipped):
            return candidate
        dry = not self._rules.enabled
        there = remediation.received(candidate, observation, now=day.now, dry_run=dry)
        if self._store is not None and await self._store.find(there.id) is not None:
            return Skipped(cause=candidate.cause, why=f"was asked for already, as {there.id}")
        return remediation.judge(candidate, observation, history, self._rules, now=day.now)

    async def _read_logs(
        self, candidate: Candidate, observation: Observation, day: _Day
    ) -> Candidate | Skipped:
        try:
            links = await self._graph.stale_links(
                observation.target.service_principal_id,
                observation.snapshot.id,
                since=remediation.logs_since(observation, now=day.now),
            )
        except GraphError as error:
            return Skipped(cause=candidate.cause, why=f"the provisioning logs: {error.reason}")
        return remediation.stale(candidate, observation, links)


def _stuck(plan: TargetPlan, rules: Rules, now: datetime) -> str:
    """Say that a request would wait now for an approval that nobody could give; mostly nothing."""
    standard = rules.standard(plan.target)
    reset = Reset(id="plan", target=plan.alias, requested_at=now)
    for ruling in plan.request:
        if isinstance(ruling, Ask):
            keys = [each.key for each in ruling.questions]
            needed, vouched = approvals.approvers_needed(reset, keys, standard)
            if vouched and not standard.sign_in:
                return (
                    f"{plan.alias}: a request would ask now for {needed} signed-in persons, and "
                    f"nobody can sign in: it would expire; {SIGN_IN_FIRST}"
                )
    return ""


def on_request(look: _Look, day: _Day, rules: Rules) -> tuple[Ruling, ...]:
    """
    Everything that stands against a full reset, in the order in which the engine would meet it.

    What would be said were resets switched on is told too, so that a switch that is off hides
    no job in quarantine.
    """
    reset = _imagined(look, now=day.now)
    history = History(job=look.job, budget=day.budget, fleet=day.noted, observation=look.watch)
    found = [policy.before_reading(reset, history, rules, now=day.now)]
    if not rules.enabled:
        on = replace(rules, enabled=True)
        found.append(policy.before_reading(reset, history, on, now=day.now))
    if look.snapshot is not None:
        found.append(policy.after_reading(reset, look.snapshot, history, rules, now=day.now))
    if look.unread is not None:
        found.append(_unread(look.unread, day.now))
    against: dict[str, Ruling] = {}
    for decision in found:
        if not isinstance(decision, Go):
            against.setdefault(decision.reason, decision)
    return tuple(against.values()) or (Go(),)


def _unread(error: GraphError, now: datetime) -> Ruling:
    """What `advance` makes of a job that cannot be read."""
    if isinstance(error, Rejected):
        return Refuse(reason=error.reason)
    return Wait(
        waiting_for=WaitingFor.GRAPH,
        until=now + (error.retry_after or policy.SWITCHED_OFF_WAIT),
        reason=error.reason,
    )


def _imagined(look: _Look, *, now: datetime) -> Reset:
    """A full request that comes now, from outside."""
    return Reset(
        id="plan",
        target=look.alias,
        requested_at=now,
        service_principal_id=look.target.service_principal_id,
        job_id=look.target.job_id,
        scope=Scope.FULL,
        via="api",
        seen_number=look.job.number,
    )


def _catalogue(settings: Settings) -> Catalogue:
    if settings.catalogue is None:
        bad = (why for why in settings.problems if why.startswith("RESET_TARGETS"))
        why = next(bad, "RESET_TARGETS: cannot be read")
        raise SettingsError(f"{why} (`make targets` prints entries)")
    if not settings.catalogue:
        raise SettingsError(
            "RESET_TARGETS: empty: nothing may be reset; add entries (`make targets` prints them)"
        )
    return settings.catalogue


def _rules(settings: Settings) -> Rules:
    """Without the storage's problem: that rows were not looked at is said in another place."""
    problems = (why for why in settings.problems if not why.startswith(CONNECTION))
    return replace(settings.rules, problem=next(problems, ""))
