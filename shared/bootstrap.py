"""Build the app from its settings: the composition root, and the only place that builds."""

import asyncio
import os
import random
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from copy import replace
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from azure.data.tables.aio import TableServiceClient

from shared.adapters.graph.credential import RenewableCredential
from shared.adapters.graph.observed import GraphObserver, OnCall
from shared.adapters.lazy_queues import LazyQueues
from shared.adapters.notifiers.registry import make_notifier
from shared.adapters.table_calls import PlainCalls
from shared.adapters.table_store import TableStore
from shared.app import App, NotConfigured
from shared.config import Settings, Storage
from shared.domain.errors import NotSent
from shared.domain.notifications import Listeners
from shared.domain.ports import AllQueues, Clock, Graph, LinkGraph, Notifier, Store
from shared.domain.states import transition
from shared.domain.transitions import StateMachine
from shared.names import (
    FOLLOW_UPS_QUEUE,
    IDS_TABLE,
    NOTIFICATIONS_QUEUE,
    QUEUES,
    RESETS_QUEUE,
    RESETS_TABLE,
)
from shared.telemetry import emit, quiet_libraries
from shared.use_cases.accept import Acceptance
from shared.use_cases.admission import Admission
from shared.use_cases.advance import Engine
from shared.use_cases.backlog import ReadBacklog
from shared.use_cases.decide_reset import DecideReset
from shared.use_cases.health import Health, Sources, late_after
from shared.use_cases.housekeeping import Housekeeping
from shared.use_cases.job_calls import JobCalls
from shared.use_cases.lookup import Lookup
from shared.use_cases.notifier_turns import NotifierTurns
from shared.use_cases.notify import Notify
from shared.use_cases.other_resets import OtherResets
from shared.use_cases.overview import Overview
from shared.use_cases.read_status import ReadStatus
from shared.use_cases.receive_webhook import ReceiveWebhook
from shared.use_cases.refusals import RefusalLog
from shared.use_cases.remediate import Remediation
from shared.use_cases.restart_budget import RestartBudget
from shared.use_cases.run_reset import RunReset
from shared.use_cases.stand_in import StandIn, SweepWatch
from shared.use_cases.submit import Submission
from shared.use_cases.sweep import Sweep
from shared.use_cases.tell_refused import TellRefused
from shared.use_cases.trace_links import TraceLinks
from shared.use_cases.unheard import UnheardCount
from shared.use_cases.unreadable import UnreadableMessages
from shared.use_cases.write_transition import TransitionWriter
from shared.web.api import Api
from shared.web.not_configured import NotConfiguredApi
from shared.web.show_overview import OverviewPages
from shared.web.show_reset import ResetPages
from shared.web.show_status import StatusAddress

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueServiceClient

APP_DIR: Final = Path(__file__).resolve().parent.parent

# Well under functionTimeout (10 minutes), retries included.
_TABLE_OPTIONS: Final[Mapping[str, Any]] = {
    "connection_timeout": 5,
    "read_timeout": 15,
    "retry_total": 2,
    # Or each call looks for a proxy and reads a .netrc: a sixth of all CPU. Storage needs neither.
    "use_env_settings": False,
}
# The queue client waits 15 seconds before it tries again, unless told otherwise: longer than a
# webhook may take. So it is 2 seconds, then 4, and up to one less or more.
_QUEUE_OPTIONS: Final[Mapping[str, Any]] = {
    **_TABLE_OPTIONS,
    "initial_backoff": 0,
    "increment_base": 2,
    "random_jitter_range": 1,
}


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return str(uuid.uuid4())


class LazyGraph:
    """Open the gateway at its first use: an instance for webhooks never imports the SDK."""

    def __init__(self, settings: Settings, *, on_call: OnCall | None = None) -> None:
        self._settings = settings
        self._on_call = on_call
        self._gateway: Graph | None = None
        self._opening = asyncio.Lock()

    async def __call__(self) -> Graph:
        if self._settings.problems:
            # A bad endpoint was replaced by its default: nothing may be sent there either.
            raise NotSent(f"a setting must be put right: {self._settings.problems[0]}")
        async with self._opening:
            if self._gateway is None:
                # In a thread: several hundred modules would hold up every other invocation.
                module = await asyncio.to_thread(import_module, "shared.adapters.graph.gateway")
                gateway: Graph = module.GraphGateway(
                    self._settings.graph_endpoint,
                    await asyncio.to_thread(self._credential),
                    on_call=self._on_call,
                )
                self._gateway = gateway
            return self._gateway

    async def links(self) -> LinkGraph:
        """What Graph tells of users' links, over the same gateway."""
        gateway: Any = await self()
        links: LinkGraph = gateway.links()
        return links

    def _credential(self) -> Any:
        if self._settings.graph_is_local:
            return None
        return RenewableCredential(
            lambda: identity_credential(self._settings, self._settings.client_id)
        )


