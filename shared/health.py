"""How the app is, from its settings and rows; no Graph call."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.config import Settings
from shared.errors import StorageUnavailable
from shared.ports import Clock, Store
from shared.sweep import HEARTBEAT

LATE: Final = timedelta(minutes=5)


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
        beat, why = await self._last_sweep()
        if why:
            problems.append(why)
        body: dict[str, Any] = {"status": "unhealthy" if problems else "ok", "problems": problems}
        if self._may_see_detail(key):
            body |= self._detail(beat)
        return Report(status=503 if problems else 200, body=body)

    def _may_see_detail(self, key: str) -> bool:
        wanted = self._settings.health_key
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode())

    async def _last_sweep(self) -> tuple[datetime | None, str]:
        if self._store is None:
            return None, ""
        try:
            return await self._store.last_beat(HEARTBEAT), ""
        except StorageUnavailable as error:
            return None, f"storage: {error}"

    def _detail(self, beat: datetime | None) -> dict[str, Any]:
        settings = self._settings
        late = beat is None or self._clock() - beat > LATE
        return {
            "resetsEnabled": settings.enabled,
            "targets": sorted(settings.catalogue or {}),
            "graphEndpoint": settings.graph_endpoint,
            "credential": _credential(settings),
            "dailyBudget": settings.daily_budget,
            "timers": {HEARTBEAT: {"lastRun": beat and beat.isoformat(), "late": late}},
        }


def _credential(settings: Settings) -> str:
    if settings.graph_is_local:
        return "none (emulator)"
    return "managed identity" if settings.managed_identity else "Azure CLI"
