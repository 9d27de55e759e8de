"""Look resets up: one by its id, those of a target newest first, or all that are open."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from copy import replace
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.domain import keys
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.keys import SearchKind, is_reset_key, reset_key
from shared.domain.ports import ResetReader
from shared.domain.requests import ALIAS, RESERVED, RESET_ID
from shared.domain.reset import OPEN, HistoryEntry, Link, OpenReset, Reset, State
from shared.domain.wording import nearest

MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
MAX_READS_AT_ONCE: Final = 10
"""Point reads side by side: one for each open reset."""


class Found(Struct, frozen=True, kw_only=True):
    """A reset with its history and with what was found out about its subjects' links."""

    reset: Reset
    events: Sequence[HistoryEntry]
    links: Sequence[Link]


_SEARCHED: Final = {
    "ticket": SearchKind.TICKET,
    "requestedBy": SearchKind.ASKER,
    "subject": SearchKind.SUBJECT,
}
_PARAMETERS: Final = ("target", "state", "limit", "continuation", *_SEARCHED, "since")


class ListQuery(Struct, frozen=True, kw_only=True):
    """What a list is asked for; `state` filters the page, so that one may be short or empty."""

    target: str = ""
    state: State | None = None
    limit: int = DEFAULT_PAGE
    continuation: str = ""
    kind: SearchKind | None = None
    value: str = ""
    since: datetime | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "ListQuery":
        """Raise InvalidRequest naming the parameter, also for one that is not known."""
        only_known(query, _PARAMETERS)
        searched = [name for name in _SEARCHED if query.get(name)]
        if len(searched) > 1:
            raise InvalidRequest(f"{searched[1]}: stands beside {searched[0]}; give one of them")
        state = query.get("state", "")
        if state and state not in set(State):
            raise InvalidRequest(f"state: must be one of {', '.join(State)}")
        return cls(
            target=query.get("target", ""),
            state=State(state) if state else None,
            limit=read_limit(query),
            continuation=query.get("continuation", ""),
            kind=_SEARCHED[searched[0]] if searched else None,
            value=query[searched[0]] if searched else "",
            since=_moment(query.get("since", "")),
        )


