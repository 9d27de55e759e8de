"""What the package weighs."""

import asyncio
import tempfile
from pathlib import Path

from bench.cost import Figures
from local.package.archive import Measure, write
from local.package.build import build


async def weighed() -> Figures:
    """Build it as `make package` does; megabytes."""
    return await asyncio.to_thread(_weighed)


def _weighed() -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "functionapp.zip"
        write(build(say=lambda _: None).files, archive)
        measure = Measure.of(archive)
    return {"zipped": measure.zipped / 1e6, "unpacked": measure.unpacked / 1e6}
