"""Index the app in the folder given through the genuine worker; print the functions' names."""

import asyncio
import json
import sys
from pathlib import Path

from local.host.worker import Worker


async def main(app_dir: Path) -> None:
    worker = Worker(app_dir, timeout=None)
    names = [function.name for function in await worker.start()]
    worker.stop()
    print(json.dumps(sorted(names)))


asyncio.run(main(Path(sys.argv[1])))
