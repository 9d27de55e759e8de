"""`python -m bench.graph_calls`: what reading and restarting a job costs, in processor time."""

import asyncio
import statistics
import subprocess
import sys
import time

from local import processes

IMPORTS = 7
RESETS = 100
SERVICE_PRINCIPAL = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
GATEWAY = "shared.adapters.graph.gateway"
IMPORTING = (
    "import time, sys; began = time.process_time(); "
    f"import {GATEWAY}; print(time.process_time() - began, len(sys.modules))"
)


def imported() -> tuple[float, int]:
    """Processor seconds of importing the gateway in a new process (median), and its modules."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", IMPORTING], capture_output=True, check=True, text=True
        ).stdout.split()
        for _ in range(IMPORTS)
    ]
    return statistics.median(float(seconds) for seconds, _ in runs), int(runs[0][1])


async def one_reset() -> tuple[float, float]:
    """Processor milliseconds of the first reset, and of one of many: two reads and a restart."""
    from shared.adapters.graph.gateway import GraphGateway  # noqa: PLC0415 -- measured apart
    from shared.domain.reset import Scope  # noqa: PLC0415

    async with processes.emulator() as url:
        graph = GraphGateway(url, None)

        async def reset() -> None:
            await graph.read_job(SERVICE_PRINCIPAL, JOB)
            await graph.restart(
                SERVICE_PRINCIPAL, JOB, Scope.FULL, client_request_id="c", may_begin=lambda: True
            )
            await graph.read_job(SERVICE_PRINCIPAL, JOB)

        began = time.process_time()
        await reset()
        first = time.process_time() - began
        began = time.process_time()
        for _ in range(RESETS):
            await reset()
        each = (time.process_time() - began) / RESETS
        await graph.close()
    return first * 1000, each * 1000


def main() -> None:
    seconds, modules = imported()
    print(f"import of {GATEWAY}: {seconds * 1000:.0f} ms, {modules} modules in the process")
    first, each = asyncio.run(one_reset())
    print(f"Graph calls of a reset: the first {first:.0f} ms, each further {each:.2f} ms")


if __name__ == "__main__":
    main()
