"""How the app is, from its settings, rows and queues; no Graph call."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.config import Settings
from shared.errors import StorageUnavailable
from shared.models import Sighting
from shared.ports import Clock, Queues, Store
from shared.sweep import HEARTBEAT

TIMERS: Final[Mapping[str, timedelta]] = {HEARTBEAT: timedelta(minutes=5)}
"""Of each timer that beats, after how long without a beat it is late."""


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

    async def report(self, key: str, *, signed_in: bool = False) -> Report:
        """A bad setting or storage that does not answer is 503, and named."""
        problems = list(self._settings.problems)
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
        beats, graph, oldest = await asyncio.gather(
            asyncio.gather(*map(self._store.last_beat, TIMERS)),
            self._store.graph_seen(),
            self._queues.oldest(),
        )
        return {
            "graph": {str(each.mood): _sighting(each) for each in graph},
            "timers": {
                timer: {"lastRun": beat and beat.isoformat(), "late": self._is_late(timer, beat)}
                for timer, beat in zip(TIMERS, beats, strict=True)
            },
            "queues": {
                name: {"oldestMessageSeconds": self._age(at)} for name, at in oldest.items()
            },
        }

    def _is_late(self, timer: str, beat: datetime | None) -> bool:
        return beat is None or self._clock() - beat > TIMERS[timer]

    def _age(self, since: datetime | None) -> int | None:
        # The queue's clock is not ours: a little ahead, it would make the age negative.
        return None if since is None else max(0, int((self._clock() - since).total_seconds()))

    def _configured(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "resetsEnabled": settings.enabled,
            "targets": sorted(settings.catalogue or {}),
            "notifiers": sorted(settings.notifiers or {}),
            "graphEndpoint": settings.graph_endpoint,
            "credential": _credential(settings),
            "storage": _storage(settings),
            "dailyBudget": settings.daily_budget,
            "publicUrl": settings.public_url,
        }


def _sighting(seen: Sighting) -> dict[str, str]:
    return {"at": seen.at.isoformat(), "call": seen.call, "why": seen.why}


def _storage(settings: Settings) -> str:
    if settings.storage is None:
        return "none"
    return "connection string" if settings.storage.connection_string else "identity"


def _credential(settings: Settings) -> str:
    if settings.graph_is_local:
        return "none (emulator)"
    return "managed identity" if settings.managed_identity else "Azure CLI"
