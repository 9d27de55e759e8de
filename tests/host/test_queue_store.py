"""What the recordings cannot show: how the listener's storage says that a message is lost."""

import uuid
from contextlib import aclosing

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
