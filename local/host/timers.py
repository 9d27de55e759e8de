"""
Decides when a timer-triggered function runs, and what it is told.

Decisions follow recordings of the genuine timer. What is missing: the blob lease that keeps two
instances from running one timer, and WEBSITE_TIME_ZONE (everything is UTC).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local.host.schedule_status import UNSET, ScheduleStatus, StatusStore
from local.host.schedules import Schedule
from local.host.waiting import wait_for_any

logger = logging.getLogger("host.timers")

Run = Callable[[dict[str, Any]], Awaitable[object]]
"""Run the function on a TimerInfo; its failure changes nothing for the timer."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class TimerListener:
    def __init__(
        self,
        name: str,
        schedule: Schedule,
        run: Run,
        *,
        store: StatusStore | None,
        run_on_startup: bool = False,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """A *store* of None is useMonitor false: nothing is kept, and nothing is past due."""
        self._name = name
        self._schedule = schedule
        self._run = run
        self._store = store
        self._run_on_startup = run_on_startup
        self._now = now
        self._sleep = sleep
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start no more runs; `run` returns when the running one has ended."""
        self._stopping.set()

    async def run(self) -> None:
        now = self._now()
        stored, past_due = await self._look_back(now)
        status = stored or ScheduleStatus(next=self._schedule.next_after(now))
        if past_due or self._run_on_startup:
            status = await self._fire(status, now, past_due=past_due, adjust=False)
        while await self._wait_until(status.next):
            status = await self._fire(status, self._now(), past_due=False, adjust=True)

    async def _look_back(self, now: datetime) -> tuple[ScheduleStatus | None, bool]:
        """The stored status, brought up to date, and whether a run was missed."""
        if self._store is None:
            return None, False
        stored = await self._store.read(self._name)
        if stored is None:
            first = ScheduleStatus(next=self._schedule.next_after(now), last_updated=now)
            await self._store.write(self._name, first)
            # The function of the first run is not shown this write: LastUpdated reads as unset.
            return None, False
        counted_from = next((m for m in (stored.last, stored.last_updated) if m != UNSET), now)
        expected = self._schedule.next_after(counted_from)
        if stored.next != expected:
            # The schedule was changed meanwhile: what it would have missed does not count.
            if now > expected:
                counted_from, expected = now, self._schedule.next_after(now)
            stored = ScheduleStatus(next=expected, last_updated=counted_from)
            await self._store.write(self._name, stored)
        return stored, now > stored.next

    async def _fire(
        self, status: ScheduleStatus, started: datetime, *, past_due: bool, adjust: bool
    ) -> ScheduleStatus:
        info = {
            "Schedule": {"AdjustForDST": self._schedule.adjusts_for_dst},
            "ScheduleStatus": None if self._store is None else status.to_json(),
            "IsPastDue": past_due,
        }
        await self._run(info)
        # A clock that fires a little early must not make the same occurrence due twice.
        counted_from = max(started, status.next) if adjust else started
        after = ScheduleStatus(
            last=counted_from,
            next=self._schedule.next_after(counted_from),
            last_updated=counted_from,
        )
        if self._store is not None:
            try:
                await self._store.write(self._name, after)
            except Exception:
                logger.exception("%s: the schedule status was not stored", self._name)
        return after

    async def _wait_until(self, due: datetime) -> bool:
        """False when the host stopped first. What is overdue runs at once."""
        if self._stopping.is_set():
            return False
        seconds = max((due - self._now()) / timedelta(seconds=1), 0)
        await wait_for_any(self._sleep(seconds), self._stopping.wait())
        return not self._stopping.is_set()
