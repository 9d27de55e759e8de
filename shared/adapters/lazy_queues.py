"""Open the queues when they are needed: most invocations send nothing, and the client is large."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime

from shared.domain.ports import AllQueues
from shared.domain.requests import Received
from shared.domain.reset import PoisonMessage


class LazyQueues:
    """The port `AllQueues` over another one, which *make* gives when it is first needed."""

    def __init__(self, make: Callable[[], Awaitable[AllQueues]]) -> None:
        self._make = make
        self._made: AllQueues | None = None
        self._making = asyncio.Lock()

    async def _queues(self) -> AllQueues:
        async with self._making:
            if self._made is None:
                self._made = await self._make()
            return self._made

    async def open(self) -> None:
        await (await self._queues()).open()

    async def request(self, received: Received) -> None:
        await (await self._queues()).request(received)

    async def follow_up(self, reset_id: str, *, target: str = "", key: str = "") -> None:
        await (await self._queues()).follow_up(reset_id, target=target, key=key)

    async def notification(self, target: str, reset_id: str, n: int) -> None:
        await (await self._queues()).notification(target, reset_id, n)

    async def oldest(self) -> Mapping[str, datetime | None]:
        return await (await self._queues()).oldest()

    async def poisoned(self) -> AsyncIterator[PoisonMessage]:
        queues = await self._queues()
        async for message in queues.poisoned():
            yield message

    async def delete(self, message: PoisonMessage) -> None:
        await (await self._queues()).delete(message)
