"""Keep resets, their history and their job rows: one transaction for each step of a reset."""

from collections.abc import AsyncIterator, Callable, Sequence
from copy import replace
from typing import Any, Final

from shared.adapters import table_client, table_rows
from shared.adapters.shared_reads import SharedReads
from shared.adapters.table_client import Table, etag_of
from shared.adapters.table_requests import Operation
from shared.domain import keys
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.keys import SearchKind
from shared.domain.reset import (
    ROW_VERSION,
    Claim,
    HistoryEntry,
    JobRow,
    Notification,
    OpenReset,
    Reset,
    Stored,
)

MAX_FINDS: Final = 80
"""Rows of the search that an insert carries: with the others it stays under a hundred."""


class TableResets:
    """
    The ports `Resets` and `ResetReader`.

    `new_id` gives the WriteId of each transaction: after an answer that was lost, or that the
    client's own retry turned into a conflict with itself, the row is read again. Our WriteId
    there means that the write succeeded.
    """

    def __init__(self, resets: Table, ids: Table, *, new_id: Callable[[], str]) -> None:
        self._resets = resets
        self._ids = ids
        self._new_id = new_id
        self._jobs = SharedReads(self._read_job)

    async def claim(self, claim: Claim) -> Claim:
        try:
            await self._ids.create(table_rows.claim_entity(claim))
        except Conflict:
            found = await self.find(claim.id)
            if found is None:
                raise StorageUnavailable("an ids row was there and is gone") from None
            return found
        return claim

    async def find(self, reset_id: str) -> Claim | None:
        entity = await self._ids.get(reset_id, "id")
        return table_rows.claim_from(entity) if entity is not None else None

    async def find_reset(self, reset_id: str) -> Stored[Reset] | None:
        claim = await self.find(reset_id)
        return await self.read_reset(claim) if claim is not None else None

    async def read_job(self, target: str) -> Stored[JobRow]:
        return await self._jobs.read(target)

    async def _read_job(self, target: str) -> Stored[JobRow]:
        entity = await self._resets.get(target, "job")
        if entity is None:
            return Stored(row=JobRow(target=target))
        return Stored(row=table_rows.job_from(entity), etag=etag_of(entity))

    async def read_reset(self, claim: Claim) -> Stored[Reset] | None:
        return await self._read(claim.target, keys.reset_key(claim.requested_at, claim.id))

    async def insert(
        self,
        reset: Reset,
        event: HistoryEntry,
        answers: Sequence[Notification],
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
    ) -> Stored[Reset]:
        written = replace(reset, write_id=self._new_id())
        finds = [table_client.put(row) for row in table_rows.find_entities(written)]
        if more := finds[MAX_FINDS:]:
            # A transaction holds a hundred rows. Without their reset these rows find nothing.
            await self._resets.transact(more)
        operations = [
            table_client.create(table_rows.reset_entity(written)),
            table_client.put(table_rows.open_entity(written)),
            *table_client.move({}, table_rows.reset_index(written)),
            table_client.create(table_rows.event_entity(written, event)),
            *finds[:MAX_FINDS],
            *told(answers),
        ]
        if job is not None:
            was, becomes = job
            operations.append(table_client.replace(table_rows.job_entity(becomes), was.etag))
        stored = await self._transact(operations, written)
        if stored is None and job is not None:
            raise Conflict(f"the job row of {reset.id} has changed")
        if stored is None:
            # Neither ours nor another's: the write did not take place.
            raise StorageUnavailable(f"{reset.id} could not be inserted")
        return stored

    async def commit(
        self,
        before: Stored[Reset],
        after: Reset,
        *,
        job: tuple[Stored[JobRow], JobRow] | None = None,
        event: HistoryEntry | None = None,
        answers: Sequence[Notification] = (),
        given_up: Stored[Notification] | None = None,
    ) -> Stored[Reset]:
        written = replace(after, write_id=self._new_id(), version=ROW_VERSION)
        operations = [
            table_client.replace(table_rows.reset_entity(written), before.etag),
            *_rescheduled(before.row, written),
        ]
        if given_up is not None:
            operations += taken_out(given_up)
        if event is not None:
            operations.append(table_client.create(table_rows.event_entity(written, event)))
        operations += told(answers)
        if job is not None:
            was, becomes = job
            operations.append(table_client.replace(table_rows.job_entity(becomes), was.etag))
        stored = await self._transact(operations, written)
        if stored is None or stored.row.write_id != written.write_id:
            raise Conflict(f"{after.id} or its job row has changed")
        return stored

    async def _transact(self, operations: list[Operation], written: Reset) -> Stored[Reset] | None:
        """Return the row as it is afterwards: ours, or (after a lost race) the winner's."""
        etags = await self._resets.transact(operations)
        if etags is not None:
            # The reset comes first, and where the job row is written it comes last.
            job_etag = etags[-1] if operations[-1][1]["RowKey"] == "job" else ""
            return Stored(row=written, etag=etags[0], job_etag=job_etag)
        return await self._read(written.target, keys.reset_key(written.requested_at, written.id))

    async def events(self, reset: Reset) -> list[HistoryEntry]:
        return [
            table_rows.event_from(entity) async for entity in rows_of(self._resets, reset, "event")
        ]

    async def resets(self, target: str, *, after: str, most: int) -> list[Reset]:
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt 'reset;'",
            {"target": target, "after": after or "reset:"},
            most=most,
        )
        return [table_rows.reset_from(entity) for entity in found]

    async def open_resets(self, target: str, *, after: str, most: int) -> list[OpenReset]:
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt 'due:reset;'",
            {"target": target, "after": keys.open_key(after)},
            most=most,
            select=["PartitionKey", "RowKey", "ResetKey"],
        )
        return [table_rows.open_from(entity) for entity in found]

    async def found(
        self, target: str, kind: SearchKind, value: str, *, after: str, before: str, most: int
    ) -> list[OpenReset]:
        prefix = keys.find_prefix(kind, value)
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt @before",
            {
                "target": target,
                "after": prefix + after,
                "before": prefix + before if before else keys.after(prefix),
            },
            most=most,
            select=["PartitionKey", "RowKey", "ResetKey"],
        )
        return [table_rows.found_from(entity) for entity in found]

    async def read_open(self, there: OpenReset) -> Stored[Reset] | None:
        if not there.key:
            return await self.find_reset(there.id)
        return await self._read(there.target, there.key)

    async def _read(self, target: str, key: str) -> Stored[Reset] | None:
        entity = await self._resets.get(target, key)
        if entity is None:
            return None
        return Stored(row=table_rows.reset_from(entity), etag=etag_of(entity))


