"""
Give out a notifier's turns: one write for all answers that wait for one in this process.

In a storm every answer takes a turn from the same row. One at a time that is a read and a write
for each, and with several instances a lost race for most.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from msgspec import Struct, field

from shared.domain.errors import Conflict
from shared.domain.pace import Pace, Terms, has_turn, take_turn
from shared.domain.ports import Paces
from shared.domain.reset import Stored
from shared.use_cases.group_commit import GroupCommit

MAX_RACES: Final = 10


class Turn(Struct, frozen=True, kw_only=True):
    """
    When an answer may go: now where its turn has come, else the turn that was taken for it.

    `at` is None where no turn could be had, because the row was fought over; `gone` where the
    receiver has ended it, `calm` where nothing held the notifier back or had failed lately.
    """

    at: datetime | None = None
    gone: bool = False
    calm: bool = False


class _Wish(Struct, frozen=True, kw_only=True):
    """An answer's: the turn that it took before, if it did."""

    taken: datetime | None
    now: datetime


class _Line(Struct, kw_only=True):
    """Who waits, and the row as this process last wrote it; None where it must be read."""

    wishes: GroupCommit[_Wish, Turn]
    row: Stored[Pace] | None = None


class NotifierTurns(Struct, frozen=True, kw_only=True):
    """
    The turns of all notifiers.

    What is remembered serves a write alone, whose ETag shows whether it was still true: an answer
    whose turn has come goes only after the row was read, or written, for it.
    """

    paces: Paces
    terms: Mapping[str, Terms]
    _lines: dict[str, _Line] = field(default_factory=dict)

    async def take(self, name: str, taken: datetime | None, *, now: datetime) -> Turn:
        """Return the answer's turn; *taken* is the one that it took before, if it did."""
        if name not in self._lines:
            self._lines[name] = _Line(wishes=GroupCommit(partial(self._settle, name)))
        return await self._lines[name].wishes.ask(_Wish(taken=taken, now=now))

    async def note(self, name: str, change: Callable[[Pace], Pace]) -> None:
        """Where others write the row at the same time their word is as good as this one."""
        pace = await self.paces.read_pace(name)
        after = change(pace.row)
        if after != pace.row:
            with suppress(Conflict):
                await self.paces.write_pace(pace, after)

    def address(self, name: str) -> str:
        """A digest of the address that is configured now."""
        return self._terms(name).address

    def _terms(self, name: str) -> Terms:
        return self.terms.get(name, Terms())

    async def _settle(self, name: str, wishes: Sequence[_Wish]) -> list[Turn]:
        terms, line = self._terms(name), self._lines[name]
        for _ in range(MAX_RACES):
            remembered, line.row = line.row, None
            pace = remembered or await self.paces.read_pace(name)
            after, turns = _turns(pace.row, terms, wishes)
            if after != pace.row:
                try:
                    line.row = await self.paces.write_pace(pace, after)
                except Conflict:
                    continue
            elif remembered is not None:
                continue
            return turns
        return [Turn()] * len(wishes)


def _turns(pace: Pace, terms: Terms, wishes: Sequence[_Wish]) -> tuple[Pace, list[Turn]]:
    turns = []
    calm = pace.failures == 0 and pace.held_until is None
    gone = bool(pace.gone) and pace.gone == terms.address
    for wish in wishes:
        at = wish.now
        if not gone and not has_turn(pace, wish.taken, now=wish.now):
            pace, at = take_turn(pace, terms, now=wish.now)
        turns.append(Turn(at=at, gone=gone, calm=calm))
    return pace, turns
