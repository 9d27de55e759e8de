"""
An app in miniature: the real use cases and adapters over storage in memory and a scripted Graph.

The clock is set by hand; tests/support/host.py plays the Functions host over it.
"""

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.adapters.graph.observed import GraphObserver
from shared.adapters.table_store import TableStore
from shared.app import App
from shared.bootstrap import assemble
from shared.config import Settings
from shared.domain.errors import NotDelivered, RelinkError
from shared.domain.keys import ASKED
from shared.domain.ports import Graph, Store
from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import (
    Claim,
    HistoryEntry,
    JobObservation,
    JobRow,
    Link,
    Notification,
    NotificationKind,
    Reset,
    State,
)
from shared.domain.states import transition
from shared.domain.transitions import StateMachine
from shared.names import FOLLOW_UPS_QUEUE, RESETS_QUEUE
from shared.use_cases.accept import Accepted
from shared.use_cases.advance import Engine
from shared.use_cases.resend import Resend
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.faults import Faults
from tests.support.graph import FakeGraph, FakeTenant, healthy
from tests.support.link_graph import FakeLinkGraph
from tests.support.storage import Storage

SP = "11111111-2222-3333-4444-555555555555"
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TARGET = "salesforce-prod"
ENVIRON: Mapping[str, str] = {
    "ResetStorage": "UseDevelopmentStorage=true",
    "GRAPH_ENDPOINT": "http://127.0.0.1:7072",
    "RESETS_ENABLED": "true",
    "RESET_TARGETS": json.dumps({TARGET: {"servicePrincipalId": SP, "jobId": "job-1"}}),
    "NOTIFIERS": json.dumps(
        {
            "desk": {
                "kind": "webhook",
                "url": "https://desk.example",
                "on": ["accepted", "awaiting_approval", "unknown", "end"],
            }
        }
    ),
}


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


NOTIFIER_TAKES_AT_MOST = timedelta(seconds=20)


@dataclass
class RecordingNotifier:
    """Keeps what it was given; may be down, or take an answer and lose its own."""

    faults: Faults
    delivered: list[Notification] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    down_until: datetime = START
    pause: Callable[[str], Awaitable[None]] | None = None
    refuses: RelinkError | None = None
    tries: int = 0

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        def perform() -> None:
            if again and any((a.id, a.n) == (answer.id, answer.n) for a in self.delivered):
                return
            self.delivered.append(answer)

        began = self.clock()
        self.tries += 1
        if self.refuses is not None:
            raise self.refuses
        if self.pause is not None:
            await self.pause("notifier deliver")
        if self.clock() - began > NOTIFIER_TAKES_AT_MOST:
            raise NotDelivered("timeout")
        if self.clock() < self.down_until:
            raise NotDelivered("the ticket system is down")
        self.faults.meet("notifier deliver", perform, NotDelivered)


