"""`mappings`: the schema of a job as it was kept beside a reset."""

import argparse
from functools import partial
from typing import Final

from local.errors import Usage
from local.mappings import write_mappings
from local.session import run

VARIABLES: Final = {"RESET": "reset", "TO": "to"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reset", nargs="?", help="the reset's id")
    parser.add_argument("--to", help="a file; left out, it goes to standard output")


def main(args: argparse.Namespace) -> int:
    if not args.reset:
        raise Usage("reset: missing; say `python -m local mappings <id>` (RESET=…)")
    return run(partial(write_mappings, reset_id=args.reset, to=args.to or ""))
