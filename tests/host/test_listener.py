"""What no recording shows of the listener: the moments between its own steps."""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue.aio import QueueClient

from local.host.backoff import Backoff
from local.host.host_json import QueueOptions
from local.host.listener import QueueListener, Queues
from local.host.queue_store import QueueStore
from local.host.queue_wire import Message
from tests.support.patience import PATIENCE

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9/devstoreaccount1/q?sig=none"


class Shelf(QueueStore):
    """Some messages in this process; a call takes no turn of the loop."""

    def __init__(self, *texts: str) -> None:
        super().__init__(QueueClient.from_queue_url(NOWHERE))
        self.waiting = deque(texts)
        self.gone: list[str] = []

    async def exists(self) -> bool:
        return True

    async def receive(self, count: int, *, lease_seconds: int) -> list[Message]:
        taken = [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]
        return [_message(text, NOW + timedelta(seconds=lease_seconds)) for text in taken]

    async def delete(self, message: Message) -> bool:
        self.gone.append(message.id)
        return True


def _message(text: str, until: datetime) -> Message:
    return Message(
        id=text,
        wire_text=text,
        dequeue_count=1,
        pop_receipt="r",
        lease_receipt="r",
        inserted=NOW,
        expires=until,
        next_visible=until,
    )


@pytest.mark.parametrize("turns", range(12))
async def test_runs_that_end_close_together_make_room_for_the_next(turns: int) -> None:
    """
    The second ends *turns* of the event loop after the first.

    In one of them the listener, which the first has woken, stands between its look and its wait.
    """
    last = asyncio.Event()

    async def invoke(message: Message, _body: bytes) -> bool:
        match message.id:
            case "second":
                for _ in range(turns):
                    await asyncio.sleep(0)
            case "long":
                await last.wait()
            case "last":
                last.set()
        return True

    shelf = Shelf("first", "second", "long", "last")
    options = QueueOptions(batch_size=3, new_batch_threshold=1, base64=False)
    listener = QueueListener(
        Queues(work=shelf, poison=None), options, invoke, backoff=Backoff(1, lambda low, _: low)
    )

    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(listener.run())
        await last.wait()
        listener.stop()
        await running
    await shelf.aclose()

    assert sorted(shelf.gone) == ["first", "last", "long", "second"]
