"""
What would happen now, target by target. Asks the policy that the engine asks; sends nothing.

What the policy would answer first stands first; what would stand in the way after that is told
too, so that a switch that is off hides no job in quarantine.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared import policy
from shared.catalogue import Catalogue, Target
from shared.config import Settings
from shared.errors import GraphError, NewerRow, Rejected, SettingsError, StorageUnavailable
from shared.models import Budget, JobRow, Reset, Scope, SyncJob
from shared.names import CONNECTION
from shared.policy import Decision, Go, Refuse, Rules, Wait
from shared.ports import Clock, Graph, Store

AT_ONCE: Final = 8

UNDER_WAY: Final = "another reset of this job is under way: this one would wait for it"


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetPlan:
    """
    `decisions` on a full reset that is asked for now: the first is what would happen, the others
    would stand in the way after it. `job` is None where it cannot be read, by `error`.
    """

    alias: str
    target: Target
    job: SyncJob | None
    decisions: tuple[Decision, ...]
    error: GraphError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """`rows_unread` says why cooldowns, budget and resets under way were not looked at."""

    at: datetime
    targets: tuple[TargetPlan, ...]
    rows_unread: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """What the tables say of one target; as if new where they were not looked at."""

    job: JobRow
    budget: Budget


class Planner:
    """The use case `make plan`: reads rows and jobs, writes neither."""

    def __init__(
        self, *, store: Store | None, graph: Graph, settings: Settings, clock: Clock
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
        rows, unread = await self._rows(list(catalogue))
        places, done = asyncio.Semaphore(AT_ONCE), 0
        progress(done, len(catalogue))

        async def look(alias: str, target: Target) -> TargetPlan:
            nonlocal done
            async with places:
                found = await self._look(alias, target, rows[alias])
            done += 1
            progress(done, len(catalogue))
            return found

        plans = await asyncio.gather(*(look(*entry) for entry in catalogue.items()))
        return Plans(at=self._clock(), targets=tuple(plans), rows_unread=unread)

    async def _rows(self, aliases: list[str]) -> tuple[dict[str, _Rows], str]:
        if self._store is None:
            why = next((p for p in self._settings.problems if p.startswith(CONNECTION)), "")
        else:
            try:
                budget = await self._store.budget(f"{self._clock():%Y-%m-%d}", "")
                return {
                    alias: _Rows(job=(await self._store.read_job(alias)).row, budget=budget)
                    for alias in aliases
                }, ""
            except (StorageUnavailable, NewerRow) as error:
                why = f"{CONNECTION}: storage does not answer: {error}"
        return {alias: _Rows(job=JobRow(target=alias), budget=Budget()) for alias in aliases}, why

    async def _look(self, alias: str, target: Target, rows: _Rows) -> TargetPlan:
        now = self._clock()
        x = _imagined(alias, target, rows.job, now=now)
        found = before(x, rows.job, self._rules, budget=rows.budget, now=now)
        job, unread = None, None
        try:
            job = await self._graph.read_job(target.service_principal_id, target.job_id)
        except GraphError as error:
            unread = error
            found.append(_unread(error, now))
        else:
            found.append(policy.after_reading(x, job, target, now=now))
        against: dict[str, Decision] = {}
        for decision in found:
            if not isinstance(decision, Go):
                against.setdefault(decision.reason, decision)
        decisions = tuple(against.values()) or (Go(),)
        return TargetPlan(alias=alias, target=target, job=job, decisions=decisions, error=unread)


def before(x: Reset, job: JobRow, rules: Rules, *, budget: Budget, now: datetime) -> list[Decision]:
    """What needs no Graph, as the policy says it now and as it would were resets switched on."""
    found = [policy.before_reading(x, job, rules, budget=budget, now=now)]
    if job.head:
        found.insert(0, Wait(until=now, reason=UNDER_WAY))
    if not rules.enabled and not rules.problem:
        found.append(
            policy.before_reading(x, job, replace(rules, enabled=True), budget=budget, now=now)
        )
    return found


def _unread(error: GraphError, now: datetime) -> Decision:
    """What `advance` makes of a job that cannot be read."""
    if isinstance(error, Rejected):
        return Refuse(reason=error.reason)
    return Wait(until=now + (error.retry_after or policy.SWITCHED_OFF_WAIT), reason=error.reason)


def _imagined(alias: str, target: Target, job: JobRow, *, now: datetime) -> Reset:
    """A full request that comes now, from outside."""
    return Reset(
        id="plan",
        target=alias,
        requested_at=now,
        service_principal_id=target.service_principal_id,
        job_id=target.job_id,
        scope=Scope.FULL,
        via="api",
        seen_number=job.number,
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
    return Rules(
        catalogue=settings.catalogue,
        enabled=settings.enabled,
        daily_budget=settings.daily_budget,
        problem=next(problems, ""),
    )
