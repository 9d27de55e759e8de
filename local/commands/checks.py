"""`check`, `test` and what else runs tools of the development environment, one after the other."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.processes import ROOT

VARIABLES: Final[Mapping[str, str]] = {}

TOOLS: Final = Path(sys.executable).parent
LINT: Final = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-logo", "--config", "pyproject.toml"),
    ("python", "-m", "local.lint"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check lint, format, types, import rules and the API documents."


def main(_: argparse.Namespace) -> int:
    return run_all(LINT)


def run_all(tools: tuple[tuple[str, ...], ...]) -> int:
    """Stop at the first that fails, and return its exit code."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for tool in tools:
        name, *arguments = tool
        command = [str(TOOLS / name), *arguments]
        ended = subprocess.run(command, cwd=ROOT, env=environ, check=False)
        if ended.returncode:
            return ended.returncode
    return 0
