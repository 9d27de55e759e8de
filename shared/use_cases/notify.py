"""Deliver the notifications of the outbox to the ticket systems."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from shared.domain.errors import Conflict, InvalidRequest, NotDelivered
from shared.domain.ports import Clock, Notifier, Outbox, Resets
from shared.domain.reset import HistoryEntry, Notification, Stored
from shared.names import NOTIFICATIONS_QUEUE
from shared.telemetry import emit

GIVE_UP_AFTER: Final = timedelta(days=1)
BEGIN_WITHIN: Final = timedelta(seconds=10)
# More than a delivery may take (10 s to begin, 20 s to end) and clocks may differ.
MIN_BACK_OFF: Final = timedelta(minutes=2)
MAX_BACK_OFF: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Notify:
    """The use case `notify`: a ticket system that is down loses no notification."""

    outbox: Outbox
    resets: Resets
    notifiers: Mapping[str, Notifier]
    clock: Clock
    jitter: Callable[[], float]

    async def notify(self, text: str) -> None:
        """
        Deliver the notification that the message names; one that is gone was delivered before.

        Raise InvalidRequest where it names none: it then ends as poison, and is kept from there.
        """
        target, reset_id, n = _named(text)
        stored = await self.outbox.read_notification(target, reset_id, n)
        now = self.clock()
        if stored is None or stored.row.due_at > now:
            return
        answer = stored.row
        if now - answer.at > GIVE_UP_AFTER:
            await self._give_up(stored)
            return
        # Ours from here on: of two messages that name the same answer, one goes on.
        later = replace(
            answer, attempts=answer.attempts + 1, due_at=now + self._back_off(answer.attempts)
        )
        try:
            claimed = await self.outbox.put_off(stored, later)
        except Conflict:
            return
        if self.clock() - now > BEGIN_WITHIN:
            # Held up since: the next try may be under way, and would not know of this one.
            return
        await self._deliver(claimed, again=answer.attempts > 0)

    async def _deliver(self, claimed: Stored[Notification], *, again: bool) -> None:
        answer = claimed.row
        notifier = self.notifiers.get(answer.notifier)
        try:
            if notifier is None:
                raise NotDelivered(f"there is no notifier {answer.notifier!r}; set it in NOTIFIERS")
            await notifier.deliver(answer, again=again)
        except NotDelivered as error:
            emit(
                "answer.put_off",
                id=answer.id,
                target=answer.target,
                notifier=answer.notifier,
                attempts=answer.attempts,
                why=str(error),
            )
            return
        await self.outbox.take_out(claimed)
        emit("answer.delivered", id=answer.id, target=answer.target, notifier=answer.notifier)

    async def _give_up(self, stored: Stored[Notification]) -> None:
        answer = stored.row
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
        emit("answer.undeliverable", id=answer.id, target=answer.target, notifier=answer.notifier)

    def _back_off(self, attempts: int) -> timedelta:
        ceiling = min(MAX_BACK_OFF, MIN_BACK_OFF * (1 << min(attempts, 10)))
        return MIN_BACK_OFF + ceiling * self.jitter()


def _named(text: str) -> tuple[str, str, int]:
    try:
        found = json.loads(text)
        target, reset_id, n = found["target"], found["id"], found["n"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest(
            f"message: names no notification; {NOTIFICATIONS_QUEUE} is written by the app itself"
        ) from error
    if not (isinstance(target, str) and isinstance(reset_id, str) and isinstance(n, int)):
        raise InvalidRequest("message: target and id must be strings, n a number")
    return target, reset_id, n
