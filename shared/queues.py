"""The queues in Azure Queue Storage: the only module that knows its client."""

import json

from azure.core.exceptions import AzureError
from azure.storage.queue.aio import QueueClient

from shared.errors import StorageUnavailable

FOREVER = -1
"""Time to live: the service's default of seven days would lose what waits longer."""


class StorageQueues:
    """The `Queues` over two clients; messages are plain JSON (host.json: messageEncoding none)."""

    def __init__(self, follow_ups: QueueClient, notifications: QueueClient) -> None:
        self._follow_ups = follow_ups
        self._notifications = notifications

    async def follow_up(self, reset_id: str) -> None:
        await _send(self._follow_ups, {"id": reset_id})

    async def notification(self, target: str, reset_id: str, n: int) -> None:
        await _send(self._notifications, {"target": target, "id": reset_id, "n": n})


async def _send(queue: QueueClient, message: dict[str, str | int]) -> None:
    try:
        await queue.send_message(json.dumps(message), time_to_live=FOREVER)
    except AzureError as error:
        raise StorageUnavailable(f"queue {queue.queue_name}: {type(error).__name__}") from error
