"""What every store promises: the in-memory one and Azure Table Storage (Azurite) alike."""

import asyncio
import hashlib
import itertools
import uuid
from collections.abc import AsyncIterator
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient

from shared.adapters.table_calls import PlainCalls
from shared.adapters.table_rows import notification_entity, reset_entity
from shared.adapters.table_schedule import FIRST_PAGE
from shared.adapters.table_store import TableStore
from shared.domain.errors import Conflict, NewerRow, StorageUnavailable
from shared.domain.keys import SearchKind, message_key, reset_key
from shared.domain.pace import Pace
from shared.domain.ports import Store
from shared.domain.reset import (
    ROW_VERSION,
    BudgetPlace,
    Claim,
    DueRow,
    Fleet,
    GivenUp,
    HistoryEntry,
    JobObservation,
    JobRow,
    LastFull,
    Link,
    Notification,
    NotificationKind,
    Reset,
    Scope,
    State,
    Stored,
    Unreadable,
)
from shared.domain.sync_job import GraphObservation, GraphStatus
from tests.support.storage import Storage

NOW = datetime(2026, 11, 24, 9, 0, 0, 123000, tzinfo=UTC)


class Tables:
    """Two fresh tables in Azurite, and stores over them."""

    def __init__(self, service: TableServiceClient) -> None:
        self.service = service
        suffix = uuid.uuid4().hex[:12]
        self.resets = service.get_table_client(f"Resets{suffix}")
        self.ids = service.get_table_client(f"Ids{suffix}")
        self.numbers = itertools.count(1)

    async def create(self) -> None:
        await self.resets.create_table()
        await self.ids.create_table()

    def store(self) -> TableStore:
        """As the app builds it."""
        return TableStore(
            self.resets,
            self.ids,
            new_id=lambda: f"w{next(self.numbers)}",
            calls=PlainCalls(self.service),
        )


@pytest.fixture
async def tables(azurite: str) -> AsyncIterator[Tables]:
    async with TableServiceClient.from_connection_string(azurite) as service:
        tables = Tables(service)
        await tables.create()
        yield tables


@pytest.fixture(params=["memory", "azurite"])
async def store(request: pytest.FixtureRequest, tables: Tables) -> Store:
    return Storage(lambda: NOW).store() if request.param == "memory" else tables.store()


