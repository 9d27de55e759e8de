"""Take a request in by HTTP or by timer: the rows first, then a message that gets it going."""

import asyncio
from datetime import timedelta
from typing import Final

from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Queues
from shared.domain.requests import Received
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance, Accepted

ANSWERS_WITHIN: Final = timedelta(seconds=8)
"""GitHub waits ten seconds for an answer, Zendesk twelve: storage gets less than either."""


class Submission:
    """The use case behind `submit_reset`, `receive_webhook` and `remediate`; touches no Graph."""

    def __init__(self, *, acceptance: Acceptance, queues: Queues) -> None:
        self._acceptance = acceptance
        self._queues = queues

    async def submit(
        self, received: Received, *, via: str, signed_in: bool | None = None
    ) -> Accepted:
        """
        Return the reset of this request, its rows written.

        Raise what `Acceptance.accept` raises, and StorageUnavailable after eight seconds. A
        message that cannot be sent is no failure: the due row stands, and the sweep sends one
        within a minute.
        """
        try:
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                accepted = await self._acceptance.accept(received, via=via, signed_in=signed_in)
                if not accepted.known:
                    await self._send(received, accepted)
        except TimeoutError as error:
            # Whatever was written by now is completed, or answered, when the request comes again.
            raise StorageUnavailable("storage did not answer in time") from error
        return accepted

    async def _send(self, received: Received, accepted: Accepted) -> None:
        row = accepted.stored.row
        try:
            await self._queues.request(received)
        except StorageUnavailable as error:
            emit("storage.failed", id=row.id, target=row.target, what="submit", why=str(error))
