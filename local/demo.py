"""
`make demo`: the project's main job, for real, on this machine.

A ticket system's signed webhook goes in; the queue-triggered function restarts the job through the
Graph SDK; the initial cycle is watched to its end; the result lies in Table Storage, and the ticket
hears of it. Ends with 0 only if all of that was seen to be true.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from aiohttp import web
from azure.data.tables.aio import TableServiceClient

from local import processes
from shared.adapters.table_store import TableStore
from shared.domain.reset import ENDED, Claim, Reset, State
from shared.names import CONNECTION, IDS_TABLE, RESETS_TABLE

TARGET: Final = "salesforce-prod"
SERVICE_PRINCIPAL: Final = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
SUBJECT: Final = "adele.vance@contoso.com"
SENDER: Final = "desk"
TICKET: Final = "INC0012345"
TAKES_AT_MOST: Final = 120.0
EXPECTED_BODY: Final = {"criteria": {"resetScope": "Full"}}
BAR: Final = 30


@dataclass
class Terminal:
    """Plain lines in a pipe; colour and one moving line in a terminal."""

    live: bool = field(default_factory=sys.stdout.isatty)
    began: float = field(default_factory=time.monotonic)
    moving: bool = False

    def line(self, text: str = "") -> None:
        if self.moving:
            print()
            self.moving = False
        print(text, flush=True)

    def title(self, text: str) -> None:
        self.line()
        self.line(f"\033[1m{text}\033[0m" if self.live else text)

    def event(self, name: str, text: str) -> None:
        self.line(f"  {time.monotonic() - self.began:6.1f} s  {name:<10} {text}")

    def progress(self, text: str) -> None:
        done, _, rest = text.partition(" of ")
        if not (done.isdigit() and rest.isdigit() and int(rest)):
            return
        filled = round(BAR * int(done) / int(rest))
        shown = f"[{'#' * filled}{'.' * (BAR - filled)}] {text} users"
        where = f"  {time.monotonic() - self.began:6.1f} s  {'cycle':<10} {shown}"
        if self.live:
            print(f"\r\033[K{where}", end="", flush=True)
            self.moving = True
        else:
            self.line(where)


@dataclass
class Link:
    """Whom the job has linked the subject to."""

    target_id: str
    username: str
    active: bool

    def __str__(self) -> str:
        state = "active" if self.active else "DEACTIVATED"
        return f"{SUBJECT} -> {self.target_id} ({self.username}, {state})"


class Graph:
    """The emulator as a spectator sees it: what it received, and the links it holds."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def link(self) -> Link:
        state = (await self._client.get("/_emulator/state")).json()
        user = next(u["id"] for u in state["users"] if u["userPrincipalName"] == SUBJECT)
        principal = next(p for p in state["servicePrincipals"] if p["id"] == SERVICE_PRINCIPAL)
        target_id = principal["jobs"][0]["links"].get(user, "none")
        accounts: list[dict[str, Any]] = principal["targetAccounts"]
        account = next((a for a in accounts if a["id"] == target_id), {})
        return Link(
            target_id=target_id,
            username=account.get("attributes", {}).get("Username", "?"),
            active=bool(account.get("active", False)),
        )

    async def restarts(self) -> list[dict[str, Any]]:
        received = (await self._client.get("/_emulator/requests")).json()["value"]
        return [r for r in received if r["method"] == "POST" and r["path"].endswith("/restart")]

    async def restart_as_the_portal_does(self) -> None:
        """An empty criteria, and the time that its cycle takes."""
        jobs = f"/v1.0/servicePrincipals/{SERVICE_PRINCIPAL}/synchronization/jobs"
        job = (await self._client.get(jobs)).json()["value"][0]["id"]
        (await self._client.post(f"{jobs}/{job}/restart", json={})).raise_for_status()
        (await self._client.post("/_emulator/clock", json={"advance": 1200})).raise_for_status()


