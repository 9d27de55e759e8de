"""Ask Graph about the job of one reset, and turn each answer or failure into an event."""

from collections.abc import Awaitable, Callable
from copy import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain import cycle, events, evidence
from shared.domain.errors import FateUnknown, GraphError, NotSent, RefusedForNow, Rejected
from shared.domain.ports import Clock, Graph
from shared.domain.reset import Reset, WaitingFor
from shared.domain.sync_job import AuditTrail, SyncJob
from shared.domain.transitions import POST_BEGINS_WITHIN, found_job_id, is_gone
from shared.telemetry import emit

BACK_OFF_FROM: Final = timedelta(seconds=30)
BACK_OFF_TO: Final = timedelta(minutes=15)

_NOT_FOUND: Final = 404


class JobCalls(Struct, frozen=True, kw_only=True):
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
            return await self._job(reset, reset.job_id)
        except GraphError as error:
            log_failure(reset, "read_job", error)
            until = self._back_off(reset, error, now)
            missing = is_missing(error)
            if reset.dry_run and isinstance(error, RefusedForNow | Rejected):
                # It changes nothing, and is answered at once where that is possible.
                if error.status not in {409, 423}:
                    return events.Refused(reason=error.reason)
            elif missing and is_gone(reset, now=now):
                return events.Refused(reason=f"the job is gone: {error.reason}")
            elif isinstance(error, Rejected) and not missing:
                return events.Refused(reason=error.reason)
            return _wait_for_graph(error, until, missing=missing)

    async def _job(self, reset: Reset, job_id: str) -> SyncJob:
        """Read it; raise Rejected, as where there is none, for another than *job_id*."""
        graph = await self.graph()
        job = await graph.read_job(reset.service_principal_id, job_id)
        if job_id and job.id.casefold() != job_id.casefold():
            raise Rejected(
                f"Graph shows another job ({job.id}) in place of {job_id}", status=_NOT_FOUND
            )
        return job

    async def fetch_token(self, reset: Reset) -> events.MustWait | None:
        """Have a token at hand, so that the intent is followed by the POST alone."""
        now = self.clock()
        try:
            await (await self.graph()).fetch_token()
        except NotSent as error:
            log_failure(reset, "fetch_token", error)
            until = self._back_off(reset, error, now)
            return _wait_for_graph(error, until)
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

        def may_begin() -> bool:
            return self.clock() - sent_at <= POST_BEGINS_WITHIN

        try:
            graph = await self.graph()
            request_id = await graph.restart(
                reset.service_principal_id,
                reset.job_id or found_job_id(reset),
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
            job = await self._job(reset, found_job_id(reset))
        except GraphError as error:
            log_failure(reset, "look", error)
            look_at = self._back_off(reset, error, now)
            why = f"the job cannot be read: {error.reason}" if reset.operator_asked else ""
            if is_missing(error):
                why = f"the job is not there: {error.reason}"
            return events.FateStillUnknown(
                look_at=look_at, expires=expires, reason=why, failed=True
            )
        trail = await self._audit_trail(reset, snapshot_at)
        found = evidence.shown_happened(job, before=before, snapshot_at=snapshot_at, trail=trail)
        if found is not None:
            how = f"the restart happened: {found.how}"
            happened = self._succeeded(reset, reset.number or 0, sent_at, how=how)
            return replace(happened, warning=found.warning)
        if evidence.shown_not(
            job, before=before, snapshot_at=snapshot_at, sent_at=sent_at, trail=trail, now=now
        ):
            return events.ShownNotSent(
                reason="the restart did not happen: the audit log has none and the job is unchanged"
            )
        told = evidence.told_of_others(trail, since=snapshot_at - evidence.AUDIT_SLACK)
        return events.FateStillUnknown(
            look_at=now + max(self.settings.follow_up_interval, trail.retry_after),
            expires=expires,
            reason=f"the job was {told}" if told else "",
        )

    async def poll_cycle(self, reset: Reset) -> events.CycleEnded | events.CycleRuns:
        """Rule 8: find out whether the new initial cycle has ended."""
        now = self.clock()
        snapshot_at = reset.snapshot_at or reset.sent_at or reset.requested_at
        try:
            job = await self._job(reset, found_job_id(reset))
        except GraphError as error:
            return self._not_shown(reset, error, now)
        look_at = now + self.settings.follow_up_interval
        found = cycle.judge_cycle(
            job,
            before=evidence.load(reset.before),
            snapshot_at=snapshot_at,
            look_at=look_at,
            seen=reset.progress,
        )
        overdue = reset.deadline is not None and now >= reset.deadline
        if isinstance(found, events.CycleRuns) and not overdue:
            return found
        trail = await self._audit_trail(reset, snapshot_at)
        if isinstance(found, events.CycleRuns):
            told = evidence.told_of_others(trail, since=snapshot_at)
            more = f"{found.overdue}; the job was {told}" if told else found.overdue
            return replace(found, overdue=more[: cycle.LONGEST_DETAIL])
        return cycle.whose_cycle(
            found,
            trail,
            snapshot_at=snapshot_at,
            sent_at=reset.sent_at or snapshot_at,
            look_at=look_at + trail.retry_after,
            warnings=reset.warnings,
            now=now,
        )

    def _not_shown(
        self, reset: Reset, error: GraphError, now: datetime
    ) -> events.CycleEnded | events.CycleRuns:
        log_failure(reset, "watch", error)
        missing = is_missing(error)
        if missing and is_gone(reset, now=now):
            return events.CycleEnded(
                completed=False,
                outcome="job gone",
                detail=f"the job is gone: {error.reason}",
                after="",
            )
        return events.CycleRuns(
            look_at=self._back_off(reset, error, now),
            overdue=f"the initial cycle did not end in the time expected; the job cannot be read: "
            f"{error.reason}",
            failed=True,
            missing=missing,
        )

    def confirmed(self, reset: Reset, word: events.Decided) -> events.RestartAccepted:
        """A person says that the restart of the last intent happened."""
        now = self.clock()
        succeeded = self._succeeded(
            reset,
            reset.number or 0,
            reset.sent_at or now,
            how=f"confirmed, the restart happened {word.words}",
        )
        return replace(succeeded, by=word.by)

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
            ends_by=cycle.ends_by(before.size if before else None, now=now),
            look_at=now + self.settings.follow_up_interval,
            graph_request_id=request_id,
            detail=how,
        )

    async def _audit_trail(self, reset: Reset, snapshot_at: datetime) -> AuditTrail:
        """What the audit log says about this job; not readable where it cannot be read now."""
        try:
            graph = await self.graph()
            trail = await graph.audit_trail(
                reset.service_principal_id, since=evidence.audit_since(snapshot_at)
            )
        except GraphError as error:
            # The job itself may still show it.
            log_failure(reset, "audit_trail", error)
            return AuditTrail(readable=False, retry_after=error.retry_after or timedelta(0))
        targets = (self.settings.catalogue or {}).values()
        jobs = sum(each.service_principal_id == reset.service_principal_id for each in targets)
        return evidence.of_one_job(trail, jobs=jobs)

    def _back_off(self, reset: Reset, error: GraphError, now: datetime) -> datetime:
        """
        When Graph says so, and at most BACK_OFF_FROM later: what it refused together, it would
        refuse together again. Without its word exponential, with full jitter and a cap.
        """
        doublings = 1 << min(reset.tries, 10)
        # Also under a Retry-After of nothing: repeated at once, the tries would never end.
        least = min(BACK_OFF_TO, timedelta(seconds=1) * doublings)
        if error.retry_after is not None:
            asked = max(error.retry_after, least)
            return now + asked + min(asked, BACK_OFF_FROM) * (1 - self.jitter())
        ceiling = min(BACK_OFF_TO, BACK_OFF_FROM * doublings)
        return now + max(least, ceiling * self.jitter())


def is_missing(error: GraphError) -> bool:
    """Whether Graph did not show the job: 404, an empty list, or another one in its place."""
    return isinstance(error, Rejected) and error.status == _NOT_FOUND


def _wait_for_graph(
    error: GraphError, until: datetime, *, missing: bool = False
) -> events.MustWait:
    return events.MustWait(
        waiting_for=WaitingFor.GRAPH,
        reason=error.reason,
        until=until,
        failed=True,
        missing=missing,
    )


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
