"""Resets are found by ticket, by who asked and by subject, over all targets."""

import json
from datetime import timedelta

import pytest

from shared.domain.errors import InvalidRequest
from shared.domain.keys import SearchKind
from shared.use_cases.lookup import ListPage, ListQuery, Lookup
from tests.support.world import SP, START, TARGET, World

OTHER = SP.replace("1", "9")


async def asked(count: int = 5) -> tuple[World, Lookup]:
    world = World()
    catalogue = {alias: {"servicePrincipalId": sp} for alias, sp in ((TARGET, SP), ("aws", OTHER))}
    world.rebuild(RESET_TARGETS=json.dumps(catalogue), RESETS_ENABLED="false")
    for n in range(count):
        await world.accept(
            f"r{n}",
            target=("aws", TARGET)[n % 2],
            requested_by=f"ann{n % 2}",
            subjects=("eve@x",),
        )
        world.clock.forward(minutes=1)
    return world, Lookup(resets=world.storage.store())


def ids(page: ListPage) -> list[str]:
    return [reset.id for reset in page.resets]


async def test_the_newest_come_first_over_all_targets_and_page_by_page() -> None:
    _, lookup = await asked()

    first = await lookup.search(SearchKind.SUBJECT, "EVE@x", limit=2)
    second = await lookup.search(
        SearchKind.SUBJECT, "EVE@x", limit=2, continuation=first.continuation
    )
    last = await lookup.search(
        SearchKind.SUBJECT, "EVE@x", limit=2, continuation=second.continuation
    )

    assert [ids(page) for page in (first, second, last)] == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert last.continuation == ""


async def test_a_search_keeps_to_a_target_and_to_a_time() -> None:
    _, lookup = await asked()
    since = START + timedelta(minutes=2)

    assert ids(await lookup.search(SearchKind.SUBJECT, "eve@x", target="aws")) == ["r4", "r2", "r0"]
    assert ids(await lookup.search(SearchKind.SUBJECT, "eve@x", since=since)) == ["r4", "r3", "r2"]
    assert ids(await lookup.search(SearchKind.ASKER, "ann1")) == ["r3", "r1"]
    assert ids(await lookup.search(SearchKind.TICKET, "INC1")) == []


async def test_a_continuation_is_good_for_its_own_search_alone() -> None:
    _, lookup = await asked()
    first = await lookup.search(SearchKind.SUBJECT, "eve@x", limit=1)

    with pytest.raises(InvalidRequest, match="continuation"):
        await lookup.search(SearchKind.ASKER, "eve@x", limit=1, continuation=first.continuation)


async def test_the_fifty_that_are_open_cost_a_read_each_and_two_calls() -> None:
    world, lookup = await asked(0)
    for n in range(60):
        await world.accept(f"r{n:02d}")
    world.storage.faults.log.clear()
    page = await lookup.page(ListQuery(limit=50))

    assert len(page.resets) == 50
    assert len(world.storage.faults.log) == 52
