"""Run to the end, or until somebody stops it: what was started is stopped in either case."""

import asyncio
import signal
import sys
from collections.abc import Coroutine


def run(work: Coroutine[None, None, int]) -> int:
    """Return the exit code. SIGTERM ends it as Ctrl-C does."""
    try:
        return asyncio.run(_until_stopped(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped", file=sys.stderr)
        return 130


async def _until_stopped(work: Coroutine[None, None, int]) -> int:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
