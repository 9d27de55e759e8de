"""
Many requests, several processes, interleaved at every await, by a seed.

Each I/O of the app waits until the seed lets it go on, some of them for long. Between two I/Os
anything may happen: a message is brought, doubled or lost, two requests come at once, the sweep
ticks, time jumps, a process dies, an I/O breaks, a person decides, or restarts the job in the
portal. The audit log and the job's status may come up to two hours late, the log not at all; a
restart may take effect 40 seconds after the intent. The processes' clocks differ by up to half a
minute. In the end everything runs on without faults until it is quiet, and the invariants must
hold.
"""

import asyncio
import contextvars
import json
import random
from collections.abc import Coroutine
from copy import replace
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.adapters.table_store import TableStore
from shared.app import App
from shared.domain.deciders import LIFTED_BY_A_PERSON
from shared.domain.quarantine import QUARANTINE_RULES
from shared.domain.reset import OPEN, State
from shared.domain.sync_job import AuditTrail
from shared.names import FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, REMEDIATE, RESETS_QUEUE
from shared.use_cases.advance import Engine
from shared.web.respond import respond
from tests.crash.scenarios import CYCLE, ENTRY, ENVIRON
from tests.support.calls import call
from tests.support.faults import KINDS, Crash, Faults
from tests.support.host import EXPECTED, LEASE, MAX_DEQUEUE, RETRY, Host, resets, waits_for_person
from tests.support.storage import MemoryQueue, Message
from tests.support.world import TARGET, World

PROCESSES = 3
SKEW = 30
STEPS = 900
REQUESTS = 7
REASONS = [
    *QUARANTINE_RULES,
    "EncounteredEscrowProportionThreshold",
    "EncounteredEscrowProportionThreshold",
]
SIMULATED = {**ENVIRON, "RESET_TARGETS": json.dumps({TARGET: {**ENTRY, "schedule": "PT5H"}})}
LATE_BY = [0, 0, 0, 2, 45, 120]
"""Minutes."""

BREAKS = [kind for kind in KINDS if not kind.startswith("crash")]


@dataclass(eq=False)
class Process:
    """One worker of the app, with a clock of its own."""

    app: App
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


OWNER: contextvars.ContextVar[Process] = contextvars.ContextVar("OWNER")
"""The process that a task belongs to, and every task that it starts."""


