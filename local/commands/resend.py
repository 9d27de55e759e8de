"""`resend`: answers that were given up, once their ticket system is right."""

import argparse
from functools import partial
from typing import Final

from local.cli import add_switch
from local.resend import resend_and_print
from local.screen import Screen
from local.session import run

VARIABLES: Final = {"JSON": "json", "WIDE": "wide"}


def configure(parser: argparse.ArgumentParser) -> None:
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def main(args: argparse.Namespace) -> int:
    screen = Screen.of_stdout(wide=bool(args.wide))
    return run(partial(resend_and_print, screen=screen, machine=bool(args.json)))
