"""`targets`: service principals with provisioning jobs, and entries for RESET_TARGETS."""

import argparse
from functools import partial
from typing import Final

from local.cli import add_switch
from local.screen import Screen
from local.session import run
from local.targets import targets

VARIABLES: Final = {"JSON": "json", "WIDE": "wide"}


def configure(parser: argparse.ArgumentParser) -> None:
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def main(args: argparse.Namespace) -> int:
    screen = Screen.of_stdout(wide=bool(args.wide))
    return run(partial(targets, screen=screen, machine=bool(args.json)))
