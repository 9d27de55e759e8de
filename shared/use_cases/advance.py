"""
Take one step of a reset: read it, find out what its state and the policy allow, write that.

Everything after acceptance is here. What may follow what is in `states`; this module finds out
which event it is, by asking the policy and Graph, and sends the restart between the intent and
its result.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.config import Settings
from shared.domain import evidence, notifications, policy
from shared.domain.errors import (
    Conflict,
    FateUnknown,
    GraphError,
    NotSent,
    Rejected,
    StorageUnavailable,
)
from shared.domain.events import (
    AnswerLost,
    Cleared,
    CycleEnded,
    CycleRuns,
    Event,
    FateStillUnknown,
    HeadTaken,
    LeaderEnded,
    MustAsk,
    MustWait,
    Previewed,
    Refused,
    RestartAnswered,
    RestartRejected,
    SenderDied,
    SendPrevented,
    ShownNotSent,
    TooOld,
    WindowOpened,
    WindowShut,
)
from shared.domain.notifications import Listeners
from shared.domain.ports import Clock, Graph, Queues, Store
from shared.domain.reset import (
    ON_THE_WIRE,
    OPEN,
    PRE,
    AnswerKind,
    Claim,
    JobRow,
    Reset,
    Scope,
    State,
    Stored,
    vouched,
)
from shared.domain.states import POST_BEGINS_WITHIN, Transition, transition
from shared.domain.sync_job import AuditTrail, SyncJob
from shared.telemetry import emit

LOST_RACES = 8
BACK_OFF_FROM = timedelta(seconds=30)
BACK_OFF_TO = timedelta(minutes=15)


class Engine:
    """
    The use case `advance`.

    *graph* opens the gateway on first use. *jitter* gives a number from 0 to 1 for each back-off,
    *new_id* the client-request-id of each intent.
    """

    # Class attributes, so that the harness can prove that it notices when one is wrong.
    transition = staticmethod(transition)

    def __init__(
        self,
        *,
        store: Store,
        queues: Queues,
        graph: Callable[[], Awaitable[Graph]],
        settings: Settings,
        listeners: Listeners,
        clock: Clock,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._queues = queues
        self._graph = graph
        self._settings = settings
        self._listeners = listeners
        self._clock = clock
        self._new_id = new_id
        self._jitter = jitter
        self._rules = settings.rules

    async def advance(self, claim: Claim) -> Reset | None:
        """Return the reset after its step; None where only its ids row exists."""
        for _ in range(LOST_RACES):
            x = await self._store.read_reset(claim)
            if x is None:
                return None
            job = await self._store.read_job(claim.target)
            if not is_due(x.row, job.row, now=self._clock()):
                return x.row
            try:
                return await self._step(claim, x, job)
            except Conflict:
                # Somebody else wrote first: read again and decide anew.
                continue
        raise StorageUnavailable(f"{claim.id} is fought over")

    async def _step(self, claim: Claim, x: Stored[Reset], job: Stored[JobRow]) -> Reset:
        state = x.row.state
        if state in PRE:
            return await self._before_intent(claim, x, job)
        if state is State.SENDING:
            return await self._write(x, job, SenderDied())
        if state is State.UNKNOWN:
            return await self._write(x, job, await self._look_for_restart(x.row))
        return await self._write(x, job, await self._watch(x.row))

    async def _before_intent(self, claim: Claim, x: Stored[Reset], job: Stored[JobRow]) -> Reset:
        x = self._with_ids(x)
        row, now = x.row, self._clock()
        if not row.dry_run:
            if policy.window_shut(row, now=now) is not None:
                return await self._write(x, job, WindowShut())
            if row.seen_number is None:
                return await self._write(x, job, WindowOpened())
            if self.stands_for(job.row, row):
                return await self._write(x, job, LeaderEnded())
            if job.row.head not in {"", row.id}:
                return await self._write(x, job, HeadTaken())
        if (old := self._too_old(row, now)) is not None:
            return await self._write(x, job, old)
        event = await self._ask(row, job.row)
        if not isinstance(event, Cleared):
            return await self._write(x, job, event)
        return await self._send(claim, x, job, event)

    @staticmethod
    def stands_for(job: JobRow, x: Reset) -> bool:
        """Row 3: a full restart that began after this request came, and has ended."""
        last = job.last_full
        return (
            last is not None
            and x.scope is Scope.FULL
            and x.seen_number is not None
            and last.number > x.seen_number
            and (last.service_principal_id, last.job_id) == (x.service_principal_id, x.job_id)
        )

    def _with_ids(self, x: Stored[Reset]) -> Stored[Reset]:
        """Accepted while the catalogue was unreadable: take the ids as it has them now."""
        target = (self._settings.catalogue or {}).get(x.row.target)
        if x.row.service_principal_id or target is None:
            return x
        ids = replace(x.row, service_principal_id=target.service_principal_id, job_id=target.job_id)
        return replace(x, row=ids)

    def _too_old(self, x: Reset, now: datetime) -> TooOld | None:
        if x.state is State.AWAITING_APPROVAL:
            return TooOld(reason="nobody approved it in time")
        came = max(x.requested_at, x.not_before or x.requested_at)
        if now - came > self._settings.max_age:
            return TooOld(reason=f"older than {self._settings.max_age} (RESET_MAX_AGE); ask again")
        return None

    async def _ask(
        self, x: Reset, job: JobRow
    ) -> MustWait | MustAsk | Refused | Cleared | Previewed:
        now = self._clock()
        history = policy.History(
            job=job,
            budget=await self._store.budget(_day(now), x.id),
            fleet=await self._store.fleet(),
            watch=(await self._store.read_watch(x.target)).row,
        )
        if x.dry_run:
            return await self._preview(x, history, now)
        decision = policy.before_reading(x, history, self._rules, now=now)
        if not isinstance(decision, policy.Go):
            return await self._as_event(x, decision, None)
        snapshot = await self._look_at_job(x, now)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        decision = policy.after_reading(x, snapshot, history, self._rules, now=now)
        return await self._as_event(x, decision, snapshot)

    async def _look_at_job(self, x: Reset, now: datetime) -> SyncJob | MustWait | Refused:
        try:
            graph = await self._graph()
            return await graph.read_job(x.service_principal_id, x.job_id)
        except Rejected as error:
            _failed(x, "read_job", error)
            return Refused(reason=error.reason)
        except (NotSent, FateUnknown) as error:
            _failed(x, "read_job", error)
            return MustWait(reason=error.reason, until=self._back_off(x, error, now), failed=True)

    async def _preview(
        self, x: Reset, history: policy.History, now: datetime
    ) -> Previewed | MustWait | Refused:
        """The exact decision with the job as it is, whatever the kill switch says: that is said."""
        rules = replace(self._rules, enabled=True)
        decision = policy.before_reading(x, history, rules, now=now)
        if rules.problem or rules.catalogue is None or isinstance(decision, policy.Refuse):
            return _previewed(x, decision, None, enabled=self._rules.enabled)
        snapshot = await self._look_at_job(x, now)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        if isinstance(decision, policy.Go):
            decision = policy.after_reading(x, snapshot, history, rules, now=now)
        return _previewed(x, decision, snapshot, enabled=self._rules.enabled)

    async def _as_event(
        self, x: Reset, decision: policy.Decision, snapshot: SyncJob | None
    ) -> MustWait | MustAsk | Refused | Cleared:
        now = self._clock()
        match decision:
            case policy.Wait():
                return MustWait(reason=decision.reason, until=decision.until)
            case policy.Ask():
                return MustAsk(reason=decision.reason, expires=now + self._settings.approval_expiry)
            case policy.Refuse():
                return Refused(reason=decision.reason)
            case policy.Go():
                return await self._prepare(x, snapshot)

    async def _prepare(self, x: Reset, snapshot: SyncJob | None) -> MustWait | Cleared:
        """Reserve the budget and have a token, so that the intent is followed by the POST alone."""
        if snapshot is None:
            raise AssertionError("the policy said go without having seen the job")
        now, limit = self._clock(), self._settings.daily_budget
        if not await self._store.reserve(_day(now), x.id, limit=limit):
            spent = policy.over_budget(limit, now=now)
            return MustWait(reason=spent.reason, until=spent.until)
        try:
            await (await self._graph()).fetch_token()
        except NotSent as error:
            _failed(x, "fetch_token", error)
            return MustWait(reason=error.reason, until=self._back_off(x, error, now), failed=True)
        return Cleared(
            before=evidence.dump(snapshot),
            snapshot_at=snapshot.read_at,
            client_request_id=self._new_id(),
            expected_minutes=evidence.expected_minutes(snapshot.size),
        )

    async def _send(
        self, claim: Claim, x: Stored[Reset], job: Stored[JobRow], cleared: Cleared
    ) -> Reset:
        intent = await self._commit(x, job, cleared)
        event = await self._restart(intent.row)
        return await self._report(claim, intent, event)

    async def _restart(
        self, x: Reset
    ) -> RestartAnswered | SendPrevented | RestartRejected | AnswerLost:
        """Send the POST of the intent just written, once, or not at all."""
        sent_at, number = x.sent_at, x.number
        if sent_at is None or number is None:
            raise AssertionError("a restart without an intent")
        before = evidence.load(x.before)
        job_id = x.job_id or (before.id if before else "")

        def may_begin() -> bool:
            return self._clock() - sent_at <= POST_BEGINS_WITHIN

        try:
            graph = await self._graph()
            request_id = await graph.restart(
                x.service_principal_id,
                job_id,
                x.scope,
                client_request_id=x.client_request_id,
                may_begin=may_begin,
            )
        except NotSent as error:
            _failed(x, "restart", error)
            until = self._back_off(x, error, self._clock())
            return SendPrevented(number=number, reason=error.reason, until=until)
        except Rejected as error:
            _failed(x, "restart", error)
            return RestartRejected(
                number=number, reason=error.reason, graph_request_id=error.request_id
            )
        except FateUnknown as error:
            _failed(x, "restart", error)
            return AnswerLost(
                number=number,
                reason=f"{error.reason}: it is not known whether the restart happened",
                look_at=self._clock() + self._settings.follow_up_interval,
            )
        return self._answered(x, number, self._clock(), request_id=request_id)

    def _answered(
        self, x: Reset, number: int, restarted_at: datetime, *, request_id: str = "", how: str = ""
    ) -> RestartAnswered:
        before, now = evidence.load(x.before), self._clock()
        return RestartAnswered(
            number=number,
            restarted_at=restarted_at,
            ends_by=evidence.ends_by(before.size if before else None, now=now),
            look_at=now + self._settings.follow_up_interval,
            graph_request_id=request_id,
            detail=how,
        )

    async def _report(self, claim: Claim, intent: Stored[Reset], event: Event) -> Reset:
        """
        Write the sender's word about its own intent.

        The row may have been taken over meanwhile. Where the word no longer fits, it is logged
        and dropped: a late 429 of one intent must not undo the next.
        """
        x = intent
        for _ in range(LOST_RACES):
            # Only a refusal ends the reset here, and with it frees the job row.
            job = (
                await self._store.read_job(claim.target)
                if isinstance(event, RestartRejected)
                else Stored(row=JobRow(target=claim.target))
            )
            if self.transition(x.row, job.row, event, now=self._clock()) is None:
                emit(
                    "reset.late_word", id=x.row.id, target=x.row.target,
                    word=type(event).__name__, state=str(x.row.state),
                )  # fmt: skip
                return x.row
            try:
                return await self._write(x, job, event)
            except Conflict:
                again = await self._store.read_reset(claim)
                if again is None:
                    raise StorageUnavailable(f"{claim.id} is gone") from None
                x = again
        raise StorageUnavailable(f"{claim.id} is fought over")

    async def put(self, claim: Claim, event: Callable[[Reset], Event]) -> Reset | None:
        """Write what *event* makes of the reset; None where its state does not allow it."""
        for _ in range(LOST_RACES):
            x = await self._store.read_reset(claim)
            if x is None:
                return None
            job = await self._store.read_job(claim.target)
            found = event(x.row)
            if self.transition(x.row, job.row, found, now=self._clock()) is None:
                return None
            try:
                return await self._write(x, job, found)
            except Conflict:
                continue
        raise StorageUnavailable(f"{claim.id} is fought over")

    def confirmed(self, x: Reset, *, by: str, signed_in: bool = False) -> RestartAnswered:
        """A person says that the restart of the last intent happened."""
        now = self._clock()
        answered = self._answered(
            x,
            x.number or 0,
            x.sent_at or now,
            how=f"confirmed ({vouched(signed_in)}): the restart happened",
        )
        return replace(answered, by=by)

    async def _look_for_restart(self, x: Reset) -> Event:
        """Rule 4: what shows that the restart happened, or that it did not?"""
        now = self._clock()
        expires = now + self._settings.approval_expiry
        before, sent_at = evidence.load(x.before), x.sent_at or now
        snapshot_at = x.snapshot_at or sent_at
        try:
            graph = await self._graph()
            job = await graph.read_job(x.service_principal_id, x.job_id)
            trail = await self._trail(graph, x, since=snapshot_at - evidence.AUDIT_SLACK)
        except GraphError as error:
            _failed(x, "look", error)
            return FateStillUnknown(
                look_at=self._back_off(x, error, now), expires=expires, failed=True
            )
        how = evidence.shown_happened(job, before=before, snapshot_at=snapshot_at, trail=trail)
        if how:
            return self._answered(x, x.number or 0, sent_at, how=f"the restart happened: {how}")
        if evidence.shown_not(job, before=before, sent_at=sent_at, trail=trail, now=now):
            return ShownNotSent(
                reason="the restart did not happen: the audit log has none and the job is unchanged"
            )
        look_at = now + max(self._settings.follow_up_interval, trail.retry_after)
        return FateStillUnknown(look_at=look_at, expires=expires)

    async def _trail(self, graph: Graph, x: Reset, *, since: datetime) -> AuditTrail:
        try:
            return await graph.audit_trail(x.service_principal_id, since=since)
        except (NotSent, FateUnknown) as error:
            # The job itself may still show it.
            _failed(x, "audit_trail", error)
            return AuditTrail(readable=False, retry_after=error.retry_after or timedelta(0))

    async def _watch(self, x: Reset) -> CycleEnded | CycleRuns:
        """Rule 8: has the new initial cycle ended?"""
        now = self._clock()
        try:
            graph = await self._graph()
            job = await graph.read_job(x.service_principal_id, x.job_id)
        except GraphError as error:
            _failed(x, "watch", error)
            return CycleRuns(look_at=self._back_off(x, error, now), failed=True)
        return evidence.judge_cycle(
            job,
            before=evidence.load(x.before),
            snapshot_at=x.snapshot_at or x.sent_at or x.requested_at,
            look_at=now + self._settings.follow_up_interval,
        )

    async def _write(self, x: Stored[Reset], job: Stored[JobRow], event: Event) -> Reset:
        return (await self._commit(x, job, event)).row

    async def _commit(self, x: Stored[Reset], job: Stored[JobRow], event: Event) -> Stored[Reset]:
        now = self._clock()
        step = self.transition(x.row, job.row, event, now=now)
        if step is None:
            # Time went by between the question and the write: decide anew.
            raise Conflict(f"{type(event).__name__} no longer fits {x.row.state}")
        said = notifications.answers(
            step.reset, await self._audible(step), self._listeners, self._settings.catalogue,
            now=now, public_url=self._settings.public_url,
        )  # fmt: skip
        stored = await self._store.commit(
            x,
            step.reset,
            job=(job, step.job) if step.job is not None else None,
            event=step.event,
            answers=said,
        )
        _log(step)
        await self._nudge(stored.row, now)
        return stored

    async def _audible(self, step: Transition) -> AnswerKind | None:
        """A joined request on its leader's ticket gets no comment of its own."""
        x = step.reset
        if x.state is not State.JOINED or not x.ticket_id or step.answer is None:
            return step.answer
        claim = await self._store.find(x.leader)
        leader = await self._store.read_reset(claim) if claim is not None else None
        same = leader is not None and (leader.row.ticket_system, leader.row.ticket_id) == (
            x.ticket_system,
            x.ticket_id,
        )
        return None if same else step.answer

    async def _nudge(self, x: Reset, now: datetime) -> None:
        if x.state not in OPEN or x.due_at is None or x.due_at > now:
            return
        try:
            await self._queues.follow_up(x.id)
        except StorageUnavailable as error:
            # The due row stands: the sweep sends it within a minute.
            emit("storage.failed", id=x.id, target=x.target, what="nudge", why=str(error))

    def _back_off(self, x: Reset, error: GraphError, now: datetime) -> datetime:
        """When Graph says so; without its word exponential, with full jitter and a cap."""
        doublings = 1 << min(x.tries, 10)
        # Also under a Retry-After of nothing: tried again and again at once, it would never end.
        least = min(BACK_OFF_TO, timedelta(seconds=1) * doublings)
        if error.retry_after is not None:
            return now + max(error.retry_after, least)
        ceiling = min(BACK_OFF_TO, BACK_OFF_FROM * doublings)
        return now + max(least, ceiling * self._jitter())


