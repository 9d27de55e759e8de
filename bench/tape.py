"""
Give a service's recorded answers again, at once: what an app costs apart from how long it waits.

A relay that keeps answers fills a tape. The server runs in a thread of its own, so that the
processor time of the app's thread is the app's.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.relay import Answers, read_body

_NOT_THERE: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(kw_only=True)
class Tape:
    """
    *answers* holds each answer, whole, under its request's first line; it may be exchanged.

    What is asked that is not on it is answered 404 and kept in `missing`.
    """

    answers: Answers = field(default_factory=dict)
    missing: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[int]:
        """Yield the port to talk to."""
        ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._play(ready)))
        thread.start()
        port, loop, end = await asyncio.wrap_future(ready)
        try:
            yield port
        finally:
            loop.call_soon_threadsafe(end.set)
            await asyncio.to_thread(thread.join)

    async def _play(
        self, ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]]
    ) -> None:
        end = asyncio.Event()
        try:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), end))
        await end.wait()
        server.close()
        server.abort_clients()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*broken):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await read_body(reader, head)
                line = head.split(b"\r\n", 1)[0]
                answer = self.answers.get(line)
                if answer is None:
                    self.missing.append(line)
                    break
                writer.write(answer)
                await writer.drain()
            writer.write(_NOT_THERE)
        writer.close()
