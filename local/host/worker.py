"""
Drives the genuine Python worker in this process.

The same package, in the version that requirements.txt pins, runs the functions in Azure: it
indexes the app, converts values, and calls the function.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.host.errors import IndexingError
from local.host.wire import PROTOS, Message, ParameterBinding, TypedData

logger = logging.getLogger("host.worker")

GRACE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    id: str
    name: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        return next(b for b in self.bindings if str(b["type"]).endswith("Trigger"))


class Worker:
    def __init__(self, app_dir: Path, *, timeout: float | None) -> None:
        """A *timeout* of None means that an invocation may take forever."""
        self._app_dir = app_dir
        self._timeout = timeout
        self._runtime: Any = None

    async def start(self) -> tuple[Function, ...]:
        """Index the app, or raise IndexingError with the worker's own words."""
        import azure_functions_runtime as runtime  # noqa: PLC0415 -- reads the environment once

        self._runtime = runtime
        # Else synchronous functions would run on asyncio's default pool, which has other limits.
        runtime.start_threadpool_executor()
        answer = await runtime.worker_init_request(
            Message(
                request=Message(
                    worker_init_request=Message(
                        capabilities={}, function_app_directory=str(self._app_dir)
                    )
                ),
                properties={"protos": PROTOS, "host": "127.0.0.1"},
            )
        )
        if answer.result.status != PROTOS.StatusResult.Success:
            error = answer.result.exception
            raise IndexingError(f"{error.message}\n{error.stack_trace or ''}".rstrip())
        answer = await runtime.functions_metadata_request(Message())
        # Without a function_app.py the worker answers with no metadata at all.
        if answer.function_metadata_results is None:
            raise IndexingError(
                f"no functions found: is there a function_app.py in {self._app_dir}?"
            )
        return tuple(
            Function(
                id=found.function_id,
                name=found.name,
                bindings=tuple(json.loads(binding) for binding in found.raw_bindings),
            )
            for found in answer.function_metadata_results
        )

    def stop(self) -> None:
        if self._runtime is not None:
            self._runtime.stop_threadpool_executor()

    async def invoke(
        self,
        function: Function,
        data: TypedData,
        metadata: Mapping[str, TypedData] | None = None,
    ) -> Message | None:
        """Run *function* once with *data* for its trigger; None means that it failed."""
        invocation = str(uuid.uuid4())
        started = time.perf_counter()
        logger.info("Executing 'Functions.%s' (Id=%s)", function.name, invocation)
        request = Message(
            invocation_id=invocation,
            function_id=function.id,
            input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=dict(metadata or {}),
            trace_context=Message(
                trace_parent=f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
                trace_state="",
                attributes={},
            ),
            retry_context=Message(retry_count=0, max_retry_count=0),
        )
        answer = await self._in_time(function, request)
        if isinstance(answer, str):
            failure: str | None = answer
        elif answer.result.status == PROTOS.StatusResult.Success:
            failure = None
        else:
            error = answer.result.exception
            failure = error.message
            logger.error("%s", (error.stack_trace or error.message).rstrip())
        elapsed = (time.perf_counter() - started) * 1000
        if failure is None:
            logger.info(
                "Executed 'Functions.%s' (Succeeded, Id=%s, Duration=%.0fms)",
                function.name,
                invocation,
                elapsed,
            )
            return answer if isinstance(answer, Message) else None
        logger.error(
            "Executed 'Functions.%s' (Failed, Id=%s, Duration=%.0fms) %s",
            function.name,
            invocation,
            elapsed,
            failure,
        )
        return None

    async def _in_time(self, function: Function, request: Message) -> Message | str:
        # A task of its own: what the function does to its task must not happen to the listener.
        task = asyncio.create_task(self._contained(request), name=f"invoke {function.name}")
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        # The real host would now kill the worker process, and with it every other invocation.
        # Here the one invocation is cancelled; a function that runs in a thread goes on unseen.
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        return (
            f"functionTimeout of {self._timeout:g} s exceeded (the real host restarts the worker)"
        )

    async def _contained(self, request: Message) -> Message | str:
        try:
            answer: Message = await self._runtime.invocation_request(
                Message(request=Message(invocation_request=request))
            )
        except BaseException as error:  # noqa: BLE001 -- the worker itself catches Exception only
            # CancelledError: the real host would never get an answer and wait for functionTimeout.
            # SystemExit: the worker process would end, with every invocation in it.
            return f"{type(error).__name__} left the function and the worker"
        return answer