class Simulation:
    def __init__(
        self,
        seed: int,
        *,
        engine_type: type[Engine] = Engine,
        store_type: type[TableStore] = TableStore,
    ) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        environ = {**SIMULATED, "RESET_DAILY_BUDGET": self.dice.choice(["10", "10", "1", "2"])}
        if self.dice.random() < 0.5:
            environ["WEBSITE_AUTH_ENABLED"] = "True"
        self.world = World(
            environ=environ, faults=Faults(), engine_type=engine_type, store_type=store_type
        )
        self.one_after_another = self.dice.random() < 0.4
        """Requests come when none is open: these wait for the cooldown and the budget."""
        graph = self.world.graph
        graph.cycle_takes = CYCLE
        graph.trail = AuditTrail(readable=self.dice.random() < 0.7)
        graph.audit_delay = timedelta(minutes=self.dice.choice(LATE_BY))
        graph.status_lag = timedelta(minutes=self.dice.choice(LATE_BY))
        graph.effect_after = timedelta(seconds=self.dice.choice([0, 0, 5, 40]))
        self.host = Host(self.world)
        self.gates: list[tuple[asyncio.Future[None], Process]] = []
        self.processes = [self._process() for _ in range(PROCESSES)]
        self.held: dict[asyncio.Future[None], int] = {}
        """Which I/O does not go on before so many have been released."""
        self.released = 0
        self.asked: list[str] = []
        self.defects: list[Exception] = []
        self.broken = 0
        """How often a process was killed, or an I/O broken."""
        self._open_gates(self._pause)

    def _process(self) -> Process:
        skew = timedelta(seconds=self.dice.randint(-SKEW, SKEW))
        world = self.world
        return Process(app=world.process(clock=lambda: world.clock() + skew))

    def _open_gates(self, pause: Any) -> None:
        self.world.storage.interleave(pause)
        self.world.graph.pause = pause
        self.world.desk.pause = pause

    async def _pause(self, what: str) -> None:
        del what
        owner = OWNER.get()
        if owner not in self.processes:
            # Of a process that has died meanwhile.
            raise Crash("dead")
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append((gate, owner))
        await gate

    # The run

    async def run(self) -> int:
        """Return how many different requests there were."""
        try:
            for _ in range(STEPS):
                await self._step()
            await self._settle_down()
        finally:
            await self._abandon()
        made = sum(x.via == REMEDIATE for x in resets(self.world))
        return len(set(self.asked)) + made

    async def _abandon(self) -> None:
        """Whatever is still under way dies; nothing may outlive the run."""
        while self.processes:
            self._end(self.processes.pop())
        await self._settle()

    async def _step(self) -> None:
        actions = {
            self._release: 60 if self.gates else 0,
            self._hold_up: 2 if self.gates else 0,
            self._bring: 14,
            self._tick: 4,
            self._remediate: 3,
            self._fall_ill_or_recover: 1,
            self._restart_in_the_portal: 1,
            self._open_or_close_the_log: 0.3,
            self._time: 8,
            self._request: 3,
            self._ask_together: 0 if self.one_after_another else 1,
            self._kill: 1,
            self._double_or_lose: 2,
            self._break: 3,
            self._decide: 2,
        }
        (action,) = self.dice.choices(list(actions), weights=list(actions.values()))
        action()
        await self._settle()

    async def _settle(self) -> None:
        """Let every task run to its next I/O."""
        for _ in range(10):
            await asyncio.sleep(0)

    def _release(self) -> None:
        self.released += 1
        going = [n for n, (gate, _) in enumerate(self.gates) if self._goes_on(gate)]
        gate, _ = self.gates.pop(self.dice.choice(going or range(len(self.gates))))
        if not gate.done():
            gate.set_result(None)

    def _goes_on(self, gate: asyncio.Future[None]) -> bool:
        return self.held.get(gate, 0) <= self.released

    def _hold_up(self) -> None:
        """One I/O takes so long that others do theirs meanwhile, as far as a POST and its end."""
        gate, _ = self.dice.choice(self.gates)
        self.held[gate] = self.released + self.dice.randint(5, 60)

    def _start(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        context = contextvars.copy_context()
        context.run(OWNER.set, process)
        task = asyncio.get_running_loop().create_task(work, context=context)
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)

    def _bring(self) -> None:
        queues = [q for n, q in self.world.storage.queues.items() if not n.endswith("-poison")]
        queue = self.dice.choice(queues)
        for message in queue.take(LEASE, most=1):
            process = self.dice.choice(self.processes)
            self._start(process, self._handle(process, queue, message, message.pop_receipt))

    async def _handle(
        self, process: Process, queue: MemoryQueue, message: Message, receipt: str
    ) -> None:
        app, text, came_at = process.app, message.content, self.world.clock()
        try:
            if queue.queue_name == RESETS_QUEUE:
                await app.run_reset(text.encode(), message_id=message.id, came_at=came_at)
            elif queue.queue_name == FOLLOW_UPS_QUEUE:
                await app.follow_up_reset(text.encode(), message_id=message.id)
            else:
                await app.notify(text.encode())
        except Crash:
            return
        except EXPECTED:
            self._failed(queue, message, receipt)
            return
        except Exception as error:
            self.defects.append(error)
            return
        if message.pop_receipt == receipt:
            queue.messages.pop(message.id, None)

    def _failed(self, queue: MemoryQueue, message: Message, receipt: str) -> None:
        if message.pop_receipt != receipt:
            return
        if message.dequeue_count < MAX_DEQUEUE:
            message.visible_at = self.world.clock() + RETRY
            return
        queue.messages.pop(message.id, None)
        poison = self.world.storage.queues[f"{queue.queue_name}-poison"]
        copy = f"copy-of-{message.id}"
        poison.messages[copy] = Message(copy, message.content, self.world.clock())

    def _tick(self) -> None:
        process = self.dice.choice(self.processes)
        self._start(process, self._quietly(process.app.sweep()))

    def _remediate(self) -> None:
        process = self.dice.choice(self.processes)
        self._start(process, self._quietly(process.app.remediate()))

    def _fall_ill_or_recover(self) -> None:
        graph = self.world.graph
        if graph.job.quarantine is not None:
            graph.lift_quarantine()
        elif self.dice.random() < 0.3:
            graph.quarantine(self.dice.choice(REASONS))

    def _restart_in_the_portal(self) -> None:
        self.world.graph.restart_in_the_portal()

    def _open_or_close_the_log(self) -> None:
        """The permission for the audit log is granted, or taken away."""
        trail = self.world.graph.trail
        self.world.graph.trail = replace(trail, readable=not trail.readable)

    async def _quietly(self, work: Any) -> None:
        try:
            await work
        except (Crash, *EXPECTED):
            # The timer's next tick comes anyway.
            return
        except BaseExceptionGroup as group:
            # A crash in one of several tasks ends them all; the timer's failures come together.
            if group.subgroup(Crash) is None and group.split(EXPECTED)[1] is not None:
                raise
        except Exception as error:
            self.defects.append(error)

    def _time(self) -> None:
        self.world.clock.forward(seconds=self.dice.choice([1, 5, 20, 60, 200, 700, 2000, 8000]))

    def _request(self) -> None:
        if self.one_after_another and any(x.state in OPEN for x in resets(self.world)):
            return
        if self.asked and self.dice.random() < 0.3:
            request_id = self.dice.choice(self.asked)
        elif len(set(self.asked)) < REQUESTS:
            request_id = f"r{len(set(self.asked))}"
        else:
            return
        self._put(request_id)

    def _ask_together(self) -> None:
        """Two new requests come at once, each to a process of its own; one may take the Head."""
        if len(set(self.asked)) > REQUESTS - 2:
            return
        queue = self.world.storage.queues[RESETS_QUEUE]
        for process in self.dice.sample(self.processes, 2):
            message = self._put(f"r{len(set(self.asked))}")
            message.visible_at = self.world.clock() + LEASE
            message.dequeue_count, message.pop_receipt = 1, f"{message.id}-at-once"
            self._start(process, self._handle(process, queue, message, message.pop_receipt))

    def _put(self, request_id: str) -> Message:
        self.asked.append(request_id)
        body = {
            "requestId": request_id,
            "target": TARGET,
            "ticket": {"system": "desk", "id": f"T-{request_id}"},
        }
        queue = self.world.storage.queues[RESETS_QUEUE]
        key = f"{request_id}-{len(self.asked)}"
        queue.messages[key] = Message(key, json.dumps(body), self.world.clock())
        return queue.messages[key]

    def _kill(self) -> None:
        self.broken += 1
        self._end(self.processes.pop(self.dice.randrange(len(self.processes))))
        self.processes.append(self._process())

    def _end(self, dead: Process) -> None:
        for gate, owner in [g for g in self.gates if g[1] is dead]:
            self.gates.remove((gate, owner))
            # A task of a group that has ended is cancelled, and its gate with it.
            if not gate.done():
                gate.set_exception(Crash("killed"))

    def _double_or_lose(self) -> None:
        """Only what is not the only copy may be lost: a nudge, a follow-up, a notification."""
        name = self.dice.choice([FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE])
        queue = self.world.storage.queues[name]
        if not queue.messages:
            return
        message = self.dice.choice(list(queue.messages.values()))
        if self.dice.random() < 0.5:
            del queue.messages[message.id]
            return
        again = f"{message.id}-again-{self.dice.randrange(10**6)}"
        queue.messages[again] = Message(again, message.content, self.world.clock())

    def _break(self) -> None:
        self.broken += 1
        self.world.faults.at = self.world.faults.count + self.dice.randint(1, 6)
        self.world.faults.kind = self.dice.choice(BREAKS)

    def _decide(self) -> None:
        there = resets(self.world)
        if not there:
            return
        # By chance alone, a person would hardly ever come upon a wait that can be ended.
        theirs = [x for x in there if waits_for_person(x) or x.waiting_for in LIFTED_BY_A_PERSON]
        x = self.dice.choice(theirs if theirs and self.dice.random() < 0.5 else there)
        if x.state is State.UNKNOWN and x.operator_asked:
            decision = self._truth(x.client_request_id)
        elif x.state is State.AWAITING_APPROVAL:
            decision = self.dice.choice(["approve", "reject"])
        elif x.state is State.WAITING and x.waiting_for in LIFTED_BY_A_PERSON:
            decision = self.dice.choice(["approve", "approve", "cancel"])
        elif x.state is State.WAITING and self.dice.random() < 0.2:
            decision = "cancel"
        else:
            return
        process = self.dice.choice(self.processes)
        body = json.dumps({"decision": decision, "by": "boss"}).encode()
        asked = call(body, reset_id=x.id, signed_in=self.world.signed_in("boss"))
        self._start(process, self._quietly(respond(process.app.api.decide_reset, asked)))

    def _truth(self, client_request_id: str) -> str:
        took = {client_id for client_id, effective in self.world.graph.posts if effective}
        return "confirm" if client_request_id in took else "resend"

    # The end

    async def _settle_down(self) -> None:
        """No more faults: everything under way ends, then the host runs until it is quiet."""
        if self.defects:
            raise self.defects[0]
        self.world.faults.at = 0
        while self.gates:
            self._release()
            await self._settle()
        self._open_gates(_at_once)
        if self.world.graph.job.quarantine is not None:
            self.world.graph.lift_quarantine()
        for _ in range(8):
            await self.host.until_quiet()
            asked = [x for x in resets(self.world) if waits_for_person(x)]
            if not asked:
                return
            for x in asked:
                fate = x.state is State.UNKNOWN
                await self.host.decide(self._truth(x.client_request_id) if fate else "reject", x.id)
        raise AssertionError("persons are asked again and again")


async def _at_once(what: str) -> None:
    del what
