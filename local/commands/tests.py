"""`test`: everything that CI runs."""

import argparse
from collections.abc import Mapping
from typing import Final

from local.commands.checks import LINT, run_all

VARIABLES: Final[Mapping[str, str]] = {}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check, then run all tests: everything that CI runs."


def main(_: argparse.Namespace) -> int:
    return run_all((*LINT, ("pytest",)))
