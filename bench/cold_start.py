"""
One cold start, in a process of its own: index, import the identity, answer, call Graph.

Run by `local.package.alone` over an unpacked app. Printed is JSON: for each step the seconds since
the process began to import, of wall clock and of processor.
"""

import asyncio
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from local.host.wire import Message, TypedData
from local.host.worker import Function, Worker

SERVICE_PRINCIPAL = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"


async def main(app_dir: Path) -> dict[str, tuple[float, float]]:
    wall, processor = time.perf_counter(), time.process_time()

    def so_far() -> tuple[float, float]:
        return time.perf_counter() - wall, time.process_time() - processor

    worker = Worker(app_dir, timeout=None)
    functions = await worker.start()
    steps = {"indexed": so_far()}
    # On the platform the first storage call imports it; here storage is reached by a key.
    import_module("azure.identity.aio")
    steps["identity"] = so_far()
    await answer_a_person(worker, functions)
    steps["answered"] = so_far()
    await call_graph(app_dir)
    steps["called Graph"] = so_far()
    worker.stop()
    return steps


async def answer_a_person(worker: Worker, functions: tuple[Function, ...]) -> None:
    """The way of a webhook: settings, storage clients, one look into Table Storage."""
    decide = next(function for function in functions if function.name == "decide_reset")
    request = Message(
        method="POST",
        url="http://localhost/api/resets/r1/decision",
        headers={"content-type": "application/json"},
        params={"id": "r1"},
        query={},
        body=TypedData(bytes=b'{"decision": "approve", "by": "b"}'),
    )
    answer = await worker.invoke(decide, TypedData(http=request))
    status = answer.return_value.http.status_code if answer is not None else "none"
    if status != "404":
        raise SystemExit(f"a decision on a reset that is not there was answered {status}")


async def call_graph(app_dir: Path) -> None:
    """As the engine does it: the gateway is imported at its first use."""
    from shared.bootstrap import LazyGraph  # noqa: PLC0415 -- it is what is measured
    from shared.config import Settings  # noqa: PLC0415

    graph = await LazyGraph(Settings.from_environ(os.environ, app_dir=app_dir))()
    job = await graph.read_job(SERVICE_PRINCIPAL, "")
    if job.code != "Active":
        raise SystemExit(f"the emulator's job is {job.code}")


print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
sys.stdout.flush()
# Clients stay open, as they do in Azure, where the process simply ends.
os._exit(0)
