"""Turns of a notifier: one write for all that wait, in order, over several instances as well."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.pace import Pace, Terms
from shared.domain.reset import Stored
from shared.use_cases.notifier_turns import MAX_RACES, NotifierTurns

NOW = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
TERMS = Terms(per_minute=60, address="here")
BURST = TERMS.burst


class Rows:
    """The rows of all notifiers, under ETags; `before` is called before each call of storage."""

    def __init__(self) -> None:
        self.rows: dict[str, Stored[Pace]] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], Awaitable[None]] | None = None

    async def read_pace(self, notifier: str) -> Stored[Pace]:
        await self._call("read")
        return self.rows.get(notifier, Stored(row=Pace(notifier=notifier)))

    async def write_pace(self, before: Stored[Pace], after: Pace) -> Stored[Pace]:
        await self._call("write")
        there = self.rows.get(after.notifier)
        if (there.etag if there is not None else "") != before.etag:
            raise Conflict("changed")
        self.rows[after.notifier] = Stored(row=after, etag=f"e{len(self.calls)}")
        return self.rows[after.notifier]

    async def _call(self, what: str) -> None:
        self.calls.append(what)
        if self.before is not None:
            await self.before(what)
        await asyncio.sleep(0)


def turns_over(rows: Rows) -> NotifierTurns:
    return NotifierTurns(paces=rows, terms={"desk": TERMS})


async def take(turns: NotifierTurns, count: int) -> list[datetime | None]:
    found = await asyncio.gather(*(turns.take("desk", None, now=NOW) for _ in range(count)))
    return [turn.at for turn in found]


def expected(count: int) -> list[datetime]:
    return [NOW + TERMS.interval * max(0, n - BURST + 1) for n in range(count)]


async def test_all_who_wait_share_one_write_and_each_has_a_turn_of_its_own() -> None:
    rows = Rows()

    found = await take(turns_over(rows), 40)

    assert found == expected(40)
    # The first is alone; those that came while it wrote share the second write.
    assert rows.calls == ["read", "write", "write"]


async def test_instances_that_take_turns_at_once_give_none_away_twice() -> None:
    rows = Rows()

    found = await asyncio.gather(*(take(turns_over(rows), 10) for _ in range(3)))

    assert sorted(turn for each in found for turn in each if turn) == expected(30)


async def test_a_turn_that_has_come_is_had_once_the_row_was_read_for_it() -> None:
    rows = Rows()
    turns = turns_over(rows)
    await turns.take("desk", None, now=NOW)
    held = rows.rows["desk"]
    until = NOW + timedelta(minutes=5)
    rows.rows["desk"] = Stored(row=replace(held.row, held_until=until), etag="by another")

    turn = await turns.take("desk", NOW, now=NOW)

    # Held back by another instance meanwhile: what is remembered would have let it go.
    assert turn.at is not None
    assert turn.at >= until
    assert not turn.calm
    assert (await turns.take("desk", until, now=until)).at == until


async def test_a_receiver_that_is_gone_gives_no_turn_until_its_address_is_another() -> None:
    rows = Rows()
    turns = turns_over(rows)
    await turns.note("desk", lambda pace: replace(pace, gone=turns.address("desk")))

    assert (await turns.take("desk", None, now=NOW)).gone
    elsewhere = NotifierTurns(paces=rows, terms={"desk": Terms(address="there")})
    assert not (await elsewhere.take("desk", None, now=NOW)).gone


async def test_a_row_that_is_fought_over_is_no_turn() -> None:
    rows = Rows()

    async def interfere(what: str) -> None:
        if what == "write":
            rows.rows["desk"] = Stored(row=Pace(notifier="desk"), etag=f"x{len(rows.calls)}")

    rows.before = interfere

    turn = await turns_over(rows).take("desk", None, now=NOW)

    assert turn.at is None
    assert rows.calls.count("write") == MAX_RACES


async def test_storage_that_is_down_fails_all_who_wait_and_none_after() -> None:
    rows = Rows()
    turns = turns_over(rows)
    down = True

    async def fail(_: str) -> None:
        if down:
            raise StorageUnavailable("down")

    rows.before = fail
    found = await asyncio.gather(
        *(turns.take("desk", None, now=NOW) for _ in range(5)), return_exceptions=True
    )
    down = False

    assert all(isinstance(each, StorageUnavailable) for each in found)
    assert (await turns.take("desk", None, now=NOW)).at == NOW


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_who_is_cancelled_keeps_no_other_from_its_turn(which: int) -> None:
    rows = Rows()
    turns = turns_over(rows)
    tasks = [asyncio.create_task(turns.take("desk", None, now=NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[which].cancel()

    async with asyncio.timeout(60):
        found = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(found[which], asyncio.CancelledError)
    assert [each.at for each in found if not isinstance(each, BaseException)] == [NOW, NOW]