class Desk:
    """The ticket system: it signs what it sends, and keeps the comments that its ticket gets."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.comments: list[str] = []
        self.forged = 0
        self.host = ""

    def signed(self, raw: bytes) -> dict[str, str]:
        """https://www.standardwebhooks.com."""
        delivery, at = f"msg_{secrets.token_hex(8)}", str(int(time.time()))
        content = f"{delivery}.{at}.".encode() + raw
        return {
            "webhook-id": delivery,
            "webhook-timestamp": at,
            "webhook-signature": self._signature(content),
            "content-type": "application/json",
        }

    async def send(self, raw: bytes, *, signed: bytes | None = None) -> httpx.Response:
        """Send *raw*, under the signature of *signed* where somebody changed it on the way."""
        async with httpx.AsyncClient(timeout=10) as client:
            address = f"{self.host}/api/webhooks/{SENDER}"
            return await client.post(address, content=raw, headers=self.signed(signed or raw))

    async def _comment(self, request: web.Request) -> web.Response:
        """Take what the app has signed, as its own webhooks are signed."""
        raw, headers = await request.read(), request.headers
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        if not hmac.compare_digest(headers["webhook-signature"], self._signature(content)):
            self.forged += 1
            return web.Response(status=401)
        self.comments.append(json.loads(raw)["data"]["text"])
        return web.Response(status=204)

    def _signature(self, content: bytes) -> str:
        digest = hmac.digest(self._key, content, hashlib.sha256)
        return f"v1,{base64.b64encode(digest).decode()}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/comments", self._comment)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/comments"
        finally:
            await runner.cleanup()


async def main() -> int:
    terminal = Terminal()
    terminal.line(
        "Relink demo: a ticket asks, a full-scope restart happens, the result is recorded"
    )
    terminal.line("and the ticket hears of it. All on this machine (127.0.0.1, free ports).")
    terminal.title("Starting")
    key = secrets.token_bytes(32)
    desk = Desk(key)
    async with (
        processes.azurite() as storage,
        processes.emulator() as graph_url,
        desk.listening() as comments,
    ):
        terminal.event("storage", "Azurite is ready (queues, tables, blobs)")
        terminal.event("graph", f"the Graph emulator is ready on {graph_url}")
        environ = {**_environ(storage, graph_url), **_desk_environ(key, comments)}
        async with processes.host(environ) as (_, desk.host):
            terminal.event("host", f"the app runs in the genuine Functions worker on {desk.host}")
            async with (
                httpx.AsyncClient(base_url=graph_url, timeout=10) as client,
                TableServiceClient.from_connection_string(storage) as tables,
            ):
                problems = await _story(terminal, Graph(client), tables, desk)
    _heed_interrupt()
    return _verdict(terminal, problems)


def _desk_environ(key: bytes, comments: str) -> Mapping[str, str]:
    sender = {"scheme": "standard-webhooks", "format": "relink", "targets": [TARGET]}
    notifier = {"kind": "webhook", "url": comments, "on": ["accepted", "restarted", "end"]}
    return {
        "WEBHOOK_SENDERS": json.dumps({SENDER: sender}),
        "WEBHOOK_SECRETS": json.dumps({SENDER: [base64.b64encode(key).decode()]}),
        "NOTIFIERS": json.dumps({SENDER: notifier}),
        "NOTIFIER_SECRETS": json.dumps({SENDER: {"signing": [base64.b64encode(key).decode()]}}),
    }


def _environ(storage: str, graph_url: str) -> Mapping[str, str]:
    # Default settings: the portal's restart, tried first, holds no ticket back.
    catalogue = {TARGET: {"servicePrincipalId": SERVICE_PRINCIPAL}}
    return {
        "AzureWebJobsStorage": storage,
        CONNECTION: storage,
        "GRAPH_ENDPOINT": graph_url,
        "RESET_TARGETS": json.dumps(catalogue),
        "RESETS_ENABLED": "true",
        "FOLLOW_UP_INTERVAL": "PT0.5S",
        "SWEEP_SCHEDULE": "* * * * * *",
        # Deployed, an idle queue is looked at every ten seconds (host.json).
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
        "APP_DIR": str(processes.ROOT),
    }


