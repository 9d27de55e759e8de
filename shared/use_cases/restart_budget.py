"""Count restarts against the daily budget: what was not sent costs nothing."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.errors import StorageUnavailable
from shared.domain.moments import budget_day
from shared.domain.policy import budget_lifted
from shared.domain.ports import Clock, Limits
from shared.domain.reset import BudgetPlace, Reset
from shared.telemetry import emit

WRITTEN_WITHIN: Final = timedelta(minutes=10)
"""An intent follows its reservation within this time, or at midnight in the next day's row."""


class RestartBudget(Struct, frozen=True, kw_only=True):
    """
    A place for each intent, under the reset's id and the intent's client-request-id.

    Two deliveries of one reset have a place each, so that the one that loses gives back its own.
    """

    limits: Limits
    settings: Settings
    clock: Clock

    async def reserve(self, reset: Reset, client_request_id: str) -> bool:
        """Take a place of today; False where the budget is spent."""
        # Waiting with an intent behind it: that one was not sent, whatever became of its place.
        await self.give_back_sent(reset)
        now = self.clock()
        limit = None if budget_lifted(reset, now=now) else self.settings.daily_budget
        place = _place(reset, client_request_id, budget_day(now))
        return await self.limits.reserve(place, limit=limit)

    async def give_back(self, reset: Reset, client_request_id: str) -> None:
        """Free the place of an intent that was not written."""
        await self._free(reset, client_request_id, self.clock())

    async def give_back_sent(self, reset: Reset) -> None:
        """Free the place of the reset's last intent, whose restart did not take place."""
        if reset.sent_at is not None and reset.client_request_id:
            await self._free(reset, reset.client_request_id, reset.sent_at)

    async def _free(self, reset: Reset, client_request_id: str, at: datetime) -> None:
        """Also in the row of the day before, where the place was taken just before midnight."""
        for day in sorted({budget_day(at), budget_day(at - WRITTEN_WITHIN)}):
            try:
                await self.limits.give_back(_place(reset, client_request_id, day))
            except StorageUnavailable as error:
                # It costs this one place; the sender's word must not be lost over it.
                emit(
                    "storage.failed",
                    id=reset.id,
                    target=reset.target,
                    what="budget",
                    why=str(error),
                )


def _place(reset: Reset, client_request_id: str, day: str) -> BudgetPlace:
    return BudgetPlace(day=day, reset_id=reset.id, client_request_id=client_request_id)
