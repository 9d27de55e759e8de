"""
`python -m local.deployment.smoke`: one dry run through the deployed app.

A message onto the queue as another service would send it; then the rows are read until the reset
has ended as a preview. A dry run restarts nothing.
"""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue.aio import QueueServiceClient

from local.bicep import ROOT
from local.deployment.report import Line, Verdict, conclude
from local.deployment.settings import app_settings
from shared.adapters.table_store import TableStore
from shared.bootstrap import storage_clients
from shared.config import Settings, Storage
from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Store
from shared.domain.reset import ENDED, Reset, State
from shared.names import IDS_TABLE, RESETS_QUEUE, RESETS_TABLE

TAKES_AT_MOST: Final = 600.0
"""A new role assignment takes minutes to be known everywhere, and the first start is a cold one."""

LOOKS_EVERY: Final = 5.0
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
                if seen.state in ENDED:
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
    if reset.state is not State.PREVIEWED or not reset.before:
        # A preview without the job as it was: Microsoft Graph was not asked, or gave nothing.
        return Line(verdict=Verdict.WRONG, what=what, says=says)
    return Line(verdict=Verdict.GOOD, what=what, says=says)


async def health(url: str) -> Line:
    """What the app says of itself, to anybody."""
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.get(f"{url}/api/health")
        body = answer.json()
        status, problems = str(body["status"]), "; ".join(body.get("problems", []))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return Line(verdict=Verdict.WRONG, what="health", says=f"no answer ({error!r})")
    good = answer.status_code == httpx.codes.OK
    says = problems or status
    return Line(verdict=Verdict.GOOD if good else Verdict.WRONG, what="health", says=says)


async def run(environ: Mapping[str, str]) -> int:
    if environ.get("RELINK_STORAGE_IS_PUBLIC", "true").lower() == "false":
        says = (
            "storage answers in its virtual network only; run infra/hooks/postdeploy.sh there, "
            "with RELINK_STORAGE_IS_PUBLIC=true"
        )
        return conclude([Line(verdict=Verdict.NOT_CHECKED, what="dry run", says=says)])
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    storage = Storage(
        queue_uri=environ.get("RELINK_QUEUE_URI", ""), table_uri=environ.get("RELINK_TABLE_URI", "")
    )
    if not settings.catalogue or not storage.queue_uri or not storage.table_uri:
        says = "RESET_TARGETS, RELINK_QUEUE_URI or RELINK_TABLE_URI is missing; provision first"
        return conclude([Line(verdict=Verdict.WRONG, what="dry run", says=says)])
    tables, queues = storage_clients(settings, storage)
    async with tables, queues:
        smoke = Smoke(
            queues=queues,
            store=TableStore(
                tables.get_table_client(RESETS_TABLE),
                tables.get_table_client(IDS_TABLE),
                new_id=secrets.token_hex,
            ),
            target=environ.get("SMOKE_TARGET") or min(settings.catalogue),
            request_id=f"smoke-{secrets.token_hex(8)}",
        )
        lines = [await smoke.run()]
    if url := environ.get("RELINK_URL"):
        lines.append(await health(url))
    return conclude(lines)


if __name__ == "__main__":
    print("After the deployment (a dry run; at most ten minutes):")
    sys.exit(asyncio.run(run(os.environ)))
