"""Report how the app is, from its settings, rows and queues; no Graph call."""

import asyncio
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from shared.config import Settings
from shared.domain import policy, symptoms
from shared.domain.approvability import Gap, gaps
from shared.domain.backlog import Backlog
from shared.domain.concerns import Concern, Level, level_of, worst_first
from shared.domain.errors import StorageUnavailable
from shared.domain.evidence_permissions import Grant, granted
from shared.domain.ncrontab import parse_cron
from shared.domain.ports import Clock, QueueAges, Vitals
from shared.domain.reset import Fleet, SenderCount
from shared.domain.sync_job import GraphObservation
from shared.domain.waits import Asks
from shared.names import REMEDIATE, VERSION
from shared.use_cases.advice import advice
from shared.use_cases.backlog import ReadBacklog
from shared.use_cases.stand_in import SweepWatch
from shared.use_cases.sweep import HEARTBEAT

LATE: Final = timedelta(minutes=5)
COUNTED_AT_MOST: Final = 1000
EMPTY_CATALOGUE: Final = "RESET_TARGETS: empty; nothing may be reset: list the targets"


class Report(Struct, frozen=True, kw_only=True):
    """
    `status` is the HTTP status; `body` is for everybody or, with the key, in detail.

    `concerns` are the sentences of the body's `problems`, the worst first.
    """

    status: int
    level: Level
    body: dict[str, Any]
    concerns: tuple[Concern, ...] = ()


_ANY_TEXT: Final = ("utf-8", "surrogatepass")


class Sources(Struct, frozen=True, kw_only=True):
    """What the report is read from."""

    vitals: Vitals
    backlog: ReadBacklog
    queues: QueueAges
    watch: SweepWatch


class Health(Struct, frozen=True, kw_only=True):
    """The use case `health`; without sources where storage is not configured."""

    sources: Sources | None
    settings: Settings
    clock: Clock

    async def report(self, key: str, *, signed_in: bool = False) -> Report:
        """
        Say how the app is.

        Unhealthy, and 503: a bad setting, storage that does not answer, a silent sweep. What asks
        for attention is read, and told, in detail only.
        """
        in_detail = signed_in or self._is_key(key)
        concerns = self._of_settings()
        seen: dict[str, Any] = {}
        try:
            if self.sources is not None and in_detail:
                seen, others = await self._seen(self.sources)
                concerns += others
            if self.sources is not None:
                concerns += await _silent_sweep(self.sources.watch)
        except StorageUnavailable as error:
            words = str(error) if in_detail else "does not answer"
            concerns.append(Concern(level=Level.UNHEALTHY, about="storage", words=words))
        ordered = worst_first(concerns)
        level = level_of(ordered)
        body: dict[str, Any] = {
            "status": str(level),
            "problems": [*map(str, ordered)] if in_detail else _for_strangers(ordered),
        }
        if in_detail:
            missing = [e["words"] for e in seen.get("evidence", ()) if e["grant"] == Grant.MISSING]
            warnings = [*self._warnings(), *missing]
            body |= {"version": VERSION, "warnings": warnings} | self._configured() | seen
        status = 503 if level is Level.UNHEALTHY else 200
        return Report(status=status, level=level, body=body, concerns=ordered)

    def _of_settings(self) -> list[Concern]:
        problems = list(self.settings.problems)
        if self.settings.catalogue is not None and not self.settings.catalogue:
            problems.append(EMPTY_CATALOGUE)
        return [_of_setting(problem) for problem in problems]

    def _gaps(self) -> tuple[Gap, ...]:
        return gaps(self.settings.catalogue or {}, sign_in=self.settings.sign_in)

    def _warnings(self) -> list[str]:
        """What harms nothing by itself, and may surprise one day."""
        return [*(str(gap) for gap in self._gaps() if not gap.certain), *advice(self.settings)]

    def _is_key(self, key: str) -> bool:
        wanted = self.settings.health_key
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode(*_ANY_TEXT))

    async def _seen(self, sources: Sources) -> tuple[dict[str, Any], list[Concern]]:
        """Read the detail: a few rows, and a few more for each target."""
        gaps_allowed = self._allowed_gaps()
        beats, graph, fleet, oldest, (refusals, unheard), backlog = await asyncio.gather(
            asyncio.gather(*map(sources.vitals.last_beat, gaps_allowed)),
            sources.vitals.graph_seen(),
            sources.vitals.fleet(),
            sources.queues.oldest(),
            asyncio.gather(sources.vitals.refusals(), sources.vitals.unheard()),
            sources.backlog.read(most=COUNTED_AT_MOST),
        )
        now, ages = self.clock(), {name: self._age(at) for name, at in oldest.items()}
        last = dict(zip(gaps_allowed, beats, strict=True))
        detail = {
            "graph": {str(each.mood): _sighting(each) for each in graph},
            "evidence": evidence_of(graph),
            "fleet": _fleet(fleet),
            "people": _people(backlog),
            "messages": {"unreadable": len(backlog.unreadable)},
            "answers": {"undeliverable": len(backlog.undelivered)},
            "timers": {
                timer: {
                    "lastRun": beat and beat.isoformat(),
                    "late": self._is_late(timer, beat, since=sources.watch.started),
                }
                for timer, beat in last.items()
            },
            "refusals": _counts(refusals),
            "unheard": _counts(unheard),
            "queues": {name: {"oldestMessageSeconds": age} for name, age in ages.items()},
        }
        found = (
            *self._slow_timers(last, since=sources.watch.started),
            *symptoms.of_graph(graph, now=now),
            *symptoms.of_backlog(backlog),
            *(
                Concern(level=Level.ATTENTION, about="approvals", words=str(gap))
                for gap in self._gaps()
                if gap.certain
            ),
            *symptoms.of_queues(ages),
            *symptoms.of_fleet(fleet),
            *symptoms.of_refusals(refusals, now=now),
            *symptoms.of_unheard(unheard, now=now),
        )
        return detail, list(found)

    def _slow_timers(
        self, last: Mapping[str, datetime | None], *, since: datetime
    ) -> Iterator[Concern]:
        """A sweep that is slow and not yet silent, and the other timer where it is late."""
        beat, schedule = last[HEARTBEAT], self.settings.sweep_schedule
        slow = (longest_gap(schedule) + late_after(schedule)) / 2
        if beat is not None and slow < self.clock() - beat <= late_after(schedule):
            yield symptoms.late_sweep(beat)
        if self._is_late(REMEDIATE, last[REMEDIATE], since=since):
            yield symptoms.late_remediation(last[REMEDIATE])

    def _allowed_gaps(self) -> dict[str, timedelta]:
        """How long each timer may be silent before it is late."""
        return {
            HEARTBEAT: late_after(self.settings.sweep_schedule),
            REMEDIATE: late_after(self.settings.remediation_schedule),
        }

    def _is_late(self, timer: str, beat: datetime | None, *, since: datetime) -> bool:
        """One that has never run is late once the process, begun at *since*, is old enough."""
        return self.clock() - (beat or since) > self._allowed_gaps()[timer]

    def _age(self, since: datetime | None) -> int | None:
        # The queue's clock is not ours: a little ahead, it would make the age negative.
        return None if since is None else max(0, int((self.clock() - since).total_seconds()))

    def _configured(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "resetsEnabled": settings.enabled,
            "targets": sorted(settings.catalogue or {}),
            "senders": sorted(settings.senders),
            "notifiers": sorted(settings.notifiers or {}),
            "graphEndpoint": settings.graph_endpoint,
            "credential": _credential(settings),
            "storage": _storage(settings),
            "dailyBudget": settings.daily_budget,
            "maxOpen": settings.max_open,
            "publicUrl": settings.public_url,
        }


