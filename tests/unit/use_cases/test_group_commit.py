"""One write does for all that wait, and each has an answer of its own."""

import asyncio
from collections.abc import Sequence

from shared.domain.errors import NewerRow, StorageUnavailable
from shared.use_cases.group_commit import GroupCommit
from tests.support.patience import PATIENCE


class Row:
    """What is asked of it together is kept; `held` stops it, `failures` are raised in turn."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.failures: list[Exception] = []
        self.line = GroupCommit(self.write)

    async def write(self, wishes: Sequence[int]) -> list[str]:
        self.writes.append(list(wishes))
        await self.held.wait()
        if self.failures:
            raise self.failures.pop(0)
        return [f"answer {wish}" for wish in wishes]

    async def asked(self, *wishes: int) -> list[asyncio.Task[str]]:
        """Let the tasks go as far as they get."""
        tasks = [asyncio.create_task(self.line.ask(wish)) for wish in wishes]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


async def test_those_that_come_while_one_writes_share_the_next_write() -> None:
    row = Row()
    row.held.clear()
    tasks = await row.asked(1, 2, 3)
    busy = row.line.busy
    row.held.set()

    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*tasks)

    assert answers == ["answer 1", "answer 2", "answer 3"]
    assert row.writes == [[1], [2, 3]]
    assert (busy, row.line.busy) == (True, False)


async def test_two_that_ask_for_the_same_are_two() -> None:
    row = Row()

    assert list(await asyncio.gather(row.line.ask(7), row.line.ask(7))) == ["answer 7"] * 2
    assert row.writes == [[7], [7]]


async def test_storage_that_is_down_fails_all_that_shared_the_write_and_nobody_else() -> None:
    row = Row()
    row.held.clear()
    tasks = await row.asked(1, 2, 3)
    row.failures = [StorageUnavailable("gone"), StorageUnavailable("still gone")]
    row.held.set()

    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(*tasks, return_exceptions=True)

    assert [str(error) for error in found] == ["gone", "still gone", "still gone"]
    assert await row.line.ask(4) == "answer 4"


async def test_where_the_one_that_writes_is_cancelled_the_next_writes_for_the_others() -> None:
    row = Row()
    row.held.clear()
    first, second, third, fourth = await row.asked(1, 2, 3, 4)
    first.cancel()
    await asyncio.sleep(0)
    third.cancel()
    row.held.set()

    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(second, fourth)
        ends = await asyncio.gather(first, third, return_exceptions=True)

    assert list(answers) == ["answer 2", "answer 4"]
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    assert row.writes[0] == [1]
    assert 1 not in [wish for write in row.writes[1:] for wish in write]


async def test_an_error_of_the_one_that_writes_is_not_the_others() -> None:
    row = Row()
    row.held.clear()
    first, second, third = await row.asked(1, 2, 3)
    row.failures = [NewerRow("a newer version wrote it"), NewerRow("and again")]
    row.held.set()

    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(first, second, third, return_exceptions=True)

    assert [type(each) for each in found] == [NewerRow, NewerRow, str]
    assert row.writes == [[1], [2, 3], [3]]
