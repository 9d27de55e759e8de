"""The queues in Azure Queue Storage: the only module that knows its client."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from shared.adapters.queue_send import Send, send_by_sdk
from shared.domain.errors import StorageUnavailable
from shared.domain.messages import to_message
from shared.domain.requests import Received
from shared.domain.reset import PoisonMessage
from shared.names import QUEUES

TAKES_AT_MOST: Final = 60.0
PAGE: Final = 32
MOST_PAGES: Final = 10
HIDDEN_SECONDS: Final = 300


class StorageQueues:
    """The `Queues` over its clients; messages are plain JSON (host.json: messageEncoding none)."""

    def __init__(
        self,
        requests: QueueClient,
        follow_ups: QueueClient,
        notifications: QueueClient,
        poison: Mapping[str, QueueClient],
        *,
        send: Send = send_by_sdk,
    ) -> None:
        """
        *poison* holds each queue's poison queue under the name of the queue itself; *send* sends a
        message.
        """
        self._requests = requests
        self._follow_ups = follow_ups
        self._notifications = notifications
        self._poison = poison
        self._send_by = send

    async def open(self) -> None:
        """Nothing to do: the clients were given, and each connects with its first message."""

    async def request(self, received: Received) -> None:
        await self._send(self._requests, to_message(received))

    async def follow_up(self, reset_id: str, *, target: str = "", key: str = "") -> None:
        place = {"target": target, "key": key} if target and key else {}
        await self._send(self._follow_ups, json.dumps({"id": reset_id, **place}))

    async def notification(self, target: str, reset_id: str, n: int) -> None:
        message = {"target": target, "id": reset_id, "n": n}
        await self._send(self._notifications, json.dumps(message))

    async def _send(self, queue: QueueClient, message: str) -> None:
        try:
            async with asyncio.timeout(TAKES_AT_MOST):
                await self._send_by(queue, message)
        except (AzureError, TimeoutError) as error:
            raise _unavailable(queue, error) from error

    async def oldest(self) -> Mapping[str, datetime | None]:
        queues = (self._requests, self._follow_ups, self._notifications)
        return dict(zip(QUEUES, await asyncio.gather(*map(_oldest, queues)), strict=True))

    async def poisoned(self) -> AsyncIterator[PoisonMessage]:
        for name, queue in self._poison.items():
            for _ in range(MOST_PAGES):
                found = await _page(queue)
                for message in found:
                    yield PoisonMessage(
                        queue=name,
                        id=message.id,
                        text=message.content,
                        receipt=message.pop_receipt or "",
                    )
                if len(found) < PAGE:
                    break

    async def delete(self, message: PoisonMessage) -> None:
        queue = self._poison[message.queue]
        try:
            async with asyncio.timeout(TAKES_AT_MOST):
                await queue.delete_message(message.id, message.receipt)
        except ResourceNotFoundError:
            return
        except (AzureError, TimeoutError) as error:
            raise _unavailable(queue, error) from error


def _unavailable(queue: QueueClient, error: Exception) -> StorageUnavailable:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    # 403 and 404 have remedies of their own, which the class of an error does not tell.
    said = f" answered {status}" if status else f": {type(error).__name__}"
    return StorageUnavailable(f"queue {queue.queue_name}{said}")


async def _page(queue: QueueClient) -> list[QueueMessage]:
    try:
        pages = queue.receive_messages(
            messages_per_page=PAGE, max_messages=PAGE, visibility_timeout=HIDDEN_SECONDS
        )
        async with asyncio.timeout(TAKES_AT_MOST):
            return [message async for message in pages]
    except ResourceNotFoundError:
        # The host makes it with the first poison message.
        return []
    except (AzureError, TimeoutError) as error:
        raise _unavailable(queue, error) from error


async def _oldest(queue: QueueClient) -> datetime | None:
    """Of the front of the queue: its order is only roughly that of coming."""
    try:
        async with asyncio.timeout(TAKES_AT_MOST):
            front = await queue.peek_messages(max_messages=PAGE)
    except (AzureError, TimeoutError) as error:
        raise _unavailable(queue, error) from error
    return min((m.inserted_on for m in front if m.inserted_on is not None), default=None)
