"""Let one write of a row do for all that wait to write it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, field

from shared.domain.errors import StorageUnavailable


class _Wish[W, A](Struct, kw_only=True, eq=False):
    """One caller's; two that ask for the same are still two."""

    what: W
    answers: list[A] = field(default_factory=list)
    failed: str = ""

    @property
    def settled(self) -> bool:
        return bool(self.answers or self.failed)


class GroupCommit[W, A]:
    """
    A line of wishes about one row, which one of those that wait settles for all of them.

    While a write is under way others line up; the first of them then writes for the rest.
    """

    def __init__(self, settle: Callable[[Sequence[W]], Awaitable[Sequence[A]]]) -> None:
        """*settle* returns an answer to each wish; its StorageUnavailable is every caller's."""
        self._settle = settle
        self._waiting: list[_Wish[W, A]] = []
        self._settling = asyncio.Lock()

    @property
    def busy(self) -> bool:
        return self._settling.locked()

    async def ask(self, what: W) -> A:
        """Return the answer to this wish."""
        wish = _Wish[W, A](what=what)
        self._waiting.append(wish)
        try:
            async with self._settling:
                if not wish.settled:
                    await self._settle_all()
        finally:
            # Where this caller was cancelled before its turn.
            if wish in self._waiting:
                self._waiting.remove(wish)
        if wish.failed:
            raise StorageUnavailable(wish.failed)
        return wish.answers[0]

    async def _settle_all(self) -> None:
        wishes, self._waiting = self._waiting, []
        try:
            answers = await self._settle([wish.what for wish in wishes])
            for wish, answer in zip(wishes, answers, strict=True):
                wish.answers.append(answer)
        except StorageUnavailable as error:
            for wish in wishes:
                wish.failed = str(error)
        finally:
            # Cancelled on the way: the next one settles them, after a write that may have happened.
            self._waiting[:0] = [wish for wish in wishes if not wish.settled]
