"""`show`: one reset with its history, by the app's HTTP API."""

import argparse
import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from local.api_client import ApiClient, path_of
from local.cli import add_switch
from local.errors import Failed, Usage
from local.follow import Lines, follow, link_line
from local.screen import Records, Screen

VARIABLES: Final[Mapping[str, str]] = {
    "ID": "id",
    "FOLLOW": "follow",
    "JSON": "json",
    "WIDE": "wide",
}
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_SHOWN: Final = (
    "state",
    "target",
    "scope",
    "reason",
    "requestedBy",
    "via",
    "requestedAt",
    "expectedMinutes",
    "expectedEndAt",
    "waitingFor",
    "until",
    "behind",
    "asks",
    "approvedBy",
    "restartedAt",
    "finishedAt",
    "outcome",
    "detail",
    "graphRequestId",
    "progress",
    "leader",
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="the reset's id")
    parser.epilog = _where(parser.epilog)
    add_switch(parser, "--follow", "follow it to its end")
    add_switch(parser, "--json", "print JSON, for machines")
    add_switch(parser, "--wide", "print all in one line a row, however wide")


def _where(epilog: str | None) -> str:
    return f"{epilog} The app is reached at RELINK_URL with the function key RELINK_KEY."


def main(args: argparse.Namespace) -> int:
    if not args.id:
        raise Usage("id: missing; say `python -m local show <id>` (ID=…)")
    client, screen = ApiClient.from_environ(), Screen.of_stdout(wide=bool(args.wide))

    async def read() -> dict[str, Any] | None:
        return await client.get(path_of(args.id))

    if args.follow:
        return asyncio.run(follow(read, screen, machine=bool(args.json)))
    reset = asyncio.run(read())
    if reset is None:
        raise Failed(f"there is no reset {args.id}")
    if args.json:
        print(json.dumps(reset, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(reset, screen)))
    return 0


def _lines(reset: Mapping[str, Any], screen: Screen) -> list[str]:
    named = [(name, _text(reset.get(name))) for name in _SHOWN if _holds(name, reset)]
    given = [(name, text) for name, text in named if text]
    records = Records(
        header=("ID", *(_label(name) for name, _ in given)),
        rows=[(reset["id"], *(text for _, text in given))],
        ids=frozenset({"LEADER", "BEHIND", "GRAPH REQUEST ID"}),
        states=frozenset({"STATE"}),
    )
    events = Lines(screen=screen)
    history = [events.text_of(event) for event in reset["events"]]
    links = [link_line(link, screen.width) for link in reset.get("subjects") or []]
    return [records.card(screen), "", *history, *links]


def _holds(name: str, reset: Mapping[str, Any]) -> bool:
    """How far the cycle was when it was last seen is of no use once it has ended."""
    return name != "progress" or reset["state"] == "restarted"


def _label(name: str) -> str:
    """`requestedAt` is read as two words."""
    return re.sub(r"(?=[A-Z])", " ", name).upper()


def _text(value: Any) -> str:
    match value:
        case str() if _MOMENT.fullmatch(value):
            return f"{value[:10]} {value[11:19]} UTC"
        case None | "" | []:
            return ""
        case [least, most]:
            return f"{least} to {most}"
        case {"least": least, "most": most}:
            return f"{least} to {most}"
        case _:
            return str(value)
