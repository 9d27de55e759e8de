"""Ask Graph about the job of one reset, and turn each answer or failure into an event."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.config import Settings
from shared.domain import events, evidence
from shared.domain.errors import FateUnknown, GraphError, NotSent, Rejected
from shared.domain.ports import Clock, Graph
from shared.domain.reset import Reset, vouched
from shared.domain.states import POST_BEGINS_WITHIN
from shared.domain.sync_job import AuditTrail, SyncJob
from shared.telemetry import emit

BACK_OFF_FROM: Final = timedelta(seconds=30)
BACK_OFF_TO: Final = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCalls:
    """
    The calls to Graph that a reset's life needs.

    *graph* opens the gateway on first use. *jitter* gives a number from 0 to 1 for each back-off.
    """

    graph: Callable[[], Awaitable[Graph]]
    settings: Settings
    clock: Clock
    jitter: Callable[[], float]

    async def read_job(self, reset: Reset) -> SyncJob | events.MustWait | events.Refused:
        """Read the job before anything was sent."""
        now = self.clock()
        try:
            graph = await self.graph()
            return await graph.read_job(reset.service_principal_id, reset.job_id)
        except Rejected as error:
            log_failure(reset, "read_job", error)
            return events.Refused(reason=error.reason)
        except (NotSent, FateUnknown) as error:
            log_failure(reset, "read_job", error)
            until = self._back_off(reset, error, now)
            return events.MustWait(reason=error.reason, until=until, failed=True)

    async def fetch_token(self, reset: Reset) -> events.MustWait | None:
        """Have a token at hand, so that the intent is followed by the POST alone."""
        now = self.clock()
        try:
            await (await self.graph()).fetch_token()
        except NotSent as error:
            log_failure(reset, "fetch_token", error)
            until = self._back_off(reset, error, now)
            return events.MustWait(reason=error.reason, until=until, failed=True)
        return None

    async def restart(
        self, reset: Reset
    ) -> (
        events.RestartAccepted | events.SendPrevented | events.RestartRejected | events.ResponseLost
    ):
        """Send the POST of the intent just written, once, or not at all."""
        sent_at, number = reset.sent_at, reset.number
        if sent_at is None or number is None:
            raise AssertionError("a restart without an intent")
        before = evidence.load(reset.before)
        job_id = reset.job_id or (before.id if before else "")

        def may_begin() -> bool:
            return self.clock() - sent_at <= POST_BEGINS_WITHIN

        try:
            graph = await self.graph()
            request_id = await graph.restart(
                reset.service_principal_id,
                job_id,
                reset.scope,
                client_request_id=reset.client_request_id,
                may_begin=may_begin,
            )
        except NotSent as error:
            log_failure(reset, "restart", error)
            until = self._back_off(reset, error, self.clock())
            return events.SendPrevented(number=number, reason=error.reason, until=until)
        except Rejected as error:
            log_failure(reset, "restart", error)
            return events.RestartRejected(
                number=number, reason=error.reason, graph_request_id=error.request_id
            )
        except FateUnknown as error:
            log_failure(reset, "restart", error)
            return events.ResponseLost(
                number=number,
                reason=f"{error.reason}: it is not known whether the restart happened",
                look_at=self.clock() + self.settings.follow_up_interval,
            )
        return self._succeeded(reset, number, self.clock(), request_id=request_id)

    async def find_evidence(
        self, reset: Reset
    ) -> events.RestartAccepted | events.ShownNotSent | events.FateStillUnknown:
        """Rule 4: look for what shows that the restart happened, or that it did not."""
        now = self.clock()
        expires = now + self.settings.approval_expiry
        before, sent_at = evidence.load(reset.before), reset.sent_at or now
        snapshot_at = reset.snapshot_at or sent_at
        try:
            graph = await self.graph()
            job = await graph.read_job(reset.service_principal_id, reset.job_id)
            trail = await self._audit_trail(graph, reset, since=snapshot_at - evidence.AUDIT_SLACK)
        except GraphError as error:
            log_failure(reset, "look", error)
            look_at = self._back_off(reset, error, now)
            return events.FateStillUnknown(look_at=look_at, expires=expires, failed=True)
        how = evidence.shown_happened(job, before=before, snapshot_at=snapshot_at, trail=trail)
        if how:
            return self._succeeded(
                reset, reset.number or 0, sent_at, how=f"the restart happened: {how}"
            )
        if evidence.shown_not(job, before=before, sent_at=sent_at, trail=trail, now=now):
            return events.ShownNotSent(
                reason="the restart did not happen: the audit log has none and the job is unchanged"
            )
        look_at = now + max(self.settings.follow_up_interval, trail.retry_after)
        return events.FateStillUnknown(look_at=look_at, expires=expires)

    async def poll_cycle(self, reset: Reset) -> events.CycleEnded | events.CycleRuns:
        """Rule 8: find out whether the new initial cycle has ended."""
        now = self.clock()
        try:
            graph = await self.graph()
            job = await graph.read_job(reset.service_principal_id, reset.job_id)
        except GraphError as error:
            log_failure(reset, "watch", error)
            return events.CycleRuns(look_at=self._back_off(reset, error, now), failed=True)
        return evidence.judge_cycle(
            job,
            before=evidence.load(reset.before),
            snapshot_at=reset.snapshot_at or reset.sent_at or reset.requested_at,
            look_at=now + self.settings.follow_up_interval,
        )

    def confirmed(
        self, reset: Reset, *, by: str, signed_in: bool = False
    ) -> events.RestartAccepted:
        """A person says that the restart of the last intent happened."""
        now = self.clock()
        succeeded = self._succeeded(
            reset,
            reset.number or 0,
            reset.sent_at or now,
            how=f"confirmed ({vouched(signed_in)}): the restart happened",
        )
        return replace(succeeded, by=by)

    def _succeeded(
        self,
        reset: Reset,
        number: int,
        restarted_at: datetime,
        *,
        request_id: str = "",
        how: str = "",
    ) -> events.RestartAccepted:
        before, now = evidence.load(reset.before), self.clock()
        return events.RestartAccepted(
            number=number,
            restarted_at=restarted_at,
            ends_by=evidence.ends_by(before.size if before else None, now=now),
            look_at=now + self.settings.follow_up_interval,
            graph_request_id=request_id,
            detail=how,
        )

    @staticmethod
    async def _audit_trail(graph: Graph, reset: Reset, *, since: datetime) -> AuditTrail:
        try:
            return await graph.audit_trail(reset.service_principal_id, since=since)
        except (NotSent, FateUnknown) as error:
            # The job itself may still show it.
            log_failure(reset, "audit_trail", error)
            return AuditTrail(readable=False, retry_after=error.retry_after or timedelta(0))

    def _back_off(self, reset: Reset, error: GraphError, now: datetime) -> datetime:
        """When Graph says so; without its word exponential, with full jitter and a cap."""
        doublings = 1 << min(reset.tries, 10)
        # Also under a Retry-After of nothing: repeated at once, the tries would never end.
        least = min(BACK_OFF_TO, timedelta(seconds=1) * doublings)
        if error.retry_after is not None:
            return now + max(error.retry_after, least)
        ceiling = min(BACK_OFF_TO, BACK_OFF_FROM * doublings)
        return now + max(least, ceiling * self.jitter())


def log_failure(reset: Reset, call: str, error: GraphError) -> None:
    """Log a call to Graph that failed, once, where the failure becomes an event."""
    emit(
        "graph.failed",
        id=reset.id,
        target=reset.target,
        call=call,
        kind=type(error).__name__,
        why=error.reason,
        retryAfter=error.retry_after.total_seconds() if error.retry_after else None,
    )