async def _story(
    terminal: Terminal, graph: Graph, tables: TableServiceClient, desk: Desk
) -> list[str]:
    terminal.title("The link before")
    old = await graph.link()
    terminal.line(f"  {old}")

    terminal.title('"Restart provisioning" in the portal, to compare')
    await graph.restart_as_the_portal_does()
    portal = await graph.link()
    terminal.line(f"  {portal}: {'nothing changed' if portal == old else 'changed'}")

    terminal.title("The ticket system's webhook, signed")
    request = {
        "target": TARGET,
        "reason": "Adele's Salesforce user was replaced; Entra keeps the deactivated one",
        "requestedBy": "helpdesk@contoso.com",
        "ticket": {"system": SENDER, "id": TICKET},
        "subjects": [SUBJECT],
    }
    terminal.line(f"  {json.dumps(request, ensure_ascii=False)}")
    before = len(await graph.restarts())
    raw = json.dumps(request, ensure_ascii=False).encode()
    forged = await desk.send(raw.replace(b"adele", b"oscar"), signed=raw)
    terminal.line(f"  changed on the way -> {forged.status_code} {forged.json()['detail']}")
    answer = await desk.send(raw)

    terminal.line(f"  POST /api/webhooks/{SENDER} -> {answer.status_code} {answer.text}")
    reset_id = answer.json().get("id", "")

    terminal.title("What happens")
    store = TableStore(
        tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=str
    )
    reset = await _watch(terminal, store, reset_id)

    terminal.title("The link after")
    new = await graph.link()
    terminal.line(f"  {new}")

    terminal.title("What Graph received")
    sent = (await graph.restarts())[before:]
    for each in sent:
        body = json.dumps(each["body"], separators=(",", ":"))
        terminal.line(f"  {each['method']} {each['path']}")
        terminal.line(f"  {body} -> {each['status']}")

    terminal.title("What the ticket hears")
    await _heard(desk, 3)
    for comment in desk.comments:
        first, *rest = comment.splitlines()
        terminal.line(f"  {TICKET}  {first}")
        for line in rest:
            terminal.line(f"  {'':{len(TICKET)}}  {line}")

    terminal.title("What is recorded")
    await _show_rows(terminal, tables)
    return _problems(
        reset=reset, old=old, portal=portal, new=new, sent=sent, answers=(forged, answer), desk=desk
    )


async def _heard(desk: Desk, count: int) -> None:
    deadline = time.monotonic() + 15
    while len(desk.comments) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.1)


def _heed_interrupt() -> None:
    """Under load a library may take a cancellation for a failure of its own and go on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _watch(terminal: Terminal, store: TableStore, reset_id: str) -> Reset | None:
    """Show each event as it is written, and the cycle's progress, until the reset has ended."""
    shown, progress = 0, ""
    deadline = time.monotonic() + TAKES_AT_MOST
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        _heed_interrupt()
        claim: Claim | None = await store.find(reset_id)
        stored = await store.read_reset(claim) if claim is not None else None
        if stored is None:
            continue
        reset = stored.row
        if reset.state is State.RESTARTED and reset.progress != progress:
            progress = reset.progress
            terminal.progress(progress)
        for event in (await store.events(reset))[shown:]:
            terminal.event(str(event.state), event.detail)
            shown += 1
        if reset.state in ENDED:
            return reset
    return None


async def _show_rows(terminal: Terminal, tables: TableServiceClient) -> None:
    for name in (IDS_TABLE, RESETS_TABLE):
        terminal.line(f"  {name}")
        found = [e async for e in tables.get_table_client(name).list_entities()]
        for entity in found:
            key = f"{entity.pop('PartitionKey')} / {entity.pop('RowKey')}"
            terminal.line(f"    {key}")
            columns = "  ".join(f"{k}={_short(v)}" for k, v in entity.items() if v not in ("", 0))
            terminal.line(f"      {columns}")


def _short(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _problems(
    *,
    reset: Reset | None,
    old: Link,
    portal: Link,
    new: Link,
    sent: list[dict[str, Any]],
    answers: tuple[httpx.Response, httpx.Response],
    desk: Desk,
) -> list[str]:
    """What should be true and is not."""
    forged, answer = answers
    checks = {
        "a forged webhook was not refused": forged.status_code == 401,
        "the webhook was not taken in": answer.status_code == 202,
        "the ticket did not hear of its end": any("Done:" in c for c in desk.comments),
        "the ticket was told something that the app has not signed": desk.forged == 0,
        "the reset did not end as completed": reset is not None and reset.state is State.COMPLETED,
        "the portal's restart was expected to change nothing": portal == old,
        "the link did not change": new.target_id != old.target_id,
        "the new link is not to an active account": new.active,
        "there was not exactly one restart": len(sent) == 1,
        "the body was not the full one": [s["body"] for s in sent] == [EXPECTED_BODY],
        "a token was sent to the emulator": not any(s["authorization"] for s in sent),
    }
    return [problem for problem, fine in checks.items() if not fine]


def _verdict(terminal: Terminal, problems: list[str]) -> int:
    terminal.title("Result")
    for problem in problems:
        terminal.line(f"  NOT as it should be: {problem}")
    if not problems:
        terminal.line("  One Full restart was sent, its initial cycle was watched to its end, and")
        terminal.line("  the link was replaced. All that was started has been stopped.")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        code = asyncio.run(main())
    except processes.NotReady as error:
        print(error, file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nstopped; everything that was started has been stopped too")
        code = 130
    sys.exit(code)
