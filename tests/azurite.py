"""A storage emulator for synchronous tests and fixtures: in memory, gone when they are."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from local import processes


@contextlib.contextmanager
def start_azurite() -> Iterator[str]:
    """Yield the connection string of an Azurite of one's own, on 127.0.0.1."""
    # In a loop of its own, since each test has a loop of its own.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = processes.azurite()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    finally:
        stopped = running.__aexit__(None, None, None)
        with contextlib.suppress(StopAsyncIteration, RuntimeError):
            asyncio.run_coroutine_threadsafe(stopped, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