def reset(reset_id: str = "r1", **changes: object) -> Reset:
    base = Reset(
        id=reset_id,
        target="sales",
        requested_at=NOW,
        service_principal_id="sp",
        subjects=("a@x", "b@x"),
        not_before=NOW + timedelta(days=1),
        seen_number=0,
        due_at=NOW,
        sequence=1,
        detail="accepted",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def event(sequence: int = 1, state: State = State.ACCEPTED) -> HistoryEntry:
    return HistoryEntry(sequence=sequence, at=NOW, state=state, by="relink", detail="why")


def claim(reset_id: str = "r1", content: str = "c") -> Claim:
    return Claim(id=reset_id, target="sales", requested_at=NOW, content_hash=content)


def answer(n: int = 1) -> Notification:
    return Notification(
        id="r1",
        target="sales",
        n=n,
        kind=NotificationKind.END,
        notifier="sn",
        ticket_id="INC1",
        ticket_url="",
        state=State.COMPLETED,
        text="done",
        at=NOW,
        due_at=NOW,
    )


async def all_due(store: Store, target: str = "sales", *, now: datetime = NOW) -> list[DueRow]:
    return [row async for row in store.due(target, now=now)]


async def names(store: Store, *, now: datetime = NOW) -> list[tuple[str, int | None]]:
    return [(row.id, row.n) for row in await all_due(store, now=now)]


async def test_the_first_claim_of_an_id_stands(store: Store) -> None:
    first = await store.claim(claim(content="one"))
    second = await store.claim(claim(content="two"))

    assert first == second == await store.find("r1")
    assert await store.find("r2") is None


async def test_a_reset_comes_back_as_it_was_written(store: Store) -> None:
    written = reset(
        scope=Scope.FULL, approved=True, tries=3, number=7, before='{"a": "ü"}', dry_run=True
    )
    await store.insert(written, event(), ())

    stored = await store.read_reset(claim())

    assert stored is not None
    assert replace(stored.row, write_id="") == written
    assert stored.etag


async def test_an_ids_row_without_a_reset_reads_as_none(store: Store) -> None:
    assert await store.read_reset(claim()) is None


async def test_inserting_again_returns_what_is_there(store: Store) -> None:
    first = await store.insert(reset(), event(), ())
    second = await store.insert(reset(reason="other"), event(), (answer(),))

    assert second == first
    assert [row.n for row in await all_due(store)] == [None]


async def test_a_commit_writes_reset_job_event_due_row_and_answer_together(store: Store) -> None:
    stored = await store.insert(reset(), event(), ())
    job = await store.read_job("sales")
    last = LastFull(number=1, id="r0", outcome="completed", service_principal_id="sp", job_id="")
    row = JobRow(target="sales", head="r1", number=2, last_full=last, last_restart_at=NOW)
    later = NOW + timedelta(hours=1)

    after = await store.commit(
        stored,
        replace(stored.row, state=State.WAITING, due_at=later, behind="r9", sequence=2),
        job=(job, row),
        event=event(2, State.WAITING),
        answers=(answer(),),
    )

    assert (await store.read_job("sales")).row == row
    assert await store.read_reset(claim()) == after
    assert [e.state for e in await store.events(after.row)] == [State.ACCEPTED, State.WAITING]
    assert await names(store) == [("r1", 1), ("r1", None)], "due, and behind a Head that has gone"
    assert await names(store, now=later) == [("r1", 1), ("r1", None), ("r1", None)]


async def test_a_column_that_is_emptied_is_gone(store: Store) -> None:
    stored = await store.insert(reset(seen_number=4), event(), ())
    await store.commit(stored, replace(stored.row, seen_number=None, not_before=None))

    after = await store.read_reset(claim())

    assert after is not None
    assert (after.row.seen_number, after.row.not_before) == (None, None)


async def test_an_end_takes_the_due_row_away(store: Store) -> None:
    stored = await store.insert(reset(), event(), ())

    await store.commit(stored, replace(stored.row, state=State.COMPLETED, due_at=None))

    assert await all_due(store) == []


async def test_a_stale_reset_changes_nothing_at_all(store: Store) -> None:
    stale = await store.insert(reset(), event(), ())
    await store.commit(stale, replace(stale.row, detail="first"))
    job = await store.read_job("sales")

    with pytest.raises(Conflict):
        await store.commit(
            stale,
            replace(stale.row, detail="second", due_at=None),
            job=(job, JobRow(target="sales", head="r1")),
            event=event(2),
            answers=(answer(),),
        )

    after = await store.read_reset(claim())
    assert after is not None
    assert after.row.detail == "first"
    assert (await store.read_job("sales")).row.head == ""
    assert len(await store.events(after.row)) == 1
    assert len(await all_due(store)) == 1


async def test_a_stale_job_row_changes_nothing_at_all(store: Store) -> None:
    one = await store.insert(reset("r1"), event(), ())
    two = await store.insert(reset("r2"), event(), ())
    job = await store.read_job("sales")
    await store.commit(one, one.row, job=(job, JobRow(target="sales", head="r1")))

    with pytest.raises(Conflict):
        await store.commit(
            two, replace(two.row, detail="mine"), job=(job, JobRow(target="sales", head="r2"))
        )

    assert (await store.read_job("sales")).row.head == "r1"
    second = await store.read_reset(claim("r2"))
    assert second is not None
    assert second.row.detail == "accepted"


async def test_of_many_that_claim_an_empty_head_at_once_one_wins(store: Store) -> None:
    rivals = [await store.insert(reset(f"r{n}"), event(), ()) for n in range(8)]
    job = await store.read_job("sales")

    async def take(x: Stored[Reset]) -> str:
        try:
            await store.commit(x, x.row, job=(job, JobRow(target="sales", head=x.row.id)))
        except Conflict:
            return ""
        return x.row.id

    winners = [won for won in await asyncio.gather(*map(take, rivals)) if won]

    assert winners == [(await store.read_job("sales")).row.head]


async def test_the_events_of_ids_that_begin_alike_are_kept_apart(store: Store) -> None:
    await store.insert(reset("a"), event(), ())
    longer = await store.insert(reset("a.b"), event(), ())
    await store.insert(reset("a-b"), event(), ())

    assert len(await store.events(longer.row)) == 1
    assert len(await store.events(reset("a"))) == 1


async def many(store: Store, count: int) -> list[str]:
    """Resets a minute apart; their ids, newest first."""
    for n in range(count):
        await store.insert(reset(f"r{n}", requested_at=NOW + timedelta(minutes=n)), event(), ())
    return [f"r{n}" for n in reversed(range(count))]


async def test_a_target_s_resets_come_newest_first_and_page_by_page(store: Store) -> None:
    ids = await many(store, 5)
    await store.insert(reset("other", target="other"), event(), ())

    first = await store.resets("sales", after="", most=3)
    key = reset_key(first[-1].requested_at, first[-1].id)
    rest = await store.resets("sales", after=key, most=3)

    assert [x.id for x in first + rest] == ids
    assert await store.resets("nobody", after="", most=3) == []


async def test_what_is_open_is_listed_by_id_without_answers(store: Store) -> None:
    await store.insert(reset("b"), event(), (answer(),))
    await store.insert(reset("a.b"), event(), ())
    ended = await store.insert(reset("a"), event(), ())
    await store.commit(ended, replace(ended.row, due_at=None, state=State.FAILED))

    async def opened(after: str, most: int) -> list[str]:
        return [each.id for each in await store.open_resets("sales", after=after, most=most)]

    assert await opened("", 9) == ["a.b", "b"]
    assert await opened("", 1) == ["a.b"]
    assert await opened("a.b", 9) == ["b"]
    assert await opened("b", 9) == []
    (there,) = await store.open_resets("sales", after="a.b", most=9)
    assert await store.read_open(there) == await store.read_reset(claim("b"))
    assert await store.read_open(replace(there, key=reset_key(NOW, "gone"))) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SearchKind.TICKET, "inc0012345 "),
        (SearchKind.ASKER, "Ann O\u2019Neill/EMEA #1"),
        (SearchKind.SUBJECT, "a@x"),
        (SearchKind.SUBJECT, "\u00fc" * 256),
    ],
)
async def test_a_reset_is_found_by_ticket_asker_and_subject(
    store: Store, kind: SearchKind, value: str
) -> None:
    for n in range(3):
        at = NOW + timedelta(minutes=n)
        subjects = ("A@X", "b@x", "\u00dc" * 256)
        named = reset(f"r{n}", requested_at=at, ticket_id="INC0012345", subjects=subjects)
        asked = replace(named, requested_by="Ann O\u2019Neill/EMEA #1")
        await store.insert(asked, event(), ())
    await store.insert(reset("other", ticket_id="INC00123456", subjects=("a@xy",)), event(), ())

    async def found(*, after: str = "", before: str = "", most: int = 9) -> list[str]:
        there = await store.found("sales", kind, value, after=after, before=before, most=most)
        return [each.id for each in there]

    (first,) = await store.found("sales", kind, value, after="", before="", most=1)
    place = first.key.removeprefix("reset:")
    since = reset_key(NOW + timedelta(minutes=1), "").removeprefix("reset:")

    assert await found() == ["r2", "r1", "r0"]
    assert await found(after=place) == ["r1", "r0"]
    assert await found(before=f"{since[:-1]};") == ["r2", "r1"]
    stored = await store.read_open(first)
    assert stored is not None
    assert stored.row.id == "r2"


