"""Offer one method for each trigger; the HTTP functions are `api`'s."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime

from msgspec import Struct

from shared.adapters.graph.observed import GraphObserver
from shared.config import Settings
from shared.domain.errors import SettingsError
from shared.invocation import shielded
from shared.telemetry import emit
from shared.use_cases.housekeeping import Housekeeping
from shared.use_cases.notify import Notify
from shared.use_cases.remediate import Remediation
from shared.use_cases.run_reset import RunReset
from shared.use_cases.stand_in import StandIn
from shared.use_cases.sweep import Sweep
from shared.web.api import Api
from shared.web.not_configured import NotConfiguredApi


class App(Struct, frozen=True, kw_only=True):
    """The complete app."""

    settings: Settings
    api: Api
    runs: RunReset
    sweeper: Sweep
    remediation: Remediation
    housekeeping: Housekeeping
    notifications: Notify
    observer: GraphObserver
    substitute: StandIn | None = None

    async def run_reset(self, body: bytes, *, message_id: str, came_at: datetime | None) -> None:
        work = self._observed(self.runs.run(body, message_id=message_id, came_at=came_at))
        await self.guarded(work, answers=False)

    async def follow_up_reset(self, body: bytes, *, message_id: str) -> None:
        work = self._observed(self.runs.follow_up(body, message_id=message_id))
        await self.guarded(work, answers=False)

    async def notify(self, body: bytes) -> None:
        await self.guarded(self.notifications.notify(body), answers=False)

    async def guarded[T](self, work: Awaitable[T], *, answers: bool = True) -> T:
        """Await a function's work, which a caller waits for; sweep where the timer is late."""
        if self.substitute is None:
            return await shielded(work)
        return await shielded(self.substitute.beside(work, answers=answers))

    async def _observed(self, work: Awaitable[object]) -> None:
        await work
        await self.observer.write()

    async def sweep(self) -> None:
        _report_problems(self.settings)
        await shielded(self._tick())

    async def _tick(self) -> None:
        """Do the three side by side: none holds up another, and all failures are raised."""
        failures: list[Exception] = []

        async def kept(work: Awaitable[int]) -> None:
            try:
                await work
            except ExceptionGroup as group:
                failures.extend(group.exceptions)
            except Exception as error:  # noqa: BLE001 -- raised below, with the others
                failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kept(self.sweeper.sweep()))
            tasks.create_task(kept(self.housekeeping.empty_poison_queues()))
            tasks.create_task(kept(self.housekeeping.forget_outdated()))
        if failures:
            raise ExceptionGroup("the timer `sweep`", failures)

    async def remediate(self) -> None:
        await shielded(self.remediation.remediate())
        await shielded(self.observer.write())


class NotConfigured(Struct, frozen=True, kw_only=True):
    """The app without storage: HTTP answers 503, a message comes again until storage is set."""

    settings: Settings
    api: NotConfiguredApi

    async def run_reset(
        self,
        body: bytes,  # noqa: ARG002 -- the same methods as App
        *,
        message_id: str,  # noqa: ARG002
        came_at: datetime | None,  # noqa: ARG002
    ) -> None:
        self._fail()

    async def follow_up_reset(self, body: bytes, *, message_id: str) -> None:  # noqa: ARG002
        self._fail()

    async def notify(self, body: bytes) -> None:  # noqa: ARG002
        self._fail()

    async def guarded[T](self, work: Awaitable[T]) -> T:
        """Without storage there is nothing to sweep."""
        return await work

    async def sweep(self) -> None:
        _report_problems(self.settings)
        self._fail()

    async def remediate(self) -> None:
        self._fail()

    def _fail(self) -> None:
        raise SettingsError(self.settings.problems[0])


def _report_problems(settings: Settings) -> None:
    """At every tick, or the alert would resolve while the setting is still wrong."""
    for why in settings.problems:
        emit("settings.bad", why=why)
