"""`request`: puts a request on the queue, as another service would, and follows it to its end."""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceNotFoundError, ServiceRequestError

from local.cli import add_switch
from local.errors import Failed, Usage
from local.folding import fold_after, note
from local.follow import follow
from local.rows import open_rows, storage_of
from local.screen import Screen
from local.session import is_here, read_settings
from shared.config import Settings
from shared.domain.errors import InvalidRequest, RelinkError, SettingsError
from shared.domain.requests import Received, parse_request
from shared.names import CONNECTION, RESETS_QUEUE

VARIABLES: Final[Mapping[str, str]] = {
    "TARGET": "target",
    "REASON": "reason",
    "BY": "by",
    "SUBJECTS": "subjects",
    "TICKET": "ticket",
    "NOT_BEFORE": "not_before",
    "REQUEST_ID": "id",
    "DRY_RUN": "dry_run",
    "YES": "yes",
    "FOLLOW": "follow",
    "JSON": "json",
}
NOTHING: Final = "; nothing was sent"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", help="alias in RESET_TARGETS")
    parser.add_argument("--reason", help="why, up to 1,000 characters")
    parser.add_argument("--by", metavar="WHO", help="who asks; they may not approve it")
    parser.add_argument(
        "--subjects", metavar="A,B", help="users whose link must change: object ids or UPNs"
    )
    parser.add_argument("--ticket", metavar="SYSTEM/ID", help="the ticket that hears of it")
    parser.add_argument("--not-before", metavar="TIME", help="ISO 8601 with an offset")
    parser.add_argument("--id", help="the request's id; the same id is the same request")
    add_switch(parser, "--dry-run", "only tell what would be done")
    add_switch(parser, "--yes", "do not ask back, for scripts")
    add_switch(parser, "--follow", "follow it to its end (default: in a terminal)")
    add_switch(parser, "--json", "print JSON, for machines")


def main(args: argparse.Namespace) -> int:
    try:
        settings = read_settings()
        storage_of(settings)
        request = _request(args)
        received = _checked(request)
    except InvalidRequest as error:
        raise Usage(f"{error}{NOTHING}") from error
    except SettingsError as error:
        raise Failed(f"{error}{NOTHING}") from error
    _check_target(settings, received.request.target)
    if not (received.request.dry_run or args.yes or is_here(settings)):
        _ask_back(received.request.target)
    follows = sys.stdout.isatty() if args.follow is None else args.follow
    try:
        return asyncio.run(_send(settings, request, follows=follows, machine=bool(args.json)))
    except (ServiceRequestError, ResourceNotFoundError) as error:
        raise Failed(
            f"{CONNECTION}: the queue cannot be reached ({type(error).__name__}){NOTHING}; "
            "are `make azurite` and `make host` running?"
        ) from error
    except (AzureError, RelinkError) as error:
        raise Failed(
            f"{CONNECTION}: storage does not answer as it should ({type(error).__name__}); where "
            f"it is not known whether it was sent, send it again with --id {received.id}"
        ) from error
    except KeyboardInterrupt:
        note(f"\nnot followed any more; the reset goes on: python -m local show {received.id}")
        return 130


def _request(args: argparse.Namespace) -> dict[str, Any]:
    """The message; what was not given is left out."""
    request: dict[str, Any] = {
        "requestId": args.id or _new_id(),
        "target": args.target,
        "reason": args.reason,
        "requestedBy": args.by,
        "notBefore": args.not_before,
    }
    if args.subjects:
        parts = args.subjects.replace("\n", ",").split(",")
        request["subjects"] = [part.strip() for part in parts if part.strip()]
    if args.ticket:
        system, slash, number = args.ticket.partition("/")
        if not (system and slash and number):
            raise Usage(f"ticket: {args.ticket!r} is not SYSTEM/ID, as desk/INC0012345{NOTHING}")
        request["ticket"] = {"system": system, "id": number}
    if args.dry_run:
        request["dryRun"] = True
    return {name: value for name, value in request.items() if value is not None}


def _new_id() -> str:
    return f"cli-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _checked(request: Mapping[str, Any]) -> Received:
    """Judge the request as the app will."""
    if not request.get("target"):
        raise Usage(
            f"target: missing; say `python -m local request salesforce-prod`, or "
            f"`make request TARGET=salesforce-prod`{NOTHING}"
        )
    parsed = parse_request(json.dumps(request, ensure_ascii=False).encode())
    return Received(id=str(request["requestId"]), own_id=True, request=parsed)


def _check_target(settings: Settings, target: str) -> None:
    if settings.catalogue is None:
        why = next((p for p in settings.problems if p.startswith("RESET_TARGETS")), "")
        if "missing" in why or not why:
            note(f"RESET_TARGETS is not set here: the app decides whether {target} may be reset")
            return
        raise Failed(f"{why}{NOTHING}")
    if target not in settings.catalogue:
        near = get_close_matches(target, settings.catalogue, n=1)
        known = ", ".join(sorted(settings.catalogue)) or "none"
        meant = f"did you mean {near[0]}?" if near else f"known are {known}"
        raise Usage(f"target: {target!r} is not in RESET_TARGETS; {meant}{NOTHING}")


def _ask_back(target: str) -> None:
    """Off this machine a real restart is asked back by the target's name."""
    if not sys.stdin.isatty():
        raise Usage(
            f"a real restart of {target} is asked back, and nobody can answer here; say --yes "
            f"(YES=1), or --dry-run{NOTHING}"
        )
    print(
        f"Full restart of {target}: every user of the job is matched again.\n"
        "Type the target's name to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip() != target:
        raise Usage(f"that is not the name of the target{NOTHING}")


def _say_sent(request: Mapping[str, Any], text: str) -> None:
    """The id first: it is what everything else asks for."""
    screen = Screen.of_stdout()
    rehearsal = ", a dry run" if request.get("dryRun") else ""
    for line in (
        f"id {request['requestId']}: {request['target']}{rehearsal}",
        f"sent to {RESETS_QUEUE}: {text}",
    ):
        print(fold_after("", line, screen.width), flush=True)


async def _send(
    settings: Settings, request: Mapping[str, Any], *, follows: bool, machine: bool
) -> int:
    text = json.dumps(request, ensure_ascii=False)
    async with open_rows(settings) as rows:
        await rows.send(text)
        if not machine:
            _say_sent(request, text)
        if not follows:
            if machine:
                print(text)
            else:
                watch = f"watch it with: python -m local show {request['requestId']}"
                print(fold_after("", watch, Screen.of_stdout().width))
            return 0
        reset_id = str(request["requestId"])
        return await follow(lambda: rows.read(reset_id), Screen.of_stdout(), machine=machine)
