"""Deliver the answers of the outbox: a ticket system that is down loses none and repeats none."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.domain.errors import Conflict, InvalidRequest, NotDelivered
from shared.domain.ports import Clock, Notifier, Store
from shared.domain.reset import HistoryEntry, Notification, Stored
from shared.names import NOTIFICATIONS_QUEUE
from shared.telemetry import emit

GIVE_UP_AFTER: Final = timedelta(days=1)
BEGIN_WITHIN: Final = timedelta(seconds=10)
# More than a delivery may take (10 s to begin, 20 s to end) and clocks may differ.
BACK_OFF_FROM: Final = timedelta(minutes=2)
BACK_OFF_TO: Final = timedelta(hours=1)


class Notify:
    """The use case `notify`."""

    def __init__(
        self,
        *,
        store: Store,
        notifiers: Mapping[str, Notifier],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._notifiers = notifiers
        self._clock = clock
        self._jitter = jitter

    async def notify(self, text: str) -> None:
        """
        Deliver the answer that the message names; one that is gone was delivered before.

        Raise InvalidRequest where it names none: then it ends as poison, and is kept from there.
        """
        target, reset_id, n = _named(text)
        stored = await self._store.read_answer(target, reset_id, n)
        now = self._clock()
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
            claimed = await self._store.put_off(stored, later)
        except Conflict:
            return
        if self._clock() - now > BEGIN_WITHIN:
            # Held up since: the next try may be under way by now, and would not know of this one.
            return
        await self._deliver(claimed, again=answer.attempts > 0)

    async def _deliver(self, claimed: Stored[Notification], *, again: bool) -> None:
        answer = claimed.row
        notifier = self._notifiers.get(answer.notifier)
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
        await self._store.delivered(claimed)
        emit("answer.delivered", id=answer.id, target=answer.target, notifier=answer.notifier)

    async def _give_up(self, stored: Stored[Notification]) -> None:
        answer = stored.row
        claim = await self._store.find(answer.id)
        reset = await self._store.read_reset(claim) if claim is not None else None
        if reset is None:
            await self._store.delivered(stored)
        else:
            now, x = self._clock(), replace(reset.row, sequence=reset.row.sequence + 1)
            event = HistoryEntry(
                sequence=x.sequence,
                at=now,
                state=x.state,
                by="relink",
                detail=f"undeliverable: the answer ({answer.kind}) to {answer.notifier} "
                f"{answer.ticket_id}".rstrip(),
            )
            try:
                await self._store.commit(reset, x, event=event, given_up=stored)
            except Conflict:
                return
        emit("answer.undeliverable", id=answer.id, target=answer.target, notifier=answer.notifier)

    def _back_off(self, attempts: int) -> timedelta:
        ceiling = min(BACK_OFF_TO, BACK_OFF_FROM * (1 << min(attempts, 10)))
        return BACK_OFF_FROM + ceiling * self._jitter()


def _named(text: str) -> tuple[str, str, int]:
    try:
        found = json.loads(text)
        target, reset_id, n = found["target"], found["id"], found["n"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest(
            f"message: no answer's name; {NOTIFICATIONS_QUEUE} is written by the app itself"
        ) from error
    if not (isinstance(target, str) and isinstance(reset_id, str) and isinstance(n, int)):
        raise InvalidRequest("message: target and id must be strings, n a number")
    return target, reset_id, n
