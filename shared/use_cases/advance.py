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
    CycleEnded,
    CycleRuns,
    Event,
    FateStillUnknown,
    HeadTaken,
    LeaderEnded,
    MustAsk,
    MustWait,
    Previewed,
    ReadyToSend,
    Refused,
    ResponseLost,
    RestartAccepted,
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
    BEFORE_SENDING,
    ON_THE_WIRE,
    OPEN,
    Claim,
    JobRow,
    NotificationKind,
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
            reset = await self._store.read_reset(claim)
            if reset is None:
                return None
            job = await self._store.read_job(claim.target)
            if not is_due(reset.row, job.row, now=self._clock()):
                return reset.row
            try:
                return await self._step(claim, reset, job)
            except Conflict:
                # Somebody else wrote first: read again and decide anew.
                continue
        raise StorageUnavailable(f"{claim.id} is fought over")

    async def _step(self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]) -> Reset:
        state = reset.row.state
        if state in BEFORE_SENDING:
            return await self._before_intent(claim, reset, job)
        if state is State.SENDING:
            return await self._write(reset, job, SenderDied())
        if state is State.UNKNOWN:
            return await self._write(reset, job, await self._look_for_restart(reset.row))
        return await self._write(reset, job, await self._watch(reset.row))

    async def _before_intent(
        self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]
    ) -> Reset:
        reset = self._with_ids(reset)
        row, now = reset.row, self._clock()
        if not row.dry_run:
            if policy.window_shut(row, now=now) is not None:
                return await self._write(reset, job, WindowShut())
            if row.seen_number is None:
                return await self._write(reset, job, WindowOpened())
            if self.stands_for(job.row, row):
                return await self._write(reset, job, LeaderEnded())
            if job.row.head not in {"", row.id}:
                return await self._write(reset, job, HeadTaken())
        if (old := self._too_old(row, now)) is not None:
            return await self._write(reset, job, old)
        event = await self._ask(row, job.row)
        if not isinstance(event, ReadyToSend):
            return await self._write(reset, job, event)
        return await self._send(claim, reset, job, event)

    @staticmethod
    def stands_for(job: JobRow, reset: Reset) -> bool:
        """Row 3: a full restart that began after this request came, and has ended."""
        last = job.last_full
        return (
            last is not None
            and reset.scope is Scope.FULL
            and reset.seen_number is not None
            and last.number > reset.seen_number
            and (last.service_principal_id, last.job_id)
            == (reset.service_principal_id, reset.job_id)
        )

    def _with_ids(self, reset: Stored[Reset]) -> Stored[Reset]:
        """Accepted while the catalogue was unreadable: take the ids as it has them now."""
        target = (self._settings.catalogue or {}).get(reset.row.target)
        if reset.row.service_principal_id or target is None:
            return reset
        ids = replace(
            reset.row, service_principal_id=target.service_principal_id, job_id=target.job_id
        )
        return replace(reset, row=ids)

    def _too_old(self, reset: Reset, now: datetime) -> TooOld | None:
        if reset.state is State.AWAITING_APPROVAL:
            return TooOld(reason="nobody approved it in time")
        came = max(reset.requested_at, reset.not_before or reset.requested_at)
        if now - came > self._settings.max_age:
            return TooOld(reason=f"older than {self._settings.max_age} (RESET_MAX_AGE); ask again")
        return None

    async def _ask(
        self, reset: Reset, job: JobRow
    ) -> MustWait | MustAsk | Refused | ReadyToSend | Previewed:
        now = self._clock()
        history = policy.History(
            job=job,
            budget=await self._store.budget(_day(now), reset.id),
            fleet=await self._store.fleet(),
            watch=(await self._store.read_watch(reset.target)).row,
        )
        if reset.dry_run:
            return await self._preview(reset, history, now)
        decision = policy.before_reading(reset, history, self._rules, now=now)
        if not isinstance(decision, policy.Go):
            return await self._as_event(reset, decision, None)
        snapshot = await self._look_at_job(reset, now)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        decision = policy.after_reading(reset, snapshot, history, self._rules, now=now)
        return await self._as_event(reset, decision, snapshot)

    async def _look_at_job(self, reset: Reset, now: datetime) -> SyncJob | MustWait | Refused:
        try:
            graph = await self._graph()
            return await graph.read_job(reset.service_principal_id, reset.job_id)
        except Rejected as error:
            _failed(reset, "read_job", error)
            return Refused(reason=error.reason)
        except (NotSent, FateUnknown) as error:
            _failed(reset, "read_job", error)
            return MustWait(
                reason=error.reason, until=self._back_off(reset, error, now), failed=True
            )

    async def _preview(
        self, reset: Reset, history: policy.History, now: datetime
    ) -> Previewed | MustWait | Refused:
        """The exact decision with the job as it is, whatever the kill switch says: that is said."""
        rules = replace(self._rules, enabled=True)
        decision = policy.before_reading(reset, history, rules, now=now)
        if rules.problem or rules.catalogue is None or isinstance(decision, policy.Refuse):
            return _previewed(reset, decision, None, enabled=self._rules.enabled)
        snapshot = await self._look_at_job(reset, now)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        if isinstance(decision, policy.Go):
            decision = policy.after_reading(reset, snapshot, history, rules, now=now)
        return _previewed(reset, decision, snapshot, enabled=self._rules.enabled)

    async def _as_event(
        self, reset: Reset, decision: policy.Ruling, snapshot: SyncJob | None
    ) -> MustWait | MustAsk | Refused | ReadyToSend:
        now = self._clock()
        match decision:
            case policy.Wait():
                return MustWait(reason=decision.reason, until=decision.until)
            case policy.Ask():
                return MustAsk(reason=decision.reason, expires=now + self._settings.approval_expiry)
            case policy.Refuse():
                return Refused(reason=decision.reason)
            case policy.Go():
                return await self._prepare(reset, snapshot)

    async def _prepare(self, reset: Reset, snapshot: SyncJob | None) -> MustWait | ReadyToSend:
        """Reserve the budget and have a token, so that the intent is followed by the POST alone."""
        if snapshot is None:
            raise AssertionError("the policy said go without having seen the job")
        now, limit = self._clock(), self._settings.daily_budget
        if not await self._store.reserve(_day(now), reset.id, limit=limit):
            spent = policy.over_budget(limit, now=now)
            return MustWait(reason=spent.reason, until=spent.until)
        try:
            await (await self._graph()).fetch_token()
        except NotSent as error:
            _failed(reset, "fetch_token", error)
            return MustWait(
                reason=error.reason, until=self._back_off(reset, error, now), failed=True
            )
        return ReadyToSend(
            before=evidence.dump(snapshot),
            snapshot_at=snapshot.read_at,
            client_request_id=self._new_id(),
            expected_minutes=evidence.expected_minutes(snapshot.size),
        )

    async def _send(
        self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow], cleared: ReadyToSend
    ) -> Reset:
        intent = await self._commit(reset, job, cleared)
        event = await self._restart(intent.row)
        return await self._report(claim, intent, event)

    async def _restart(
        self, reset: Reset
    ) -> RestartAccepted | SendPrevented | RestartRejected | ResponseLost:
        """Send the POST of the intent just written, once, or not at all."""
        sent_at, number = reset.sent_at, reset.number
        if sent_at is None or number is None:
            raise AssertionError("a restart without an intent")
        before = evidence.load(reset.before)
        job_id = reset.job_id or (before.id if before else "")

        def may_begin() -> bool:
            return self._clock() - sent_at <= POST_BEGINS_WITHIN

        try:
            graph = await self._graph()
            request_id = await graph.restart(
                reset.service_principal_id,
                job_id,
                reset.scope,
                client_request_id=reset.client_request_id,
                may_begin=may_begin,
            )
        except NotSent as error:
            _failed(reset, "restart", error)
            until = self._back_off(reset, error, self._clock())
            return SendPrevented(number=number, reason=error.reason, until=until)
        except Rejected as error:
            _failed(reset, "restart", error)
            return RestartRejected(
                number=number, reason=error.reason, graph_request_id=error.request_id
            )
        except FateUnknown as error:
            _failed(reset, "restart", error)
            return ResponseLost(
                number=number,
                reason=f"{error.reason}: it is not known whether the restart happened",
                look_at=self._clock() + self._settings.follow_up_interval,
            )
        return self._answered(reset, number, self._clock(), request_id=request_id)

    def _answered(
        self,
        reset: Reset,
        number: int,
        restarted_at: datetime,
        *,
        request_id: str = "",
        how: str = "",
    ) -> RestartAccepted:
        before, now = evidence.load(reset.before), self._clock()
        return RestartAccepted(
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
        reset = intent
        for _ in range(LOST_RACES):
            # Only a refusal ends the reset here, and with it frees the job row.
            job = (
                await self._store.read_job(claim.target)
                if isinstance(event, RestartRejected)
                else Stored(row=JobRow(target=claim.target))
            )
            if self.transition(reset.row, job.row, event, now=self._clock()) is None:
                emit(
                    "reset.late_word",
                    id=reset.row.id,
                    target=reset.row.target,
                    word=type(event).__name__,
                    state=str(reset.row.state),
                )
                return reset.row
            try:
                return await self._write(reset, job, event)
            except Conflict:
                again = await self._store.read_reset(claim)
                if again is None:
                    raise StorageUnavailable(f"{claim.id} is gone") from None
                reset = again
        raise StorageUnavailable(f"{claim.id} is fought over")

    async def put(self, claim: Claim, event: Callable[[Reset], Event]) -> Reset | None:
        """Write what *event* makes of the reset; None where its state does not allow it."""
        for _ in range(LOST_RACES):
            reset = await self._store.read_reset(claim)
            if reset is None:
                return None
            job = await self._store.read_job(claim.target)
            found = event(reset.row)
            if self.transition(reset.row, job.row, found, now=self._clock()) is None:
                return None
            try:
                return await self._write(reset, job, found)
            except Conflict:
                continue
        raise StorageUnavailable(f"{claim.id} is fought over")

    def confirmed(self, reset: Reset, *, by: str, signed_in: bool = False) -> RestartAccepted:
        """A person says that the restart of the last intent happened."""
        now = self._clock()
        succeeded = self._answered(
            reset,
            reset.number or 0,
            reset.sent_at or now,
            how=f"confirmed ({vouched(signed_in)}): the restart happened",
        )
        return replace(succeeded, by=by)

    async def _look_for_restart(self, reset: Reset) -> Event:
        """Rule 4: what shows that the restart happened, or that it did not?"""
        now = self._clock()
        expires = now + self._settings.approval_expiry
        before, sent_at = evidence.load(reset.before), reset.sent_at or now
        snapshot_at = reset.snapshot_at or sent_at
        try:
            graph = await self._graph()
            job = await graph.read_job(reset.service_principal_id, reset.job_id)
            trail = await self._trail(graph, reset, since=snapshot_at - evidence.AUDIT_SLACK)
        except GraphError as error:
            _failed(reset, "look", error)
            return FateStillUnknown(
                look_at=self._back_off(reset, error, now), expires=expires, failed=True
            )
        how = evidence.shown_happened(job, before=before, snapshot_at=snapshot_at, trail=trail)
        if how:
            return self._answered(
                reset, reset.number or 0, sent_at, how=f"the restart happened: {how}"
            )
        if evidence.shown_not(job, before=before, sent_at=sent_at, trail=trail, now=now):
            return ShownNotSent(
                reason="the restart did not happen: the audit log has none and the job is unchanged"
            )
        look_at = now + max(self._settings.follow_up_interval, trail.retry_after)
        return FateStillUnknown(look_at=look_at, expires=expires)

    async def _trail(self, graph: Graph, reset: Reset, *, since: datetime) -> AuditTrail:
        try:
            return await graph.audit_trail(reset.service_principal_id, since=since)
        except (NotSent, FateUnknown) as error:
            # The job itself may still show it.
            _failed(reset, "audit_trail", error)
            return AuditTrail(readable=False, retry_after=error.retry_after or timedelta(0))

    async def _watch(self, reset: Reset) -> CycleEnded | CycleRuns:
        """Rule 8: has the new initial cycle ended?"""
        now = self._clock()
        try:
            graph = await self._graph()
            job = await graph.read_job(reset.service_principal_id, reset.job_id)
        except GraphError as error:
            _failed(reset, "watch", error)
            return CycleRuns(look_at=self._back_off(reset, error, now), failed=True)
        return evidence.judge_cycle(
            job,
            before=evidence.load(reset.before),
            snapshot_at=reset.snapshot_at or reset.sent_at or reset.requested_at,
            look_at=now + self._settings.follow_up_interval,
        )

    async def _write(self, reset: Stored[Reset], job: Stored[JobRow], event: Event) -> Reset:
        return (await self._commit(reset, job, event)).row

    async def _commit(
        self, reset: Stored[Reset], job: Stored[JobRow], event: Event
    ) -> Stored[Reset]:
        now = self._clock()
        step = self.transition(reset.row, job.row, event, now=now)
        if step is None:
            # Time went by between the question and the write: decide anew.
            raise Conflict(f"{type(event).__name__} no longer fits {reset.row.state}")
        said = notifications.answers(
            step.reset,
            await self._audible(step),
            self._listeners,
            self._settings.catalogue,
            now=now,
            by=step.event.by if step.event is not None and step.event.by != "relink" else "",
            public_url=self._settings.public_url,
            sign_in=self._settings.sign_in,
        )
        stored = await self._store.commit(
            reset,
            step.reset,
            job=(job, step.job) if step.job is not None else None,
            event=step.event,
            answers=said,
        )
        _log(step)
        await self._nudge(stored.row, now)
        return stored

    async def _audible(self, step: Transition) -> NotificationKind | None:
        """A joined request on its leader's ticket gets no comment of its own."""
        reset = step.reset
        if reset.state is not State.JOINED or not reset.ticket_id or step.answer is None:
            return step.answer
        claim = await self._store.find(reset.leader)
        leader = await self._store.read_reset(claim) if claim is not None else None
        same = leader is not None and (leader.row.ticket_system, leader.row.ticket_id) == (
            reset.ticket_system,
            reset.ticket_id,
        )
        return None if same else step.answer

    async def _nudge(self, reset: Reset, now: datetime) -> None:
        if reset.state not in OPEN or reset.due_at is None or reset.due_at > now:
            return
        try:
            await self._queues.follow_up(reset.id)
        except StorageUnavailable as error:
            # The due row stands: the sweep sends it within a minute.
            emit("storage.failed", id=reset.id, target=reset.target, what="nudge", why=str(error))

    def _back_off(self, reset: Reset, error: GraphError, now: datetime) -> datetime:
        """When Graph says so; without its word exponential, with full jitter and a cap."""
        doublings = 1 << min(reset.tries, 10)
        # Also under a Retry-After of nothing: tried again and again at once, it would never end.
        least = min(BACK_OFF_TO, timedelta(seconds=1) * doublings)
        if error.retry_after is not None:
            return now + max(error.retry_after, least)
        ceiling = min(BACK_OFF_TO, BACK_OFF_FROM * doublings)
        return now + max(least, ceiling * self._jitter())


def is_due(reset: Reset, job: JobRow, *, now: datetime) -> bool:
    """Open, and its time has come or the Head that it waits for is Head no more."""
    if reset.state not in OPEN or reset.due_at is None:
        return False
    return reset.due_at <= now or bool(reset.behind and reset.behind != job.head)


def _previewed(
    reset: Reset, decision: policy.Ruling, snapshot: SyncJob | None, *, enabled: bool
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
        words = f"{words}. The restart: {ON_THE_WIRE[reset.scope]} to job {snapshot.id}"
    return Previewed(
        detail=f"dry run: {words}",
        before=evidence.dump(snapshot) if snapshot else "",
        snapshot_at=snapshot.read_at if snapshot else None,
        expected_minutes=evidence.expected_minutes(snapshot.size) if snapshot else "",
    )


def _day(now: datetime) -> str:
    return f"{now:%Y-%m-%d}"


def _failed(reset: Reset, call: str, error: GraphError) -> None:
    emit(
        "graph.failed",
        id=reset.id,
        target=reset.target,
        call=call,
        kind=type(error).__name__,
        why=error.reason,
        retryAfter=error.retry_after.total_seconds() if error.retry_after else None,
    )


def _log(step: Transition) -> None:
    reset = step.reset
    if step.event is None:
        if reset.state is State.RESTARTED:
            emit("reset.progress", id=reset.id, target=reset.target, progress=reset.progress)
        return
    name = (
        "reset.fate_asked"
        if reset.state is State.UNKNOWN and reset.asked
        else f"reset.{reset.state}"
    )
    emit(
        name,
        id=reset.id,
        target=reset.target,
        scope=str(reset.scope),
        detail=reset.detail,
        outcome=reset.outcome,
        number=reset.number,
        leader=reset.leader,
        graphRequestId=reset.graph_request_id,
    )
