"""`list`: open resets, or those of a target, by the app's HTTP API."""

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from local.api_client import ApiClient
from local.cli import add_switch
from local.errors import Failed
from local.screen import Records, Screen

MOST: Final = 2000
"""Resets that are shown."""


class Pages(Protocol):
    """What the list needs of the API's client."""

    async def get(self, path: str, **query: str) -> dict[str, Any] | None: ...


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
    page = asyncio.run(every_page(client, query))
    if args.json:
        print(json.dumps(page, indent=2, ensure_ascii=False))
        return 0
    screen = Screen.of_stdout(wide=bool(args.wide))
    if not page["value"]:
        print("No reset is open." if not query else "No reset is like that.")
        return 0
    print(_records(page["value"]).shown(screen))
    if page.get("continuation"):
        print(f"\nThere are more than {MOST:,}; narrow it down.")
    return 0


async def every_page(client: Pages, query: Mapping[str, str]) -> dict[str, Any]:
    """Follow the list to its end, or to a bound; a page may be empty and still lead on."""
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await client.get("/resets", **query, **after) or {}
        found += page.get("value", [])
        led_to = str(page.get("continuation") or "")
        if not led_to or len(found) >= MOST:
            return {**page, "value": found}
        if led_to == after.get("continuation"):
            raise Failed(f"the list of resets leads to itself: {led_to}")
        after = {"continuation": led_to}


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