async def test_a_hundred_subjects_are_all_found(store: Store) -> None:
    many = tuple(f"user{n}@x" for n in range(100))
    await store.insert(
        reset(subjects=many, ticket_id="T", requested_by="ann"), event(), (answer(),)
    )

    for subject in many:
        found = await store.found("sales", SearchKind.SUBJECT, subject, after="", before="", most=9)
        assert [each.id for each in found] == ["r1"]


async def test_links_that_nobody_has_looked_up_are_none(store: Store) -> None:
    assert await store.links(reset()) == []


async def test_links_come_in_their_order_and_a_column_may_be_missing(tables: Tables) -> None:
    looked_up = {"Verdict": "changed", "Before": "005A", "After": "005B"}
    for n, more in ((2, {}), (1, looked_up)):
        await tables.resets.create_entity(
            {"PartitionKey": "sales", "RowKey": f"subject:r1:{n:03d}", "Subject": f"u{n}", **more}
        )

    assert await tables.store().links(reset("r1")) == [
        Link(subject="u1", verdict="changed", before="005A", after="005B"),
        Link(subject="u2"),
    ]
    assert await tables.store().links(reset("r")) == []


class CountingTransport(AioHttpTransport):  # type: ignore[misc]
    count = 0

    async def send(self, request: Any, **kwargs: Any) -> Any:
        self.count += 1
        return await super().send(request, **kwargs)


async def test_a_page_is_one_request_however_many_resets_there_are(
    azurite: str, tables: Tables
) -> None:
    await many(tables.store(), 30)
    transport = CountingTransport()
    async with TableServiceClient.from_connection_string(azurite, transport=transport) as service:
        resets = service.get_table_client(tables.resets.table_name)
        store = TableStore(resets, resets, new_id=lambda: "w", calls=PlainCalls(service))

        page = await store.resets("sales", after="", most=10)
        ids = await store.open_resets("sales", after="", most=10)

    assert (len(page), len(ids), transport.count) == (10, 10, 2)


def place(intent: str, *, reset_id: str = "r1", day: str = "2026-11-24") -> BudgetPlace:
    return BudgetPlace(day=day, reset_id=reset_id, client_request_id=intent)


async def test_a_budget_counts_each_intent_once_and_stops_at_its_limit(store: Store) -> None:
    taken = [await store.reserve(place(i), limit=2) for i in ("a", "a", "b", "c", "b")]

    assert taken == [True, True, True, False, True]
    assert (await store.budget("2026-11-24")).spent == 2
    assert (await store.budget("2026-11-25")).spent == 0
    assert await store.reserve(place("c"), limit=None)
    assert (await store.budget("2026-11-24")).spent == 3


async def test_exactly_the_place_given_back_is_free_again(store: Store) -> None:
    for intent, reset_id in (("a", "r1"), ("b", "r1"), ("a", "r2")):
        await store.reserve(place(intent, reset_id=reset_id), limit=3)

    for other in (place("c"), place("a", day="2026-11-25"), place("a", reset_id="r3")):
        await store.give_back(other)
    assert (await store.budget("2026-11-24")).spent == 3
    await store.give_back(place("a"))
    await store.give_back(place("a"))

    assert (await store.budget("2026-11-24")).spent == 2
    taken = [
        await store.reserve(each, limit=3)
        for each in (place("b"), place("a", reset_id="r2"), place("d"), place("a"))
    ]
    assert taken == [True, True, True, False]
    for each in (place("b"), place("a", reset_id="r2"), place("d")):
        await store.give_back(each)
    assert (await store.budget("2026-11-24")).spent == 0
    assert await store.reserve(place("e"), limit=1)


async def test_of_many_that_reserve_the_last_place_at_once_one_gets_it(store: Store) -> None:
    await store.reserve(place("first"), limit=2)

    taken = await asyncio.gather(*(store.reserve(place(f"c{n}"), limit=2) for n in range(6)))

    assert sum(taken) == 1


async def test_an_unreadable_message_is_kept_whole_and_once(store: Store) -> None:
    body = b"\x00\xff" * 32_768

    keys = [
        await store.keep_unreadable("m1", body, reason="why", queue="q", at=NOW),
        await store.keep_unreadable("m1", body, reason="why", queue="q", at=NOW),
        await store.keep_unreadable("m1", b"another", reason="why", queue="q", at=NOW),
    ]

    assert keys[0] == keys[1] == "m1"
    assert keys[2].startswith("m1-")


