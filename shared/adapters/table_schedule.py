"""Keep what is due and when: the sweep's index, the outbox, the targets, the heartbeats."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from copy import replace
from datetime import datetime
from typing import Any, Final

from shared.adapters import table_client, table_rows
from shared.adapters.table_client import Table, etag_of
from shared.adapters.table_resets import taken_out, told
from shared.adapters.table_rows import INDEXED
from shared.domain import keys
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.reset import ROW_VERSION, DueRow, JobRow, Notification, Stored

FIRST_PAGE: Final = 32
"""Of what a target has due; more is read by the page."""

PAGE: Final = 1_000
MAX_TRIES: Final = 3


class TableSchedule:
    """The ports `Schedule`, `Outbox` and `Heartbeats`."""

    def __init__(self, resets: Table, *, new_write_id: Callable[[], str]) -> None:
        self._resets = resets
        self._new_write_id = new_write_id
        self._known_targets: set[str] = set()
        self._older: set[str] = set()

    async def remember_target(self, alias: str, *, at: datetime) -> None:
        if alias in self._known_targets:
            return
        with contextlib.suppress(Conflict):
            await self._resets.create(
                {
                    "PartitionKey": "targets",
                    "RowKey": alias,
                    "FirstUsedAt": at,
                    "Version": INDEXED,
                }
            )
        self._known_targets.add(alias)

    async def targets(self) -> list[str]:
        found = self._resets.rows(
            "PartitionKey eq 'targets' and RowKey lt 'heartbeat:' or "
            "PartitionKey eq 'targets' and RowKey ge 'heartbeat;'",
            select=["RowKey", "Version"],
        )
        aliases = {str(entity["RowKey"]): entity.get("Version", 1) async for entity in found}
        self._older = {alias for alias, version in aliases.items() if version < INDEXED}
        return list(aliases)

    async def due(self, target: str, *, now: datetime) -> AsyncGenerator[DueRow]:
        if target in self._older:
            async for row in self._due_of_version_1(target, now):
                yield row
        until = keys.due_until(now)
        # One call where little is due: the index by Behind lies just before the one by time.
        first = await self._page(target, keys.BEHIND, until, most=FIRST_PAGE)
        waits = [entity for entity in first if entity["RowKey"].startswith(keys.BEHIND)]
        whole = len(first) < FIRST_PAGE
        if whole:
            for entity in first[len(waits) :]:
                yield table_rows.due_from(entity, etag_of(entity))
        else:
            async for entity in self._by_time(target, until):
                yield table_rows.due_from(entity, etag_of(entity))
        if waits:
            async for row in self._behind_another(target, waits if whole else None):
                yield row

    async def _by_time(self, target: str, until: str) -> AsyncGenerator[Any]:
        """
        Yield answers and resets by turns, each oldest first.

        In one order by time, an answer that was put off to its turn would come after all the
        resets that became due before that; its turn would have gone by when it was sent.
        """
        resets = self._resets_by_time(target, until)
        answers = self._between(target, keys.FROM, until, answers=True)
        try:
            while True:
                pair = [
                    entity
                    for entity in (await anext(answers, None), await anext(resets, None))
                    if entity is not None
                ]
                if not pair:
                    return
                for entity in pair:
                    yield entity
        finally:
            await answers.aclose()
            await resets.aclose()

    async def _resets_by_time(self, target: str, until: str) -> AsyncGenerator[Any]:
        async for entity in self._between(target, keys.FROM, until):
            if "Kind" not in entity:
                yield entity

    async def _behind_another(self, target: str, waits: list[Any] | None) -> AsyncGenerator[DueRow]:
        """
        Yield what waits behind a Head that has gone: of *waits*, or where those are not all, what
        the last full restart stands for, and where no other is Head some of the rest.
        """
        job = await self._job(target)
        if waits is not None:
            mine = keys.behind_key(job.head, "")
            for entity in waits:
                if not entity["RowKey"].startswith(mine):
                    yield table_rows.due_from(entity, etag_of(entity))
            return
        ended = job.last_full.number if job.last_full is not None else 0
        # One of them may take an empty Head. The others would only note whom they wait behind now,
        # which can wait until they are due: in a storm, most writes.
        others = 0 if job.head else FIRST_PAGE
        before = (keys.BEHIND, f"{keys.BEHIND}{job.head}:")
        after = (f"{keys.BEHIND}{job.head};", keys.after(keys.BEHIND))
        for first, last in (before, after):
            async for entity in self._between(target, first, last):
                if entity.get("Seen", -1) >= ended:
                    if others == 0:
                        continue
                    others -= 1
                yield table_rows.due_from(entity, etag_of(entity))

    async def _job(self, target: str) -> JobRow:
        entity = await self._resets.get(target, "job")
        return table_rows.job_from(entity) if entity is not None else JobRow(target=target)

    async def _between(
        self, target: str, after: str, before: str, *, answers: bool = False
    ) -> AsyncGenerator[Any]:
        while page := await self._page(target, after, before, most=PAGE, answers=answers):
            for entity in page:
                yield entity
            if len(page) < PAGE:
                return
            after = str(page[-1]["RowKey"])

    async def _page(
        self, target: str, after: str, before: str, *, most: int, answers: bool = False
    ) -> list[Any]:
        query = "PartitionKey eq @target and RowKey gt @after and RowKey lt @before"
        return await self._resets.first(
            f"{query} and Kind eq 'answer'" if answers else query,
            {"target": target, "after": after, "before": before},
            most=most,
            select=["PartitionKey", "RowKey", "ResetKey", "Seen", "Sent", "Kind"],
        )

    async def _due_of_version_1(self, target: str, now: datetime) -> AsyncGenerator[DueRow]:
        """
        Yield what is due of the rows of version 1: those that no index has.

        Where none is left, the target is remembered as one of version 2.
        """
        found, head = 0, (await self._job(target)).head
        for kind in ("due:answer", "due:reset"):
            rows = self._resets.rows(
                "PartitionKey eq @target and RowKey ge @first and RowKey lt @last",
                {"target": target, "first": f"{kind}:", "last": f"{kind};"},
                select=["PartitionKey", "RowKey", "DueAt", "Behind", "Sent", "Version"],
            )
            async for entity in rows:
                if entity.get("Version", 1) >= INDEXED:
                    continue
                found += 1
                behind = entity.get("Behind", "")
                if table_rows.as_utc(entity["DueAt"]) <= now or (behind and behind != head):
                    yield table_rows.due_from(entity, etag_of(entity))
        if not found:
            row = {"PartitionKey": "targets", "RowKey": target, "Version": INDEXED}
            await self._resets.merge_in(row)
            self._older.discard(target)

    async def mark_sent(self, rows: Sequence[DueRow], *, at: datetime) -> None:
        marks = [
            ({"PartitionKey": row.target, "RowKey": row.key, "Sent": at}, row.etag) for row in rows
        ]
        if len(marks) > 1 and await self._resets.transact(
            [table_client.merge(*mark) for mark in marks]
        ):
            return
        for mark in marks:
            # Ended or moved on meanwhile: that write made the row new, without Sent.
            with contextlib.suppress(Conflict):
                await self._resets.merge(*mark)

    async def read_notification(
        self, target: str, reset_id: str, n: int
    ) -> Stored[Notification] | None:
        entity = await self._resets.get(target, keys.notification_key(reset_id, n))
        if entity is None:
            return None
        return Stored(row=table_rows.notification_from(entity), etag=etag_of(entity))

    async def notifications(self, target: str, reset_id: str) -> list[Stored[Notification]]:
        found = self._resets.rows(
            "PartitionKey eq @target and RowKey ge @first and RowKey lt @last",
            {
                "target": target,
                "first": keys.notification_prefix(reset_id),
                "last": keys.after(keys.notification_prefix(reset_id)),
            },
        )
        return [
            Stored(row=table_rows.notification_from(entity), etag=etag_of(entity))
            async for entity in found
        ]

    async def put_off(
        self, before: Stored[Notification], after: Notification
    ) -> Stored[Notification]:
        after = replace(after, version=ROW_VERSION)
        written = self._new_write_id()
        etags = await self._resets.transact(
            [
                table_client.replace(
                    table_rows.notification_entity(after) | {"WriteId": written}, before.etag
                ),
                *table_client.move(
                    table_rows.notification_index(before.row), table_rows.notification_index(after)
                ),
            ]
        )
        if etags is None:
            # The answer may be lost all the same: our WriteId there means that it was written.
            there = await self._resets.get(after.target, keys.notification_key(after.id, after.n))
            if there is None or there.get("WriteId") != written:
                raise Conflict(f"notification {after.n} of {after.id} has changed")
            return Stored(row=after, etag=etag_of(there))
        return Stored(row=after, etag=etags[0])

    async def tell(self, notifications: Sequence[Notification]) -> None:
        # Not written where they are there already: told before, by the same message.
        await self._resets.transact(told(notifications))

    async def take_out(self, notification: Stored[Notification]) -> None:
        row = notification.row
        for _ in range(MAX_TRIES):
            if await self._resets.transact(taken_out(notification)) is not None:
                return
            # A lost race, or an answer that was lost, of a write that may not have taken place:
            # what stays here although it was delivered is delivered again.
            there = await self.read_notification(row.target, row.id, row.n)
            if there is None or there.etag != notification.etag:
                return
        raise StorageUnavailable(f"notification {row.n} of {row.id} could not be taken out")

    async def beat(self, timer: str, *, at: datetime) -> None:
        await self._resets.put(
            {"PartitionKey": "targets", "RowKey": f"heartbeat:{timer}", "At": at}
        )

    async def last_beat(self, timer: str) -> datetime | None:
        entity = await self._resets.get("targets", f"heartbeat:{timer}")
        return table_rows.as_utc(entity["At"]) if entity is not None else None
