"""Run every linter over the published documents, side by side; print what they find."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from local.documents import ASYNCAPI, OPENAPI, SWAGGER

FOLDER: Final = Path(__file__).resolve().parent
BIN: Final = FOLDER / "node_modules" / ".bin"
_TAKES_AT_MOST: Final = 120
_QUIET: Final = {
    # No look at a registry for a newer version, and nothing sent about who lints what.
    "REDOCLY_TELEMETRY": "off",
    "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    "NO_COLOR": "1",
}


def commands(
    openapi: Path = OPENAPI, swagger: Path = SWAGGER, asyncapi: Path = ASYNCAPI
) -> Mapping[str, Sequence[str]]:
    """Each linter's command under its name."""
    documents = (str(openapi), str(swagger))
    return {
        "redocly": [f"{BIN}/redocly", "lint", *documents, f"--config={FOLDER}/redocly.yaml"],
        "spectral": [
            f"{BIN}/spectral",
            "lint",
            *documents,
            f"--ruleset={FOLDER}/spectral.yaml",
            "--fail-severity=hint",
        ],
        "asyncapi": ["node", str(FOLDER / "asyncapi.cjs"), str(asyncapi)],
    }


async def run(name: str, command: Sequence[str]) -> str:
    """Return what the linter found; empty where it found nothing."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **_QUIET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_TAKES_AT_MOST):
        out, _ = await process.communicate()
    return f"{name} (exit code {process.returncode}):\n{out.decode()}" if process.returncode else ""


async def lint(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what was found, linter by linter."""
    found = await asyncio.gather(*(run(name, command) for name, command in wanted.items()))
    return [each for each in found if each]


def main() -> int:
    if not (BIN / "redocly").exists():
        print("the linters are not installed; run `make check`", file=sys.stderr)
        return 1
    found = asyncio.run(lint(commands()))
    print("\n".join(found) or "The API documents are clean: redocly, spectral, AsyncAPI parser")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
