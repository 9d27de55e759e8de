"""Send again what was given up: `make resend`, once the ticket system has been put right."""

import contextlib
from copy import replace
from typing import Final

from msgspec import Struct

from shared.domain.errors import Conflict
from shared.domain.ports import Clock, Paces, Queues, Undelivered
from shared.domain.reset import Notification

A_ROUND: Final = 100


class Resend(Struct, frozen=True, kw_only=True):
    """The use case `resend`: begun again after a crash, it goes on."""

    undelivered: Undelivered
    paces: Paces
    queues: Queues
    clock: Clock

    async def resend(self) -> list[Notification]:
        """Return what was put back into the outbox; each is tried for three days again."""
        found: list[Notification] = []
        while kept := await self.undelivered.undelivered(most=A_ROUND):
            answers = [each.answer for each in kept]
            for notifier in sorted({each.notifier for each in answers}):
                await self._open(notifier)
            for each in answers:
                fresh = replace(
                    each,
                    # A try of before may have got through: then it must not appear twice.
                    attempts=min(each.attempts, 1),
                    due_at=self.clock(),
                    tried_at=None,
                    turn=None,
                )
                await self.undelivered.put_back(fresh)
                await self.queues.notification(each.target, each.id, each.n)
                found.append(fresh)
        return found

    async def _open(self, notifier: str) -> None:
        """Forget that the receiver had ended it, and what held it back."""
        pace = await self.paces.read_pace(notifier)
        after = replace(pace.row, gone="", held_until=None, failures=0)
        if after != pace.row:
            with contextlib.suppress(Conflict):
                await self.paces.write_pace(pace, after)
