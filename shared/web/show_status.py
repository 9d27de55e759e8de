"""
`GET /api/resets/{id}/status`: answer the program that polls, as Logic Apps does.

They ask the address in `Location` again and again, without a key, until it is no longer 202:
https://learn.microsoft.com/azure/architecture/patterns/asynchronous-request-reply
"""

from datetime import timedelta
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.reset import OPEN
from shared.use_cases.read_status import ReadStatus
from shared.web.messages import HttpRequest, HttpResponse, location, ok, origin
from shared.web.views import status_body

POLLED_EVERY: Final = timedelta(minutes=1)
"""The sweep's own pace: a state seldom changes faster."""


class StatusAddress(Struct, frozen=True, kw_only=True):
    """The function `get_status`, and the addresses that lead to it."""

    settings: Settings
    status: ReadStatus

    async def show(self, request: HttpRequest) -> HttpResponse:
        """202 while the reset is open, 200 once it has ended; the token is the only proof."""
        reset_id = request.path.get("id", "")
        token = request.query.get("token", "")
        reset = await self.status.find(reset_id, token)
        if reset.state in OPEN:
            return ok(status_body(reset), 202, await self.headers(reset_id, request))
        return ok(status_body(reset))

    async def headers(self, reset_id: str, request: HttpRequest) -> dict[str, str]:
        """Where and when to ask for the status of this reset."""
        base = self.settings.public_url or origin(request.url)
        token = await self.status.token(reset_id)
        pause = min(POLLED_EVERY, self.settings.follow_up_interval)
        return {
            "Location": f"{location(base, reset_id)}/status?token={token}",
            "Retry-After": str(max(1, int(pause.total_seconds()))),
        }
