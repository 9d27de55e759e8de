"""
Send a queue message by a request of our own, without the SDK's generated layer in between.

Signature, retries and connection stay the SDK's. A test holds the request against the SDK's own.
"""

import html
from collections.abc import Awaitable, Callable
from typing import Final

from azure.core.exceptions import HttpResponseError
from azure.storage.queue._shared.policies import (
    QueueMessagePolicy,
    RangeHeaderPolicy,
    StorageHosts,
    StorageRequestHook,
    StorageSensitiveHeaderCleanupPolicy,
)
from azure.storage.queue._shared.policies_async import (
    AsyncContentValidationPolicy,
    AsyncStorageResponseHook,
)
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from shared.adapters.storage_pipeline import Requests, new_request_id

FOREVER: Final = -1
"""Time to live: the service's default of seven days would lose what waits longer."""

IDLE: Final = (
    AsyncContentValidationPolicy,
    AsyncStorageResponseHook,
    QueueMessagePolicy,
    RangeHeaderPolicy,
    StorageHosts,
    StorageRequestHook,
    StorageSensitiveHeaderCleanupPolicy,
)
_CREATED: Final = 201

type Send = Callable[[QueueClient, str], Awaitable[None]]
"""The signature of `send_by_sdk`."""


async def send_by_sdk(client: QueueClient, text: str) -> None:
    """Send the message; raise AzureError where it may not have been sent."""
    await client.send_message(text, time_to_live=FOREVER)


class PlainSend:
    """Send messages by requests of our own."""

    def __init__(self, service: QueueServiceClient) -> None:
        """*service* is the client of the account; what it has open is used."""
        pipeline = service._pipeline  # noqa: SLF001 -- as its own queues have it
        policies = [getattr(each, "_policy", each) for each in pipeline._impl_policies]  # noqa: SLF001
        self._requests = Requests(pipeline._transport, policies, idle=IDLE)  # noqa: SLF001
        self._endpoint = f"{service.scheme}://{service.primary_hostname}"
        # A shared access signature stands in each address; no policy adds it.
        self._query = f"{service._query_str}&" if service._query_str else "?"  # noqa: SLF001
        self._version = service.api_version

    async def __call__(self, client: QueueClient, text: str) -> None:
        content = html.escape(text, quote=False)
        body = (
            "<?xml version='1.0' encoding='utf-8'?>\n"
            f"<QueueMessage><MessageText>{content}</MessageText></QueueMessage>"
        ).encode()
        headers = {
            "x-ms-version": self._version,
            "Accept": "application/xml",
            "Content-Type": "application/xml",
            "Content-Length": str(len(body)),
        }
        url = f"{self._endpoint}/{client.queue_name}/messages{self._query}messagettl={FOREVER}"
        answer = await self._requests.send(
            "POST", url, headers, body, client_request_id=new_request_id()
        )
        if answer.status_code != _CREATED:
            raise HttpResponseError(response=answer)
