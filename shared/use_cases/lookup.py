"""Look resets up: one by its id, those of a target newest first, or all that are open."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.keys import is_reset_key, reset_key
from shared.domain.ports import ResetReader
from shared.domain.requests import ALIAS, RESERVED, RESET_ID
from shared.domain.reset import OPEN, HistoryEntry, Link, Reset, State

MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
MAX_READS_AT_ONCE: Final = 10
"""Point reads side by side: a page of open resets is two for each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A reset with its history and with what was found out about its subjects' links."""

    reset: Reset
    events: Sequence[HistoryEntry]
    links: Sequence[Link]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListQuery:
    """What a list is asked for; `state` filters the page, so that one may be short or empty."""

    target: str = ""
    state: State | None = None
    limit: int = DEFAULT_PAGE
    continuation: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "ListQuery":
        """Raise InvalidRequest naming the parameter; one that is not known is left alone."""
        state, limit = query.get("state", ""), query.get("limit", str(DEFAULT_PAGE))
        if state and state not in set(State):
            raise InvalidRequest(f"state: must be one of {', '.join(State)}")
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_PAGE:
            raise InvalidRequest(f"limit: must be a number from 1 to {MAX_PAGE}")
        return cls(
            target=query.get("target", ""),
            state=State(state) if state else None,
            limit=int(limit),
            continuation=query.get("continuation", ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage:
    resets: Sequence[Reset]
    continuation: str = ""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """The use cases `get_reset`, `list_resets` and `show_reset`; changes nothing."""

    resets: ResetReader

    async def find(self, reset_id: str) -> Found:
        """Two point reads and two ranges; raise NotFound where there is none."""
        stored = await self.resets.find_reset(reset_id) if RESET_ID.fullmatch(reset_id) else None
        if stored is None:
            raise NotFound(f"there is no reset {reset_id[:192]}")
        events, links = await asyncio.gather(
            self.resets.events(stored.row),
            self.resets.links(stored.row),
        )
        return Found(reset=stored.row, events=events, links=links)

    async def page(self, question: ListQuery) -> ListPage:
        """Of the question's target the newest first; without one what is open, by target."""
        target = question.target
        if target and (not ALIAS.fullmatch(target) or target in RESERVED):
            raise InvalidRequest("target: not an alias; give one of the catalogue")
        page = await (self._of_target(question) if target else self._open(question))
        if question.state is None:
            return page
        kept = [reset for reset in page.resets if reset.state is question.state]
        return ListPage(resets=kept, continuation=page.continuation)

    async def _of_target(self, question: ListQuery) -> ListPage:
        after = _position(question, is_reset_key)
        # One more than asked for: it tells whether there is a next page.
        rows = await self.resets.resets(question.target, after=after, most=question.limit + 1)
        page = rows[: question.limit]
        if len(rows) == len(page):
            return ListPage(resets=page)
        last = page[-1]
        return ListPage(
            resets=page, continuation=_token(question, reset_key(last.requested_at, last.id))
        )

    async def _open(self, question: ListQuery) -> ListPage:
        """From the sweep's index, which holds what is open and nothing else."""
        after = _position(question, _is_place)
        begin, _, after_id = after.partition(" ")
        wanted, places = question.limit + 1, list[tuple[str, str]]()
        for target in await self.resets.targets():
            if target < begin or len(places) == wanted:
                continue
            ids = await self.resets.open_ids(
                target,
                after=after_id if target == begin else "",
                most=wanted - len(places),
            )
            places += [(target, each) for each in ids]
        page = places[: question.limit]
        resets: list[Reset] = []
        for start in range(0, len(page), MAX_READS_AT_ONCE):
            some = page[start : start + MAX_READS_AT_ONCE]
            found = await asyncio.gather(*(self.resets.find_reset(each) for _, each in some))
            # What has ended since the index was read is no longer open.
            resets += [stored.row for stored in found if stored and stored.row.state in OPEN]
        more = len(places) > len(page)
        token = _token(question, " ".join(page[-1])) if more else ""
        return ListPage(resets=resets, continuation=token)


def _is_place(position: str) -> bool:
    """True for the alias and the id of a row of the open list."""
    alias, _, reset_id = position.partition(" ")
    return bool(ALIAS.fullmatch(alias) and RESET_ID.fullmatch(reset_id))


def _token(question: ListQuery, position: str) -> str:
    text = f"{_mark(question, position)} {position}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(question: ListQuery, fits: Callable[[str], bool]) -> str:
    """
    Read from the token where the page begins; raise InvalidRequest for another list's token.

    The mark ties a token to its question. It is not a secret: a made-up one shows nothing that
    its maker could not ask for.
    """
    token = question.continuation
    if not token:
        return ""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mark, _, position = text.decode().partition(" ")
    except (binascii.Error, ValueError):
        mark = position = ""
    if not fits(position) or mark != _mark(question, position):
        raise InvalidRequest("continuation: not one of this list; begin again without it")
    return position


def _mark(question: ListQuery, position: str) -> str:
    asked = f"{question.target}\n{question.state or ''}\n{position}"
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