def _rescheduled(before: Reset, after: Reset) -> list[Operation]:
    """Move the reset in the sweep's index, and out of the list of what is open at its end."""
    moves = table_client.move(table_rows.reset_index(before), table_rows.reset_index(after))
    if after.due_at is None and before.due_at is not None:
        return [table_client.delete(table_rows.open_entity(before)), *moves]
    if after.due_at is not None and before.version < after.version:
        # The row of version 1 was the index itself.
        return [table_client.put(table_rows.open_entity(after)), *moves]
    return moves


def told(answers: Sequence[Notification]) -> list[Operation]:
    """Put notifications into the outbox."""
    operations = []
    for answer in answers:
        operations.append(table_client.create(table_rows.notification_entity(answer)))
        operations += table_client.move({}, table_rows.notification_index(answer))
    return operations


def taken_out(notification: Stored[Notification]) -> list[Operation]:
    """Take a notification out of the outbox under its ETag."""
    entity = table_rows.notification_entity(notification.row)
    gone = table_client.delete(entity, notification.etag)
    return [gone, *table_client.move(table_rows.notification_index(notification.row), {})]


def rows_of(table: Table, reset: Reset, kind: str) -> AsyncIterator[Any]:
    """A reset's rows of one kind; `;` is the character after `:`, so the range is closed."""
    return table.rows(
        "PartitionKey eq @target and RowKey ge @first and RowKey lt @last",
        {
            "target": reset.target,
            "first": f"{kind}:{reset.id}:",
            "last": f"{kind}:{reset.id};",
        },
    )
