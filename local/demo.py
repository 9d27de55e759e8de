"""
`make demo`: the project's main job, for real, on this machine.

Two users are linked to accounts that were replaced. The portal's restart changes nothing. A ticket
system's signed webhook asks for a reset of both: one is linked to the new account, the other is
not, and the ticket says what to rename first. That is done, a second ticket asks, and hears of the
new link. Ends with 0 only if all of that was seen to be true.
"""

import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient

from local import processes
from local.demo_desk import SENDER, Desk
from local.demo_tenant import SERVICE_PRINCIPAL, Account, Tenant
from local.demo_terminal import Terminal, short
from local.http_client import http_client
from local.link import as_records
from local.screen import Screen
from local.trial import seed
from shared.adapters.graph.gateway import GraphGateway
from shared.adapters.table_store import TableStore
from shared.domain.links import LinkEvidence
from shared.domain.reset import ENDED, Claim, Reset, State
from shared.names import CONNECTION, IDS_TABLE, RESETS_TABLE

TARGET: Final = "salesforce-prod"
RENAMED: Final = "adele.vance@contoso.com"
"""The old account was renamed when it was replaced."""

NOT_RENAMED: Final = "lee.gu@contoso.com"
"""The old account still has the username by which accounts are matched."""

NEW_OF_NOT_RENAMED: Final = "0055e000007cLEEAA2"
TICKET: Final = "INC0012345"
SECOND_TICKET: Final = "INC0012346"
TAKES_AT_MOST: Final = 120.0
EXPECTED_BODY: Final = {"criteria": {"resetScope": "Full"}}
SECONDS_A_USER: Final = 0.1
SECONDS_UNTIL_LOGGED: Final = 0.5


