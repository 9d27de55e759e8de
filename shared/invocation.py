"""What must not leave an invocation, because the Functions worker does not survive it well."""

import asyncio
from collections.abc import Awaitable

from shared.domain.errors import StorageUnavailable
from shared.telemetry import emit


class InvocationCancelled(Exception):
    """Stands for a cancellation: the host gets an answer and brings the message again."""


async def shielded[T](work: Awaitable[T]) -> T:
    """
    Await *work* and let only an Exception out.

    The Python worker sends no answer at all for a CancelledError (the invocation then hangs until
    functionTimeout) and dies of a SystemExit, with everything else that runs in it.
    """
    try:
        return await work
    except (asyncio.CancelledError, SystemExit, GeneratorExit) as error:
        emit("invocation.cancelled", kind=type(error).__name__)
        raise InvocationCancelled(type(error).__name__) from error
    except StorageUnavailable as error:
        emit("storage.failed", why=str(error))
        raise
    except ExceptionGroup as group:
        # A timer's failures, one for each target: storage that is down fails all of them alike.
        down = [error for error in group.exceptions if isinstance(error, StorageUnavailable)]
        for why in dict.fromkeys(map(str, down)):
            emit("storage.failed", why=why)
        raise
