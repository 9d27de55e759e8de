"""An app in miniature: the real engine over the fakes, with a clock that is set by hand."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.accept import Acceptance, Accepted
from shared.advance import Engine
from shared.config import Settings
from shared.intake import Intake
from shared.models import AnswerKind, Claim, Reset
from shared.ports import Graph
from shared.requests import Received, ResetRequest
from shared.sweep import Sweep
from tests.support.graph import FakeGraph, healthy
from tests.support.memory import MemoryQueues, MemoryStore

SP = "11111111-2222-3333-4444-555555555555"
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TARGET = "salesforce-prod"
ENVIRON: Mapping[str, str] = {
    "ResetStorage": "UseDevelopmentStorage=true",
    "GRAPH_ENDPOINT": "http://127.0.0.1:7072",
    "RESETS_ENABLED": "true",
    "RESET_TARGETS": json.dumps({TARGET: {"servicePrincipalId": SP, "jobId": "job-1"}}),
}


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class World:
    """Everything built over fakes; `settings` may be replaced before the first call."""

    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    clock: Clock = field(default_factory=Clock)
    store: MemoryStore = field(default_factory=MemoryStore)
    queues: MemoryQueues = field(default_factory=MemoryQueues)
    listeners: dict[str, frozenset[AnswerKind]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = FakeGraph(clock=self.clock, job=healthy(self.clock()))
        self.numbers = itertools.count(1)
        self.rebuild()

    def rebuild(self, **environ: str) -> None:
        """Start the app again, with other settings."""
        self.environ |= environ
        self.settings = Settings.from_environ(self.environ, app_dir=Path("/nowhere"))

        async def graph() -> Graph:
            return self.graph

        self.engine = Engine(
            store=self.store,
            queues=self.queues,
            graph=graph,
            settings=self.settings,
            listeners=self.listeners,
            clock=self.clock,
            new_id=lambda: f"client-{next(self.numbers)}",
            jitter=lambda: 1.0,
        )
        self.acceptance = Acceptance(
            store=self.store, settings=self.settings, listeners=self.listeners, clock=self.clock
        )
        self.intake = Intake(
            store=self.store, acceptance=self.acceptance, engine=self.engine, clock=self.clock
        )
        self.sweeping = Sweep(store=self.store, queues=self.queues, clock=self.clock)

    async def accept(self, request_id: str = "r1", **fields: object) -> Accepted:
        request = ResetRequest(target=TARGET, request_id=request_id, **fields)  # type: ignore[arg-type]
        return await self.acceptance.accept(Received(id=request_id, request=request), via="queue")

    async def send(self, text: str, *, message_id: str = "m1") -> None:
        await self.intake.run(text, message_id=message_id, came_at=self.clock())

    async def ask(self, request_id: str = "r1", **fields: object) -> Reset:
        """A request comes by queue; return what became of it at once."""
        accepted = await self.accept(request_id, **fields)
        reset = await self.engine.advance(accepted.claim)
        assert reset is not None
        return reset

    async def look(self, request_id: str = "r1") -> Reset:
        """Advance once, as a follow-up message would."""
        reset = await self.engine.advance(self.store.ids[request_id])
        assert reset is not None
        return reset

    async def quiesce(self, *, rounds: int = 50) -> None:
        """Sweep and deliver at this moment until nothing is sent any more."""
        for _ in range(rounds):
            await self.sweeping.sweep()
            if not self.queues.follow_ups:
                return
            waiting, self.queues.follow_ups = self.queues.follow_ups, []
            for reset_id in waiting:
                await self.engine.advance(self.store.ids[reset_id])
        raise AssertionError("it never becomes quiet")

    async def row(self, request_id: str = "r1") -> Reset:
        stored = await self.store.read_reset(self.store.ids[request_id])
        assert stored is not None
        return stored.row

    async def history(self, request_id: str = "r1") -> list[str]:
        return [str(event.state) for event in await self.store.events(await self.row(request_id))]

    def head(self) -> str:
        cell = self.store.cells.get((TARGET, "job"))
        return cell.value.head if cell else ""

    def is_due_row_there(self, request_id: str = "r1") -> bool:
        return (TARGET, f"due:reset:{request_id}") in self.store.cells


def claim_of(reset: Reset) -> Claim:
    return Claim(id=reset.id, target=reset.target, requested_at=reset.requested_at, content_hash="")
