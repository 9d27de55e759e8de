"""Report how the app is, from its settings, rows and queues; no Graph call."""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.config import Settings
from shared.domain import policy
from shared.domain.errors import StorageUnavailable
from shared.domain.ncrontab import parse_cron
from shared.domain.ports import Clock, QueueAges, Vitals
from shared.domain.reset import Fleet
from shared.domain.sync_job import GraphObservation
from shared.names import REMEDIATE
from shared.use_cases.stand_in import SweepWatch
from shared.use_cases.sweep import HEARTBEAT

LATE: Final = timedelta(minutes=5)
COUNTED_AT_MOST: Final = 1000
EMPTY_CATALOGUE: Final = "RESET_TARGETS: empty; nothing may be reset: list the targets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """`status` is the HTTP status; `body` is for everybody or, with the key, in detail."""

    status: int
    body: dict[str, Any]


_ANY_TEXT: Final = ("utf-8", "surrogatepass")


def _names(problems: Sequence[str]) -> list[str]:
    """Each setting once, without what is said about it: this is for anybody."""
    return list(dict.fromkeys(problem.partition(":")[0] for problem in problems))


@dataclass(frozen=True, kw_only=True)
class Health:
    """The use case `health`; both ports are None where storage is not configured."""

    vitals: Vitals | None
    queues: QueueAges | None
    settings: Settings
    clock: Clock
    watch: SweepWatch | None = None

    async def report(self, key: str, *, signed_in: bool = False) -> Report:
        """Name bad settings, storage that does not answer, a silent sweep: then it is 503."""
        settings = list(self.settings.problems)
        if self.settings.catalogue is not None and not self.settings.catalogue:
            settings.append(EMPTY_CATALOGUE)
        in_detail = signed_in or self._is_key(key)
        others: list[str] = []
        seen: dict[str, Any] = {}
        try:
            seen = await self._seen(in_detail)
            others = await self._silent_sweep()
        except StorageUnavailable as error:
            others = [f"storage: {error}" if in_detail else "storage: does not answer"]
        problems = [*(settings if in_detail else _names(settings)), *others]
        body: dict[str, Any] = {"status": "unhealthy" if problems else "ok", "problems": problems}
        if in_detail:
            body |= self._configured() | seen
        return Report(status=503 if problems else 200, body=body)

    async def _silent_sweep(self) -> list[str]:
        """Name the timer where it is late. Its read also shows whether storage answers."""
        since = await self.watch.silent_since() if self.watch is not None else None
        if since is None:
            return []
        what = f"sweep: the timer has not run since {since:%Y-%m-%d %H:%M} UTC"
        return [f"{what}; nothing moves by itself. Restart the app (runbook, sweep-silent)"]

    def _is_key(self, key: str) -> bool:
        wanted = self.settings.health_key
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode(*_ANY_TEXT))

    async def _seen(self, in_detail: bool) -> dict[str, Any]:
        """The detail is a few reads."""
        if self.vitals is None or self.queues is None or not in_detail:
            return {}
        gaps = self._allowed_gaps()
        beats, graph, fleet, given_up, oldest, refusals = await asyncio.gather(
            asyncio.gather(*map(self.vitals.last_beat, gaps)),
            self.vitals.graph_seen(),
            self.vitals.fleet(),
            self.vitals.undelivered(most=COUNTED_AT_MOST),
            self.queues.oldest(),
            self.vitals.refusals(),
        )
        return {
            "graph": {str(each.mood): _sighting(each) for each in graph},
            "fleet": _fleet(fleet),
            "answers": {"undeliverable": len(given_up)},
            "timers": {
                timer: {
                    "lastRun": beat and beat.isoformat(),
                    "late": self._is_late(beat, gaps[timer]),
                }
                for timer, beat in zip(gaps, beats, strict=True)
            },
            "refusals": {
                each.via: {"count": each.count, "lastAt": each.last_at.isoformat()}
                for each in refusals
            },
            "queues": {
                name: {"oldestMessageSeconds": self._age(at)} for name, at in oldest.items()
            },
        }

    def _allowed_gaps(self) -> dict[str, timedelta]:
        """How long each timer may be silent before it is late."""
        return {
            HEARTBEAT: late_after(self.settings.sweep_schedule),
            REMEDIATE: late_after(self.settings.remediation_schedule),
        }

    def _is_late(self, beat: datetime | None, allowed: timedelta) -> bool:
        return beat is None or self.clock() - beat > allowed

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


def late_after(schedule: str) -> timedelta:
    """Return how old a timer's heartbeat may be: two slots of its schedule, or five minutes."""
    return max(LATE, 2 * longest_gap(schedule))


def longest_gap(schedule: str) -> timedelta:
    """How far apart two runs of a schedule that settings let through may lie at most."""
    return parse_cron(schedule).longest_gap or timedelta(days=366)


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
