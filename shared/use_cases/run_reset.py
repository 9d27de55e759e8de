"""Read what the two queues of resets bring, then accept and advance."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.domain.errors import InvalidRequest, NewerRow, StorageUnavailable
from shared.domain.json_object import decode_object
from shared.domain.keys import is_reset_key, requested_at_of
from shared.domain.messages import claimed_id, read_message, unreadable_key
from shared.domain.ports import Clock, DeadLetters, Resets
from shared.domain.requests import ALIAS, RESET_ID, Received
from shared.domain.reset import BEFORE_SENDING, Claim
from shared.names import FOLLOW_UPS_QUEUE, RESETS_QUEUE
from shared.telemetry import emit
from shared.use_cases.accept import Acceptance, Accepted
from shared.use_cases.advance import Engine
from shared.use_cases.tell_refused import TellRefused

BELIEVED: Final = timedelta(minutes=10)


class RunReset(Struct, frozen=True, kw_only=True):
    """
    The use cases `run_reset` and `follow_up_reset`.

    Both finish the message, whatever becomes of the reset. They raise only StorageUnavailable, and
    NewerRow before a reset is written: then the host brings the message again.
    """

    resets: Resets
    dead_letters: DeadLetters
    acceptance: Acceptance
    refused: TellRefused
    engine: Engine
    clock: Clock

    async def run(self, body: bytes, *, message_id: str, came_at: datetime | None) -> None:
        """Accept the request in the message and take its first step."""
        received: Received | None = None
        try:
            received = read_message(body, message_id=message_id)
            emit("message.received", id=received.id, target=received.request.target, via="queue")
            accepted = await self.acceptance.accept(
                received, via="queue", came_at=_believable(came_at, self.clock())
            )
        except InvalidRequest as error:
            await self._keep(body, message_id, RESETS_QUEUE, str(error))
            if received is not None:
                await self.refused.tell(received, error)
            return
        reset = accepted.stored.row
        if accepted.known and reset.state not in BEFORE_SENDING:
            emit("message.repeated", id=reset.id, target=reset.target, state=str(reset.state))
            return
        await self._first_step(accepted)

    async def _first_step(self, accepted: Accepted) -> None:
        """
        Advance once. The due row is written: no failure from here on needs the message again.

        Brought again, the message would end as poison although its reset goes on.
        """
        claim, job = accepted.claim, accepted.job
        try:
            await self.engine.advance(
                claim, written=(accepted.stored, job) if job is not None else None
            )
        except NewerRow as error:
            emit("reset.newer_row", id=claim.id, target=claim.target, why=str(error))
        except StorageUnavailable as error:
            emit("storage.failed", id=claim.id, target=claim.target, what="run", why=str(error))

    async def follow_up(self, body: bytes, *, message_id: str) -> None:
        """Take one step of the reset that the message names."""
        try:
            message = decode_object(body, name="message")
            reset_id = _reset_named(message)
            place = _place_named(message, reset_id)
            if place is None or await self.engine.advance(place) is None:
                await self.engine.advance(await self._located(reset_id))
        except InvalidRequest as error:
            await self._keep(body, message_id, FOLLOW_UPS_QUEUE, str(error))
        except NewerRow as error:
            emit("reset.newer_row", why=str(error))

    async def _located(self, reset_id: str) -> Claim:
        claim = await self.resets.find(reset_id)
        if claim is None:
            raise InvalidRequest(f"id: there is no reset {reset_id}")
        return claim

    async def _keep(self, body: bytes, message_id: str, queue: str, reason: str) -> None:
        key = await self.dead_letters.keep_unreadable(
            unreadable_key(message_id, body),
            body,
            reason=reason,
            queue=queue,
            at=self.clock(),
            request_id=claimed_id(body),
        )
        emit("message.unreadable", key=key, queue=queue, reason=reason)


def _believable(came_at: datetime | None, now: datetime) -> datetime | None:
    """
    Return the time at which the message was queued, if it is near ours.

    The host lets a property of the body overwrite it, which could date a reset back.
    """
    if came_at is None or came_at.tzinfo is None:
        return None
    return came_at if abs(now - came_at.astimezone(UTC)) <= BELIEVED else None


def _reset_named(message: Mapping[str, object]) -> str:
    reset_id = message.get("id")
    if not isinstance(reset_id, str) or not RESET_ID.fullmatch(reset_id):
        raise InvalidRequest(
            "id: missing or not the id of a reset; follow-ups are sent by the app itself"
        )
    return reset_id


def _place_named(message: Mapping[str, object], reset_id: str) -> Claim | None:
    """Where the message says that the reset's row is; a message of before does not say it."""
    target, key = message.get("target"), message.get("key")
    if not isinstance(target, str) or not isinstance(key, str) or not ALIAS.fullmatch(target):
        return None
    if not is_reset_key(key) or key.split(":", 2)[2] != reset_id:
        return None
    return Claim(id=reset_id, target=target, requested_at=requested_at_of(key), content_hash="")