def only_known(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise InvalidRequest for a parameter that is not one of *known*."""
    for name in query:
        # The platform's key may stand in the address.
        if name not in known and name != "code":
            near = nearest(name, known)
            guess = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
            raise InvalidRequest(f"{name[:64]}: unknown parameter; {guess}")


def read_limit(query: Mapping[str, str]) -> int:
    """How many a page may hold."""
    limit = query.get("limit", str(DEFAULT_PAGE))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise InvalidRequest(f"limit: must be a number from 1 to {MAX_PAGE}")
    return int(limit)


class ListPage(Struct, frozen=True, kw_only=True):
    resets: Sequence[Reset]
    continuation: str = ""


class Lookup(Struct, frozen=True, kw_only=True):
    """The use cases `get_reset`, `list_resets` and `show_reset`; changes nothing."""

    resets: ResetReader

    async def find(self, reset_id: str) -> Found:
        """Two point reads and two ranges; raise NotFound where there is none."""
        stored = await self.resets.find_reset(reset_id) if RESET_ID.fullmatch(reset_id) else None
        if stored is None:
            raise NotFound(await self._why_none(reset_id))
        events, links = await asyncio.gather(
            self.resets.events(stored.row),
            self.resets.links(stored.row),
        )
        return Found(reset=stored.row, events=events, links=links)

    async def _why_none(self, reset_id: str) -> str:
        """Two point reads, where the id is one: a message may have come and been kept."""
        none = f"there is no reset {reset_id[:192]}"
        kept = await self.resets.unreadable_of(reset_id) if RESET_ID.fullmatch(reset_id) else None
        if kept is None:
            return none
        return (
            f"{none}: a message with this id came at {kept.at:%Y-%m-%d %H:%M:%S} UTC and was not "
            f"taken in: {kept.reason} (kept as {kept.key}; put right, it can be sent again by "
            f"POST /api/unreadable/{kept.key}/retry)"
        )

    async def page(self, question: ListQuery) -> ListPage:
        """Of the question's target the newest first; without one what is open, by target."""
        target = question.target
        if target and (not ALIAS.fullmatch(target) or target in RESERVED):
            raise InvalidRequest("target: not an alias; give one of the catalogue")
        page = await self._page(question)
        kept = [
            reset
            for reset in page.resets
            if (question.state is None or reset.state is question.state)
            and (question.since is None or reset.requested_at >= question.since)
        ]
        return ListPage(resets=kept, continuation=page.continuation)

    async def _page(self, question: ListQuery) -> ListPage:
        if question.kind is not None:
            return await self.search(
                question.kind,
                question.value,
                target=question.target,
                since=question.since,
                limit=question.limit,
                continuation=question.continuation,
            )
        return await (self._of_target(question) if question.target else self._open(question))

    async def _of_target(self, question: ListQuery) -> ListPage:
        after = page_position(question, is_reset_key)
        # One more than asked for: it tells whether there is a next page.
        rows = await self.resets.resets(question.target, after=after, most=question.limit + 1)
        page = rows[: question.limit]
        if len(rows) == len(page):
            return ListPage(resets=page)
        last = page[-1]
        return ListPage(
            resets=page, continuation=page_token(question, reset_key(last.requested_at, last.id))
        )

    async def search(
        self,
        kind: SearchKind,
        value: str,
        *,
        target: str = "",
        since: datetime | None = None,
        limit: int = DEFAULT_PAGE,
        continuation: str = "",
    ) -> ListPage:
        """
        Return the newest resets with this ticket, asker or subject, of one target or of all.

        Raise InvalidRequest for a continuation that this search did not give.
        """
        question = ListQuery(target=f"{target} {kind} {value} {since or ''}", limit=limit)
        question = replace(question, continuation=continuation)
        after = page_position(question, lambda place: is_reset_key(f"reset:{place}"))
        before = keys.after(reset_key(since, "")).removeprefix("reset:") if since else ""
        targets = [target] if target else await self.resets.targets()
        gate = asyncio.Semaphore(MAX_READS_AT_ONCE)

        async def one(alias: str) -> list[OpenReset]:
            async with gate:
                return await self.resets.found(
                    alias, kind, value, after=after, before=before, most=limit + 1
                )

        found = [there for each in await asyncio.gather(*map(one, targets)) for there in each]
        found.sort(key=lambda there: there.key)
        page = found[:limit]
        resets = await self._read_all(page)
        more = len(found) > limit
        token = page_token(question, page[-1].key.removeprefix("reset:")) if more else ""
        return ListPage(resets=resets, continuation=token)

    async def _read_all(self, places: Sequence[OpenReset]) -> list[Reset]:
        """Read some at a time; what is gone is left out."""
        resets: list[Reset] = []
        for start in range(0, len(places), MAX_READS_AT_ONCE):
            some = places[start : start + MAX_READS_AT_ONCE]
            found = await asyncio.gather(*map(self.resets.read_open, some))
            resets += [stored.row for stored in found if stored is not None]
        return resets

    async def _open(self, question: ListQuery) -> ListPage:
        """From the rows `due:reset:`, which are there for what is open and for nothing else."""
        after = page_position(question, _is_place)
        begin, _, after_id = after.partition(" ")
        wanted, places = question.limit + 1, list[OpenReset]()
        for target in await self.resets.targets():
            if target < begin or len(places) == wanted:
                continue
            places += await self.resets.open_resets(
                target,
                after=after_id if target == begin else "",
                most=wanted - len(places),
            )
        page = places[: question.limit]
        # What has ended since the index was read is no longer open.
        resets = [reset for reset in await self._read_all(page) if reset.state in OPEN]
        more = len(places) > len(page)
        token = page_token(question, f"{page[-1].target} {page[-1].id}") if more else ""
        return ListPage(resets=resets, continuation=token)


def _is_place(position: str) -> bool:
    """True for the alias and the id of a row of the open list."""
    alias, _, reset_id = position.partition(" ")
    return bool(ALIAS.fullmatch(alias) and RESET_ID.fullmatch(reset_id))


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 2000 <= found.year <= 9000:
        raise InvalidRequest(
            "since: must be a date and time with an offset, like 2026-12-01T20:00Z"
        )
    return found


def page_token(question: ListQuery, position: str) -> str:
    """Where the next page begins, for the caller to hand back."""
    text = f"{_mark(question, position)} {position}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page_position(question: ListQuery, fits: Callable[[str], bool]) -> str:
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