async def test_an_unreadable_message_is_forgotten_once_it_is_old(store: Store) -> None:
    old = NOW - timedelta(days=2)
    await store.keep_unreadable("old", b"1", reason="why", queue="q", at=old)
    await store.keep_unreadable("young", b"2", reason="why", queue="q", at=NOW)
    limit = NOW - timedelta(days=1)

    counts = [await store.forget_unreadable(before=limit, most=9) for _ in range(2)]
    await store.keep_unreadable("young", b"2", reason="why", queue="q", at=NOW)

    assert counts == [1, 0]
    assert await store.forget_unreadable(before=NOW + timedelta(days=1), most=9) == 1


async def test_unreadable_messages_are_listed_newest_first_and_page_by_page(store: Store) -> None:
    for n in range(12):
        at = NOW + timedelta(minutes=n)
        await store.keep_unreadable(f"m{n}", b"{%d" % n, reason="why", queue="q", at=at)

    first = await store.unreadable(after="", most=5)
    place = message_key(first[-1].at, first[-1].key)
    rest = await store.unreadable(after=place, most=50)

    assert [each.key for each in first] == ["m11", "m10", "m9", "m8", "m7"]
    assert [each.key for each in rest] == ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]
    assert first[0] == Unreadable(
        key="m11", body=b"{11", reason="why", queue="q", at=NOW + timedelta(minutes=11)
    )


async def test_a_message_is_found_by_the_id_that_it_gave_the_last_one_of_several(
    store: Store,
) -> None:
    for n, why in enumerate(("first", "second")):
        at = NOW + timedelta(days=n)
        await store.keep_unreadable(
            f"m{n}", b"%d" % n, reason=why, queue="q", at=at, request_id="INC-1"
        )

    found, other = await store.unreadable_of("INC-1"), await store.unreadable_of("INC-2")
    assert (found and found.reason, other) == ("second", None)

    # The older one goes, and takes nothing of the younger one along.
    assert await store.forget_unreadable(before=NOW + timedelta(hours=1), most=9) == 1
    assert await store.unreadable_of("INC-1") == found
    assert await store.forget_unreadable(before=NOW + timedelta(days=2), most=9) == 1
    assert await store.unreadable_of("INC-1") is None
    assert await store.unreadable(after="", most=9) == []
    assert await store.read_unreadable("m1") is None


async def test_what_a_message_became_is_noted_once(store: Store) -> None:
    await store.keep_unreadable("m1", b"1", reason="why", queue="q", at=NOW)
    message = await store.read_unreadable("m1")
    assert message is not None

    await store.note_sent_again(message, sent_as="INC-1", at=NOW)
    await store.note_sent_again(message, sent_as="INC-2", at=NOW)

    again = await store.read_unreadable("m1")
    assert again is not None
    assert again.row == replace(message.row, sent_as="INC-1", sent_at=NOW)
    await store.forget_unreadable(before=NOW + timedelta(days=1), most=9)
    await store.note_sent_again(again, sent_as="INC-1", at=NOW)
    assert await store.read_unreadable("m1") is None


async def test_what_is_open_is_counted_by_sender(store: Store) -> None:
    for n, via in enumerate(("webhook:sn", "webhook:sn", "queue")):
        await store.insert(reset(f"r{n}", via=via), event(), ())
    ended = await store.insert(reset("r9", via="queue"), event(), ())
    await store.commit(ended, replace(ended.row, due_at=None, state=State.FAILED))

    assert await store.count_open("sales", "webhook:sn") == 2
    assert await store.count_open("sales", "queue") == 1
    assert await store.count_open("other", "queue") == 0


async def test_refusals_are_added_up_by_sender_and_are_no_targets(store: Store) -> None:
    await store.note_refused("webhook:sn", 2, at=NOW)
    await store.note_refused("webhook:sn", 3, at=NOW + timedelta(minutes=1))
    await store.note_refused("queue", 1, at=NOW)

    await store.note_unheard("webhook:sn", 7, at=NOW)

    found = {each.via: (each.count, each.last_at) for each in await store.refusals()}
    assert found == {"webhook:sn": (5, NOW + timedelta(minutes=1)), "queue": (1, NOW)}
    assert [(each.via, each.count) for each in await store.unheard()] == [("webhook:sn", 7)]
    assert await store.targets() == []


async def test_a_notification_of_no_reset_is_told_once(store: Store) -> None:
    await store.tell((answer(0),))
    await store.tell((answer(0),))

    assert await names(store) == [("r1", 0)]
    there = await store.read_notification("sales", "r1", 0)
    assert there is not None
    assert replace(there.row, version=ROW_VERSION) == answer(0)


async def test_targets_are_remembered_once_and_heartbeats_are_none(store: Store) -> None:
    await store.remember_target("b", at=NOW)
    await store.remember_target("a", at=NOW)
    await store.remember_target("b", at=NOW)
    await store.beat("sweep", at=NOW)

    assert await store.targets() == ["a", "b"]
    assert await store.last_beat("sweep") == NOW
    assert await store.last_beat("other") is None


