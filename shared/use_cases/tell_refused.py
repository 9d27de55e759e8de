"""Tell the ticket of a request from the queue that became no reset: its sender hears no status."""

from copy import replace
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain import notifications
from shared.domain.errors import InvalidRequest
from shared.domain.notifications import Listeners
from shared.domain.ports import Clock, Outbox, Queues, Resets
from shared.domain.requests import Received, as_reset
from shared.domain.reset import Notification, NotificationKind, State
from shared.use_cases.write_transition import nudge_answer

OF_NO_TARGET: Final = "(refused)"
"""The partition of what is told of targets that are not in the catalogue; no alias is like it."""


class TellRefused(Struct, frozen=True, kw_only=True):
    """
    Answers by the outbox, as a reset's own answers do, under number 0.

    The row waits where the sweep finds it: also where the request is the first one of its target,
    or names none of the catalogue. Names that anybody may invent get no row in `targets`.
    """

    outbox: Outbox
    resets: Resets
    queues: Queues
    settings: Settings
    listeners: Listeners
    clock: Clock

    async def tell(self, received: Received, why: InvalidRequest) -> None:
        """Leave the answer, and let it go at once; nothing where nobody wants to hear."""
        told = self._answers(received, why)
        if not told:
            return
        await self.resets.remember_target(told[0].target, at=self.clock())
        await self.outbox.tell(told)
        for answer in told:
            await nudge_answer(self.queues, answer)

    def _answers(self, received: Received, why: InvalidRequest) -> list[Notification]:
        now, request, catalogue = self.clock(), received.request, self.settings.catalogue
        asked = as_reset(request, reset_id=received.id, at=now, via="queue")
        refused = replace(asked, state=State.REFUSED, finished_at=now, detail=str(why))
        # No page is named: there is no such reset. Its number is 0, before any of a reset's own.
        told = notifications.answers(
            refused,
            NotificationKind.END,
            self.listeners,
            catalogue,
            now=now,
            sign_in=self.settings.sign_in,
        )
        known = catalogue is None or request.target in catalogue
        partition = request.target if known else OF_NO_TARGET
        # As after a first try: the message may have come before, and this have been delivered.
        return [replace(each, target=partition, attempts=1) for each in told]
