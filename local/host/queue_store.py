"""Reads and writes one queue in Azure Storage with the genuine listener's calls and retries."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.queue.aio import QueueClient

from local.host.queue_wire import Message, QueueWire
from local.host.waiting import wait_for_any

RETRIES: Final = 5
FIRST_RETRY_SECONDS: Final = 0.8
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[object]]
StoreError = AzureError


class QueueStore:
    """Turn errors that last into StoreError; ignore that another reader holds the message."""

    def __init__(
        self,
        client: QueueClient,
        *,
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._client = client
        self._wire = QueueWire(client)
        self._sleep = sleep
        self._uniform = uniform
        self._given_up = asyncio.Event()

    @property
    def name(self) -> str:
        return self._client.queue_name

    def stop_polling(self) -> None:
        """Retry no poll any more; what a running message still needs is retried as before."""
        self._given_up.set()

    async def aclose(self) -> None:
        await self._client.close()

    async def exists(self) -> bool:
        try:
            await self._insist(self._client.get_queue_properties, polling=True)
        except ResourceNotFoundError:
            return False
        return True

    async def receive(self, count: int, *, lease_seconds: int) -> list[Message]:
        async def call() -> list[Message]:
            return await self._wire.fetch(count, hidden_seconds=lease_seconds)

        return await self._insist(call, polling=True)

    async def renew(self, message: Message, *, lease_seconds: int) -> bool:
        """Lease *message* for longer; False when another reader holds it."""

        async def call() -> None:
            updated = await self._client.update_message(
                message.id, message.lease_receipt, visibility_timeout=lease_seconds
            )
            message.lease_receipt = updated.pop_receipt or message.lease_receipt

        return await self._unless_lost(call)

    async def release(self, message: Message, *, visible_in: int) -> bool:
        return await self.renew(message, lease_seconds=visible_in)

    async def delete(self, message: Message) -> bool:
        async def call() -> None:
            await self._wire.delete(message)

        return await self._unless_lost(call)

    async def add(self, wire_text: str) -> None:
        """Send, and create the queue only if it turns out to be missing."""

        async def call() -> None:
            await self._client.send_message(wire_text)

        try:
            await self._insist(call)
        except ResourceNotFoundError:
            await self.create()
            await self._insist(call)

    async def create(self, *, patiently: bool = True) -> None:
        async def call() -> None:
            # Two failures at once both find it missing. The client raises on a mere 204, too.
            with contextlib.suppress(ResourceExistsError):
                await self._client.create_queue()

        await (self._insist(call) if patiently else call())

    async def _unless_lost(self, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            await self._insist(call)
        except ResourceNotFoundError:
            return False
        except HttpResponseError as error:
            if not _receipt_is_old(error):
                raise
            return False
        return True

    async def _insist[T](self, call: Callable[[], Awaitable[T]], *, polling: bool = False) -> T:
        # What the .NET client does: five more times, each pause twice the one before.
        for attempt in range(RETRIES):
            try:
                return await call()
            except (ServiceRequestError, ServiceResponseError):
                if polling and self._given_up.is_set():
                    raise
            except HttpResponseError as error:
                given_up = polling and self._given_up.is_set()
                if given_up or error.status_code not in _PASSING:
                    raise
            pause = self._sleep(FIRST_RETRY_SECONDS * 2**attempt * self._uniform(0.8, 1.2))
            if polling:
                await wait_for_any(pause, self._given_up.wait())
            else:
                await pause
        return await call()


def _receipt_is_old(error: HttpResponseError) -> bool:
    code = getattr(error, "error_code", None)  # a str that is also an Enum: str() spoils it
    return error.status_code == HTTPStatus.BAD_REQUEST and code == "PopReceiptMismatch"
