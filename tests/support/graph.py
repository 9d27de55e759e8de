"""A Graph for the engine's unit tests: one job, scripted answers, everything sent is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.errors import GraphError
from shared.models import AuditTrail, Execution, Scope, SyncJob


@dataclass
class FakeGraph:
    """`failures` are raised, in order, by the calls that they name."""

    clock: Callable[[], datetime]
    job: SyncJob
    restarts: list[tuple[str, str, Scope, str]] = field(default_factory=list)
    reads: int = 0
    failures: dict[str, list[GraphError | None]] = field(default_factory=dict)
    trail: AuditTrail = field(default_factory=lambda: AuditTrail(readable=False))

    async def fetch_token(self) -> None:
        self._maybe_fail("fetch_token")

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        del service_principal_id, job_id
        self.reads += 1
        self._maybe_fail("read_job")
        return replace(self.job, read_at=self.clock().replace(microsecond=0))

    async def restart(
        self, service_principal_id: str, job_id: str, scope: Scope, *, client_request_id: str
    ) -> str:
        self._maybe_fail("restart")
        self.take_restart()
        self.restarts.append((service_principal_id, job_id, scope, client_request_id))
        return f"graph-{len(self.restarts)}"

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        del service_principal_id, since
        self._maybe_fail("audit_trail")
        return self.trail

    def take_restart(self) -> None:
        """What a restart does to the job."""
        self.job = replace(
            self.job,
            code="NotRun",
            steady_state_last=None,
            last_execution=Execution(state="Failed"),
            counts={},
        )

    def end_cycle(self, *, state: str = "Succeeded", entries: int = 50) -> None:
        """The initial cycle ends now."""
        now = self.clock()
        self.job = replace(
            self.job,
            code="Active",
            steady_state_last=now,
            last_execution=Execution(state=state, began=now - timedelta(minutes=1), ended=now),
            counts={"User to User": entries},
        )

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
        steady_state_last=ended,
        last_execution=Execution(
            state="Succeeded", began=ended - timedelta(minutes=1), ended=ended
        ),
        counts={"User to User": entries},
    )
