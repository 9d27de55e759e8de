"""Accept a request from HTTP or a timer: write its rows, then send the message that starts it."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Queues
from shared.domain.requests import Received
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance, Accepted

ANSWERS_WITHIN: Final = timedelta(seconds=8)
"""GitHub waits ten seconds for an answer, Zendesk twelve: storage gets less than either."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The use case behind `submit_reset`, `receive_webhook` and `remediate`; touches no Graph."""

    acceptance: Acceptance
    queues: Queues

    async def submit(
        self, received: Received, *, via: str, signed_in: bool | None = None
    ) -> Accepted:
        """
        Return the reset of this request, its rows written.

        Raise what `Acceptance.accept` raises, and StorageUnavailable after eight seconds. A
        message that cannot be sent is not a failure: the sweep sends one for the due row within a
        minute.
        """
        try:
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                accepted = await self.acceptance.accept(received, via=via, signed_in=signed_in)
                if not accepted.known:
                    await self._send(received, accepted)
        except TimeoutError as error:
            # Sent again, the request completes or finds what was written so far.
            raise StorageUnavailable("storage did not answer in time") from error
        return accepted

    async def _send(self, received: Received, accepted: Accepted) -> None:
        row = accepted.stored.row
        try:
            await self.queues.request(received)
        except StorageUnavailable as error:
            emit("storage.failed", id=row.id, target=row.target, what="submit", why=str(error))
