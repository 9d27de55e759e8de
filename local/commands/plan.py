"""`plan`: what would be done now for every target, and why."""

import argparse
from functools import partial
from typing import Final

from local.cli import add_switch
from local.plan import plan
from local.screen import Screen
from local.session import run

VARIABLES: Final = {"JSON": "json", "WIDE": "wide"}


def configure(parser: argparse.ArgumentParser) -> None:
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def main(args: argparse.Namespace) -> int:
    screen = Screen.of_stdout(wide=bool(args.wide))
    return run(partial(plan, screen=screen, machine=bool(args.json)))
