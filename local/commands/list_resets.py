"""`list`: open resets, or those of a target, by the app's HTTP API."""

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from local.api_client import ApiClient
from local.cli import add_switch
from local.screen import Records, Screen

VARIABLES: Final[Mapping[str, str]] = {
    "TARGET": "target",
    "STATE": "state",
    "TICKET": "ticket",
    "BY": "requested_by",
    "SUBJECT": "subject",
    "SINCE": "since",
    "JSON": "json",
    "WIDE": "wide",
}
_QUERY: Final = {
    "target": "target",
    "state": "state",
    "ticket": "ticket",
    "requested_by": "requestedBy",
    "subject": "subject",
    "since": "since",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", help="newest first; without it, what is open")
    parser.add_argument("--state", help="only resets in this state")
    parser.add_argument("--ticket", metavar="ID", help="only those of this ticket")
    parser.add_argument("--requested-by", metavar="WHO", help="only those asked for by this name")
    parser.add_argument("--subject", metavar="USER", help="only those that name this user")
    parser.add_argument("--since", metavar="TIME", help="only those since then")
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def main(args: argparse.Namespace) -> int:
    client = ApiClient.from_environ()
    query = {name: getattr(args, given) for given, name in _QUERY.items() if getattr(args, given)}
    page = asyncio.run(client.get("/resets", **query)) or {"value": []}
    if args.json:
        print(json.dumps(page, indent=2, ensure_ascii=False))
        return 0
    screen = Screen.of_stdout(wide=bool(args.wide))
    if not page["value"]:
        print("No reset is open." if not query else "No reset is like that.")
        return 0
    print(_records(page["value"]).shown(screen))
    if page.get("continuation"):
        print("\nThere are more; narrow it down, or take the rest as JSON.")
    return 0


def _records(found: list[Mapping[str, Any]]) -> Records:
    rows = [
        (
            str(each["id"]),
            str(each["state"]),
            str(each["target"]),
            str(each["requestedAt"])[:16].replace("T", " "),
            str(each.get("requestedBy") or ""),
            str(each.get("detail") or ""),
        )
        for each in found
    ]
    return Records(
        header=("ID", "STATE", "TARGET", "ASKED AT (UTC)", "BY", "DETAIL"),
        rows=rows,
        ids=frozenset({"ID", "TARGET"}),
        states=frozenset({"STATE"}),
    )
