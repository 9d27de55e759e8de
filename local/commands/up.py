"""`up`: storage, Graph emulator, host and a desk that prints what tickets hear, on free ports."""

import argparse
import asyncio
import base64
import json
import re
import secrets
import shlex
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from local import processes
from local.cli import add_switch
from local.errors import Failed
from local.folding import fold_after
from local.listening import listening
from local.screen import Screen
from local.trial import catalogue, write_seed
from shared.names import CONNECTION

VARIABLES: Final[Mapping[str, str]] = {"PRINCIPAL": "principal", "VERBOSE": "verbose"}
SENDER: Final = "desk"
FOLDER: Final = processes.ROOT / ".local"
_EVENT: Final = re.compile(r"\b([a-z_]+\.[a-z_]+) (\{.*\})$")
_QUIET: Final = re.compile(r"^(sweep|timer|storage\.swept)")
_BAD: Final = re.compile(r"\b(WARNING|ERROR|CRITICAL|Traceback)\b")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--principal", metavar="NAME", help="who is signed in (default: ann.admin@contoso.com)"
    )
    add_switch(parser, "--verbose", "print every line of the host, the sweep's too")


def main(args: argparse.Namespace) -> int:
    screen = Screen.of_stdout()
    desk = Desk(screen)
    principal = args.principal or "ann.admin@contoso.com"
    try:
        asyncio.run(_up(screen, desk, principal, verbose=bool(args.verbose)))
    except processes.NotReady as error:
        raise Failed(str(error)) from error
    print("stopped; everything that was started has been stopped too")
    return 0


class Desk:
    """The ticket system: it prints the comments that its tickets get."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    async def _comment(self, request: web.Request) -> web.Response:
        body: Any = await request.json()
        facts = body.get("data", body) if isinstance(body, dict) else {}
        ticket = facts.get("ticket") or {}
        number = ticket.get("id", "") if isinstance(ticket, dict) else str(ticket)
        text = str(facts.get("text") or body)
        head = f"{_now()} {self._screen.painted('ticket', 'magenta')} {number} hears: "
        lines = text.splitlines() or [""]
        print(fold_after(head, lines[0], self._screen.width), flush=True)
        for line in lines[1:]:
            print(fold_after(" " * 9, line, self._screen.width), flush=True)
        return web.Response(status=204)

    def listening(self) -> AbstractAsyncContextManager[str]:
        return listening("/comments", self._comment)


async def _up(screen: Screen, desk: Desk, principal: str, *, verbose: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    emulator = {"GRAPH_EMULATOR_SEED": str(write_seed(FOLDER)), "GRAPH_EMULATOR_SPEED": "1"}
    print("starting storage, the Graph emulator, the app and a desk (a few seconds)", flush=True)
    secret = secrets.token_bytes(32)
    async with (
        processes.azurite() as storage,
        processes.emulator(emulator) as graph,
        desk.listening() as comments,
    ):
        settings = _settings(storage, graph, comments, secret, principal)
        processes.listeners.append(_Log(screen, verbose=verbose).heard)
        async with processes.host(settings) as (_, address):
            print(_welcome(address, storage, graph, principal, screen), flush=True)
            await stopped.wait()


def _settings(
    storage: str, graph: str, comments: str, secret: bytes, principal: str
) -> Mapping[str, str]:
    targets = catalogue()
    sender = {
        "scheme": "standard-webhooks",
        "format": "relink",
        "targets": sorted(targets),
    }
    moments = ["waiting", "restarted", "awaiting_approval", "unknown", "end"]
    return {
        "AzureWebJobsStorage": storage,
        CONNECTION: storage,
        "GRAPH_ENDPOINT": graph,
        "RESET_TARGETS": json.dumps(targets),
        "RESETS_ENABLED": "true",
        "RESET_DAILY_BUDGET": "100",
        "FOLLOW_UP_INTERVAL": "PT1S",
        "SWEEP_SCHEDULE": "*/5 * * * * *",
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
        "WEBHOOK_SENDERS": json.dumps({SENDER: sender}),
        "WEBHOOK_SECRETS": json.dumps({SENDER: [base64.b64encode(secret).decode()]}),
        "NOTIFIERS": json.dumps({SENDER: {"kind": "webhook", "url": comments, "on": moments}}),
        "LOCAL_PRINCIPAL": principal,
        "LOCAL_FUNCTION_KEY": "local",
        "APP_DIR": str(processes.ROOT),
    }


def _welcome(address: str, storage: str, graph: str, principal: str, screen: Screen) -> str:
    """Say where it is, and what another terminal needs; also as a file to be sourced."""
    exports = {
        "RELINK_URL": address,
        CONNECTION: storage,
        "GRAPH_ENDPOINT": graph,
        "RESET_TARGETS": json.dumps(catalogue()),
        "RESETS_ENABLED": "true",
        # The plan asks who could approve: in this trial, the person who is signed in.
        "LOCAL_PRINCIPAL": principal,
    }
    script = FOLDER / "up.sh"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    script.write_text("\n".join([*lines, ""]), encoding="utf-8")
    shown = [
        ("app", address),
        ("health", f"{address}/api/health"),
        ("pages", f"{address}/api/resets/<id>/page, signed in as {principal}"),
        ("Graph", f"{graph} (an emulator in real time: a cycle takes about 9 seconds)"),
        ("targets", ", ".join(catalogue())),
    ]
    told = [fold_after(f"  {name:<8} ", text, screen.width) for name, text in shown]
    return "\n".join(
        [
            *told,
            "",
            "In another terminal:",
            f"  . {script.relative_to(processes.ROOT)}",
            "  .venv/bin/python -m local request salesforce-prod --ticket desk/INC0012345 \\",
            "    --subjects adele.vance@contoso.com --reason 'new Salesforce user'",
            "",
            "Ctrl-C ends all of it.",
        ]
    )


class _Log:
    """Prints the app's events and what went wrong; the sweep comes every five seconds."""

    def __init__(self, screen: Screen, *, verbose: bool) -> None:
        self._screen, self._verbose = screen, verbose

    def heard(self, name: str, line: str) -> None:
        if name != "the development host":
            return
        event = _EVENT.search(line)
        if event and not _QUIET.match(event[1]):
            head = f"{_now()} app    "
            print(fold_after(head, self._words(event), self._screen.width), flush=True)
        elif self._verbose or _BAD.search(line):
            print(fold_after("", line, self._screen.width), flush=True)

    def _words(self, event: re.Match[str]) -> str:
        try:
            facts = json.loads(event[2])
        except ValueError:
            return f"{event[1]} {event[2]}"
        given = {name: value for name, value in facts.items() if value not in ("", None)}
        return " ".join([event[1], *(f"{name}={value}" for name, value in given.items())])


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"
