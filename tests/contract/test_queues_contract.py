"""What the queues promise: in memory and in Azure Queue Storage (Azurite) alike."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.queue.aio import QueueServiceClient
from msgspec import structs

from shared.adapters.lazy_queues import LazyQueues
from shared.adapters.queue_send import PlainSend, send_by_sdk
from shared.adapters.queues import StorageQueues
from shared.domain.errors import StorageUnavailable
from shared.domain.messages import read_message
from shared.domain.ports import AllQueues
from shared.domain.requests import Received, parse_request
from shared.names import FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, QUEUES, RESETS_QUEUE
from tests.support.storage import Storage

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass
class Account:
    queues: AllQueues
    clients: dict[str, Any]

    async def put_poison(self, name: str, text: str) -> None:
        await self.clients[f"{name}-poison"].send_message(text, time_to_live=-1)

    async def texts(self, name: str) -> list[str]:
        found = self.clients[name].receive_messages(
            messages_per_page=32, max_messages=32, visibility_timeout=1
        )
        return [message.content async for message in found]


def lazily(queues: StorageQueues) -> LazyQueues:
    async def make() -> AllQueues:
        return queues

    return LazyQueues(make)


@pytest.fixture(params=["memory", "azurite"])
async def account(request: pytest.FixtureRequest, azurite: str) -> AsyncIterator[Account]:
    if request.param == "memory":
        storage = Storage(lambda: NOW)
        yield Account(queues=storage.adapter(), clients=dict(storage.queues))
        return
    async with QueueServiceClient.from_connection_string(azurite) as service:
        names = [*QUEUES, *(f"{name}-poison" for name in QUEUES)]
        clients = {name: service.get_queue_client(name) for name in names}
        for client in clients.values():
            await client.create_queue()
            await client.clear_messages()
        poison = {name: clients[f"{name}-poison"] for name in QUEUES}
        queues = StorageQueues(
            clients[RESETS_QUEUE],
            clients[FOLLOW_UPS_QUEUE],
            clients[NOTIFICATIONS_QUEUE],
            poison,
            send=PlainSend(service),
        )
        # As deployed: opened with the first message.
        yield Account(queues=lazily(queues), clients=clients)
        for client in clients.values():
            await client.delete_queue()


async def test_messages_are_plain_json_of_what_to_look_at(account: Account) -> None:
    await account.queues.follow_up("r1")
    await account.queues.notification("sales", "r1", 4)

    assert [json.loads(t) for t in await account.texts(FOLLOW_UPS_QUEUE)] == [{"id": "r1"}]
    assert [json.loads(t) for t in await account.texts(NOTIFICATIONS_QUEUE)] == [
        {"target": "sales", "id": "r1", "n": 4}
    ]


async def test_a_request_is_read_from_the_queue_as_it_was_sent_under_its_id(
    account: Account,
) -> None:
    raw = {
        "target": "sales",
        "reason": "Zoë's account",
        "ticket": {"system": "s", "id": "1"},
        "subjects": ["b", "a"],
        "notBefore": "2026-12-01T20:00:00+01:00",
        "dryRun": True,
    }
    request = parse_request(json.dumps(raw).encode())
    await account.queues.request(Received(id="h-1", request=request))

    (text,) = await account.texts(RESETS_QUEUE)
    found = read_message(text.encode(), message_id="other")
    assert found.id == "h-1"
    assert found.request == structs.replace(request, request_id="h-1")


async def test_the_oldest_message_of_each_queue_is_told_and_stays(account: Account) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    await account.queues.follow_up("r1")
    await account.queues.follow_up("r2")

    oldest = await account.queues.oldest()

    assert [name for name, at in oldest.items() if at is not None] == [FOLLOW_UPS_QUEUE]
    assert list(oldest) == list(QUEUES)
    at = oldest[FOLLOW_UPS_QUEUE]
    assert at is not None
    assert at == NOW or at > before
    assert len(await account.texts(FOLLOW_UPS_QUEUE)) == 2


async def test_poison_messages_are_yielded_whole_and_hidden_until_forgotten(
    account: Account,
) -> None:
    for n in range(40):
        await account.put_poison(QUEUES[0], f"text {n}")
    await account.put_poison(QUEUES[1], "other")

    found = [message async for message in account.queues.poisoned()]
    again = [message async for message in account.queues.poisoned()]

    assert sorted(m.text for m in found if m.queue == QUEUES[0]) == sorted(
        f"text {n}" for n in range(40)
    )
    assert [m.text for m in found if m.queue == QUEUES[1]] == ["other"]
    assert again == []


async def test_a_forgotten_poison_message_is_gone_and_forgetting_it_again_is_harmless(
    account: Account,
) -> None:
    await account.put_poison(QUEUES[0], "x")
    (message,) = [m async for m in account.queues.poisoned()]

    await account.queues.delete(message)
    await account.queues.delete(message)
    assert await account.texts(f"{QUEUES[0]}-poison") == []


async def test_a_poison_message_that_another_has_taken_since_is_not_deleted(
    account: Account,
) -> None:
    await account.put_poison(QUEUES[0], "x")
    (message,) = [m async for m in account.queues.poisoned()]

    with pytest.raises(StorageUnavailable):
        await account.queues.delete(replace(message, receipt="bm90LW1pbmU="))


async def test_poison_queues_that_nobody_has_made_are_empty(azurite: str) -> None:
    async with QueueServiceClient.from_connection_string(azurite) as service:
        nowhere = service.get_queue_client("nowhere-poison")
        queues = StorageQueues(nowhere, nowhere, nowhere, {"nowhere": nowhere})

        assert [m async for m in queues.poisoned()] == []
        with pytest.raises(StorageUnavailable):
            await queues.oldest()
        with pytest.raises(StorageUnavailable):
            await queues.follow_up("r1")


async def test_the_queues_are_opened_once_and_not_before_the_first_message() -> None:
    storage, made = Storage(lambda: NOW), list[AllQueues]()

    async def make() -> AllQueues:
        await asyncio.sleep(0)
        made.append(storage.adapter())
        return made[-1]

    queues = LazyQueues(make)
    before = len(made)
    await asyncio.gather(*(queues.follow_up(f"r{n}") for n in range(5)))
    found = [message async for message in queues.poisoned()]

    assert (before, len(made), found) == (0, 1, [])
    assert len(storage.queues[FOLLOW_UPS_QUEUE].messages) == 5


async def test_opened_before_the_first_message_they_are_not_opened_again(account: Account) -> None:
    await account.queues.open()
    await account.queues.open()
    await account.queues.follow_up("r1")

    assert len(await account.texts(FOLLOW_UPS_QUEUE)) == 1


async def test_to_open_them_opens_them_once() -> None:
    storage, made = Storage(lambda: NOW), list[AllQueues]()

    async def make() -> AllQueues:
        made.append(storage.adapter())
        return made[-1]

    queues = LazyQueues(make)
    await asyncio.gather(queues.open(), queues.open(), queues.follow_up("r1"))

    assert len(made) == 1
    assert len(storage.queues[FOLLOW_UPS_QUEUE].messages) == 1


async def test_queues_that_could_not_be_opened_are_tried_again() -> None:
    storage, tries = Storage(lambda: NOW), list[int]()

    async def make() -> AllQueues:
        tries.append(1)
        if len(tries) == 1:
            raise StorageUnavailable("no token")
        return storage.adapter()

    queues = LazyQueues(make)
    with pytest.raises(StorageUnavailable):
        await queues.follow_up("r1")
    await queues.follow_up("r1")

    assert len(storage.queues[FOLLOW_UPS_QUEUE].messages) == 1


class Recorder(AioHttpTransport):  # type: ignore[misc]
    """Keeps what is sent."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        super().__init__()
        self.sent = sent

    async def send(self, request: Any, **kwargs: Any) -> Any:
        drawn = {"x-ms-client-request-id", "x-ms-date", "authorization"}
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert set(headers) > drawn
        lasting = {name: value for name, value in headers.items() if name not in drawn}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        asked = {"url": request.url, "headers": lasting, "body": body, "method": request.method}
        self.sent.append(asked)
        return await super().send(request, **kwargs)


@pytest.mark.parametrize(
    "text", ["{}", '{"id": "<&>\'\\"", "name": "Zoë 日本 🙂"}', "]]> &amp; \t\n ", "x" * 40_000]
)
async def test_a_message_is_sent_as_the_sdk_sends_it(azurite: str, text: str) -> None:
    sent: list[dict[str, Any]] = []
    async with QueueServiceClient.from_connection_string(
        azurite, transport=Recorder(sent)
    ) as service:
        queue = await service.create_queue(f"sent-{uuid.uuid4().hex[:12]}")
        sent.clear()

        await PlainSend(service)(queue, text)
        await send_by_sdk(queue, text)

        mine, theirs = sent
        assert mine == theirs
        found = [message.content async for message in queue.receive_messages(max_messages=2)]
        assert found == [text, text]
