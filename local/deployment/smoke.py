"""
Send one dry run through the deployed app, and ask it how it is.

A message onto the queue as another service would send it; then the rows are read until the reset
has ended as a preview. A dry run restarts nothing.
"""

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue.aio import QueueServiceClient

from local.bicep import ROOT
from local.deployment.report import Line, Verdict
from local.deployment.settings import app_settings
from local.http_client import http_client
from shared.adapters.table_store import TableStore
from shared.bootstrap import storage_clients
from shared.config import Settings, Storage
from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Heartbeats, Store
from shared.domain.reset import ENDED, Reset, State
from shared.names import IDS_TABLE, RESETS_QUEUE, RESETS_TABLE
from shared.use_cases.sweep import HEARTBEAT

TAKES_AT_MOST: Final = 600.0
"""A new role assignment takes minutes to be known everywhere, and the first start is a cold one."""

LOOKS_EVERY: Final = 5.0
# What the gateway says of a refusal for want of rights: shared/adapters/graph/errors.py.
_NO_RIGHTS: Final = re.compile(r"Microsoft Graph answered (401|403)\b")
_NOT_YET: Final = frozenset({401, 403})


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """Sends one dry run and watches it."""

    queues: QueueServiceClient
    store: Store
    target: str
    request_id: str
    within: float = TAKES_AT_MOST
    every: float = LOOKS_EVERY
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> Line:
        deadline = self.clock() + self.within
        what = f"dry run for {self.target} ({self.request_id})"
        refusal = await self._send(deadline)
        if refusal:
            return Line(verdict=Verdict.WRONG, what=what, says=refusal)
        reset = await self._watch(deadline)
        return judge(what, reset)

    async def _send(self, deadline: float) -> str:
        text = json.dumps(
            {
                "requestId": self.request_id,
                "target": self.target,
                "dryRun": True,
                "reason": "smoke test after a deployment",
                "requestedBy": "deployment",
            }
        )
        queue = self.queues.get_queue_client(RESETS_QUEUE)
        while True:
            try:
                await queue.send_message(text, time_to_live=-1)
            except HttpResponseError as error:
                if error.status_code not in _NOT_YET or self.clock() > deadline:
                    return (
                        f"queue {RESETS_QUEUE} took no message ({error.status_code}); the role "
                        "Storage Queue Data Message Sender is given with AZURE_PRINCIPAL_ID"
                    )
                await self.sleep(self.every)
            except AzureError as error:
                return f"queue {RESETS_QUEUE} cannot be reached ({type(error).__name__})"
            else:
                return ""

    async def _watch(self, deadline: float) -> Reset | None:
        """Return the reset as it ended, or as it was last seen."""
        seen = None
        while self.clock() < deadline:
            try:
                claim = await self.store.find(self.request_id)
                stored = await self.store.read_reset(claim) if claim is not None else None
            except StorageUnavailable:
                # Not yet allowed to read, or down: the deadline decides.
                stored = None
            if stored is not None:
                seen = stored.row
                if seen.state in ENDED or _NO_RIGHTS.search(seen.detail):
                    # It would wait for the permission for days; nobody waits here for that.
                    return seen
            await self.sleep(self.every)
        return seen


def judge(what: str, reset: Reset | None) -> Line:
    if reset is None:
        says = (
            "the app took the message to no row in time; see the log of function run_reset, and "
            "GET /api/health"
        )
        return Line(verdict=Verdict.WRONG, what=what, says=says)
    says = f"{reset.state}, {reset.detail}"
    if reset.state is not State.PREVIEWED and _NO_RIGHTS.search(reset.detail):
        # Not wrong by itself: the grant is somebody else's, and a token lasts about a day.
        return Line(verdict=Verdict.MISSING, what=what, says=says)
    if reset.state is not State.PREVIEWED or not reset.before:
        # A preview without the job as it was: Microsoft Graph was not asked, or gave nothing.
        return Line(verdict=Verdict.WRONG, what=what, says=says)
    return Line(verdict=Verdict.GOOD, what=what, says=says)