def is_due(x: Reset, job: JobRow, *, now: datetime) -> bool:
    """Open, and its time has come or the Head that it waits for is Head no more."""
    if x.state not in OPEN or x.due_at is None:
        return False
    return x.due_at <= now or bool(x.behind and x.behind != job.head)


def _previewed(
    x: Reset, decision: policy.Decision, snapshot: SyncJob | None, *, enabled: bool
) -> Previewed:
    match decision:
        case policy.Go():
            words = "would be sent now"
        case policy.Wait():
            words = f"would wait until {decision.until:%Y-%m-%d %H:%M} UTC: {decision.reason}"
        case policy.Ask():
            words = f"would ask a person: {decision.reason}"
        case policy.Refuse():
            words = f"would be refused: {decision.reason}"
    if not enabled:
        words = f"resets are switched off (RESETS_ENABLED is not `true`); else it {words}"
    if snapshot is not None:
        words = f"{words}. The restart: {ON_THE_WIRE[x.scope]} to job {snapshot.id}"
    return Previewed(
        detail=f"dry run: {words}",
        before=evidence.dump(snapshot) if snapshot else "",
        snapshot_at=snapshot.read_at if snapshot else None,
        expected_minutes=evidence.expected_minutes(snapshot.size) if snapshot else "",
    )


def _day(now: datetime) -> str:
    return f"{now:%Y-%m-%d}"


def _failed(x: Reset, call: str, error: GraphError) -> None:
    emit(
        "graph.failed", id=x.id, target=x.target, call=call, kind=type(error).__name__,
        why=error.reason,
        retryAfter=error.retry_after.total_seconds() if error.retry_after else None,
    )  # fmt: skip


def _log(step: Transition) -> None:
    x = step.reset
    if step.event is None:
        if x.state is State.RESTARTED:
            emit("reset.progress", id=x.id, target=x.target, progress=x.progress)
        return
    name = "reset.fate_asked" if x.state is State.UNKNOWN and x.asked else f"reset.{x.state}"
    emit(
        name, id=x.id, target=x.target, scope=str(x.scope), detail=x.detail, outcome=x.outcome,
        number=x.number, leader=x.leader, graphRequestId=x.graph_request_id,
    )  # fmt: skip
