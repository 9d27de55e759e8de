"""
A month of a tenant in minutes: many targets, a tick each quarter of an hour, the rest by a seed.

The app is the real one over storage in memory. Around it live jobs that fall ill for every reason,
tickets alone and in storms, people who approve, reject and put things right, restarts in the
portal, outages of Graph, of storage and of the ticket system, lost answers, a fault of the whole
fleet, and half a day with the kill switch thrown.
"""

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.quarantine import QUARANTINE_RULES
from shared.domain.reset import ENDED, Fleet, Reset, State
from shared.domain.sync_job import AuditTrail, StaleLink, StaleLinks
from shared.names import REMEDIATE, RESETS_QUEUE
from tests.support.faults import Faults
from tests.support.graph import FakeGraph
from tests.support.host import Host, resets
from tests.support.storage import Message
from tests.support.world import ENVIRON, SP, START, TARGET, World

STEP = timedelta(minutes=15)
COOLDOWN = timedelta(days=1)
BUDGET = 10
STORM = 20
FIRST_STORM = timedelta(hours=3)
REASONS = [*QUARANTINE_RULES, "BrandNewReason"]
CURABLE = "EncounteredEscrowProportionThreshold"


@dataclass
class Weather(Faults):
    """Outages: every I/O whose name begins like one of `down` fails."""

    down: tuple[str, ...] = ()

    def meet[T](
        self, what: str, perform: Callable[[], T], broken: Callable[[str], BaseException]
    ) -> T:
        self.count += 1
        if self.down and what.startswith(self.down):
            raise broken("503")
        return perform()


@dataclass(kw_only=True)
class Sent:
    """One POST: when, for whom, of whose making, and whether it took effect."""

    at: datetime
    target: str
    reset: str
    automatic: bool
    reason: str
    effective: bool = False


