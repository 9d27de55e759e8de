"""How the app is, from its settings and rows; no Graph call."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from shared import policy
from shared.config import Settings
from shared.errors import StorageUnavailable
from shared.models import Fleet
from shared.names import REMEDIATE
from shared.ports import Clock, Store
from shared.sweep import HEARTBEAT

LATE: Final = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the rows say: when the timers last ran, and how the targets were when last seen."""

    swept: datetime | None = None
    remediated: datetime | None = None
    fleet: Fleet = field(default_factory=Fleet)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """`status` is the HTTP status; `body` is for everybody or, with the key, in detail."""

    status: int
    body: dict[str, Any]


class Health:
    """The use case `health`."""

    def __init__(self, *, store: Store | None, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def report(self, key: str) -> Report:
        """A bad setting or storage that does not answer is 503, and named."""
        problems = list(self._settings.problems)
        if self._settings.catalogue is not None and not self._settings.catalogue:
            problems.append(_EMPTY)
        seen, why = await self._seen()
        if why:
            problems.append(why)
        body: dict[str, Any] = {"status": "unhealthy" if problems else "ok", "problems": problems}
        if self._may_see_detail(key):
            body |= self._detail(seen)
        return Report(status=503 if problems else 200, body=body)

    def _may_see_detail(self, key: str) -> bool:
        wanted = self._settings.health_key
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode())

    async def _seen(self) -> tuple[Seen, str]:
        store = self._store
        if store is None:
            return Seen(), ""
        try:
            return Seen(
                swept=await store.last_beat(HEARTBEAT),
                remediated=await store.last_beat(REMEDIATE),
                fleet=await store.fleet(),
            ), ""
        except StorageUnavailable as error:
            return Seen(), f"storage: {error}"

    def _detail(self, seen: Seen) -> dict[str, Any]:
        settings = self._settings
        rarely = 2 * longest_gap(settings.remediation_schedule)
        return {
            "resetsEnabled": settings.enabled,
            "targets": sorted(settings.catalogue or {}),
            "graphEndpoint": settings.graph_endpoint,
            "credential": _credential(settings),
            "dailyBudget": settings.daily_budget,
            "timers": {
                HEARTBEAT: self._timer(seen.swept, LATE),
                REMEDIATE: self._timer(seen.remediated, max(LATE, rarely)),
            },
            "fleet": {
                "seen": seen.fleet.seen,
                "quarantined": seen.fleet.quarantined,
                "stopped": policy.fleet_stopped(seen.fleet),
            },
        }

    def _timer(self, beat: datetime | None, limit: timedelta) -> dict[str, Any]:
        late = beat is None or self._clock() - beat > limit
        return {"lastRun": beat and beat.isoformat(), "late": late}


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


def _credential(settings: Settings) -> str:
    if settings.graph_is_local:
        return "none (emulator)"
    return "managed identity" if settings.managed_identity else "Azure CLI"