async def health(url: str) -> Line:
    """What the app says of itself, to anybody."""
    try:
        async with http_client(seconds=60, proxied=True) as client:
            answer = await client.get(f"{url}/api/health")
        body = answer.json()
        status, problems = str(body["status"]), "; ".join(body.get("problems", []))
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        return Line(verdict=Verdict.WRONG, what="health", says=f"no answer ({error!r})")
    good = answer.status == HTTPStatus.OK
    says = problems or status
    return Line(verdict=Verdict.GOOD if good else Verdict.WRONG, what="health", says=says)


async def forged_sign_in(url: str) -> Line:
    """See that the platform takes away an identity header that a caller made up."""
    what = "a forged sign-in"
    made_up = {"auth_typ": "aad", "claims": [{"typ": "preferred_username", "val": "forged"}]}
    header = base64.b64encode(json.dumps(made_up).encode()).decode()
    try:
        async with http_client(seconds=60, proxied=True) as client:
            answer = await client.get(
                f"{url}/api/resets/forged-sign-in/page", headers={"x-ms-client-principal": header}
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        return Line(verdict=Verdict.NOT_CHECKED, what=what, says=f"no answer ({error!r})")
    if answer.status in _TURNED_AWAY:
        says = f"turned away ({answer.status})"
        return Line(verdict=Verdict.GOOD, what=what, says=says)
    says = (
        f"answered {answer.status}: anybody may call themselves anybody. Switch sign-in off "
        "(azd env set SIGN_IN_CLIENT_ID '', azd provision), or set SIGN_IN_REQUIRED=true"
    )
    return Line(verdict=Verdict.WRONG, what=what, says=says)


_TURNED_AWAY: Final = frozenset({301, 302, 401, 403})


async def timer(store: Heartbeats, *, since: datetime, within: float = 240.0) -> Line:
    """Wait for a heartbeat of the sweep: an HTTP answer proves nothing about timers."""
    what, deadline = "the sweep's timer", time.monotonic() + within
    while True:
        try:
            beat = await store.last_beat(HEARTBEAT)
        except StorageUnavailable as error:
            return Line(verdict=Verdict.NOT_CHECKED, what=what, says=str(error))
        if beat is not None and beat >= since:
            return Line(verdict=Verdict.GOOD, what=what, says=f"ran at {beat:%H:%M:%S} UTC")
        if time.monotonic() > deadline:
            says = (
                "has not run since the deployment. See the runbook, sweep-silent; "
                "ALWAYS_READY_SWEEP=1 keeps an instance for it"
            )
            return Line(verdict=Verdict.WRONG, what=what, says=says)
        await asyncio.sleep(LOOKS_EVERY)


async def dry_run(environ: Mapping[str, str]) -> list[Line]:
    if environ.get("RELINK_STORAGE_IS_PUBLIC", "true").lower() == "false":
        says = (
            "storage answers in its virtual network only; run infra/hooks/postdeploy.py there, "
            "with RELINK_STORAGE_IS_PUBLIC=true"
        )
        return [Line(verdict=Verdict.NOT_CHECKED, what="dry run", says=says)]
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    storage = Storage(
        queue_uri=environ.get("RELINK_QUEUE_URI", ""), table_uri=environ.get("RELINK_TABLE_URI", "")
    )
    if not settings.catalogue or not storage.queue_uri or not storage.table_uri:
        says = "RESET_TARGETS, RELINK_QUEUE_URI or RELINK_TABLE_URI is missing; provision first"
        return [Line(verdict=Verdict.WRONG, what="dry run", says=says)]
    since = datetime.now(UTC)
    tables, queues = storage_clients(settings, storage)
    async with tables, queues:
        store = TableStore(
            tables.get_table_client(RESETS_TABLE),
            tables.get_table_client(IDS_TABLE),
            new_id=secrets.token_hex,
        )
        smoke = Smoke(
            queues=queues,
            store=store,
            target=environ.get("SMOKE_TARGET") or min(settings.catalogue),
            request_id=f"smoke-{secrets.token_hex(8)}",
        )
        line = await smoke.run()
        return [line, await timer(store, since=since)]