async def _silent_sweep(watch: SweepWatch) -> list[Concern]:
    """Name the timer where it is late. Its read also shows whether storage answers."""
    since = await watch.silent_since()
    if since is None:
        return []
    what = f"the timer has not run since {since:%Y-%m-%d %H:%M} UTC"
    words = f"{what}; nothing moves by itself. Restart the app (runbook, sweep-silent)"
    return [Concern(level=Level.UNHEALTHY, about="sweep", words=words)]


def late_after(schedule: str) -> timedelta:
    """Return how old a timer's heartbeat may be: two slots of its schedule, or five minutes."""
    return max(LATE, 2 * longest_gap(schedule))


def longest_gap(schedule: str) -> timedelta:
    """How far apart two runs of a schedule that settings let through may lie at most."""
    return parse_cron(schedule).longest_gap or timedelta(days=366)


def _of_setting(problem: str) -> Concern:
    name, _, words = problem.partition(":")
    return Concern(level=Level.UNHEALTHY, about=name, words=words.strip())


_OURS: Final = frozenset({"storage", "sweep"})
"""Of these anybody may read the words: they quote no setting."""


def _for_strangers(concerns: Sequence[Concern]) -> list[str]:
    """Each setting once, without what is said about it."""
    told = (str(each) if each.about in _OURS else each.about for each in concerns)
    return list(dict.fromkeys(told))


def _people(backlog: Backlog) -> dict[str, Any]:
    oldest = backlog.oldest_question_at
    return {
        "approvals": len(backlog.asking(Asks.APPROVAL)),
        "fates": len(backlog.asking(Asks.FATE)),
        "oldestAt": oldest and oldest.isoformat(),
    }


def evidence_of(seen: Sequence[GraphObservation]) -> list[dict[str, str]]:
    """Which permission to read evidence is missing, and what it would buy."""
    return [
        {
            "permission": each.permission.name,
            "grant": str(each.grant),
            "parameter": each.permission.parameter,
            "words": str(each),
        }
        for each in granted(seen)
    ]


def _counts(counts: Sequence[SenderCount]) -> dict[str, Any]:
    return {each.via: {"count": each.count, "lastAt": each.last_at.isoformat()} for each in counts}


def _sighting(seen: GraphObservation) -> dict[str, str]:
    return {"at": seen.at.isoformat(), "call": seen.call, "why": seen.why}


def _fleet(fleet: Fleet) -> dict[str, Any]:
    return {
        "seen": fleet.seen,
        "quarantined": fleet.quarantined,
        "stopped": policy.fleet_stopped(fleet),
    }


def _storage(settings: Settings) -> str:
    if settings.storage is None:
        return "none"
    return "connection string" if settings.storage.connection_string else "identity"


def _credential(settings: Settings) -> str:
    if settings.graph_is_local:
        return "none (emulator)"
    return "managed identity" if settings.managed_identity else "Azure CLI"
