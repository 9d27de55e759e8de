"""Look resets up: one by its id, those of a target newest first, or all that are open."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.keys import reset_key
from shared.domain.ports import Store
from shared.domain.requests import ALIAS_PATTERN, ID_PATTERN, RESERVED
from shared.domain.reset import OPEN, HistoryEntry, Link, Reset, State

MOST_A_PAGE: Final = 100
USUAL_PAGE: Final = 50
AT_ONCE: Final = 10
"""Point reads side by side: a page of open resets is two for each."""

_ALIAS: Final = re.compile(ALIAS_PATTERN[1:-1])
_ID: Final = re.compile(ID_PATTERN[1:-1])
_KEY: Final = re.compile(r"reset:[0-9]{13}:" + ID_PATTERN[1:-1])


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
    limit: int = USUAL_PAGE
    continuation: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "ListQuery":
        """Raise InvalidRequest naming the parameter; one that is not known is left alone."""
        state, limit = query.get("state", ""), query.get("limit", str(USUAL_PAGE))
        if state and state not in set(State):
            raise InvalidRequest(f"state: must be one of {', '.join(State)}")
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST_A_PAGE:
            raise InvalidRequest(f"limit: must be a number from 1 to {MOST_A_PAGE}")
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


class Lookup:
    """The use cases `get_reset`, `list_resets` and `show_reset`; changes nothing."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def find(self, reset_id: str) -> Found:
        """Two point reads and two ranges; raise NotFound where there is none."""
        reset = await self._read(reset_id) if _ID.fullmatch(reset_id) else None
        if reset is None:
            raise NotFound(f"there is no reset {reset_id[:128]}")
        events, links = await asyncio.gather(
            self._store.events(reset),
            self._store.links(reset),
        )
        return Found(reset=reset, events=events, links=links)

    async def page(self, question: ListQuery) -> ListPage:
        """Of the question's target the newest first; without one what is open, by target."""
        target = question.target
        if target and (not _ALIAS.fullmatch(target) or target in RESERVED):
            raise InvalidRequest("target: no alias of a target; give one of the catalogue")
        page = await (self._of_target(question) if target else self._open(question))
        if question.state is None:
            return page
        kept = [reset for reset in page.resets if reset.state is question.state]
        return ListPage(resets=kept, continuation=page.continuation)

    async def _of_target(self, question: ListQuery) -> ListPage:
        after = _position(question, _KEY)
        # One more than asked for: it tells whether there is a next page.
        rows = await self._store.resets(question.target, after=after, most=question.limit + 1)
        page = rows[: question.limit]
        if len(rows) == len(page):
            return ListPage(resets=page)
        last = page[-1]
        return ListPage(
            resets=page, continuation=_token(question, reset_key(last.requested_at, last.id))
        )

    async def _open(self, question: ListQuery) -> ListPage:
        """From the sweep's index, which holds what is open and nothing else."""
        after = _position(question, re.compile(f"{_ALIAS.pattern} {_ID.pattern}"))
        begin, _, after_id = after.partition(" ")
        wanted, places = question.limit + 1, list[tuple[str, str]]()
        for target in await self._store.targets():
            if target < begin or len(places) == wanted:
                continue
            ids = await self._store.open_ids(
                target,
                after=after_id if target == begin else "",
                most=wanted - len(places),
            )
            places += [(target, each) for each in ids]
        page = places[: question.limit]
        resets: list[Reset] = []
        for start in range(0, len(page), AT_ONCE):
            some = [self._read(reset_id) for _, reset_id in page[start : start + AT_ONCE]]
            # What has ended since the index was read is open no more.
            resets += [
                reset for reset in await asyncio.gather(*some) if reset and reset.state in OPEN
            ]
        more = len(places) > len(page)
        token = _token(question, " ".join(page[-1])) if more else ""
        return ListPage(resets=resets, continuation=token)

    async def _read(self, reset_id: str) -> Reset | None:
        claim = await self._store.find(reset_id)
        stored = await self._store.read_reset(claim) if claim is not None else None
        return stored.row if stored is not None else None


def _token(question: ListQuery, position: str) -> str:
    text = f"{_mark(question, position)} {position}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(question: ListQuery, shape: re.Pattern[str]) -> str:
    """
    Where the page begins, out of its token; raise InvalidRequest for one that this list never gave.

    The mark keeps a token to its question. It is no secret: whoever makes one up sees nothing that
    they could not ask for.
    """
    token = question.continuation
    if not token:
        return ""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mark, _, position = text.decode().partition(" ")
    except (binascii.Error, ValueError):
        mark = position = ""
    if not shape.fullmatch(position) or mark != _mark(question, position):
        raise InvalidRequest("continuation: not one of this list; begin again without it")
    return position


def _mark(question: ListQuery, position: str) -> str:
    asked = f"{question.target}\n{question.state or ''}\n{position}"
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
