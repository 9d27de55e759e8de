"""Reads the settings of here, and opens Graph and the rows for a command."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from local.errors import Failed
from local.host.errors import StartError
from local.host.settings import load_values
from local.processes import ROOT
from shared.adapters.graph.gateway import GraphGateway
from shared.adapters.table_store import TableStore
from shared.bootstrap import identity_credential, new_id, storage_clients
from shared.config import LOOPBACK, SIGN_IN, Settings, Storage
from shared.domain.errors import GraphError, NotSent, RelinkError, SettingsError
from shared.domain.ports import Graph, Store
from shared.domain.sync_job import SyncJob
from shared.names import CONNECTION, IDS_TABLE, RESETS_TABLE

UNKNOWN = "unknown"


def read_settings() -> Settings:
    """The environment, and under it local.settings.json; raise SettingsError by name."""
    environ = dict(os.environ)
    try:
        load_values(ROOT, environ)
    except StartError as error:
        raise SettingsError(str(error)) from error
    if environ.get("SIGN_IN_CLIENT_ID") or environ.get("LOCAL_PRINCIPAL"):
        # As the platform, or the development host, sets it for the app that this is about.
        environ.setdefault(SIGN_IN, "True")
    settings = Settings.from_environ(environ, app_dir=ROOT)
    for name in ("GRAPH_ENDPOINT", "AZURE_CLIENT_ID"):
        for why in settings.problems:
            if why.startswith(f"{name}:"):
                raise SettingsError(why)
    return settings


def is_here(settings: Settings) -> bool:
    """Whether both storage and Graph are on this machine, so that nothing real can be restarted."""
    storage = settings.storage
    if storage is None:
        return settings.graph_is_local
    addresses = [storage.queue_uri, storage.table_uri]
    for part in storage.connection_string.split(";"):
        name, _, value = part.partition("=")
        if name.endswith("Endpoint"):
            addresses.append(value)
        elif name == "AccountName" and "Endpoint=" not in storage.connection_string:
            return False
    hosts = {urlsplit(address).hostname for address in addresses if address}
    return settings.graph_is_local and hosts <= LOOPBACK


@asynccontextmanager
async def open_graph(settings: Settings) -> AsyncIterator[Graph]:
    """The gateway as the port that the engine uses."""
    async with open_gateway(settings, GraphGateway) as gateway:
        yield gateway


@asynccontextmanager
async def open_gateway[Gateway: GraphGateway](
    settings: Settings, kind: type[Gateway]
) -> AsyncIterator[Gateway]:
    """The gateway with the credential that the app would use here."""
    local = settings.graph_is_local
    credential = None if local else identity_credential(settings, settings.client_id)
    gateway = kind(settings.graph_endpoint, credential)
    try:
        yield gateway
    finally:
        await gateway.close()
        if credential is not None:
            await credential.close()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store | None]:
    """The rows, or None where no storage is set."""
    if settings.storage is None:
        yield None
        return
    tables, queues = storage_clients(settings, settings.storage)
    async with tables, queues:
        yield TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=new_id
        )


def need_storage(settings: Settings) -> Storage:
    """Raise SettingsError where no storage is set, or none that can be used; with the words why."""
    if settings.storage is None:
        bad = (why for why in settings.problems if why.startswith(CONNECTION))
        raise SettingsError(next(bad, f"{CONNECTION}: missing; give the storage that the app uses"))
    return settings.storage


@dataclass
class Progress:
    """One moving line on stderr in a terminal; nothing at all elsewhere."""

    what: str
    live: bool = field(default_factory=sys.stderr.isatty)

    def __call__(self, done: int, of: int) -> None:
        if self.live:
            end = "\n" if done == of else ""
            print(f"\r\033[K{done} of {of} {self.what}", end=end, file=sys.stderr, flush=True)


def state_of(job: SyncJob) -> str:
    """The job's state in a cell: code, quarantine's reason, and a schedule that is not Active."""
    words = job.code or UNKNOWN
    if job.quarantine is not None:
        words = f"Quarantine: {job.quarantine.reason or 'unknown reason'}"
        if job.quarantine.series_began is not None:
            words += f" since {job.quarantine.series_began:%Y-%m-%d %H:%M} UTC"
    if job.schedule_state != "Active":
        words += f", schedule {job.schedule_state or UNKNOWN}"
    return words


def job_document(job: SyncJob) -> dict[str, Any]:
    """The same for machines."""
    quarantine = job.quarantine
    since = quarantine.series_began if quarantine else None
    return {
        "id": job.id,
        "templateId": job.template_id,
        "state": job.code,
        "scheduleState": job.schedule_state,
        "quarantine": quarantine.reason if quarantine else None,
        "quarantinedSince": since.isoformat() if since else None,
        "entries": job.size,
    }


def size_of(job: SyncJob) -> str:
    return "" if job.size is None else f"{job.size:,}"


def run(command: Callable[[Settings], Coroutine[None, None, None]]) -> int:
    """Run it with the settings of here; what stands in its way is one line, and exit code 1."""
    try:
        settings = read_settings()
    except SettingsError as error:
        raise Failed(str(error)) from error
    # What these say of a missing sign-in is said once, with its remedy, by `_remedy`.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    try:
        asyncio.run(command(settings))
    except SettingsError as error:
        raise Failed(str(error)) from error
    except GraphError as error:
        why = f"GRAPH_ENDPOINT: {settings.graph_endpoint}: {error.reason}"
        raise Failed(why + _remedy(settings, error)) from error
    except RelinkError as error:
        raise Failed(f"{CONNECTION}: {error}") from error
    return 0


def _remedy(settings: Settings, error: GraphError) -> str:
    if not isinstance(error, NotSent):
        return ""
    if settings.graph_is_local:
        return "; is `make emulator` running there?"
    if settings.managed_identity:
        return ""
    return "; sign in with `az login`, or give the emulator's address"
