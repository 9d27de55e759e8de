"""The composition root: settings in, services out; the only place that builds."""

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.adapters.graph.observed import GraphObserver
from shared.adapters.notifiers.webhook import WebhookNotifier
from shared.adapters.queues import StorageQueues
from shared.adapters.table_store import TableStore
from shared.config import Settings, Storage
from shared.domain.errors import NotSent, SettingsError
from shared.domain.ports import Clock, Graph, Notifier, Queues, Store
from shared.invocation import shielded
from shared.names import (
    FOLLOW_UPS_QUEUE,
    IDS_TABLE,
    NOTIFICATIONS_QUEUE,
    QUEUES,
    RESETS_QUEUE,
    RESETS_TABLE,
)
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance
from shared.use_cases.advance import Engine
from shared.use_cases.decide_reset import DecideReset
from shared.use_cases.health import Health
from shared.use_cases.housekeeping import Housekeeping
from shared.use_cases.lookup import Lookup
from shared.use_cases.notify import Notify
from shared.use_cases.receive_webhook import ReceiveWebhook
from shared.use_cases.remediate import Remediation
from shared.use_cases.run_reset import RunReset
from shared.use_cases.submit import Submission
from shared.use_cases.sweep import Sweep
from shared.web.api import Api
from shared.web.messages import AFTER_REPAIR, HttpRequest, HttpResponse, ok, problem_response
from shared.web.openapi import document_text
from shared.web.principal import HEADER, signed_in
from shared.web.show_reset import ShowReset, unavailable

APP_DIR: Final = Path(__file__).resolve().parent.parent

# Well under functionTimeout (10 minutes), retries included.
_STORAGE_OPTIONS: Final[Mapping[str, Any]] = {
    "connection_timeout": 5,
    "read_timeout": 15,
    "retry_total": 2,
}


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return str(uuid.uuid4())


class LazyGraph:
    """Opens the gateway at its first use: a webhook's instance never pays for the SDK's import."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway: Graph | None = None
        self._opening = asyncio.Lock()

    async def __call__(self) -> Graph:
        if self._settings.problems:
            # A bad endpoint has its default by now: nothing goes there either.
            raise NotSent(f"a setting must be put right: {self._settings.problems[0]}")
        async with self._opening:
            if self._gateway is None:
                # In a thread: several hundred modules would hold up every other invocation.
                module = await asyncio.to_thread(import_module, "shared.adapters.graph.gateway")
                gateway: Graph = module.GraphGateway(
                    self._settings.graph_endpoint, await asyncio.to_thread(self._credential)
                )
                self._gateway = gateway
            return self._gateway

    def _credential(self) -> Any:
        if self._settings.graph_is_local:
            return None
        return identity_credential(self._settings, self._settings.client_id)


def identity_credential(settings: Settings, client_id: str) -> Any:
    """The app's managed identity on Azure, the engineer's own sign-in elsewhere."""
    identity = import_module("azure.identity.aio")
    if settings.managed_identity:
        return identity.ManagedIdentityCredential(client_id=client_id or None)
    return identity.AzureCliCredential()


def storage_clients(
    settings: Settings, storage: Storage
) -> tuple[TableServiceClient, QueueServiceClient]:
    """Clients by connection string (Azurite) or by identity; no secret is needed for the latter."""
    if storage.connection_string:
        tables = TableServiceClient.from_connection_string(
            storage.connection_string, **_STORAGE_OPTIONS
        )
        queues = QueueServiceClient.from_connection_string(
            storage.connection_string, **_STORAGE_OPTIONS
        )
        return tables, queues
    credential = identity_credential(settings, storage.client_id)
    return (
        TableServiceClient(storage.table_uri, credential=credential, **_STORAGE_OPTIONS),
        QueueServiceClient(storage.queue_uri, credential=credential, **_STORAGE_OPTIONS),
    )


def storage_adapters(settings: Settings, storage: Storage) -> tuple[TableStore, StorageQueues]:
    """The rows and the queues, over clients of their own."""
    tables, queues = storage_clients(settings, storage)
    store = TableStore(
        tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=new_id
    )
    poison = {name: queues.get_queue_client(f"{name}-poison") for name in QUEUES}
    return store, StorageQueues(
        queues.get_queue_client(RESETS_QUEUE),
        queues.get_queue_client(FOLLOW_UPS_QUEUE),
        queues.get_queue_client(NOTIFICATIONS_QUEUE),
        poison,
    )


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the entry points call, one method each."""

    settings: Settings
    health: Health
    intake: RunReset | None = None
    sweeping: Sweep | None = None
    remediation: Remediation | None = None
    upkeep: Housekeeping | None = None
    notifications: Notify | None = None
    api: Api | None = None
    pages: ShowReset | None = None
    sightings: GraphObserver | None = None

    async def run_reset(self, text: str, *, message_id: str, came_at: datetime | None) -> None:
        intake = self._built(self.intake)
        await shielded(intake.run(text, message_id=message_id, came_at=came_at))
        await shielded(self._built(self.sightings).write())

    async def follow_up_reset(self, text: str, *, message_id: str) -> None:
        await shielded(self._built(self.intake).follow_up(text, message_id=message_id))
        await shielded(self._built(self.sightings).write())

    async def notify(self, text: str) -> None:
        await shielded(self._built(self.notifications).notify(text))

    async def sweep(self) -> None:
        # At every tick, or its alert would resolve while the setting is still wrong.
        for why in self.settings.problems:
            emit("settings.bad", why=why)
        await shielded(self._tick())

    async def _tick(self) -> None:
        """What is due comes first; none of the three holds up another."""
        upkeep = self._built(self.upkeep)
        try:
            await self._built(self.sweeping).sweep()
        finally:
            try:
                await upkeep.empty_poison_queues()
            finally:
                await upkeep.forget_outdated()

    async def remediate(self) -> None:
        await shielded(self._built(self.remediation).remediate())
        await shielded(self._built(self.sightings).write())

    async def submit(self, call: HttpRequest) -> HttpResponse:
        return await self._ask(call, Api.submit)

    async def receive_webhook(self, call: HttpRequest) -> HttpResponse:
        return await self._ask(call, Api.receive_webhook)

    async def get_reset(self, call: HttpRequest) -> HttpResponse:
        return await self._ask(call, Api.get_reset)

    async def list_resets(self, call: HttpRequest) -> HttpResponse:
        return await self._ask(call, Api.list_resets)

    async def decide(self, call: HttpRequest) -> HttpResponse:
        return await self._ask(call, Api.decide)

    async def show_reset(self, call: HttpRequest) -> HttpResponse:
        if self.pages is None:
            return unavailable()
        return await shielded(self.pages.show(call))

    async def describe(self) -> HttpResponse:
        """The OpenAPI document: the same for everybody, whatever the settings."""
        return HttpResponse(
            status=200, body=document_text(), extra={"Cache-Control": "max-age=3600"}
        )

    async def _ask(
        self, call: HttpRequest, question: Callable[[Api, HttpRequest], Awaitable[HttpResponse]]
    ) -> HttpResponse:
        if self.api is None:
            why = next(iter(self.settings.problems), "storage is not configured")
            return problem_response(503, why, AFTER_REPAIR)
        return await shielded(question(self.api, call))

    async def report_health(self, call: HttpRequest) -> HttpResponse:
        person = signed_in(call.headers.get(HEADER, ""), sign_in=self.settings.sign_in)
        key = call.headers.get("x-functions-key", "")
        report = await shielded(self.health.report(key, signed_in=bool(person)))
        return ok(report.body, report.status)

    def _built[T](self, service: T | None) -> T:
        if service is None:
            raise SettingsError(next(iter(self.settings.problems), "storage is not configured"))
        return service


