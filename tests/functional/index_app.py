"""Index the app through the genuine worker, in a process of its own; print what that took."""

import asyncio
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
    print(json.dumps({"functions": names, "modules": sorted(sys.modules)}))


asyncio.run(main())
