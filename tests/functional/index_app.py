"""Index the app through the genuine worker, in a process of its own; print what that took."""

import asyncio
import gc
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from local.host.worker import Worker  # noqa: E402


async def main() -> None:
    worker = Worker(ROOT, timeout=None)
    functions = await worker.start()
    names = sorted(function.name for function in functions)
    worker.stop()
    app = sys.modules["shared.bootstrap"].application
    found = {
        "functions": names,
        "modules": sorted(sys.modules),
        "built": app.cache_info().currsize,
        "collects": gc.isenabled(),
        "frozen": gc.get_freeze_count(),
        "tracked": sum(len(gc.get_objects(generation)) for generation in range(3)),
    }
    print(json.dumps(found))


asyncio.run(main())
