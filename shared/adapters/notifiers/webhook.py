"""Bring an answer to a ticket system: the only module that speaks HTTP to them."""

from typing import Final

import aiohttp

from shared.domain.errors import NotDelivered
from shared.domain.reset import Notification

TAKES_AT_MOST: Final = aiohttp.ClientTimeout(total=20, connect=5)


class WebhookNotifier:
    """
    POSTs the answer as JSON to a configured address.

    The header `webhook-id` is the same at each try of one answer, so that the receiver can drop a
    repetition (https://www.standardwebhooks.com). Redirects are not followed: hosts come from
    configuration alone.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        del again  # the webhook-id says it
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TAKES_AT_MOST)
        body = {
            "id": answer.id,
            "target": answer.target,
            "kind": str(answer.kind),
            "state": str(answer.state),
            "text": answer.text,
            "ticket": {"system": answer.notifier, "id": answer.ticket_id, "url": answer.ticket_url},
        }
        headers = {"webhook-id": f"{answer.id}-{answer.n}"}
        try:
            async with self._session.post(
                self._url, json=body, headers=headers, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    raise NotDelivered(f"{answer.notifier} answered {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotDelivered(f"{answer.notifier}: {type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
