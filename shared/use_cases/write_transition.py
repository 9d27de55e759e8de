"""Write one transition of a reset: its rows, what its ticket hears, a nudge and a log line."""

from msgspec import Struct

from shared.config import Settings
from shared.domain import notifications
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.events import Decided, Event, HeadFree
from shared.domain.keys import reset_key
from shared.domain.notifications import Listeners
from shared.domain.ports import Clock, Links, Queues, Resets
from shared.domain.reset import OPEN, JobRow, Notification, NotificationKind, Reset, State, Stored
from shared.domain.ticket_facts import LinkFact, link_facts
from shared.domain.transitions import RELINK, StateMachine, Transition
from shared.telemetry import emit
from shared.use_cases.other_resets import OtherResets


class TransitionWriter(Struct, frozen=True, kw_only=True):
    """Carry out what the state machine says, in one transaction."""

    resets: Resets
    others: OtherResets
    links: Links
    queues: Queues
    settings: Settings
    listeners: Listeners
    clock: Clock
    transition: StateMachine

    def fits(self, reset: Reset, job: JobRow, event: Event) -> bool:
        """Whether the event still means something to the reset as it is."""
        return self.transition(reset, job, event, now=self.clock()) is not None

    async def write(
        self, reset: Stored[Reset], job: Stored[JobRow], event: Event, *, nudge: bool = True
    ) -> Stored[Reset]:
        """
        Return the reset as written.

        Raise Conflict where the event no longer fits, or where another process wrote first.
        """
        now = self.clock()
        step = self.transition(reset.row, job.row, event, now=now)
        if step is None:
            # Time went by between the question and the write: decide again.
            raise Conflict(f"{type(event).__name__} no longer fits {reset.row.state}")
        answers = notifications.answers(
            step.reset,
            await self._audible(step),
            self.listeners,
            self.settings.catalogue,
            now=now,
            by=step.event.by if step.event is not None and step.event.by != RELINK else "",
            why=event.reason if isinstance(event, Decided) else "",
            public_url=self.settings.public_url,
            sign_in=self.settings.sign_in,
            links=await self._links(step),
        )
        stored = await self.resets.commit(
            reset,
            step.reset,
            job=(job, step.job) if step.job is not None else None,
            event=step.event,
            answers=answers,
        )
        _log(step)
        for answer in answers:
            await nudge_answer(self.queues, answer)
        if nudge:
            await self.nudge(stored.row)
        return stored

    async def take_head(
        self, reset: Stored[Reset], job: Stored[JobRow]
    ) -> tuple[Stored[Reset], Stored[JobRow]]:
        """
        Make the reset the Head of its job; return both rows as they are then.

        Raise Conflict where another one was first.
        """
        step = self.transition(reset.row, job.row, HeadFree(), now=self.clock())
        if step is None or step.job is None:
            raise Conflict(f"{job.row.head} is Head")
        stored = await self.resets.commit(reset, step.reset, job=(job, step.job))
        if stored.job_etag:
            return stored, Stored(row=step.job, etag=stored.job_etag)
        return stored, await self.resets.read_job(reset.row.target)

    async def _links(self, step: Transition) -> tuple[LinkFact, ...]:
        """What is known of the subjects' links, where a ticket is to hear of it."""
        if step.answer is None or not step.reset.subjects:
            return ()
        return link_facts(await self.links.links(step.reset))

    async def _audible(self, step: Transition) -> NotificationKind | None:
        """A joined request on its leader's ticket gets no comment of its own."""
        reset = step.reset
        if reset.state is not State.JOINED or not reset.ticket_id or step.answer is None:
            return step.answer
        leader = await self.others.read(reset.leader)
        if leader is None or not notifications.may_write(leader, self.listeners):
            return step.answer
        same = (leader.ticket_system, leader.ticket_id) == (reset.ticket_system, reset.ticket_id)
        return None if same else step.answer

    async def nudge(self, reset: Reset) -> None:
        """Send the next message at once where something is due at once."""
        if reset.state not in OPEN or reset.due_at is None or reset.due_at > self.clock():
            return
        try:
            key = reset_key(reset.requested_at, reset.id)
            await self.queues.follow_up(reset.id, target=reset.target, key=key)
        except StorageUnavailable as error:
            # The due row stands: the sweep sends the message within a minute.
            emit("storage.failed", id=reset.id, target=reset.target, what="nudge", why=str(error))


async def nudge_answer(queues: Queues, answer: Notification) -> None:
    """Let an answer leave at once; the sweep is the safety net."""
    try:
        await queues.notification(answer.target, answer.id, answer.n)
    except StorageUnavailable as error:
        emit("storage.failed", id=answer.id, target=answer.target, what="nudge", why=str(error))


def _log(step: Transition) -> None:
    reset = step.reset
    if step.event is None:
        if reset.state is State.RESTARTED:
            emit("reset.progress", id=reset.id, target=reset.target, progress=reset.progress)
        return
    asked = reset.state is State.UNKNOWN and reset.operator_asked
    emit(
        "reset.fate_asked" if asked else f"reset.{reset.state}",
        id=reset.id,
        target=reset.target,
        scope=str(reset.scope),
        detail=reset.detail,
        outcome=reset.outcome,
        number=reset.number,
        leader=reset.leader,
        graphRequestId=reset.graph_request_id,
        by=step.event.by if step.event.by != RELINK else "",
    )