@dataclass
class World:
    """Everything; `rebuild` starts the app's process again."""

    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    engine_type: type[Engine] = Engine
    store_type: type[TableStore] = TableStore
    machine: StateMachine = transition
    guarded: bool = False

    def __post_init__(self) -> None:
        self.storage = Storage(self.clock, self.faults)
        self.graph = FakeGraph(clock=self.clock, job=healthy(self.clock()), faults=self.faults)
        self.tenant = FakeTenant(self.graph)
        self.links = FakeLinkGraph(faults=self.faults)
        self.desk = RecordingNotifier(self.faults, clock=self.clock)
        self.other = RecordingNotifier(self.faults, clock=self.clock)
        self.numbers = itertools.count(1)
        self.spent_at_crashes: list[tuple[int, int]] = []
        """Places of the budget taken, and restarts sent, whenever a process died."""
        self.rebuild()

    def rebuild(self, **environ: str) -> None:
        """Start the app again, with other settings; what was in memory is gone."""
        self.environ |= environ
        self.settings = Settings.from_environ(self.environ, app_dir=Path("/nowhere"))
        for alias, target in (self.settings.catalogue or {}).items():
            if alias != TARGET and target.service_principal_id not in self.tenant.others:
                job = healthy(self.clock(), job_id=target.job_id or "job-1")
                graph = FakeGraph(clock=self.clock, job=job, faults=self.faults)
                self.tenant.others[target.service_principal_id] = graph
        self.app = self.process()

    def graph_of(self, alias: str) -> FakeGraph:
        """The job of one target of the catalogue; `graph` is the usual one's."""
        assert self.settings.catalogue is not None
        return self.tenant.of(self.settings.catalogue[alias].service_principal_id)

    def process(
        self, clock: Callable[[], datetime] | None = None, storage: Storage | None = None
    ) -> App:
        """One more process of the app, with a clock and clients of its own if need be."""
        seen = storage or self.storage
        store = seen.store(self.store_type)
        observer = GraphObserver(store=store, clock=clock or self.clock)

        async def graph() -> Graph:
            return replace(self.tenant, on_call=observer.saw)

        async def link_graph() -> FakeLinkGraph:
            return self.links

        return assemble(
            self.settings,
            store=store,
            queues=seen.adapter(),
            graph=graph,
            link_graph=link_graph,
            observer=observer,
            notifiers={"desk": self.desk, "other": self.other},
            clock=clock or self.clock,
            new_id=lambda: f"client-{next(self.numbers)}",
            jitter=lambda: 1.0,
            engine_type=self.engine_type,
            machine=self.machine,
            guarded=self.guarded,
        )

    # What a test does

    async def accept(
        self, request_id: str = "r1", *, via: str = "queue", **fields: object
    ) -> Accepted:
        request = ResetRequest(
            **{"target": TARGET, "request_id": request_id, **fields}  # type: ignore[arg-type]
        )
        return await self.app.runs.acceptance.accept(
            Received(id=request_id, request=request), via=via
        )

    async def ask(self, request_id: str = "r1", **fields: Any) -> Reset:
        """A request comes by queue; return what became of it at once."""
        accepted = await self.accept(request_id, **fields)
        return await self._advance(accepted.claim)

    async def look(self, request_id: str = "r1") -> Reset:
        """Advance once, as a follow-up message would."""
        return await self._advance(await self.claim(request_id))

    async def _advance(self, claim: Claim) -> Reset:
        reset = await self.app.runs.engine.advance(claim)
        assert reset is not None
        return reset

    async def send(self, text: str, *, message_id: str = "m1") -> None:
        await self.app.run_reset(text.encode(), message_id=message_id, came_at=self.clock())

    async def decide(self, decision: str, *, by: str = "boss", request_id: str = "r1") -> int:
        body = json.dumps({"decision": decision, "by": by}).encode()
        asked = call(body, reset_id=request_id, signed_in=self.signed_in(by))
        return (await respond(self.app.api.decide_reset, asked)).status

    def signed_in(self, name: str) -> str:
        """The header of this person, where people sign in."""
        return principal(name) if self.settings.sign_in else ""

    async def quiesce(self, *, rounds: int = 50) -> None:
        """Sweep and deliver at this moment until nothing is sent any more."""
        for _ in range(rounds):
            await self.app.sweep()
            if not await self.deliver():
                return
        raise AssertionError("it never becomes quiet")

    async def resend(self) -> list[Notification]:
        """Do as `make resend` does."""
        store, queues = self.storage.store(self.store_type), self.storage.adapter()
        again = Resend(undelivered=store, paces=store, queues=queues, clock=self.clock)
        return await again.resend()

    async def health(self) -> dict[str, Any]:
        """Return the report as a person who is signed in sees it."""
        return (await self.app.api.reporter.report("", signed_in=True)).body

    async def put_answers(self, notifier: str, count: int) -> None:
        """Leave answers in the outbox, each nudged, as the transactions of joined requests do."""
        store, queues = self.storage.store(), self.storage.adapter()
        await store.remember_target(TARGET, at=self.clock())
        for number in range(count):
            await store.put_back(
                Notification(
                    id=f"{notifier}-{number:05d}",
                    target=TARGET,
                    n=2,
                    kind=NotificationKind.END,
                    notifier=notifier,
                    ticket_id=f"INC{number}",
                    ticket_url="",
                    state=State.JOINED,
                    text="joined",
                    at=self.clock(),
                    due_at=self.clock(),
                )
            )
            await queues.notification(TARGET, f"{notifier}-{number:05d}", 2)

    async def tick(self) -> None:
        """Sweep once, and bring what was sent to its function."""
        await self.app.sweep()
        while await self.deliver():
            pass

    async def deliver(self) -> int:
        """Bring every message that is there to its function, once."""
        count = 0
        for name, queue in self.storage.queues.items():
            for message in [] if name.endswith("-poison") else queue.take(timedelta(0), most=99):
                text = message.content
                if name == RESETS_QUEUE:
                    await self.app.run_reset(
                        text.encode(), message_id=message.id, came_at=self.clock()
                    )
                elif name == FOLLOW_UPS_QUEUE:
                    await self.app.follow_up_reset(text.encode(), message_id=message.id)
                else:
                    await self.app.notify(text.encode())
                del queue.messages[message.id]
                count += 1
        return count

    # What a test looks at

    async def claim(self, request_id: str = "r1") -> Claim:
        claim = await self._spectator().find(request_id)
        assert claim is not None
        return claim

    async def row(self, request_id: str = "r1") -> Reset:
        stored = await self._spectator().read_reset(await self.claim(request_id))
        assert stored is not None
        return stored.row

    async def events(self, request_id: str = "r1") -> list[HistoryEntry]:
        return await self._spectator().events(await self.row(request_id))

    async def links_of(self, request_id: str) -> list[Link]:
        return await self._spectator().links(await self.row(request_id))

    async def history(self, request_id: str = "r1") -> list[str]:
        return [str(event.state) for event in await self.events(request_id)]

    async def job(self, target: str = TARGET) -> JobRow:
        return (await self._spectator().read_job(target)).row

    async def watch(self, target: str = TARGET) -> JobObservation:
        return (await self._spectator().read_observation(target)).row

    def keys(self, partition: str) -> list[str]:
        return list(self.storage.resets.cells.partitions.get(partition, []))

    def unreadable(self) -> list[str]:
        """The keys of the messages themselves; their indexes come after."""
        return [key for key in self.keys("unreadable") if key < ASKED]

    def waiting(self, queue: str = FOLLOW_UPS_QUEUE) -> list[str]:
        return [m.content for m in self.storage.queues[queue].messages.values()]

    def answers(self) -> list[str]:
        return [key for _, key in self.storage.resets.cells if key.startswith("due:answer:")]

    def told(self) -> list[tuple[str, str]]:
        return [(a.id, str(a.kind)) for a in self.desk.delivered]

    def _spectator(self) -> Store:
        """Looking from outside is no I/O of the app's."""
        looking = self.storage.shared()
        looking.faults = Faults()
        looking.resets.faults = looking.ids.faults = looking.faults
        return looking.store()
