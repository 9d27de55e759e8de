"""`link`: to which account a user is linked, and which the matching attributes would find."""

import argparse
from functools import partial
from typing import Final

from local.cli import add_switch
from local.errors import Usage
from local.link import link_and_print
from local.screen import Screen
from local.session import run

VARIABLES: Final = {"USER": "user", "TARGET": "target", "JSON": "json", "WIDE": "wide"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", nargs="?", help="the user's UPN or Entra object id")
    parser.add_argument("target", nargs="?", help="the alias of the target in RESET_TARGETS")
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def main(args: argparse.Namespace) -> int:
    for name in ("user", "target"):
        if not getattr(args, name):
            raise Usage(f"{name}: missing; say `python -m local link <user> <target>`")
    screen = Screen.of_stdout(wide=bool(args.wide))
    return run(
        partial(
            link_and_print,
            user=args.user,
            alias=args.target,
            screen=screen,
            machine=bool(args.json),
        )
    )