def identity_credential(settings: Settings, client_id: str) -> Any:
    """The app's managed identity on Azure, the engineer's own sign-in elsewhere."""
    identity = import_module("azure.identity.aio")
    if settings.managed_identity:
        return identity.ManagedIdentityCredential(client_id=client_id or None)
    # The tenant of the deployment: az may be signed in to another, where no target exists.
    return identity.AzureCliCredential(tenant_id=os.environ.get("AZURE_TENANT_ID", ""))


def table_service(settings: Settings, storage: Storage) -> TableServiceClient:
    """A client by connection string (Azurite) or by identity, which needs no secret."""
    if storage.connection_string:
        return TableServiceClient.from_connection_string(
            storage.connection_string, **_TABLE_OPTIONS
        )
    credential = identity_credential(settings, storage.client_id)
    return TableServiceClient(storage.table_uri, credential=credential, **_TABLE_OPTIONS)


def queue_service(settings: Settings, storage: Storage) -> "QueueServiceClient":
    """As `table_service`; the first call imports some two hundred modules."""
    client: type[QueueServiceClient] = import_module("azure.storage.queue.aio").QueueServiceClient
    if storage.connection_string:
        return client.from_connection_string(storage.connection_string, **_QUEUE_OPTIONS)
    credential = identity_credential(settings, storage.client_id)
    return client(storage.queue_uri, credential=credential, **_QUEUE_OPTIONS)


def storage_clients(
    settings: Settings, storage: Storage
) -> "tuple[TableServiceClient, QueueServiceClient]":
    return table_service(settings, storage), queue_service(settings, storage)


def storage_adapters(settings: Settings, storage: Storage) -> tuple[TableStore, LazyQueues]:
    """Return the adapters of tables and queues, over clients of their own."""
    tables = table_service(settings, storage)
    store = TableStore(
        tables.get_table_client(RESETS_TABLE),
        tables.get_table_client(IDS_TABLE),
        new_id=new_id,
        calls=PlainCalls(tables),
    )

    async def queues() -> AllQueues:
        # In a thread, as the Graph gateway: its modules would hold up every other invocation.
        module = await asyncio.to_thread(import_module, "shared.adapters.queues")
        sending = await asyncio.to_thread(import_module, "shared.adapters.queue_send")
        service = queue_service(settings, storage)
        found: AllQueues = module.StorageQueues(
            service.get_queue_client(RESETS_QUEUE),
            service.get_queue_client(FOLLOW_UPS_QUEUE),
            service.get_queue_client(NOTIFICATIONS_QUEUE),
            {name: service.get_queue_client(f"{name}-poison") for name in QUEUES},
            send=sending.PlainSend(service),
        )
        return found

    return store, LazyQueues(queues)


def build(environ: Mapping[str, str], *, app_dir: Path = APP_DIR) -> App | NotConfigured:
    """Build everything; a bad setting is logged and kept, never raised."""
    settings = Settings.from_environ(environ, app_dir=app_dir)
    for why in settings.problems:
        emit("settings.bad", why=why)
    if settings.storage is None:
        reporter = Health(sources=None, settings=settings, clock=utc_now)
        return NotConfigured(
            settings=settings, api=NotConfiguredApi(settings=settings, reporter=reporter)
        )
    store, queues = storage_adapters(settings, settings.storage)
    entries = settings.notifiers or {}
    notifiers = {name: make_notifier(entry, clock=utc_now) for name, entry in entries.items()}
    observer = GraphObserver(store=store, clock=utc_now)
    graph = LazyGraph(settings, on_call=observer.saw)
    return assemble(
        settings,
        store=store,
        queues=queues,
        graph=graph,
        link_graph=graph.links,
        observer=observer,
        notifiers=notifiers,
        clock=utc_now,
        new_id=new_id,
        jitter=random.random,
        guarded=True,
    )