@dataclass
class Seen:
    """What the story has shown so far."""

    portal: list[LinkEvidence] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    resets: list[Reset | None] = field(default_factory=list)
    links: dict[str, Account] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that the story is played with."""

    terminal: Terminal
    tenant: Tenant
    desk: Desk
    tables: TableServiceClient
    key: str
    seen: Seen = field(default_factory=Seen)

    @property
    def store(self) -> TableStore:
        resets, ids = map(self.tables.get_table_client, (RESETS_TABLE, IDS_TABLE))
        return TableStore(resets, ids, new_id=str)


async def main() -> int:
    terminal = Terminal()
    terminal.line("Relink demo: a ticket asks, a full-scope restart happens, and the ticket hears")
    terminal.line("whether each link changed, and if not, why. All on this machine (127.0.0.1,")
    terminal.line("free ports, an emulated Microsoft Graph whose cycles take seconds).")
    terminal.title("Starting")
    desk, key = Desk(secrets.token_bytes(32)), secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            processes.azurite() as storage,
            processes.emulator(_emulator_environ(Path(folder))) as graph_url,
            desk.listening() as comments,
        ):
            terminal.event("storage", "Azurite is ready (queues, tables, blobs)")
            terminal.event("graph", f"the Graph emulator is ready on {graph_url}")
            environ = {
                **_environ(storage, graph_url, key),
                **desk.environ(comments, target=TARGET),
            }
            async with processes.host(environ) as (_, desk.host):
                words = "the app runs in the genuine Functions worker on "
                terminal.event("host", words + desk.host)
                problems = await _play(terminal, desk, key, graph_url, storage)
    _heed_interrupt()
    return _verdict(terminal, problems)


async def _play(
    terminal: Terminal, desk: Desk, key: str, graph_url: str, storage: str
) -> Sequence[str]:
    gateway = GraphGateway(graph_url, None)
    try:
        async with (
            http_client(graph_url, seconds=10) as client,
            TableServiceClient.from_connection_string(storage) as tables,
        ):
            stage = Stage(
                terminal=terminal,
                tenant=Tenant(client, gateway, TARGET),
                desk=desk,
                tables=tables,
                key=key,
            )
            return await _story(stage)
    finally:
        await gateway.close()


def _emulator_environ(folder: Path) -> Mapping[str, str]:
    """A tenant in real time, so that its dates and those of the app agree, with short cycles."""
    state = seed() | {"provisioningLogDelay": SECONDS_UNTIL_LOGGED}
    for principal in state["servicePrincipals"]:
        for job in principal["jobs"]:
            job["secondsPerUser"] = SECONDS_A_USER
    path = folder / "seed.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    return {"GRAPH_EMULATOR_SEED": str(path), "GRAPH_EMULATOR_SPEED": "1"}


def _environ(storage: str, graph_url: str, key: str) -> Mapping[str, str]:
    # Default settings, but for how often is looked.
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
        "LOCAL_FUNCTION_KEY": key,
        "APP_DIR": str(processes.ROOT),
    }


async def _story(stage: Stage) -> Sequence[str]:
    await _portal_changes_nothing(stage)
    await _first_ticket(stage)
    await _rename(stage)
    await _second_ticket(stage)
    await _what_graph_received(stage)
    # The last answer leaves the outbox once the app has heard that it arrived.
    await asyncio.sleep(0.5)
    stage.terminal.title("8. What is recorded")
    await _show_rows(stage)
    return await _problems(stage)


async def _portal_changes_nothing(stage: Stage) -> None:
    terminal, tenant = stage.terminal, stage.tenant
    terminal.title("1. Two users whose Salesforce account was replaced (`make link` shows this)")
    before = [await tenant.inspect(user) for user in (RENAMED, NOT_RENAMED)]
    for found in before:
        terminal.line(as_records(found).card(Screen(width=78)))
        terminal.line(f"  {'the account':<14}{await tenant.linked(found.user)}", indent=14)
    terminal.title('2. "Restart provisioning" in the portal, which people try first')
    since = await tenant.restart_in_the_portal()
    for found in before:
        verdict = await tenant.verdict(found, since)
        stage.seen.portal.append(verdict)
        terminal.line(f"  {found.user}: {verdict.verdict} (nothing changed)")
        terminal.line(f"    {verdict.evidence}")


async def _first_ticket(stage: Stage) -> None:
    terminal, desk = stage.terminal, stage.desk
    terminal.title(f"3. {TICKET} asks for both: the ticket system's webhook, signed")
    body = _request(TICKET, "Both were replaced in Salesforce", RENAMED, NOT_RENAMED)
    raw = json.dumps(body, indent=2).encode()
    terminal.lines(f"  {line}" for line in raw.decode().splitlines())
    forged = await desk.send(raw.replace(b"adele", b"oscar"), signed=raw)
    stage.seen.answers.append(forged.status)
    terminal.line(f"  changed on the way -> {forged.status} {forged.json()['detail']}")
    reset_id = await _send(stage, raw)
    await _watch(stage, reset_id)
    await _hears(stage, TICKET, 3)


async def _rename(stage: Stage) -> None:
    """As the ticket has said: the old account no longer matches, the new one does."""
    terminal, tenant = stage.terminal, stage.tenant
    terminal.title("4. An administrator of Salesforce renames the old account first")
    old = await tenant.linked(NOT_RENAMED)
    for account, username in (
        (old.id, f"{old.username}.deactivated"),
        (NEW_OF_NOT_RENAMED, old.username),
    ):
        await tenant.rename(account, username)
        terminal.line(f"  Username of {account} is now {username}")


async def _second_ticket(stage: Stage) -> None:
    terminal = stage.terminal
    terminal.title(f"5. {SECOND_TICKET} asks again, on the same day: it has to wait, and hears why")
    body = _request(SECOND_TICKET, "The old account was renamed", NOT_RENAMED)
    reset_id = await _send(stage, json.dumps(body).encode())
    await _hears(stage, SECOND_TICKET, 2)
    terminal.title("6. A person ends that wait (`make decide`)")
    decision = {"decision": "approve", "by": "ann.admin@contoso.com", "reason": "renamed"}
    async with http_client(seconds=10) as client:
        answer = await client.post(
            f"{stage.desk.host}/api/resets/{reset_id}/decision",
            json=decision,
            headers={"x-functions-key": stage.key},
        )
    stage.seen.answers.append(answer.status)
    terminal.line(f"  approve -> {answer.status}")
    await _watch(stage, reset_id)
    await _hears(stage, SECOND_TICKET, 4, said=2)


def _request(ticket: str, reason: str, *subjects: str) -> dict[str, Any]:
    return {
        "target": TARGET,
        "reason": reason,
        "requestedBy": "helpdesk@contoso.com",
        "ticket": {"system": SENDER, "id": ticket},
        "subjects": subjects,
    }


async def _send(stage: Stage, raw: bytes) -> str:
    answer = await stage.desk.send(raw)
    stage.seen.answers.append(answer.status)
    reset_id: str = answer.json().get("id", "")
    stage.terminal.line(f"  POST /api/webhooks/{SENDER} -> {answer.status} {reset_id}")
    return reset_id


async def _hears(stage: Stage, ticket: str, count: int, *, said: int = 0) -> None:
    """Wait for the ticket's comments, and show those that were not shown before."""
    deadline = time.monotonic() + 15
    while len(stage.desk.comments.get(ticket, ())) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        _heed_interrupt()
    for comment in stage.desk.comments.get(ticket, [])[said:]:
        stage.terminal.line(f"\n  {ticket} hears:")
        stage.terminal.lines(f"  {line}" for line in comment.splitlines())


