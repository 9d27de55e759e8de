"""Emulators for synchronous tests and for fixtures of a whole module: gone when they are."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from local import processes


def start_azurite() -> AbstractContextManager[str]:
    """Yield the connection string of an Azurite of one's own, on 127.0.0.1."""
    return _started(processes.azurite())


def start_emulator(**environ: str) -> AbstractContextManager[str]:
    """Yield the address of a Graph emulator of one's own."""
    return _started(processes.emulator(environ))


@contextlib.contextmanager
def _started(running: AbstractAsyncContextManager[str]) -> Iterator[str]:
    # In a loop of its own, since each test has a loop of its own.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    finally:
        stopped = running.__aexit__(None, None, None)
        with contextlib.suppress(StopAsyncIteration, RuntimeError):
            asyncio.run_coroutine_threadsafe(stopped, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
