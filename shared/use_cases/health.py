"""How the app is, from its settings, rows and queues; no Graph call."""

import asyncio
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.config import Settings
from shared.domain import policy
from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Clock, Queues, Store
from shared.domain.reset import Fleet
from shared.domain.sync_job import GraphObservation
from shared.names import REMEDIATE
from shared.use_cases.sweep import HEARTBEAT

LATE: Final = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """`status` is the HTTP status; `body` is for everybody or, with the key, in detail."""

    status: int
    body: dict[str, Any]


class Health:
    """The use case `health`; both ports are None where storage is not configured."""

    def __init__(
        self, *, store: Store | None, queues: Queues | None, settings: Settings, clock: Clock
    ) -> None:
        self._store = store
        self._queues = queues
        self._settings = settings
        self._clock = clock
        rarely = 2 * longest_gap(settings.remediation_schedule)
        self._late = {HEARTBEAT: LATE, REMEDIATE: max(LATE, rarely)}

    async def report(self, key: str, *, signed_in: bool = False) -> Report:
        """A bad setting or storage that does not answer is 503, and named."""
        problems = list(self._settings.problems)
        if self._settings.catalogue is not None and not self._settings.catalogue:
            problems.append(_EMPTY)
        in_detail = signed_in or self._is_key(key)
        seen: dict[str, Any] = {}
        try:
            seen = await self._seen(in_detail)
        except StorageUnavailable as error:
            problems.append(f"storage: {error}")
        body: dict[str, Any] = {"status": "unhealthy" if problems else "ok", "problems": problems}
        if in_detail:
            body |= self._configured() | seen
        return Report(status=503 if problems else 200, body=body)

    def _is_key(self, key: str) -> bool:
        wanted = self._settings.health_key
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode())

    async def _seen(self, in_detail: bool) -> dict[str, Any]:
        """One read shows whether storage answers; the detail is a few more."""
        if self._store is None or self._queues is None:
            return {}
        if not in_detail:
            await self._store.last_beat(HEARTBEAT)
            return {}
        beats, graph, fleet, oldest = await asyncio.gather(
            asyncio.gather(*map(self._store.last_beat, self._late)),
            self._store.graph_seen(),
            self._store.fleet(),
            self._queues.oldest(),
        )
        return {
            "graph": {str(each.mood): _sighting(each) for each in graph},
            "fleet": _fleet(fleet),
            "timers": {
                timer: {"lastRun": beat and beat.isoformat(), "late": self._is_late(timer, beat)}
                for timer, beat in zip(self._late, beats, strict=True)
            },
            "queues": {
                name: {"oldestMessageSeconds": self._age(at)} for name, at in oldest.items()
            },
        }

    def _is_late(self, timer: str, beat: datetime | None) -> bool:
        return beat is None or self._clock() - beat > self._late[timer]

    def _age(self, since: datetime | None) -> int | None:
        # The queue's clock is not ours: a little ahead, it would make the age negative.
        return None if since is None else max(0, int((self._clock() - since).total_seconds()))

    def _configured(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "resetsEnabled": settings.enabled,
            "targets": sorted(settings.catalogue or {}),
            "senders": sorted(settings.senders),
            "notifiers": sorted(settings.notifiers or {}),
            "graphEndpoint": settings.graph_endpoint,
            "credential": _credential(settings),
            "storage": _storage(settings),
            "dailyBudget": settings.daily_budget,
            "publicUrl": settings.public_url,
        }


_EMPTY: Final = "RESET_TARGETS: empty; nothing may be reset: list the targets"


def longest_gap(schedule: str) -> timedelta:
    """
    How far apart two runs of a six-field NCRONTAB schedule may lie, roughly and never too short.

    Only `*/n` and `*` of minutes and hours are read closely. A finer answer would be a cron
    library; this one only decides when a timer is called late (twice that).
    """
    _, minute, hour, day, month, weekday = schedule.split(" ")
    for field_, span in ((month, 366), (day, 31), (weekday, 7)):
        if field_ != "*":
            return timedelta(days=span)
    if hour != "*":
        return timedelta(hours=_step(hour) or 24)
    return timedelta(minutes=(1 if minute == "*" else _step(minute) or 60))


def _step(text: str) -> int:
    _, slash, step = text.partition("*/")
    return int(step) if slash and step.isdigit() else 0


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
