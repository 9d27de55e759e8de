"""List the messages that became no reset, and send one again that was put right."""

import re
from collections.abc import Mapping, Sequence
from copy import replace
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.errors import NotFound, NotPossible
from shared.domain.keys import is_message_place, message_key
from shared.domain.messages import read_message
from shared.domain.people import Person
from shared.domain.ports import Clock, KeptMessages
from shared.domain.requests import Received, derived_id
from shared.domain.reset import Unreadable
from shared.names import RESETS_QUEUE
from shared.telemetry import emit
from shared.use_cases.accept import API, Accepted
from shared.use_cases.lookup import (
    ListQuery,
    only_known,
    page_position,
    page_token,
    read_limit,
)
from shared.use_cases.submit import Submission

_KEY: Final = re.compile("[A-Za-z0-9][A-Za-z0-9-]{0,127}")


class MessagePage(Struct, frozen=True, kw_only=True):
    messages: Sequence[Unreadable]
    continuation: str = ""


class UnreadableMessages(Struct, frozen=True, kw_only=True):
    """The use cases `list_unreadable` and `retry_unreadable`."""

    kept: KeptMessages
    submission: Submission
    clock: Clock

    async def page(self, query: Mapping[str, str]) -> MessagePage:
        """Newest first: one range of an index, and a point read for each message."""
        only_known(query, ("limit", "continuation"))
        question = ListQuery(
            target="unreadable",
            limit=read_limit(query),
            continuation=query.get("continuation", ""),
        )
        after = page_position(question, is_message_place)
        # One more than asked for: it tells whether there is a next page.
        found = await self.kept.unreadable(after=after, most=question.limit + 1)
        page = found[: question.limit]
        if len(found) == len(page):
            return MessagePage(messages=page)
        last = message_key(page[-1].at, page[-1].key)
        return MessagePage(messages=page, continuation=page_token(question, last))

    async def retry(
        self, key: str, corrected: Received | None, *, person: Person | None
    ) -> Accepted:
        """
        Accept the message as it was kept, or *corrected* in its place.

        The caller asks for it, as if they had sent it to the API. Without an id of its own it gets
        one that follows from the key: tried again, it is the same request. Raise what
        `Submission.submit` raises, NotFound, and NotPossible for what was never a request.
        """
        stored = await self.kept.read_unreadable(key) if _KEY.fullmatch(key) else None
        if stored is None:
            raise NotFound(f"no unreadable message is kept as {key[:128]}")
        message = stored.row
        if message.queue.removesuffix("-poison") != RESETS_QUEUE:
            raise NotPossible(
                f"it lay on the queue {message.queue}, where the app writes to itself; a request "
                "is sent to POST /api/resets"
            )
        received = _named(message, corrected)
        if person is not None:
            received = received.asked_by(person.name)
        accepted = await self.submission.submit(received, via=API, asker=person)
        reset = accepted.stored.row
        await self.kept.note_sent_again(stored, sent_as=reset.id, at=self.clock())
        by = person.name if person is not None else ""
        emit("message.sent_again", key=key, id=reset.id, target=reset.target, by=by)
        return accepted


def _named(message: Unreadable, corrected: Received | None) -> Received:
    if corrected is not None and corrected.own_id:
        return corrected
    own = derived_id("unreadable", message.key)
    if corrected is None:
        received = read_message(message.body, message_id=message.key)
        return received if received.own_id else replace(received, id=own)
    if not message.request_id:
        return replace(corrected, id=own)
    # It stands in the request too, so that it is judged as one that the request brings.
    request = msgspec.structs.replace(corrected.request, request_id=message.request_id)
    return Received(id=message.request_id, request=request)