def build(environ: Mapping[str, str], *, app_dir: Path = APP_DIR) -> Services:
    """Build everything; a bad setting is logged and kept, never raised."""
    settings = Settings.from_environ(environ, app_dir=app_dir)
    for why in settings.problems:
        emit("settings.bad", why=why)
    if settings.storage is None:
        return Services(
            settings=settings,
            health=Health(store=None, queues=None, settings=settings, clock=utc_now),
        )
    store, queues = storage_adapters(settings, settings.storage)
    entries = settings.notifiers or {}
    notifiers = {name: WebhookNotifier(entry.url) for name, entry in entries.items()}
    return assemble(
        settings,
        store=store,
        queues=queues,
        graph=LazyGraph(settings),
        notifiers=notifiers,
        clock=utc_now,
        new_id=new_id,
        jitter=random.random,
    )


def assemble(
    settings: Settings,
    *,
    store: Store,
    queues: Queues,
    graph: Callable[[], Awaitable[Graph]],
    notifiers: Mapping[str, Notifier],
    clock: Clock,
    new_id: Callable[[], str],
    jitter: Callable[[], float],
    engine_type: type[Engine] = Engine,
) -> Services:
    """Put the use cases together over the ports; what the world is made of is the caller's."""
    listeners = (
        None
        if settings.notifiers is None
        else {name: frozenset(entry.on) for name, entry in settings.notifiers.items()}
    )
    sightings = GraphObserver(store=store, clock=clock)
    watched = sightings.watching(graph)
    engine = engine_type(
        store=store,
        queues=queues,
        graph=watched,
        settings=settings,
        listeners=listeners,
        clock=clock,
        new_id=new_id,
        jitter=jitter,
    )
    acceptance = Acceptance(store=store, settings=settings, listeners=listeners, clock=clock)
    submission = Submission(acceptance=acceptance, queues=queues)
    lookup = Lookup(store=store)
    return Services(
        settings=settings,
        health=Health(store=store, queues=queues, settings=settings, clock=clock),
        intake=RunReset(store=store, acceptance=acceptance, engine=engine, clock=clock),
        sweeping=Sweep(store=store, queues=queues, clock=clock),
        remediation=Remediation(
            store=store,
            submission=submission,
            graph=watched,
            settings=settings,
            clock=clock,
        ),
        upkeep=Housekeeping(
            store=store,
            queues=queues,
            acceptance=acceptance,
            retention=settings.retention,
            clock=clock,
        ),
        notifications=Notify(store=store, notifiers=notifiers, clock=clock, jitter=jitter),
        api=Api(
            settings=settings,
            submission=submission,
            webhooks=ReceiveWebhook(submission=submission, settings=settings, clock=clock),
            decisions=DecideReset(store=store, engine=engine),
            lookup=lookup,
            new_id=lambda: uuid.uuid4().hex,
        ),
        pages=ShowReset(lookup=lookup, sign_in=settings.sign_in),
        sightings=sightings,
    )


@cache
def services() -> Services:
    """The services of this process, built on first use in its one event loop."""
    return build(os.environ)


def sweep_schedule() -> str:
    """A setting that a trigger needs at indexing; a bad one is replaced by the default."""
    return Settings.from_environ(os.environ, app_dir=APP_DIR).sweep_schedule


def remediation_schedule() -> str:
    """The other one."""
    return Settings.from_environ(os.environ, app_dir=APP_DIR).remediation_schedule
