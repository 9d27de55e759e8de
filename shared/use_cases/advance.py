"""
Take one step of a reset: read it, find out what its state and the policy allow, write that.

This is the life of a reset after acceptance, from top to bottom. What may follow what is in
`states`. Here the event is found out, by asking the policy and Graph, and the restart is sent
between the intent and its result.
"""

import asyncio
from collections.abc import Callable
from copy import replace
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain import cycle, events, evidence, policy
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.events import Event
from shared.domain.moments import budget_day
from shared.domain.ports import Clock, Limits, Resets
from shared.domain.preview import previewed
from shared.domain.reset import (
    BEFORE_SENDING,
    OPEN,
    Claim,
    JobRow,
    Reset,
    Scope,
    State,
    Stored,
    WaitingFor,
    blocked_words,
)
from shared.domain.sync_job import SyncJob
from shared.telemetry import emit
from shared.use_cases.job_calls import JobCalls
from shared.use_cases.other_resets import OtherResets
from shared.use_cases.restart_budget import RestartBudget
from shared.use_cases.trace_links import LATE_ROWS, TraceLinks
from shared.use_cases.write_transition import TransitionWriter

LOST_RACES: Final = 8
"""How often a step is decided again after another process wrote first."""


class Engine(Struct, frozen=True, kw_only=True):
    """The use case `advance`. *new_id* gives the client-request-id of each intent."""

    resets: Resets
    limits: Limits
    writer: TransitionWriter
    calls: JobCalls
    links: TraceLinks
    budget: RestartBudget
    others: OtherResets
    settings: Settings
    clock: Clock
    new_id: Callable[[], str]

    async def advance(
        self, claim: Claim, *, written: tuple[Stored[Reset], Stored[JobRow]] | None = None
    ) -> Reset | None:
        """
        Return the reset after its step; None where only its ids row exists.

        *written* are its rows where the caller has just written them: they are not read first.
        """
        for _ in range(LOST_RACES):
            there = written or await self._read(claim)
            if there is None:
                return None
            (reset, job), written = there, None
            if not is_due(reset.row, job.row, now=self.clock()):
                return reset.row
            try:
                return await self._step(claim, reset, job)
            except Conflict:
                # Another process wrote first: read again and decide again.
                continue
        raise StorageUnavailable(f"{claim.id} is changed by too many processes at once")

    async def _read(self, claim: Claim) -> tuple[Stored[Reset], Stored[JobRow]] | None:
        """Read the reset, then the job row: that one may be the newer, never the older."""
        reset = await self.resets.read_reset(claim)
        return (reset, await self.resets.read_job(claim.target)) if reset is not None else None

    async def _step(self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]) -> Reset:
        state = reset.row.state
        if state in BEFORE_SENDING:
            return await self._before_sending(claim, reset, job)
        if state is State.SENDING:
            return await self._write(reset, job, events.SenderDied())
        if state is State.UNKNOWN:
            return await self._resolve(reset, job, await self.calls.find_evidence(reset.row))
        return await self._write(reset, job, await self._poll(reset.row))

    # Before the intent

    async def _before_sending(
        self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]
    ) -> Reset:
        reset = self._with_ids(reset)
        row, now = reset.row, self.clock()
        if not row.dry_run:
            if policy.window_shut(row, now=now) is not None:
                return await self._write(reset, job, events.WindowShut())
            if row.seen_number is None:
                return await self._write(reset, job, events.WindowOpened())
            if self.stands_for(job.row, row):
                again_at = await self._trace_as_joined(row, job.row)
                if again_at is not None:
                    return await self._write(reset, job, events.LinksAwaited(until=again_at))
                return await self._write(reset, job, events.LeaderEnded())
            if job.row.head not in {"", row.id}:
                blocked = await self._blocked_by(row, job.row.head)
                return await self._write(reset, job, blocked)
        if (old := self._too_old(row, now)) is not None:
            return await self._write(reset, job, old)
        if not row.dry_run and job.row.head != row.id:
            # First the Head, then the questions: who loses this race asks nothing of Graph and
            # reserves nothing. No nudge: the step goes on at once.
            reset, job = await self.writer.take_head(reset, job)
        return await self._rule(claim, reset, job)

    async def _rule(self, claim: Claim, reset: Stored[Reset], job: Stored[JobRow]) -> Reset:
        """Ask the policy and Graph, and send the restart where nothing stands against it."""
        event = await self._ask_policy(reset.row, job.row)
        if not isinstance(event, events.ReadyToSend):
            return await self._write(reset, job, event)
        return await self._send(claim, reset, job, event)

    async def _blocked_by(self, reset: Reset, head: str) -> events.HeadTaken:
        """Name the reset that may act, and what that one waits for."""
        there = await self.others.read(head) if reset.waiting_since is not None else None
        return events.HeadTaken(reason=blocked_words(head, there))

    def _with_ids(self, reset: Stored[Reset]) -> Stored[Reset]:
        """Give a reset that was accepted under an unreadable catalogue the ids as of now."""
        target = (self.settings.catalogue or {}).get(reset.row.target)
        if reset.row.service_principal_id or target is None:
            return reset
        ids = replace(
            reset.row, service_principal_id=target.service_principal_id, job_id=target.job_id
        )
        return replace(reset, row=ids)

    @staticmethod
    def stands_for(job: JobRow, reset: Reset) -> bool:
        """Row 3: a full restart that began after this request came, and has ended."""
        last = job.last_full
        return (
            last is not None
            and reset.scope is Scope.FULL
            and reset.seen_number is not None
            and last.number > reset.seen_number
            and last.service_principal_id == reset.service_principal_id
            # The id found: a request that names none is for the only job, which that one was.
            and reset.job_id in {"", last.job_id}
        )

    def _too_old(self, reset: Reset, now: datetime) -> events.TooOld | None:
        if reset.state is State.AWAITING_APPROVAL:
            return events.TooOld(reason="nobody approved it in time")
        came = max(reset.requested_at, reset.not_before or reset.requested_at)
        if now - came <= self.settings.max_age:
            return None
        why = f"older than {self.settings.max_age} (RESET_MAX_AGE); ask again"
        return events.TooOld(reason=why)

    async def _ask_policy(
        self, reset: Reset, job: JobRow
    ) -> events.MustWait | events.MustAsk | events.Refused | events.ReadyToSend | events.Previewed:
        now = self.clock()
        # A preview says what is spent; elsewhere the reservation decides.
        limit = None if reset.dry_run else self.settings.daily_budget
        budget, fleet, observed = await asyncio.gather(
            self.limits.budget(budget_day(now), limit=limit),
            self.limits.fleet(),
            self.limits.read_observation(reset.target),
        )
        history = policy.History(job=job, budget=budget, fleet=fleet, observation=observed.row)
        if reset.dry_run:
            return await self._preview(reset, history, now)
        ruling = policy.before_reading(reset, history, self.settings.rules, now=now)
        if not isinstance(ruling, policy.Go):
            if isinstance(ruling, policy.Wait):
                # It waits anyway: what to put right first is known before it begins.
                await self.links.before(reset, reset.job_id or job.last_job_id)
            return await self._as_event(reset, ruling, history)
        snapshot = await self.calls.read_job(reset)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        ruling = policy.after_reading(reset, snapshot, history, self.settings.rules, now=now)
        if not isinstance(ruling, policy.Go) or self._reads_connections(reset):
            # The logs tell the old link afterwards too; an object connection is gone by then.
            await self.links.before(reset, snapshot.id)
        return await self._as_event(reset, ruling, history, snapshot)

    async def _preview(
        self, reset: Reset, history: policy.History, now: datetime
    ) -> events.Previewed | events.MustWait | events.Refused:
        """Rule on the job as it is as if resets were switched on; the answer says if they are."""
        enabled = self.settings.rules.enabled
        rules = replace(self.settings.rules, enabled=True)
        ruling = policy.before_reading(reset, history, rules, now=now)
        if rules.problem or rules.catalogue is None or isinstance(ruling, policy.Refuse):
            return previewed(reset, ruling, None, enabled=enabled)
        snapshot = await self.calls.read_job(reset)
        if not isinstance(snapshot, SyncJob):
            return snapshot
        if isinstance(ruling, policy.Go):
            ruling = policy.after_reading(reset, snapshot, history, rules, now=now)
        traced = await self.links.before(reset, snapshot.id)
        if traced.again_at is not None and now - reset.requested_at < LATE_ROWS:
            # The links are what a dry run is asked for: they are worth a wait.
            why = f"the users' links are being looked up: {traced.problem}"
            return events.MustWait(waiting_for=WaitingFor.GRAPH, reason=why, until=traced.again_at)
        return previewed(
            reset, ruling, snapshot, enabled=enabled, links=traced.links, problem=traced.problem
        )

    async def _as_event(
        self,
        reset: Reset,
        ruling: policy.Ruling,
        history: policy.History,
        snapshot: SyncJob | None = None,
    ) -> events.MustWait | events.MustAsk | events.Refused | events.ReadyToSend:
        match ruling:
            case policy.Wait():
                return _must_wait(ruling)
            case policy.Ask():
                expires = self.clock() + self.settings.approval_expiry
                if snapshot is None:
                    raise AssertionError("the policy asks only about a job that was read")
                return events.MustAsk(
                    reason=ruling.reason,
                    expires=expires,
                    questions=tuple(each.key for each in ruling.questions),
                    before=evidence.dump(snapshot),
                    expected_minutes=cycle.expected_minutes(snapshot.size),
                )
            case policy.Refuse():
                return events.Refused(reason=ruling.reason)
            case policy.Go():
                if snapshot is None:
                    raise AssertionError("the policy said go without having seen the job")
                return await self._prepare(reset, snapshot, history.job)

    async def _prepare(
        self, reset: Reset, snapshot: SyncJob, job: JobRow
    ) -> events.MustWait | events.ReadyToSend:
        """Reserve the budget and have a token, so that the intent is followed by the POST alone."""
        client_request_id = self.new_id()
        if not await self.budget.reserve(reset, client_request_id):
            return _must_wait(policy.over_budget(self.settings.daily_budget, now=self.clock()))
        if (no_token := await self.calls.fetch_token(reset)) is not None:
            await self.budget.give_back(reset, client_request_id)
            return no_token
        target = (self.settings.catalogue or {})[reset.target]
        return events.ReadyToSend(
            before=evidence.dump(snapshot),
            snapshot_at=snapshot.read_at,
            client_request_id=client_request_id,
            expected_minutes=cycle.expected_minutes(snapshot.size),
            warnings=policy.warnings(reset, snapshot, job, target),
        )

    def _reads_connections(self, reset: Reset) -> bool:
        target = (self.settings.catalogue or {}).get(reset.target)
        return target is not None and target.object_connections

    # The intent, the POST, and the sender's word about it

    async def _send(
        self,
        claim: Claim,
        reset: Stored[Reset],
        job: Stored[JobRow],
        ready: events.ReadyToSend,
    ) -> Reset:
        try:
            intent = await self.writer.write(reset, job, ready)
        except Conflict:
            await self.budget.give_back(reset.row, ready.client_request_id)
            raise
        event = await self.calls.restart(intent.row)
        if isinstance(event, events.SendPrevented | events.RestartRejected):
            # Before the result is written: after a crash in between, the fate is unknown, is
            # shown not to have happened, and nothing is left to give back.
            await self.budget.give_back_sent(intent.row)
        return await self._report(claim, intent, event)

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
                await self.resets.read_job(claim.target)
                if isinstance(event, events.RestartRejected)
                else Stored(row=JobRow(target=claim.target))
            )
            if not self.writer.fits(reset.row, job.row, event):
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
                again = await self.resets.read_reset(claim)
                if again is None:
                    raise StorageUnavailable(f"{claim.id} is gone") from None
                reset = again
        raise StorageUnavailable(f"{claim.id} is changed by too many processes at once")

    # After the restart

    async def _poll(self, reset: Reset) -> events.CycleEnded | events.CycleRuns:
        """Ask whether the cycle has ended, and before a good end what became of the links."""
        event = await self.calls.poll_cycle(reset)
        if not reset.subjects or reset.snapshot_at is None:
            return event
        job_id = _job_id(reset)
        await self.links.before(reset, job_id, until=reset.snapshot_at)
        if not isinstance(event, events.CycleEnded):
            await self.links.at_once(reset, job_id, since=reset.snapshot_at)
            return event
        traced = await self.links.after(reset, job_id, since=reset.snapshot_at)
        in_time = reset.deadline is None or self.clock() < reset.deadline
        if event.completed and traced.again_at is not None and in_time:
            why = "the initial cycle has ended; its provisioning log is being read"
            return events.CycleRuns(look_at=traced.again_at, progress=why)
        return event

    async def _trace_as_joined(self, reset: Reset, job: JobRow) -> datetime | None:
        """
        Judge the links of a request for which another one's restart stands.

        Return when to look again, where its end was good and more may be known then.
        """
        if not reset.subjects or job.last_full is None:
            return None
        leader = await self.resets.find_reset(job.last_full.id)
        if leader is None or leader.row.snapshot_at is None:
            return None
        job_id = _job_id(leader.row)
        await self.links.before(reset, job_id, until=leader.row.snapshot_at)
        traced = await self.links.after(reset, job_id, since=leader.row.snapshot_at)
        return traced.again_at if leader.row.state is State.COMPLETED else None

    # What persons decide

    async def put(self, claim: Claim, event: Callable[[Reset], Event]) -> Reset | None:
        """Write what *event* makes of the reset; None where its state does not allow it."""
        for _ in range(LOST_RACES):
            reset = await self.resets.read_reset(claim)
            if reset is None:
                return None
            job = await self.resets.read_job(claim.target)
            found = event(reset.row)
            if not self.writer.fits(reset.row, job.row, found):
                return None
            try:
                return await self._resolve(reset, job, found)
            except Conflict:
                continue
        raise StorageUnavailable(f"{claim.id} is changed by too many processes at once")

    def confirmed(self, reset: Reset, word: events.Decided) -> events.RestartAccepted:
        """A person says that the restart of the last intent happened."""
        return self.calls.confirmed(reset, word)

    async def _resolve(self, reset: Stored[Reset], job: Stored[JobRow], event: Event) -> Reset:
        """Write it; where a restart turns out not to have been sent, its place is free again."""
        not_sent = isinstance(event, events.ShownNotSent) or (
            isinstance(event, events.Decided) and event.decision == "resend"
        )
        written = await self.writer.write(reset, job, event, nudge=not not_sent)
        if not_sent:
            # After the write, which a late 204 may win; before the nudge, which reserves again.
            await self.budget.give_back_sent(reset.row)
            await self.writer.nudge(written.row)
        return written.row

    async def _write(self, reset: Stored[Reset], job: Stored[JobRow], event: Event) -> Reset:
        return (await self.writer.write(reset, job, event)).row


def is_due(reset: Reset, job: JobRow, *, now: datetime) -> bool:
    """Open, and either its time has come or the reset that it waits behind is no longer Head."""
    if reset.state not in OPEN or reset.due_at is None:
        return False
    return reset.due_at <= now or bool(reset.behind and reset.behind != job.head)


def _job_id(reset: Reset) -> str:
    """The job's own id, also where the catalogue names none."""
    before = evidence.load(reset.before)
    return reset.job_id or (before.id if before is not None else "")


def _must_wait(ruling: policy.Wait) -> events.MustWait:
    return events.MustWait(waiting_for=ruling.waiting_for, reason=ruling.reason, until=ruling.until)