@dataclass
class Month:
    targets: int
    days: int
    seed: int = 1
    sent: list[Sent] = field(default_factory=list)
    fell_ill: Counter[str] = field(default_factory=Counter)
    tickets: int = 0
    storms: list[list[str]] = field(default_factory=list)
    elsewhere: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    fleet_fault: tuple[datetime, datetime] = (START, START)
    switched_off: tuple[datetime, datetime] = (START, START)
    at_worst: Fleet = field(default_factory=Fleet)
    heal_at: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.aliases = [TARGET, *(f"app-{n}" for n in range(1, self.targets))]
        self.weather = Weather()
        self.world = World(environ=self._environ(), faults=self.weather)
        self.host = Host(self.world)
        self.ends = START + timedelta(days=self.days)
        for alias in self.aliases:
            graph = self.world.graph_of(alias)
            graph.cycle_takes = timedelta(minutes=self.dice.choice([20, 60, 150, 300]))
            graph.trail = AuditTrail(readable=True)
            graph.pause = _Recorder(self, alias)
        day = timedelta(days=1)
        begins = START + self.days * day * 0.5
        self.fleet_fault = (begins, begins + timedelta(hours=12))
        off = START + self.days * day * 0.75
        self.switched_off = (off, off + timedelta(hours=12))

    def _environ(self) -> dict[str, str]:
        dice, catalogue = self.dice, dict[str, object]()
        for n, alias in enumerate(self.aliases):
            catalogue[alias] = {
                "servicePrincipalId": SP if n == 0 else str(uuid.UUID(int=n)),
                "jobId": "job-1",
                "notify": "desk",
                "remediate": {"after": "PT2H", "staleLinks": 3} if n % 5 else None,
                "schedule": "P7D" if n % 4 == 0 else None,
                "approval": dice.choice(["never", "never", "automatic", "always"])
                if n
                else "never",
            }
        return {
            **ENVIRON,
            "FOLLOW_UP_INTERVAL": "PT30M",
            "RESET_DAILY_BUDGET": str(BUDGET),
            "RESET_TARGETS": json.dumps(catalogue),
        }

    # The run

    async def run(self) -> None:
        while self.world.clock() < self.ends:
            self._happen()
            await self._step()
        await self._end()

    async def _step(self) -> None:
        await self.host.remediate()
        for _ in range(20):
            await self.host.sweep()
            if not self.host.ready():
                break
            await self.host.deliver()
        if self.world.clock().minute == 0:
            await self._people()
        self.world.clock.forward(minutes=15)

    async def _end(self) -> None:
        """A few quiet days: the sky is clear, people answer, and all that is open ends."""
        self.weather.down = ()
        self.world.rebuild(RESETS_ENABLED="true")
        for alias in self.aliases:
            if self.world.graph_of(alias).job.quarantine is not None:
                self.world.graph_of(alias).lift_quarantine()
        for _ in range(10 * 24 * 4):
            if all(x.state in ENDED for x in resets(self.world)) and not self.world.answers():
                return
            await self._quiet_step()
        raise AssertionError([(x.id, x.state, x.detail) for x in self.open()])

    async def _quiet_step(self) -> None:
        for _ in range(20):
            await self.host.sweep()
            if not self.host.ready():
                break
            await self.host.deliver()
        await self._people()
        self.world.clock.forward(minutes=15)

    # What happens around the app

    def _happen(self) -> None:
        self._skies()
        for alias in self.aliases:
            self._live(alias)
        if self._now_and_then(per_day=max(2.0, 0.05 * self.targets)):
            self._fall_ill(self.dice.choice(self.aliases), self.dice.choice(REASONS))
        if self._now_and_then(per_day=max(3.0, 0.12 * self.targets)):
            self._ticket(self.dice.choice(self.aliases))
        if self.world.clock() == START + FIRST_STORM:
            self._storm(TARGET)
        elif self._now_and_then(per_day=0.3):
            self._storm(self.dice.choice(self.aliases))
        if self._now_and_then(per_day=0.3):
            self._restart_elsewhere(self.dice.choice(self.aliases))
        if self._now_and_then(per_day=0.3):
            self._stale(self.dice.choice(self.aliases))

    def _now_and_then(self, *, per_day: float) -> bool:
        return self.dice.random() < per_day * (STEP / timedelta(days=1))

    def _skies(self) -> None:
        now = self.world.clock()
        hours = (now - START) / timedelta(hours=1)
        down = []
        if hours % 131 < 3:
            down.append("graph")
        if hours % 89 < 0.5:
            down.append("table")
        self.weather.down = tuple(down)
        if hours % 67 < 0.25:
            self.world.desk.down_until = now + timedelta(hours=5)
        begins, ends = self.fleet_fault
        if begins <= now < begins + STEP:
            for alias in self.dice.sample(self.aliases, k=len(self.aliases) * 6 // 10):
                self._fall_ill(alias, CURABLE, heals=ends)
            ill = [alias for alias in self.aliases if self.world.graph_of(alias).job.quarantine]
            self.at_worst = Fleet(seen=self.targets, quarantined=len(ill))
        off = self.switched_off[0] <= now < self.switched_off[1]
        if off is (self.world.environ["RESETS_ENABLED"] == "true"):
            self.world.rebuild(RESETS_ENABLED="no" if off else "true")

    def _live(self, alias: str) -> None:
        graph, now = self.world.graph_of(alias), self.world.clock()
        if alias in self.heal_at and now >= self.heal_at[alias]:
            del self.heal_at[alias]
            if graph.job.quarantine is not None:
                graph.lift_quarantine()
        if graph.job.code == "Active":
            graph.incremental_cycle()
        elif graph.job.code == "NotRun" and self._now_and_then(per_day=0.5):
            # What was wrong is still wrong: the restart did not help.
            self._fall_ill(alias, CURABLE)

    def _fall_ill(self, alias: str, reason: str, *, heals: datetime | None = None) -> None:
        graph = self.world.graph_of(alias)
        if graph.job.quarantine is not None:
            return
        self.fell_ill[reason] += 1
        graph.quarantine(reason)
        days = self.dice.uniform(0.5, 4)
        self.heal_at[alias] = heals or self.world.clock() + timedelta(days=days)

    def _ticket(self, alias: str) -> str:
        self.tickets += 1
        graph = self.world.graph_of(alias)
        if self.dice.random() < 0.1:
            graph.scripted = [self.dice.choice(["timeout", "lost answer", "429", "503"])]
        text = json.dumps(
            {
                "requestId": f"ticket-{self.tickets}",
                "target": alias,
                "requestedBy": "ann",
                "ticket": {"system": "desk", "id": f"INC{self.tickets}"},
            }
        )
        queue = self.world.storage.queues[RESETS_QUEUE]
        key = f"m-{self.tickets}"
        queue.messages[key] = Message(key, text, self.world.clock())
        return f"ticket-{self.tickets}"

    def _storm(self, alias: str) -> None:
        self.storms.append([self._ticket(alias) for _ in range(STORM)])

    def _restart_elsewhere(self, alias: str) -> None:
        graph = self.world.graph_of(alias)
        if graph.job.code == "Active":
            self.elsewhere += 1
            graph.take_restart()

    def _stale(self, alias: str) -> None:
        now = self.world.clock()
        links = tuple(StaleLink(user_id=f"u{n}", at=now) for n in range(4))
        self.world.graph_of(alias).stale = StaleLinks(readable=True, links=links)

    async def _people(self) -> None:
        """Somebody looks at what is asked, sooner or later, and says the truth."""
        if self.weather.down:
            return
        for x in self.open():
            fate = x.state is State.UNKNOWN and x.operator_asked
            if not (fate or x.state is State.AWAITING_APPROVAL) or self.dice.random() < 0.7:
                continue
            decision = self.dice.choice(["approve", "approve", "reject"])
            if fate:
                took = dict(self.world.graph_of(x.target).posts)[x.client_request_id]
                decision = "confirm" if took else "resend"
            await self.host.decide(decision, x.id)
            self.decided[decision] += 1

    def open(self) -> list[Reset]:
        return [x for x in resets(self.world) if x.state not in ENDED]


@dataclass
class _Recorder:
    """Stands before each call to one job's Graph, and writes down every POST."""

    month: Month
    alias: str

    async def __call__(self, what: str) -> None:
        if what != "graph restart":
            return
        month, graph = self.month, self.month.world.graph_of(self.alias)
        (x,) = [x for x in month.open() if x.target == self.alias and x.state is State.SENDING]
        reason = graph.job.quarantine.reason if graph.job.quarantine is not None else ""
        month.sent.append(
            Sent(
                at=month.world.clock(),
                target=self.alias,
                reset=x.id,
                automatic=x.via == REMEDIATE,
                reason=reason,
            )
        )


def effective(month: Month) -> list[Sent]:
    """The POSTs that took effect, each once."""
    found = []
    for alias in month.aliases:
        graph: FakeGraph = month.world.graph_of(alias)
        times = {at for at, took in graph.post_times if took}
        found += [each for each in month.sent if each.target == alias and each.at in times]
    return [replace(each, effective=True) for each in sorted(found, key=lambda each: each.at)]


def report(month: Month) -> str:
    """What came to pass, in words."""
    found, took = resets(month.world), effective(month)
    states = Counter(str(x.state) for x in found)
    causes = Counter(
        x.id.split("-")[0] if x.via == REMEDIATE else "ticket" for x in found if x.sent_at
    )
    days = Counter(f"{each.at:%Y-%m-%d}" for each in took)
    ill = ", ".join(f"{reason} {count}" for reason, count in sorted(month.fell_ill.items()))
    made = ", ".join(f"{name} {count}" for name, count in sorted(causes.items()))
    people = ", ".join(f"{name} {count}" for name, count in sorted(month.decided.items()))
    refused = ", ".join(
        f"{name} {states[name]}" for name in ("refused", "rejected", "expired", "failed")
    )
    lines = {
        "lived": f"{month.days} days of {month.targets} targets, seed {month.seed}",
        "asked for": f"{len(found)} resets, by {month.tickets} tickets ({len(month.storms)} storms "
        f"of {STORM}) and by the timer",
        "quarantines": f"{ill}; at worst {month.at_worst.quarantined} jobs at once",
        "restarts elsewhere": str(month.elsewhere),
        "restarts sent": f"{len(took)}, for {made}; at most {max(days.values(), default=0)} a day "
        f"of {BUDGET}",
        "not sent": f"{refused}; previewed {states['previewed']}",
        "saved by joining": f"{states['joined']} restarts",
        "decided by people": people or "nothing",
        "I/Os": f"{month.weather.count:,}",
    }
    return "\n".join(f"  {name}: {words}" for name, words in lines.items())
