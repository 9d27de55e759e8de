"""Where things are that are no part of the package, and whether a run kept to the package."""

import asyncio
import importlib.util
import json
import sysconfig
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path


def venv(module: str) -> Path:
    """The folder or file of a module that is installed here."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def strangers(report: Path, package: Path, *, guests: Collection[str]) -> dict[str, str]:
    """The modules of a run that came neither from the package, nor Python itself, nor as guests."""
    library = Path(sysconfig.get_path("stdlib")).resolve()
    files = json.loads(report.read_text(encoding="utf-8"))
    found = {}
    for name, file in files.items():
        place = Path(file).resolve()
        is_python = place.is_relative_to(library) and "site-packages" not in place.parts
        is_guest = any(name == guest or name.startswith(f"{guest}.") for guest in guests)
        if not (is_python or is_guest or place.is_relative_to(package)):
            found[name] = file
    return found


async def run(
    command: Sequence[str], environ: Mapping[str, str] | None = None, *, cwd: Path | None = None
) -> tuple[int, str]:
    """The exit code, and all that it said; nothing of this process's environment goes along."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(300):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()