async def test_how_graph_was_is_kept_by_mood_and_is_no_target(store: Store) -> None:
    def seen(mood: GraphStatus, minutes: int, why: str = "") -> GraphObservation:
        at = NOW + timedelta(minutes=minutes)
        return GraphObservation(mood=mood, at=at, call="read_job", why=why)

    shielded, refused = seen(GraphStatus.ANSWERED, 0), seen(GraphStatus.REFUSED, 0, "403")
    assert await store.graph_seen() == []
    await store.note_graph([shielded, refused])
    later = seen(GraphStatus.ANSWERED, 5)
    unreadable = seen(GraphStatus.AUDIT_LOG_UNREADABLE, 5, "no")
    await store.note_graph([later, unreadable])

    assert await store.graph_seen() == [later, refused, unreadable]
    assert await store.targets() == []


async def test_the_watch_row_is_written_under_its_etag_and_comes_back(store: Store) -> None:
    absent = await store.read_observation("sales")
    seen = JobObservation(
        target="sales",
        service_principal_id="sp",
        job_id="j",
        code="Quarantine",
        quarantined=True,
        reason="TooManyDeletes",
        began=NOW,
        since=NOW,
        seen_at=NOW,
        relapsed_at=NOW,
    )
    first = await store.write_observation(absent, seen)
    with pytest.raises(Conflict):
        await store.write_observation(absent, seen)
    second = await store.write_observation(first, replace(seen, quarantined=False, began=None))
    with pytest.raises(Conflict):
        await store.write_observation(first, seen)

    assert (absent.row, absent.etag) == (JobObservation(target="sales"), "")
    assert await store.read_observation("sales") == second
    assert second.row == replace(seen, quarantined=False, began=None)
    assert (await store.read_job("sales")).etag == ""


async def test_the_fleets_sum_is_one_row_and_no_target(store: Store) -> None:
    before = await store.fleet()
    await store.note_fleet(Fleet(seen=4, quarantined=1), at=NOW)
    await store.note_fleet(Fleet(seen=5, quarantined=2), at=NOW)

    assert (before, await store.fleet()) == (Fleet(), Fleet(seen=5, quarantined=2))
    stalled = await store.note_fleet(Fleet(seen=9), at=NOW - timedelta(seconds=1))
    assert stalled == await store.fleet() == Fleet(seen=5, quarantined=2)
    assert await store.targets() == []


async def test_sent_is_merged_under_the_due_rows_etag_alone(store: Store) -> None:
    stored = await store.insert(reset(), event(), ())
    (due,) = await all_due(store)

    await store.mark_sent([due], at=NOW)
    (marked,) = await all_due(store)
    moved = await store.commit(stored, replace(stored.row, behind="x"))
    await store.mark_sent([marked], at=NOW)
    by_time, behind = await all_due(store)
    await store.commit(moved, replace(moved.row, due_at=None, state=State.FAILED))
    await store.mark_sent([by_time], at=NOW)
    await store.mark_sent([behind], at=NOW)

    assert marked.sent == NOW
    assert (by_time.sent, behind.sent) == (None, None), "the transaction wrote the row new"
    assert await all_due(store) == []


@pytest.mark.parametrize("moved", [False, True], ids=["as they were", "one has moved on"])
async def test_many_rows_are_marked_as_sent_each_under_its_etag(store: Store, moved: bool) -> None:
    for name in ("r1", "r2", "r3"):
        stored = await store.insert(reset(name), event(), ())
    rows = await all_due(store)
    if moved:
        await store.commit(stored, replace(stored.row, detail="moved on"))

    await store.mark_sent(rows, at=NOW)

    marked = {row.id: row.sent for row in await all_due(store)}
    assert marked == {"r1": NOW, "r2": NOW, "r3": None if moved else NOW}


async def test_a_row_is_due_from_its_very_moment_on(store: Store) -> None:
    moment = NOW + timedelta(microseconds=1)
    await store.insert(reset(due_at=moment), event(), ())

    assert await all_due(store, now=NOW) == []
    assert await all_due(store, now=moment + timedelta(milliseconds=1)) != []


async def test_what_is_due_comes_oldest_first_and_what_is_not_stays_out(store: Store) -> None:
    for n in (3, 1, 2):
        due_at = NOW - timedelta(minutes=n)
        await store.insert(reset(f"r{n}", due_at=due_at), event(), ())
    await store.insert(reset("later", due_at=NOW + timedelta(minutes=1)), event(), ())

    assert await names(store) == [("r3", None), ("r2", None), ("r1", None)]
    assert await names(store, now=NOW - timedelta(minutes=2)) == [("r3", None), ("r2", None)]


@pytest.mark.parametrize("count", [3, 40], ids=["on the first page", "on more than one page"])
async def test_answers_and_resets_that_are_due_come_by_turns(store: Store, count: int) -> None:
    """However many resets became due before: an answer has a turn, which goes by."""
    for n in range(count):
        due_at = NOW - timedelta(minutes=count - n)
        await store.insert(reset(f"r{n:02d}", due_at=due_at), event(), ())
    for n in range(2):
        await store.tell((replace(answer(0), id=f"a{n}"),))
    await store.tell((replace(answer(0), id="later", due_at=NOW + timedelta(minutes=1)),))

    found = [name for name, _ in await names(store)]

    assert sorted(found) == ["a0", "a1", *(f"r{n:02d}" for n in range(count))]
    assert [name for name in found if name.startswith("r")] == sorted(found)[2:]
    if count > 3:
        assert found[:4] == ["a0", "r00", "a1", "r01"]


