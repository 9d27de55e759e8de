"""
Fetch and delete messages by requests of our own, with the SDK's signature, connection and errors.

Both are made for every message, and a fetch once a second for every queue that is empty. The SDK's
own methods take twice as long, most of it in a generated layer and in policies that do nothing for
these two; it would count as what an app costs. A test holds them against the SDK's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    map_error,
)
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.core.pipeline.transport import AsyncHttpResponse
from azure.storage.queue._shared.response_handlers import process_storage_error
from azure.storage.queue.aio import QueueClient

from shared.adapters.storage_pipeline import Requests, new_request_id

_ERRORS: Final = {404: ResourceNotFoundError, 409: ResourceExistsError}
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Message:
    """A message as fetched; only `lease_receipt` changes, with each renewal."""

    id: str
    wire_text: str
    dequeue_count: int
    pop_receipt: str
    lease_receipt: str
    inserted: datetime
    expires: datetime
    next_visible: datetime


class QueueWire:
    """The messages of one queue."""

    def __init__(self, client: QueueClient) -> None:
        """*client* gives connection, credential and address, and closes what is open."""
        policies: list[Any] = [
            client._config.user_agent_policy,  # noqa: SLF001 -- as its own calls have it
            client._config.headers_policy,  # noqa: SLF001 -- likewise
            # None where the address holds a signature.
            *filter(None, [client._credential_policy]),  # noqa: SLF001 -- likewise
        ]
        transport: Any = client._pipeline._transport  # noqa: SLF001 -- likewise
        self._requests: Final = Requests(transport, policies, idle=())
        address, _, self._signed = client.url.partition("?")
        self._messages: Final = f"{address}/messages"
        self._version: Final = client.api_version

    async def fetch(self, count: int, *, hidden_seconds: int) -> list[Message]:
        query = f"numofmessages={count}&visibilitytimeout={hidden_seconds}"
        answer = await self._send("GET", self._messages, query)
        found = ContentDecodePolicy.deserialize_from_text(answer.body(), "application/xml")
        return list(_messages(found))

    async def delete(self, message: Message) -> None:
        place = f"{self._messages}/{quote(message.id, safe='')}"
        await self._send("DELETE", place, f"popreceipt={quote(message.lease_receipt, safe='')}")

    async def _send(self, method: str, place: str, query: str) -> AsyncHttpResponse:
        signed = f"&{self._signed}" if self._signed else ""
        headers = {"x-ms-version": self._version, "Accept": "application/xml"}
        url = f"{place}?{query}{signed}"
        answer = await self._requests.send(method, url, headers, client_request_id=new_request_id())
        if answer.status_code not in {200, 204}:
            try:
                map_error(answer.status_code, answer, _ERRORS)
                raise HttpResponseError(response=answer)
            except HttpResponseError as error:
                process_storage_error(error)
        return answer


def _messages(found: Any) -> Iterator[Message]:
    for each in found:
        told = {part.tag: part.text or "" for part in each}
        receipt = told["PopReceipt"]
        yield Message(
            id=told["MessageId"],
            wire_text=told.get("MessageText", ""),
            dequeue_count=int(told["DequeueCount"]),
            pop_receipt=receipt,
            lease_receipt=receipt,
            inserted=_moment(told.get("InsertionTime", "")),
            expires=_moment(told.get("ExpirationTime", "")),
            next_visible=_moment(told.get("TimeNextVisible", "")),
        )


def _moment(text: str) -> datetime:
    return parsedate_to_datetime(text).astimezone(UTC) if text else _NEVER
