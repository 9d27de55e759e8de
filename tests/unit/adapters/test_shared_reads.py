"""One read serves all that ask before it begins, and nobody is answered from before they asked."""

import asyncio

import pytest

from shared.adapters.shared_reads import SharedReads
from shared.domain.errors import StorageUnavailable

GIVES_UP_AFTER = 60


class Row:
    """A row whose reads wait until they are let go; each answers what the row held at its start."""

    def __init__(self) -> None:
        self.value = 0
        self.begun: list[str] = []
        self.gate = asyncio.Event()
        self.fails = False

    async def read(self, key: str) -> int:
        self.begun.append(key)
        value = self.value
        await self.gate.wait()
        if self.fails:
            raise StorageUnavailable("gone")
        return value


async def until_waiting() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_asks_while_a_read_is_under_way_shares_the_next_one() -> None:
    row = Row()
    reads = SharedReads(row.read)
    async with asyncio.timeout(GIVES_UP_AFTER), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(reads.read("a"))
        await until_waiting()
        row.value = 1
        others = [tasks.create_task(reads.read("a")) for _ in range(24)]
        await until_waiting()
        row.gate.set()

    assert first.result() == 0
    assert {each.result() for each in others} == {1}
    assert row.begun == ["a", "a"]


async def test_reads_of_other_rows_wait_for_nobody() -> None:
    row = Row()
    reads = SharedReads(row.read)
    async with asyncio.timeout(GIVES_UP_AFTER), asyncio.TaskGroup() as tasks:
        for key in ("a", "b", "c"):
            tasks.create_task(reads.read(key))
        await until_waiting()
        assert row.begun == ["a", "b", "c"]
        row.gate.set()


async def test_a_read_that_fails_fails_for_all_that_share_it_and_for_nobody_after() -> None:
    row = Row()
    row.fails = True
    reads = SharedReads(row.read)
    async with asyncio.timeout(GIVES_UP_AFTER):
        first = asyncio.create_task(reads.read("a"))
        await until_waiting()
        others = [asyncio.create_task(reads.read("a")) for _ in range(3)]
        row.gate.set()
        results = await asyncio.gather(first, *others, return_exceptions=True)
        row.fails = False

        assert [type(each) for each in results] == [StorageUnavailable] * 4
        assert row.begun == ["a", "a"]
        assert await reads.read("a") == 0


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_where_the_reader_is_cancelled_another_one_reads(cancelled: int) -> None:
    row = Row()
    reads = SharedReads(row.read)
    async with asyncio.timeout(GIVES_UP_AFTER):
        tasks = [asyncio.create_task(reads.read("a"))]
        await until_waiting()
        tasks += [asyncio.create_task(reads.read("a")) for _ in range(3)]
        await until_waiting()
        row.value = 1
        tasks.pop(cancelled).cancel()
        await until_waiting()
        row.gate.set()
        results = await asyncio.gather(*tasks)

    assert results[-2:] == [1, 1]
    assert len(row.begun) in {2, 3}


async def test_a_read_by_one_alone_is_forgotten() -> None:
    row = Row()
    row.gate.set()
    reads = SharedReads(row.read)

    for value in range(3):
        row.value = value
        assert await reads.read("a") == value

    assert row.begun == ["a"] * 3