@pytest.mark.parametrize("count", [3, 40], ids=["on the first page", "on more than one page"])
async def test_what_waits_is_due_once_its_head_has_gone(store: Store, count: int) -> None:
    later = NOW + timedelta(hours=1)
    for head in ("4a", "head", "z"):
        for n in range(count):
            waits = reset(f"{head}-{n}", due_at=later, behind=head)
            await store.insert(waits, event(), ())
    taker = await store.insert(reset("head"), event(), ())
    job = await store.read_job("sales")
    everyone = {f"{head}-{n}" for head in ("4a", "head", "z") for n in range(count)}

    nobody = {name for name, _ in await names(store)}
    # Its restart has ended, and stands for all who saw a lower number.
    ended = LastFull(
        number=1, id="gone", outcome="completed", service_principal_id="sp", job_id="job-1"
    )
    taken = JobRow(target="sales", head="head", last_full=ended)
    await store.commit(taker, taker.row, job=(job, taken))
    held = {name for name, _ in await names(store)}

    assert held == {name for name in everyone if not name.startswith("head-")} | {"head"}
    assert nobody <= everyone | {"head"}
    # Where no restart stands for them, some are enough: one of those takes the empty Head.
    assert len(nobody) == min(len(everyone), FIRST_PAGE) + 1


async def test_a_notification_moves_in_the_index_as_it_is_put_off(store: Store) -> None:
    await store.insert(reset(due_at=NOW + timedelta(days=1)), event(), (answer(),))
    first = await store.read_notification("sales", "r1", 1)
    assert first is not None
    later = NOW + timedelta(hours=1)

    second = await store.put_off(first, replace(first.row, attempts=1, due_at=later))

    assert await names(store) == []
    assert await names(store, now=later) == [("r1", 1)]
    await store.take_out(second)
    assert await names(store, now=later) == []


