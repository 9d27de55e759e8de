"""Record poison messages, and delete resets whose retention is over."""

import json
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.domain.errors import InvalidRequest, RelinkError
from shared.domain.messages import claimed_id, read_message, unreadable_key
from shared.domain.ports import Archive, Clock, DeadLetters, Heartbeats, PoisonQueues
from shared.domain.requests import Received
from shared.domain.reset import PoisonMessage
from shared.names import RESETS_QUEUE
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance
from shared.use_cases.tell_refused import TellRefused

MAX_FORGOTTEN: Final = 100
MAX_INDEXED: Final = 500
RETENTION: Final = "retention"
RETENTION_EVERY: Final = timedelta(hours=1)


class Housekeeping(Struct, frozen=True, kw_only=True):
    """What the sweep's timer does beside sweeping: harmless when done twice."""

    archive: Archive
    dead_letters: DeadLetters
    heartbeats: Heartbeats
    poison: PoisonQueues
    acceptance: Acceptance
    refused: TellRefused
    retention: timedelta
    clock: Clock

    async def empty_poison_queues(self) -> int:
        """Record each message before it is deleted; return how many there were."""
        count = 0
        async for message in self.poison.poisoned():
            try:
                await self._record(message)
            except RelinkError as error:
                # It stays where it is and is read again; the others do not wait for it.
                emit("storage.failed", what="poison", message=message.id, why=str(error))
                continue
            await self.poison.delete(message)
            count += 1
        return count

    async def _record(self, message: PoisonMessage) -> None:
        if message.queue == RESETS_QUEUE:
            becomes = await self._take_in(message)
        else:
            # Follow-ups and notifications say "look at it": the due row says so again.
            becomes = (
                "due row"
                if _names_a_row(message.text)
                else await self._keep(message, "message: not written by the app, and it failed")
            )
        emit("message.poisoned", queue=message.queue, message=message.id, becomes=becomes)

    async def _take_in(self, message: PoisonMessage) -> str:
        """
        A request that failed again and again (storage was down): accept it now.

        Only where it brings its own id. The copy on the poison queue has a new message id, so
        that an id derived from it would be a second reset of one request.
        """
        received: Received | None = None
        try:
            body = message.text.encode("utf-8", "surrogatepass")
            received = read_message(body, message_id=message.id)
            if not received.own_id:
                raise InvalidRequest("message: failed too often, and has no requestId; send again")
            accepted = await self.acceptance.accept(received, via="queue")
        except InvalidRequest as error:
            key = await self._keep(message, str(error))
            if received is not None:
                await self.refused.tell(received, error)
            return key
        return accepted.stored.row.id

    async def _keep(self, message: PoisonMessage, reason: str) -> str:
        body = message.text.encode("utf-8", "surrogatepass")
        key = unreadable_key(message.id, body)
        return await self.dead_letters.keep_unreadable(
            key,
            body,
            reason=reason,
            queue=f"{message.queue}-poison",
            at=self.clock(),
            request_id=claimed_id(body),
        )

    async def forget_outdated(self) -> int:
        """
        Delete resets and unreadable messages that are older than the retention.

        Once an hour, some at a time. One target that fails holds up no other.
        """
        now = self.clock()
        last = await self.heartbeats.last_beat(RETENTION)
        if last is not None and now - last < RETENTION_EVERY:
            return 0
        limit, failures = now - self.retention, list[Exception]()
        await self.archive.index_unreadable(most=MAX_INDEXED)
        count = await self.archive.forget_unreadable(before=limit, most=MAX_FORGOTTEN)
        for target in await self.archive.targets():
            try:
                count += await self._forget_of(target, limit)
            except Exception as error:  # noqa: BLE001 -- raised below, with the others
                failures.append(error)
        if failures:
            raise ExceptionGroup("some targets keep outdated resets", failures)
        await self.heartbeats.beat(RETENTION, at=now)
        return count

    async def _forget_of(self, target: str, limit: datetime) -> int:
        count = 0
        for reset in await self.archive.outdated(target, before=limit, most=MAX_FORGOTTEN):
            if reset.finished_at is not None and reset.finished_at < limit:
                await self.archive.forget(reset)
                count += 1
        return count


def _names_a_row(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("id"), str)
