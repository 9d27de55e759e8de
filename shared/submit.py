"""Take a request in by HTTP or by timer: the rows first, then a message that gets it going."""

from shared.accept import Acceptance, Accepted
from shared.errors import StorageUnavailable
from shared.ports import Queues
from shared.requests import Received
from shared.telemetry import emit


class Submission:
    """The use case behind `submit_reset`, `receive_webhook` and `remediate`; touches no Graph."""

    def __init__(self, *, acceptance: Acceptance, queues: Queues) -> None:
        self._acceptance = acceptance
        self._queues = queues

    async def submit(self, received: Received, *, via: str) -> Accepted:
        """
        Return the reset of this request, its rows written.

        Raise what `Acceptance.accept` raises. A message that cannot be sent is no failure: the
        due row stands, and the sweep sends one within a minute.
        """
        accepted = await self._acceptance.accept(received, via=via)
        if accepted.known:
            return accepted
        row = accepted.stored.row
        try:
            await self._queues.request(received)
        except StorageUnavailable as error:
            emit("storage.failed", id=row.id, target=row.target, what="submit", why=str(error))
        return accepted