class VersionOne:
    """Rows as version 1 wrote them: `due:` rows held the time and Behind, and no index did."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def reset(self, *, due_at: datetime = NOW, behind: str = "") -> None:
        row = reset(version=1, due_at=due_at, behind=behind)
        due = {"DueAt": row.due_at, "Behind": row.behind}
        await self.client.create_entity({"PartitionKey": "targets", "RowKey": "sales"})
        await self.client.create_entity(reset_entity(row))
        await self._due(f"due:reset:{row.id}", due)
        old = notification_entity(answer())
        await self._due(old.pop("RowKey"), {k: v for k, v in old.items() if k != "Version"})

    async def message(self, key: str, body: bytes, *, at: datetime) -> None:
        kept = {"At": at, "Queue": "q", "Reason": "why", "Body": body}
        digest = {"Digest": hashlib.sha256(body).hexdigest()}
        row = {"PartitionKey": "unreadable", "RowKey": key, **kept, **digest}
        await self.client.create_entity(row)

    async def _due(self, key: str, columns: dict[str, Any]) -> None:
        await self.client.create_entity({"PartitionKey": "sales", "RowKey": key, **columns})


@pytest.fixture(params=["memory", "azurite"])
async def version_1(request: pytest.FixtureRequest, tables: Tables) -> tuple[Store, VersionOne]:
    if request.param == "azurite":
        return tables.store(), VersionOne(tables.resets)
    storage = Storage(lambda: NOW)
    return storage.store(), VersionOne(storage.resets)


async def test_rows_of_version_1_are_due_until_they_are_written_again(
    version_1: tuple[Store, VersionOne],
) -> None:
    store, old = version_1
    await old.reset(due_at=NOW + timedelta(hours=1), behind="gone")
    await store.targets()

    (told, waits) = await all_due(store)
    await store.mark_sent([waits], at=NOW)
    (_, marked) = await all_due(store)
    (there,) = await store.open_resets("sales", after="", most=9)
    before = await store.read_open(there) or await store.read_reset(claim())
    assert before is not None
    await store.commit(before, replace(before.row, due_at=NOW, behind=""))
    first = await store.read_notification("sales", "r1", 1)
    assert first is not None
    await store.take_out(first)

    assert ((told.id, told.n), (waits.id, waits.n)) == (("r1", 1), ("r1", None))
    assert marked.sent == NOW
    (moved,) = await all_due(store)
    assert moved.key.startswith("due:from:")
    (there,) = await store.open_resets("sales", after="", most=9)
    assert there.key == reset_key(NOW, "r1")


async def test_messages_of_version_1_are_put_into_the_indexes_and_stay_as_they_were(
    version_1: tuple[Store, VersionOne],
) -> None:
    store, old = version_1
    at = NOW + timedelta(microseconds=1_500)
    await old.message("old-1", b'{"requestId": "INC-1"}', at=at)
    await old.message("old-2", b'{"requestId": "INC-2"}', at=NOW - timedelta(days=9))
    await old.message("old-3", b"\x00\xff", at=NOW - timedelta(days=8))
    later = NOW + timedelta(hours=1)
    await store.keep_unreadable("new", b"1", reason="w", queue="q", at=later, request_id="INC-2")
    assert [each.key for each in await store.unreadable(after="", most=9)] == ["new"]

    # While an instance of version 1 still runs, another look finds what it kept meanwhile.
    counts = [await store.index_unreadable(most=2) for _ in range(2)]
    await old.message("old-4", b"4", at=NOW - timedelta(days=7))
    counts += [await store.index_unreadable(most=2) for _ in range(3)]

    assert counts == [2, 1, 1, 0, 0]
    listed = await store.unreadable(after="", most=9)
    assert [each.key for each in listed] == ["new", "old-1", "old-4", "old-3", "old-2"]
    assert listed[3].body == b"\x00\xff"
    found = [await store.unreadable_of(request_id) for request_id in ("INC-1", "INC-2")]
    assert [each and each.key for each in found] == ["old-1", "new"]
    assert await store.forget_unreadable(before=NOW - timedelta(days=1), most=9) == 3
    assert await store.read_unreadable("old-2") is None
    # Kept again, as after a lost answer, it is the same message.
    again = await store.keep_unreadable(
        "old-1", b'{"requestId": "INC-1"}', reason="why", queue="q", at=at, request_id="INC-1"
    )
    assert again == "old-1"


async def test_a_reset_of_version_1_ends_without_leaving_a_row_behind(
    version_1: tuple[Store, VersionOne],
) -> None:
    store, old = version_1
    await old.reset()
    await store.targets()
    before = await store.read_reset(claim())
    assert before is not None

    await store.commit(before, replace(before.row, due_at=None, state=State.FAILED))

    assert await store.open_resets("sales", after="", most=9) == []
    assert await names(store) == [("r1", 1)]


async def test_an_answer_is_put_off_and_taken_out_under_its_etag(store: Store) -> None:
    stored = await store.insert(reset(), event(), (answer(),))
    first = await store.read_notification("sales", "r1", 1)
    assert first is not None
    later = replace(first.row, attempts=1, due_at=NOW + timedelta(hours=1))
    second = await store.put_off(first, later)

    with pytest.raises(Conflict):
        await store.put_off(first, later)
    await store.take_out(first)
    assert await store.read_notification("sales", "r1", 1) == second
    await store.take_out(second)
    await store.take_out(second)

    assert await store.read_notification("sales", "r1", 1) is None
    assert stored.row.id == "r1"


async def test_the_answers_of_one_reset_are_found_together(store: Store) -> None:
    for reset_id in ("r1", "r11", "r"):
        await store.insert(reset(reset_id), event(), ())
        await store.tell([replace(answer(n), id=reset_id) for n in (2, 10, 1_000_002)])

    found = await store.notifications("sales", "r1")

    assert {(each.row.id, each.row.n) for each in found} == {
        ("r1", 2),
        ("r1", 10),
        ("r1", 1_000_002),
    }
    assert await store.read_notification("sales", "r1", 10) in found
    assert await store.notifications("sales", "r2") == []


async def test_an_answer_is_given_up_in_one_transaction_with_its_event(store: Store) -> None:
    open_one = await store.insert(reset(), event(), (answer(),))
    ended = await store.commit(open_one, replace(open_one.row, due_at=None, finished_at=NOW))
    given_up = await store.read_notification("sales", "r1", 1)

    await store.commit(ended, replace(ended.row, sequence=2), event=event(2), given_up=given_up)

    assert await store.read_notification("sales", "r1", 1) is None
    assert len(await store.events(ended.row)) == 2


async def test_only_what_is_older_than_the_retention_is_found_and_forgotten(store: Store) -> None:
    old = reset("old", requested_at=NOW - timedelta(days=2))
    await store.claim(replace(claim("old"), requested_at=old.requested_at))
    await store.insert(old, event(), ())
    await store.insert(reset("young"), event(), ())

    found = await store.outdated("sales", before=NOW - timedelta(days=1), most=10)
    for each in found:
        await store.forget(each)
        await store.forget(each)

    assert [each.id for each in found] == ["old"]
    assert await store.find("old") is None
    assert await store.events(old) == []
    gone = await store.found("sales", SearchKind.SUBJECT, "a@x", after="", before="", most=9)
    assert [each.id for each in gone] == ["young"]
    assert await store.outdated("sales", before=NOW - timedelta(days=1), most=10) == []
    assert await store.read_reset(claim("young")) is not None


class LossyTransport(AioHttpTransport):  # type: ignore[misc]
    """Drops the answer of the next write, after it has taken effect."""

    lose = False

    async def send(self, request: Any, **kwargs: Any) -> Any:
        response = await super().send(request, **kwargs)
        if self.lose and request.method != "GET":
            self.lose = False
            await response.load_body()
            raise ServiceResponseError("the answer is lost")
        return response


@pytest.mark.parametrize(
    "retries",
    [pytest.param(0, id="the-answer-is-lost"), pytest.param(2, id="the-client-repeats-it")],
)
async def test_a_transaction_that_succeeded_unheard_is_recognised_by_its_write_id(
    azurite: str, tables: Tables, retries: int
) -> None:
    transport = LossyTransport()
    async with TableServiceClient.from_connection_string(
        azurite, transport=transport, retry_total=retries, retry_backoff_factor=0
    ) as service:
        store = TableStore(
            service.get_table_client(tables.resets.table_name),
            service.get_table_client(tables.ids.table_name),
            new_id=lambda: f"w{next(tables.numbers)}",
            calls=PlainCalls(service),
        )
        stored = await store.insert(reset(), event(), ())
        transport.lose = True

        after = await store.commit(stored, replace(stored.row, detail="mine"))

        assert (after.row.detail, transport.lose) == ("mine", False)
        assert after == await store.read_reset(claim())


async def test_observations_and_the_outbox_recognise_their_own_success_as_well(
    azurite: str, tables: Tables
) -> None:
    transport = LossyTransport()
    async with TableServiceClient.from_connection_string(
        azurite, transport=transport, retry_total=2, retry_backoff_factor=0
    ) as service:
        store = TableStore(
            service.get_table_client(tables.resets.table_name),
            service.get_table_client(tables.ids.table_name),
            new_id=lambda: f"w{next(tables.numbers)}",
            calls=PlainCalls(service),
        )
        await store.insert(reset(), event(), [answer(1)])
        first = await store.read_notification("sales", "r1", 1)
        assert first is not None
        observation, seen = await store.read_observation("sales"), []
        for n in (1, 2):
            # The first time it is created, the second time replaced.
            transport.lose = True
            watch = JobObservation(target="sales", code=f"Active{n}")
            observation = await store.write_observation(observation, watch)
            seen.append(observation == await store.read_observation("sales"))
        transport.lose = True
        later = await store.put_off(first, replace(first.row, attempts=1))

        assert seen == [True, True]
        assert later == await store.read_notification("sales", "r1", 1)
        # Another's write is still a conflict.
        with pytest.raises(Conflict):
            await store.put_off(first, replace(first.row, attempts=2))


async def test_a_missing_table_is_storage_that_is_not_there(azurite: str) -> None:
    async with TableServiceClient.from_connection_string(azurite) as service:
        nowhere = service.get_table_client("Nowhere")
        store = TableStore(nowhere, nowhere, new_id=lambda: "w", calls=PlainCalls(service))

        with pytest.raises(StorageUnavailable):
            await store.read_job("sales")
        with pytest.raises(StorageUnavailable):
            await store.insert(reset(), event(), ())


async def test_storage_that_does_not_answer_is_said_so() -> None:
    connection = (
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;"
        "TableEndpoint=http://127.0.0.1:9/a;"
    )
    async with TableServiceClient.from_connection_string(connection, retry_total=0) as service:
        store = TableStore(
            service.get_table_client("T"),
            service.get_table_client("I"),
            new_id=lambda: "w",
            calls=PlainCalls(service),
        )

        with pytest.raises(StorageUnavailable):
            await store.claim(claim())


async def test_a_row_of_a_newer_version_is_left_alone(tables: Tables) -> None:
    store = tables.store()
    await store.insert(reset(version=ROW_VERSION + 1), event(), ())

    newer = JobObservation(target="sales", version=ROW_VERSION + 1)
    await store.write_observation(await store.read_observation("sales"), newer)

    with pytest.raises(NewerRow):
        await store.read_reset(claim())
    with pytest.raises(NewerRow):
        await store.read_observation("sales")


async def test_a_pace_is_kept_under_its_etag(store: Store) -> None:
    fresh = await store.read_pace("desk")
    kept = await store.write_pace(fresh, Pace(notifier="desk", next_at=NOW, failures=2, gone="x"))

    with pytest.raises(Conflict):
        await store.write_pace(fresh, Pace(notifier="desk"))
    assert await store.read_pace("desk") == kept
    again = await store.write_pace(kept, Pace(notifier="desk", held_until=NOW))
    with pytest.raises(Conflict):
        await store.write_pace(kept, Pace(notifier="desk"))
    assert await store.read_pace("desk") == again
    assert await store.read_pace("other") == Stored(row=Pace(notifier="other"))
    assert await store.targets() == []


async def test_what_was_given_up_goes_with_its_reset(store: Store) -> None:
    await store.claim(claim())
    ended = (await store.insert(reset(), event(), ())).row
    await store.keep_undelivered(answer(2), why="404", at=NOW)
    await store.keep_undelivered(replace(answer(2), id="r10"), why="404", at=NOW)

    await store.forget(ended)

    assert [each.answer.id for each in await store.undelivered(most=9)] == ["r10"]


async def test_what_was_given_up_is_kept_until_it_is_put_back(store: Store) -> None:
    given_up = replace(answer(2), tried_at=NOW, facts="{}")
    await store.keep_undelivered(given_up, why="404", at=NOW)
    await store.keep_undelivered(given_up, why="404 again", at=NOW)
    await store.keep_undelivered(answer(3), why="404", at=NOW)

    kept = GivenUp(answer=given_up, why="404 again", at=NOW)
    other = GivenUp(answer=answer(3), why="404", at=NOW)
    assert await store.undelivered(most=9) == [kept, other]
    assert await store.undelivered(most=1) == [kept]
    fresh = replace(given_up, tried_at=None)
    await store.put_back(fresh)
    assert await names(store) == [("r1", 2)]
    # Begun again after a crash.
    await store.put_back(fresh)
    assert await names(store) == [("r1", 2)]

    assert await store.undelivered(most=9) == [other]
    found = await store.read_notification("sales", "r1", 2)
    assert found is not None
    assert found.row == fresh
    assert [(row.id, row.n) for row in await all_due(store)] == [("r1", 2)]


@pytest.fixture(params=["memory", "azurite"])
def processes(request: pytest.FixtureRequest, tables: Tables) -> list[Store]:
    """Stores of six processes over the same tables."""
    storage = Storage(lambda: NOW)
    return [storage.store() if request.param == "memory" else tables.store() for _ in range(6)]


async def test_processes_that_begin_at_once_have_one_key_of_the_status_addresses(
    processes: list[Store],
) -> None:
    new = (f"key-{number}" for number in itertools.count(1))

    first = await asyncio.gather(*(store.status_key(lambda: next(new)) for store in processes))
    again = [await store.status_key(lambda: "another") for store in processes]

    assert len(set(first)) == 1
    assert again == first
    assert await processes[0].targets() == []