def _heed_interrupt() -> None:
    """Under load a library may take a cancellation for a failure of its own and go on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _watch(stage: Stage, reset_id: str) -> None:
    """Show each event as it is written, and the cycle's progress, until the reset has ended."""
    terminal, store = stage.terminal, stage.store
    shown, progress = 0, ""
    deadline = time.monotonic() + TAKES_AT_MOST
    terminal.line()
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
            stage.seen.resets.append(reset)
            return
    stage.seen.resets.append(None)


async def _what_graph_received(stage: Stage) -> None:
    terminal = stage.terminal
    terminal.title("7. What Graph received")
    for each in await stage.tenant.restarts():
        body = json.dumps(each["body"], separators=(",", ":"))
        terminal.line(f"  {each['method']} {each['path']}")
        terminal.line(f"    {body} -> {each['status']}")


async def _show_rows(stage: Stage) -> None:
    for name in (IDS_TABLE, RESETS_TABLE):
        stage.terminal.line(f"  {name}")
        async for entity in stage.tables.get_table_client(name).list_entities():
            stage.terminal.line(f"  {entity.pop('PartitionKey')} / {entity.pop('RowKey')}")
            columns = "  ".join(f"{k}={short(v)}" for k, v in entity.items() if v not in ("", 0))
            stage.terminal.line(f"    {columns}", indent=0)


async def _problems(stage: Stage) -> Sequence[str]:
    """What should be true and is not."""
    seen, desk = stage.seen, stage.desk
    sent = await stage.tenant.restarts()
    first, second = ("\n".join(desk.comments.get(ticket, [])) for ticket in (TICKET, SECOND_TICKET))
    links = [await stage.tenant.linked(user) for user in (RENAMED, NOT_RENAMED)]
    checks = {
        "the answers over HTTP are not 401, 202, 202, 200": seen.answers == [401, 202, 202, 200],
        "the portal's restart was expected to change nothing": [
            verdict.verdict for verdict in seen.portal
        ]
        == ["still_linked"] * 2,
        "a reset did not end as completed": [reset and reset.state for reset in seen.resets]
        == [State.COMPLETED] * 2,
        f"{TICKET} did not hear of the new link": f'"{RENAMED}": relinked' in first,
        f"{TICKET} did not hear what to rename first": f'"{NOT_RENAMED}": STILL LINKED' in first
        and "Change Username of account" in first,
        f"{SECOND_TICKET} did not hear of the new link": f'"{NOT_RENAMED}": relinked' in second,
        "a ticket was told something that the app has not signed": desk.forged == 0,
        "a new link is not to an active account": all(account.active for account in links),
        "the restarts were not two full ones": [s["body"] for s in sent] == [EXPECTED_BODY] * 2,
        "a token was sent to the emulator": not any(s["authorization"] for s in sent),
    }
    return [problem for problem, fine in checks.items() if not fine]


_NEXT: Final = """\
  For the next user, in your own tenant:
    make link USER=<upn> TARGET=<alias>
      shows who is linked to what, and what to rename first; rename it
    make request TARGET=<alias> SUBJECTS=<upn> TICKET=<system>/<id> DRY_RUN=1
      writes the same into the ticket, and sends nothing
    make request TARGET=<alias> SUBJECTS=<upn> TICKET=<system>/<id> \\
        REASON=<why>
      resets the job once, with all its users; the ticket hears of this one
  On this machine: make up, and in another terminal: . .local/up.sh
  In Azure: docs/operate/deploy.md."""


def _verdict(terminal: Terminal, problems: Sequence[str]) -> int:
    terminal.title("Result")
    for problem in problems:
        terminal.line(f"  NOT as it should be: {problem}")
    if not problems:
        terminal.line("  Two Full restarts were sent, each cycle was watched to its end, and both")
        terminal.line("  links were replaced. All that was started has been stopped.")
        terminal.title("Next steps")
        print(_NEXT, flush=True)
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