def assemble(
    settings: Settings,
    *,
    store: Store,
    queues: AllQueues,
    graph: Callable[[], Awaitable[Graph]],
    link_graph: Callable[[], Awaitable[LinkGraph]],
    observer: GraphObserver,
    notifiers: Mapping[str, Notifier],
    clock: Clock,
    new_id: Callable[[], str],
    jitter: Callable[[], float],
    engine_type: type[Engine] = Engine,
    machine: StateMachine = transition,
    guarded: bool = False,
) -> App:
    """
    Put the use cases together over the ports.

    The caller decides what the world is made of; *engine_type* and *machine* let the crash tests
    prove that they notice a wrong one. *guarded*: every function also looks whether the sweep's
    timer is late.
    """
    listeners = listeners_of(settings)
    others = OtherResets(resets=store, clock=clock)
    engine = engine_type(
        resets=store,
        limits=store,
        writer=TransitionWriter(
            resets=store,
            others=others,
            links=store,
            queues=queues,
            settings=settings,
            listeners=listeners,
            clock=clock,
            transition=machine,
        ),
        calls=JobCalls(graph=graph, settings=settings, clock=clock, jitter=jitter),
        links=TraceLinks(rows=store, graph=link_graph, settings=settings, clock=clock),
        budget=RestartBudget(limits=store, settings=settings, clock=clock),
        others=others,
        settings=settings,
        clock=clock,
        new_id=new_id,
    )
    admission = Admission(census=store, settings=settings, clock=clock)
    refused = TellRefused(
        outbox=store,
        resets=store,
        queues=queues,
        settings=settings,
        listeners=listeners,
        clock=clock,
    )
    acceptance = Acceptance(
        resets=store,
        admission=admission,
        unheard=UnheardCount(census=store, clock=clock),
        queues=queues,
        settings=settings,
        listeners=listeners,
        clock=clock,
    )
    submission = Submission(acceptance=acceptance, queues=queues)
    sweeper = Sweep(schedule=store, heartbeats=store, queues=queues, clock=clock)
    watch = SweepWatch(heartbeats=store, late=late_after(settings.sweep_schedule), clock=clock)
    stand_in = StandIn(heartbeats=store, sweep=sweeper, watch=watch, clock=clock)
    lookup = Lookup(resets=store)
    decisions = DecideReset(resets=store, reader=store, engine=engine, clock=clock)
    backlog = ReadBacklog(rows=store, settings=settings, clock=clock)
    return App(
        settings=settings,
        runs=RunReset(
            resets=store,
            dead_letters=store,
            acceptance=acceptance,
            refused=refused,
            engine=engine,
            clock=clock,
        ),
        sweeper=sweeper,
        substitute=stand_in if guarded else None,
        remediation=Remediation(
            observations=store,
            resets=store,
            limits=store,
            heartbeats=store,
            submission=submission,
            graph=graph,
            settings=settings,
            clock=clock,
        ),
        housekeeping=Housekeeping(
            archive=store,
            dead_letters=store,
            heartbeats=store,
            poison=queues,
            acceptance=acceptance,
            refused=refused,
            retention=settings.retention,
            clock=clock,
        ),
        notifications=Notify(
            outbox=store,
            turns=NotifierTurns(
                paces=store,
                terms={name: each.terms for name, each in (settings.notifiers or {}).items()},
            ),
            undelivered=store,
            resets=store,
            queues=queues,
            notifiers=notifiers,
            clock=clock,
            jitter=jitter,
        ),
        api=Api(
            settings=settings,
            submission=submission,
            webhooks=ReceiveWebhook(
                submission=submission,
                settings=settings,
                clock=clock,
                refusals=RefusalLog(clock=clock),
            ),
            decisions=decisions,
            lookup=lookup,
            messages=UnreadableMessages(kept=store, submission=submission, clock=clock),
            statuses=StatusAddress(
                settings=settings,
                status=ReadStatus(keys=store, resets=store, new_key=lambda: secrets.token_hex(32)),
            ),
            pages=ResetPages(settings=settings, lookup=lookup, decisions=decisions, clock=clock),
            overviews=OverviewPages(
                settings=settings,
                overview=Overview(
                    rows=store, lookup=lookup, backlog=backlog, settings=settings, clock=clock
                ),
                lookup=lookup,
                submission=submission,
                clock=clock,
                new_id=lambda: uuid.uuid4().hex,
            ),
            reporter=Health(
                sources=Sources(vitals=store, backlog=backlog, queues=queues, watch=watch),
                settings=settings,
                clock=clock,
            ),
            new_id=lambda: uuid.uuid4().hex,
        ),
        observer=observer,
    )


@cache
def application() -> App | NotConfigured:
    """The app of this process."""
    quiet_libraries()
    return build(os.environ)


def timer_settings() -> Settings:
    """
    The settings that the triggers of the timers need; the app is built on the way.

    So no invocation waits for that. Where it fails, Azure would find no function at all and
    answer 404: each invocation meets the failure instead, and says what it is.
    """
    try:
        return application().settings
    except Exception:  # noqa: BLE001 -- raised by `application` again, for each invocation
        return Settings.from_environ(os.environ, app_dir=APP_DIR)


def listeners_of(settings: Settings) -> Listeners:
    """Who wants to hear, and whose requests may have it written to."""
    if settings.notifiers is None:
        return None
    return {
        name: replace(
            each.listener,
            senders=frozenset(
                sender.name for sender in settings.senders.values() if name in sender.notifiers
            ),
        )
        for name, each in settings.notifiers.items()
    }
