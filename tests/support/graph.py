"""A Graph for the engine's unit tests: one job, scripted answers, everything sent is kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.adapters.graph.observed import OnCall, status_of
from shared.domain.errors import FateUnknown, GraphError, NotSent, Rejected
from shared.domain.reset import Scope
from shared.domain.sync_job import (
    AuditTrail,
    Execution,
    GraphStatus,
    Quarantine,
    RestartSeen,
    StaleLinks,
    SyncJob,
)
from shared.domain.transitions import POST_TAKES_AT_MOST
from tests.support.faults import TAKES_EFFECT, Faults


@dataclass
class FakeGraph:
    """
    `failures` are raised, in order, by the calls that they name.

    The job is shown as it was `status_lag` ago, rows of the audit log come `audit_delay` late, and
    a restart takes effect `effect_after` the POST.
    """

    clock: Callable[[], datetime]
    job: SyncJob
    restarted_at: datetime | None = None
    restarts: list[tuple[str, str, Scope, str]] = field(default_factory=list)
    reads: int = 0
    failures: dict[str, list[GraphError | None]] = field(default_factory=dict)
    trail: AuditTrail = field(default_factory=lambda: AuditTrail(readable=False))
    stale: StaleLinks = field(default_factory=lambda: StaleLinks(readable=False))
    faults: Faults = field(default_factory=Faults)
    cycle_takes: timedelta | None = None
    posts: list[tuple[str, bool]] = field(default_factory=list)
    post_times: list[tuple[datetime, bool]] = field(default_factory=list)
    scripted: list[str] = field(default_factory=list)
    pause: Callable[[str], Awaitable[None]] | None = None
    status_lag: timedelta = timedelta(0)
    audit_delay: timedelta = timedelta(0)
    effect_after: timedelta = timedelta(0)
    to_take_effect: list[datetime] = field(default_factory=list)

    def __setattr__(self, name: str, value: object) -> None:
        """Keep how the job was, and since when."""
        super().__setattr__(name, value)
        if name == "job":
            self.__dict__.setdefault("_was", []).append((self.clock(), value))

    async def fetch_token(self) -> None:
        await self._pause("token")
        self._maybe_fail("fetch_token")
        self.faults.meet("graph token", lambda: None, _no_token)

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        del service_principal_id, job_id
        await self._pause("read")
        self.reads += 1
        self._maybe_fail("read_job")
        self._live()
        return self.faults.meet(
            "graph read",
            lambda: replace(self._shown(), read_at=self.clock().replace(microsecond=0)),
            broken,
        )

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> str:
        await self._pause("token")
        if not may_begin():
            raise NotSent("too late to begin")
        began = self.clock()
        await self._pause("restart")
        if self.clock() - began > POST_TAKES_AT_MOST:
            # The gateway's own timeout: a POST never outlives its deadline.
            raise FateUnknown("timeout")
        self._maybe_fail("restart")
        place = len(self.posts)
        self.posts.append((client_request_id, False))
        self.post_times.append((self.clock(), False))

        def perform() -> None:
            self.to_take_effect.append(self.clock() + self.effect_after)
            self._take_effect()
            self.posts[place] = (client_request_id, True)
            self.post_times[place] = (self.clock(), True)
            self.restarts.append((service_principal_id, job_id, scope, client_request_id))

        self.faults.meet("graph restart", lambda: self._script(perform), broken)
        return f"graph-{len(self.restarts)}"

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        del service_principal_id
        await self._pause("audit")
        self._maybe_fail("audit_trail")
        self._take_effect()
        until = self.clock() - self.audit_delay
        rows = self.trail.restarts if self.trail.readable else ()
        shown = tuple(seen for seen in rows if since <= seen.at <= until)
        return self.faults.meet("graph audit", lambda: replace(self.trail, restarts=shown), broken)

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        del service_principal_id
        if not job_id:
            raise ValueError("job_id is empty")
        await self._pause("stale")
        shown = tuple(link for link in self.stale.links if link.at > since)
        try:
            self._maybe_fail("stale_links")
            return self.faults.meet("graph stale", lambda: replace(self.stale, links=shown), broken)
        except Rejected:
            return StaleLinks(readable=False)

    def _shown(self) -> SyncJob:
        """The job as Graph shows it: late by `status_lag`."""
        was: list[tuple[datetime, SyncJob]] = self.__dict__["_was"]
        until = self.clock() - self.status_lag
        return next((job for at, job in reversed(was) if at <= until), was[0][1])

    def _take_effect(self) -> None:
        while self.to_take_effect and self.to_take_effect[0] <= self.clock():
            self.take_restart(at=self.to_take_effect.pop(0))

    def restart_in_the_portal(self) -> None:
        """Somebody presses "Restart provisioning" now."""
        self.take_restart(ours=False)

    def take_restart(self, *, at: datetime | None = None, ours: bool = True) -> None:
        """What a restart does to the job, and to the audit log."""
        now = at or self.clock()
        self.restarted_at = now
        by = "relink" if ours else "ann@contoso.com"
        seen = (*self.trail.restarts, RestartSeen(at=now, ours=ours, by=by))
        self.trail = replace(self.trail, restarts=seen)
        self.job = replace(
            self.job,
            code="NotRun",
            quarantine=None,
            steady_state_first=None,
            steady_state_last=None,
            last_execution=Execution(state="Failed"),
            counts={},
        )
        self.__dict__["_was"][-1] = (now, self.job)

    def quarantine(self, reason: str, *, error: str = "") -> None:
        """The job goes into quarantine now."""
        began = Quarantine(reason=reason, began=self.clock().replace(microsecond=0), error=error)
        self.job = replace(self.job, code="Quarantine", quarantine=began)

    def lift_quarantine(self) -> None:
        """Somebody has put right what was wrong: the next try succeeded."""
        never = self.job.steady_state_last is None
        self.job = replace(self.job, code="NotRun" if never else "Active", quarantine=None)
        if not never:
            self.incremental_cycle()

    def end_cycle(self, *, state: str = "Succeeded", entries: int = 50) -> None:
        """The initial cycle ends now."""
        now = self.clock()
        self.job = replace(
            self.job,
            code="Active",
            steady_state_first=self.job.steady_state_first or now,
            steady_state_last=now,
            last_execution=Execution(state=state, began=now - timedelta(minutes=1), ended=now),
            counts={"User to User": entries},
        )

    def _script(self, perform: Callable[[], None]) -> None:
        """What goes wrong with this POST by the scenario itself."""
        kind = self.scripted.pop(0) if self.scripted else ""
        if not kind or kind in TAKES_EFFECT:
            perform()
        if kind:
            raise broken(kind)

    def _live(self) -> None:
        """Cycles end by themselves where `cycle_takes` says how long an initial one is."""
        now = self.clock()
        self._take_effect()
        if self.cycle_takes is None:
            return
        if self.job.code == "NotRun":
            if self.restarted_at is not None and now >= self.restarted_at + self.cycle_takes:
                self.end_cycle()
        elif self.job.code == "Active":
            ended = self.job.last_execution.ended or now
            if now - ended > timedelta(hours=1):
                self.incremental_cycle()

    async def _pause(self, what: str) -> None:
        if self.pause is not None:
            await self.pause(f"graph {what}")

    def incremental_cycle(self) -> None:
        """A cycle that found nothing new ends now."""
        now = self.clock()
        self.job = replace(
            self.job,
            steady_state_last=now,
            last_execution=Execution(
                state="Succeeded", began=now - timedelta(seconds=10), ended=now
            ),
        )

    def _maybe_fail(self, call: str) -> None:
        waiting = self.failures.get(call, [])
        failure = waiting.pop(0) if waiting else None
        if failure is not None:
            raise failure


@dataclass
class FakeTenant:
    """Several jobs behind one gateway, told apart by their service principals."""

    main: FakeGraph
    others: dict[str, FakeGraph] = field(default_factory=dict)
    on_call: OnCall | None = None

    def of(self, service_principal_id: str) -> FakeGraph:
        return self.others.get(service_principal_id, self.main)

    async def fetch_token(self) -> None:
        await self.main.fetch_token()

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        async with self._told("read_job"):
            return await self.of(service_principal_id).read_job(service_principal_id, job_id)

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool],
    ) -> str:
        async with self._told("restart"):
            return await self.of(service_principal_id).restart(
                service_principal_id,
                job_id,
                scope,
                client_request_id=client_request_id,
                may_begin=may_begin,
            )

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        async with self._told("audit_trail"):
            trail = await self.of(service_principal_id).audit_trail(
                service_principal_id, since=since
            )
        if not trail.readable:
            self._tell(GraphStatus.AUDIT_LOG_UNREADABLE, "audit_trail", trail.why)
        return trail

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        async with self._told("stale_links"):
            found = await self.of(service_principal_id).stale_links(
                service_principal_id, job_id, since=since
            )
        if not found.readable:
            self._tell(GraphStatus.PROVISIONING_LOG_UNREADABLE, "stale_links", found.why)
        return found

    @asynccontextmanager
    async def _told(self, call: str) -> AsyncIterator[None]:
        try:
            yield
        except GraphError as error:
            self._tell(status_of(error), call, error.reason)
            raise
        self._tell(GraphStatus.ANSWERED, call, "")

    def _tell(self, status: GraphStatus, call: str, why: str) -> None:
        if self.on_call is not None:
            self.on_call(status, call, why)


def broken(kind: str) -> GraphError:
    """What the gateway makes of a fault on the wire (tests/contract/test_graph_gateway.py)."""
    if kind == "412":
        return Rejected("412", status=412)
    if kind.startswith("429"):
        after = timedelta(seconds=90) if kind.endswith("Retry-After") else None
        return NotSent("429", retry_after=after)
    return FateUnknown(kind)


def _no_token(kind: str) -> GraphError:
    return NotSent(f"no token: {kind}")


def healthy(now: datetime, *, job_id: str = "job-1", entries: int = 50) -> SyncJob:
    """An Active job whose last incremental cycle ended ten minutes ago."""
    ended = now - timedelta(minutes=10)
    return SyncJob(
        id=job_id,
        read_at=now,
        template_id="salesforce",
        code="Active",
        schedule_state="Active",
        interval=timedelta(minutes=40),
        steady_state_first=now - timedelta(days=30),
        steady_state_last=ended,
        last_execution=Execution(
            state="Succeeded", began=ended - timedelta(minutes=1), ended=ended
        ),
        counts={"User to User": entries},
    )
