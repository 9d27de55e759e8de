"""What the recordings cannot show: what a message says, and how one that is lost is told of."""

import uuid
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.queue import QueueSasPermissions, generate_queue_sas
from azure.storage.queue.aio import QueueClient

from local.host.connections import Connection, queue_client
from local.host.queue_store import QueueStore


async def test_a_message_that_somebody_else_has_is_lost_without_an_error(azurite: str) -> None:
    connection = Connection(setting="test", connection_string=azurite)
    queue = QueueStore(queue_client(connection, f"lost-{uuid.uuid4().hex[:12]}"))
    async with aclosing(queue) as store:
        await store.create()
        await store.create()  # creating it again raises no error
        await store.add("ours for now")
        (message,) = await store.receive(16, lease_seconds=600)
        held = message.lease_receipt
        assert await store.renew(message, lease_seconds=600)
        assert message.lease_receipt != held
        assert message.pop_receipt == held

        message.lease_receipt = held  # as if the renewal had been somebody else's

        assert not await store.renew(message, lease_seconds=600)
        assert not await store.delete(message)


TEXTS = ("plain", "", "  <b>&amp; \u00e4\u4e16 </b>\n", "eyJhIjogMX0=", "\U0001f600" * 100)


async def test_what_is_fetched_is_what_the_sdk_would_have_read(azurite: str) -> None:
    connection = Connection(setting="test", connection_string=azurite)
    name = f"fetched-{uuid.uuid4().hex[:12]}"
    async with (
        queue_client(connection, name) as sdk,
        aclosing(QueueStore(queue_client(connection, name))) as store,
    ):
        await store.create()
        for text in TEXTS:
            await store.add(text)
        seen = await sdk.peek_messages(max_messages=32)

        fetched = await store.receive(16, lease_seconds=600)
        for message in fetched:
            assert await store.delete(message)

        assert await store.receive(16, lease_seconds=600) == []
        left = (await sdk.get_queue_properties()).approximate_message_count
    told = [(m.id, m.wire_text, m.dequeue_count, m.inserted, m.expires) for m in fetched]
    assert told == [
        (m.id, m.content or "", (m.dequeue_count or 0) + 1, m.inserted_on, m.expires_on)
        for m in seen
    ]
    assert [m.wire_text for m in fetched] == list(TEXTS)
    assert {(m.next_visible - m.inserted).total_seconds() // 60 for m in fetched} == {10}
    assert left == 0


@pytest.mark.parametrize("signed", ["a signature in the address", "a wrong key"])
async def test_a_fetch_is_signed_as_the_sdk_signs(azurite: str, signed: str) -> None:
    name = f"signed-{uuid.uuid4().hex[:12]}"
    account = dict(part.split("=", 1) for part in azurite.split(";") if part)
    async with queue_client(Connection(setting="test", connection_string=azurite), name) as sdk:
        await sdk.create_queue()
        await sdk.send_message("hello & good-bye")
        if signed == "a wrong key":
            wrong = azurite.replace(account["AccountKey"], "d3Jvbmc=")
            client = QueueClient.from_connection_string(wrong, name)
        else:
            token = generate_queue_sas(
                account["AccountName"],
                name,
                account["AccountKey"],
                permission=QueueSasPermissions(read=True, process=True),
                expiry=datetime.now(UTC) + timedelta(hours=1),
            )
            client = QueueClient(account["QueueEndpoint"], name, credential=token)
        async with aclosing(QueueStore(client)) as store:
            if signed == "a wrong key":
                with pytest.raises(ClientAuthenticationError):
                    await store.receive(1, lease_seconds=600)
                return
            (message,) = await store.receive(1, lease_seconds=600)
            assert await store.delete(message)
            assert message.wire_text == "hello & good-bye"
