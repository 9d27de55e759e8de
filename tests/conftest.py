"""What all tests share: one storage emulator."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from local import processes


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """Azurite in memory on free ports, for the whole run: its connection string."""
    # In a loop of its own, since each test has a loop of its own.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = processes.azurite()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
