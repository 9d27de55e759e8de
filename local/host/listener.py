"""
Listens to a queue as the Storage queue extension does for a queue trigger.

Call by call it follows recordings of the genuine listener, which the tests replay. One thing is
on purpose different: where the genuine one ends the process (a 5xx that outlasts the client's
retries on a renewal, an update or a delete, or a 403 on a poll), this one logs an error and goes
on. The message then comes back when its lease ends, as it does after the real crash.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from local.host.backoff import Backoff
from local.host.encoding import as_text, decode
from local.host.host_json import QueueOptions
from local.host.queue_store import QueueStore, StoreError
from local.host.queue_wire import Message
from local.host.waiting import wait_for_any

logger = logging.getLogger("host.queues")

LEASE_SECONDS = 600

Invoke = Callable[[Message, bytes], Awaitable[bool]]
"""Run the function on a message and its body; True when it succeeded."""

Sleep = Callable[[float], Awaitable[object]]


def poison_name(queue: str) -> str | None:
    """None where the extension has no poison queue, and a failed message only stays invisible."""
    return None if queue.endswith("-poison") or len(queue) > 56 else f"{queue}-poison"


@dataclass(frozen=True, kw_only=True, slots=True)
class Queues:
    work: QueueStore
    poison: QueueStore | None


class QueueListener:
    def __init__(
        self,
        queues: Queues,
        options: QueueOptions,
        invoke: Invoke,
        *,
        backoff: Backoff,
        lease_seconds: int = LEASE_SECONDS,
        binary: bool = False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """With *binary* the function takes bytes, so invalid UTF-8 does not fail the try."""
        self._work = queues.work
        self._poison = queues.poison
        self._options = options
        self._invoke = invoke
        self._backoff = backoff
        self._lease_seconds = lease_seconds
        self._binary = binary
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._exists = False

    def stop(self) -> None:
        """Fetch no more; `run` returns when the running messages are done with."""
        self._stopping.set()
        self._work.stop_polling()

    async def run(self) -> None:
        while not self._stopping.is_set():
            if await self._poll():
                self._backoff.found()
                await self._wait_for_room()
            else:
                await self._until_stopped_or(self._sleep(self._backoff.next_wait()))
        if self._running:
            logger.info("%s: waiting for %d running", self._work.name, len(self._running))
            await asyncio.wait(self._running)

    async def _poll(self) -> bool:
        """Fetch one batch and start it; True when there was something to start."""
        try:
            self._exists = self._exists or await self._work.exists()
            if not self._exists or self._stopping.is_set():
                return False
            # Always the full batch, however few places are free.
            batch = await self._work.receive(
                self._options.batch_size, lease_seconds=self._lease_seconds
            )
        except StoreError as error:
            # Only a 404 is silent: the queue may be made later.
            if getattr(error, "status_code", None) != 404:
                logger.error("%s: polling failed: %s", self._work.name, _short(error))  # noqa: TRY400
            self._exists = False
            return False
        fetched = [
            (found, decode(found.wire_text, as_base64=self._options.base64)) for found in batch
        ]
        for message, body in fetched:
            # One after the other and before any function of the batch begins, as recorded.
            if body is None:
                await self._settle(self._bury(message), message)
        readable = [(message, body) for message, body in fetched if body is not None]
        for message, body in readable:
            task = asyncio.create_task(self._settle(self._handle(message, body), message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return bool(readable)

    async def _wait_for_room(self) -> None:
        while len(self._running) > self._options.new_batch_threshold:
            # As they are now: one that ends before the wait has begun must end it.
            running = tuple(self._running)
            if not await self._until_stopped_or(
                asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            ):
                return

    async def _until_stopped_or(self, awaitable: Awaitable[object]) -> bool:
        """Wait for *awaitable*, or for the stop; False when it was the stop."""
        await wait_for_any(awaitable, self._stopping.wait())
        return not self._stopping.is_set()

    async def _settle(self, work: Awaitable[None], message: Message) -> None:
        try:
            await work
        except StoreError as error:
            logger.error("%s: message %s: %s", self._work.name, message.id, _short(error))  # noqa: TRY400

    async def _handle(self, message: Message, body: bytes) -> None:
        if message.dequeue_count > self._options.max_dequeue_count:
            await self._bury(message)
            return
        if await self._try(message, body):
            await self._work.delete(message)
        elif self._poison is None:
            return
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self._bury(message)
        else:
            # Whole seconds on the wire: 1.9 becomes 1.
            seconds = int(self._options.visibility_timeout.total_seconds())
            await self._work.release(message, visible_in=seconds)

    async def _try(self, message: Message, body: bytes) -> bool:
        if not self._binary and as_text(body) is None:
            logger.error("%s: message %s is no UTF-8 text", self._work.name, message.id)
            return False
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._keep(message, ended))
        try:
            return await self._invoke(message, body)
        finally:
            # Not cancelled: a renewal under way brings the receipt that the delete needs.
            ended.set()
            await renewing

    async def _keep(self, message: Message, ended: asyncio.Event) -> None:
        while True:
            await wait_for_any(self._sleep(self._lease_seconds / 2), ended.wait())
            if ended.is_set():
                return
            try:
                if not await self._work.renew(message, lease_seconds=self._lease_seconds):
                    return
            except StoreError as error:
                logger.error(  # noqa: TRY400
                    "%s: message %s: not renewed: %s", self._work.name, message.id, _short(error)
                )

    async def _bury(self, message: Message) -> None:
        if self._poison is None:
            return
        logger.warning(
            "Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.",
            self._options.max_dequeue_count,
            self._poison.name,
        )
        # Added first and deleted last: a crash between the two doubles it rather than loses it.
        await self._poison.add(message.wire_text)
        await self._work.delete(message)


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
