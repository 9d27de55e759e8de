"""Deliver the notifications of the outbox to the ticket systems."""

import contextlib
import json
from collections.abc import Callable, Mapping
from copy import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.domain.errors import (
    Conflict,
    InvalidRequest,
    NotDelivered,
    ReceiverGone,
    Undeliverable,
)
from shared.domain.pace import after_failure, after_success
from shared.domain.ports import Clock, Notifier, Outbox, Queues, Resets, Undelivered
from shared.domain.reset import HistoryEntry, Notification, NotificationKind, Stored
from shared.names import NOTIFICATIONS_QUEUE
from shared.telemetry import emit
from shared.use_cases.notifier_turns import NotifierTurns, Turn
from shared.use_cases.write_transition import nudge_answer

GIVE_UP_AFTER: Final = timedelta(days=3)
"""From the first try on: an answer that waits for its turn grows no older."""

BEGIN_WITHIN: Final = timedelta(seconds=10)
# More than a delivery may take (10 s to begin, 20 s to end) and clocks may differ.
MIN_BACK_OFF: Final = timedelta(minutes=2)
MAX_BACK_OFF: Final = timedelta(hours=1)


class Notify(Struct, frozen=True, kw_only=True):
    """The use case `notify`: a ticket system that is down loses no notification."""

    outbox: Outbox
    turns: NotifierTurns
    undelivered: Undelivered
    resets: Resets
    queues: Queues
    notifiers: Mapping[str, Notifier]
    clock: Clock
    jitter: Callable[[], float]

    async def notify(self, body: bytes) -> None:
        """
        Deliver the notification that the message names; one that is gone was delivered before.

        Raise InvalidRequest where it names none: it then ends as poison, and is kept from there.
        """
        target, reset_id, n = _notification_named(body)
        stored = await self._first_in_line(target, reset_id, n)
        now = self.clock()
        if stored is None or stored.row.due_at > now:
            return
        answer = stored.row
        if answer.tried_at is not None and now - answer.tried_at > GIVE_UP_AFTER:
            await self._give_up(stored, "three days have passed since the first try")
            return
        turn = await self._turn_of(answer, now)
        if turn.gone:
            await self._give_up(stored, "the receiver at this address wants no more (410)")
            return
        if turn.at is None or turn.at > now:
            await self._wait_for(stored, turn.at, now)
            return
        # Ours from here on: of two messages that name the same answer, one goes on.
        later = replace(
            answer,
            attempts=answer.attempts + 1,
            due_at=now + self._back_off(answer.attempts),
            tried_at=answer.tried_at or now,
            turn=None,
        )
        try:
            claimed = await self.outbox.put_off(stored, later)
        except Conflict:
            return
        if self.clock() - now > BEGIN_WITHIN:
            # Held up since: the next try may be under way, and would not know of this one.
            return
        await self._deliver(claimed, turn, again=answer.attempts > 0)

    async def _first_in_line(
        self, target: str, reset_id: str, n: int
    ) -> Stored[Notification] | None:
        """
        Return the notification, where no earlier one of its reset waits for the same notifier.

        Answer n + 1 goes out after n, which lets it go when it has gone.
        """
        line = await self.outbox.notifications(target, reset_id)
        found = next((each for each in line if each.row.n == n), None)
        if found is None or any(
            each.row.n < n and each.row.notifier == found.row.notifier for each in line
        ):
            return None
        return found

    async def _turn_of(self, answer: Notification, now: datetime) -> Turn:
        if answer.notifier not in self.notifiers:
            return Turn(at=now)
        return await self.turns.take(answer.notifier, answer.turn, now=now)

    async def _wait_for(
        self, stored: Stored[Notification], turn: datetime | None, now: datetime
    ) -> None:
        """Come back at its turn; where the row of turns is fought over, a while later."""
        due_at = turn or now + MIN_BACK_OFF * (1 + self.jitter())
        with contextlib.suppress(Conflict):
            await self.outbox.put_off(stored, replace(stored.row, due_at=due_at, turn=turn))

    async def _deliver(self, claimed: Stored[Notification], turn: Turn, *, again: bool) -> None:
        answer = claimed.row
        notifier = self.notifiers.get(answer.notifier)
        try:
            if notifier is None:
                raise NotDelivered(f"there is no notifier {answer.notifier!r}; set it in NOTIFIERS")
            await notifier.deliver(answer, again=again)
        except NotDelivered as error:
            await self._put_off(claimed, error)
            return
        except Undeliverable as error:
            if isinstance(error, ReceiverGone):
                gone = self.turns.address(answer.notifier)
                await self.turns.note(answer.notifier, lambda pace: replace(pace, gone=gone))
            await self._give_up(claimed, str(error))
            return
        await self.outbox.take_out(claimed)
        emit("answer.delivered", id=answer.id, target=answer.target, notifier=answer.notifier)
        if answer.kind is not NotificationKind.END:
            # The end has no next one. What is put back later is sent by `resend`.
            await self._let_next_go(answer)
        if not turn.calm:
            await self.turns.note(answer.notifier, after_success)

    async def _let_next_go(self, gone: Notification) -> None:
        """Send the message of the next answer of this reset and notifier, if there is one."""
        line = await self.outbox.notifications(gone.target, gone.id)
        numbers = [each.row.n for each in line if each.row.notifier == gone.notifier]
        if numbers:
            await nudge_answer(self.queues, replace(gone, n=min(numbers)))

    async def _put_off(self, claimed: Stored[Notification], error: NotDelivered) -> None:
        """Back-off is written already; a longer Retry-After is kept, for this and all others."""
        answer, now, wait = claimed.row, self.clock(), error.retry_after
        emit(
            "answer.put_off",
            id=answer.id,
            target=answer.target,
            notifier=answer.notifier,
            attempts=answer.attempts,
            why=str(error),
        )
        if wait is not None and now + wait > answer.due_at:
            with contextlib.suppress(Conflict):
                await self.outbox.put_off(claimed, replace(answer, due_at=now + wait))
        if answer.notifier in self.notifiers:
            await self.turns.note(
                answer.notifier, lambda pace: after_failure(pace, now=now, retry_after=wait)
            )

    async def _give_up(self, stored: Stored[Notification], why: str) -> None:
        """Keep it for `make resend` first, then say so in the reset's history and take it out."""
        answer = stored.row
        await self.undelivered.keep_undelivered(answer, why=why, at=self.clock())
        reset = await self.resets.find_reset(answer.id)
        if reset is None:
            await self.outbox.take_out(stored)
        else:
            after = replace(reset.row, sequence=reset.row.sequence + 1)
            event = HistoryEntry(
                sequence=after.sequence,
                at=self.clock(),
                state=after.state,
                by="relink",
                detail=f"undeliverable: the answer ({answer.kind}) to {answer.notifier} "
                f"{answer.ticket_id}".rstrip(),
            )
            try:
                await self.resets.commit(reset, after, event=event, given_up=stored)
            except Conflict:
                return
        emit(
            "answer.undeliverable",
            id=answer.id,
            target=answer.target,
            notifier=answer.notifier,
            why=why,
        )
        await self._let_next_go(answer)

    def _back_off(self, attempts: int) -> timedelta:
        ceiling = min(MAX_BACK_OFF, MIN_BACK_OFF * (1 << min(attempts, 10)))
        return MIN_BACK_OFF + ceiling * self.jitter()


def _notification_named(body: bytes) -> tuple[str, str, int]:
    try:
        found = json.loads(body)
        target, reset_id, n = found["target"], found["id"], found["n"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest(
            f"message: names no notification; {NOTIFICATIONS_QUEUE} is written by the app itself"
        ) from error
    if not (isinstance(target, str) and isinstance(reset_id, str) and isinstance(n, int)):
        raise InvalidRequest("message: target and id must be strings, n a number")
    return target, reset_id, n
