"""`decide`: a person's decision about a reset, by the app's HTTP API."""

import argparse
import asyncio
import getpass
import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from local.api_client import ApiClient, path_of
from local.cli import add_switch
from local.errors import Usage
from local.folding import fold_after
from local.screen import Screen
from shared.domain.deciders import DECISIONS

VARIABLES: Final[Mapping[str, str]] = {
    "ID": "id",
    "DECISION": "decision",
    "BY": "by",
    "REASON": "reason",
    "JSON": "json",
}
NOTHING: Final = "; nothing was decided"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="the reset's id")
    parser.add_argument("decision", nargs="?", help=", ".join(DECISIONS))
    parser.add_argument("--by", metavar="WHO", help="default: you; a signed-in person overrides it")
    parser.add_argument("--reason", help="why")
    add_switch(parser, "--json", "print JSON, for machines")


def main(args: argparse.Namespace) -> int:
    if not args.id:
        raise Usage(f"id: missing; say `python -m local decide <id> approve`{NOTHING}")
    if args.decision not in DECISIONS:
        near = get_close_matches(args.decision or "", DECISIONS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"give one of {', '.join(DECISIONS)}"
        raise Usage(f"decision: {args.decision or 'missing'}; {meant}{NOTHING}")
    body: dict[str, Any] = {"decision": args.decision, "by": args.by or getpass.getuser()}
    if args.reason:
        body["reason"] = args.reason
    decided = asyncio.run(ApiClient.from_environ().post(f"{path_of(args.id)}/decision", body)) or {}
    if args.json:
        print(json.dumps(decided, indent=2, ensure_ascii=False))
    else:
        print(fold_after("", _became(decided), Screen.of_stdout().width))
    return 0


def _became(decided: Mapping[str, Any]) -> str:
    """The last thing that happened says more than the state: one of two may have approved."""
    events = decided.get("events") or [decided]
    return f"{decided.get('id')}: {decided.get('state')}. {events[-1].get('detail', '')}".rstrip()
