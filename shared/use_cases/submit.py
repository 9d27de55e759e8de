"""Accept a request from HTTP or a timer: write its rows, then send the message that starts it."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

from msgspec import Struct, field

from shared.domain.errors import StorageUnavailable
from shared.domain.people import Person
from shared.domain.ports import Queues
from shared.domain.requests import Received
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance, Accepted

ANSWERS_WITHIN: Final = timedelta(seconds=8)
"""GitHub waits ten seconds for an answer, Zendesk twelve: storage gets less than either."""


class Submission(Struct, frozen=True, kw_only=True):
    """The use case behind `submit_reset`, `receive_webhook` and `remediate`; touches no Graph."""

    acceptance: Acceptance
    queues: Queues
    running: set[asyncio.Task[Accepted]] = field(default_factory=set)
    """Kept, or the event loop would drop a task that nobody waits for."""

    async def submit(
        self, received: Received, *, via: str, asker: Person | None = None
    ) -> Accepted:
        """
        Return the reset of this request, its rows written.

        Raise what `Acceptance.accept` raises, and StorageUnavailable after eight seconds; what
        was begun goes on all the same, and the request sent again finds it. A message that
        cannot be sent is not a failure: the sweep sends one for the due row within a minute.
        """
        written: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._take_in(received, via, asker, written))
        self.running.add(work)
        await asyncio.wait({work}, timeout=ANSWERS_WITHIN.total_seconds())
        if work.done():
            self.running.discard(work)
            return work.result()
        work.add_done_callback(partial(self._finished_late, received))
        if written.done():
            return written.result()
        raise StorageUnavailable("storage did not answer in time")

    async def _take_in(
        self,
        received: Received,
        via: str,
        asker: Person | None,
        written: asyncio.Future[Accepted],
    ) -> Accepted:
        # Beside the rows, not after them. Where it fails, the message meets the failure again.
        opening = asyncio.create_task(self.queues.open())
        try:
            accepted = await self.acceptance.accept(received, via=via, asker=asker)
            written.set_result(accepted)
            if not accepted.known:
                await self._send(received, accepted)
        finally:
            await asyncio.gather(opening, return_exceptions=True)
        return accepted

    def _finished_late(self, received: Received, work: asyncio.Task[Accepted]) -> None:
        """Nobody waits for it any more: say what went wrong, where something did."""
        self.running.discard(work)
        error = None if work.cancelled() else work.exception()
        if isinstance(error, StorageUnavailable):
            target = received.request.target
            emit("storage.failed", id=received.id, target=target, what="submit", why=str(error))

    async def _send(self, received: Received, accepted: Accepted) -> None:
        row = accepted.stored.row
        try:
            await self.queues.request(received)
        except StorageUnavailable as error:
            emit("storage.failed", id=row.id, target=row.target, what="submit", why=str(error))
