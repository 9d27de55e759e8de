"""Keep resets, their history and their job rows: one transaction for each step of a reset."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from shared.adapters import table_client, table_rows
from shared.adapters.table_client import Operation, Table, etag_of
from shared.domain import keys
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.reset import (
    Claim,
    HistoryEntry,
    JobRow,
    Notification,
    Reset,
    Stored,
)


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
        entity = await self._resets.get(target, "job")
        if entity is None:
            return Stored(row=JobRow(target=target))
        return Stored(row=table_rows.job_from(entity), etag=etag_of(entity))

    async def read_reset(self, claim: Claim) -> Stored[Reset] | None:
        return await self._read(claim.target, keys.reset_key(claim.requested_at, claim.id))

    async def insert(
        self, reset: Reset, event: HistoryEntry, answers: Sequence[Notification]
    ) -> Stored[Reset]:
        written = replace(reset, write_id=self._new_id())
        stored = await self._transact(
            [
                table_client.create(table_rows.reset_entity(written)),
                table_client.put(table_rows.due_entity(written)),
                table_client.create(table_rows.event_entity(written, event)),
                *(table_client.create(table_rows.answer_entity(answer)) for answer in answers),
            ],
            written,
        )
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
        written = replace(after, write_id=self._new_id())
        operations = [table_client.replace(table_rows.reset_entity(written), before.etag)]
        if written.due_at is not None:
            operations.append(table_client.put(table_rows.due_entity(written)))
        elif before.row.due_at is not None:
            operations.append(table_client.delete(table_rows.due_entity(before.row)))
        if given_up is not None:
            entity = table_rows.answer_entity(given_up.row)
            operations.append(table_client.delete(entity, given_up.etag))
        if event is not None:
            operations.append(table_client.create(table_rows.event_entity(written, event)))
        operations += [table_client.create(table_rows.answer_entity(answer)) for answer in answers]
        if job is not None:
            was, becomes = job
            operations.append(table_client.replace(table_rows.job_entity(becomes), was.etag))
        stored = await self._transact(operations, written)
        if stored is None or stored.row.write_id != written.write_id:
            raise Conflict(f"{after.id} or its job row has changed")
        return stored

    async def _transact(self, operations: list[Operation], written: Reset) -> Stored[Reset] | None:
        """Return the row as it is afterwards: ours, or (after a lost race) the winner's."""
        etag = await self._resets.transact(operations)
        if etag is not None:
            return Stored(row=written, etag=etag)
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

    async def open_ids(self, target: str, *, after: str, most: int) -> list[str]:
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt 'due:reset;'",
            {"target": target, "after": keys.due_key(after)},
            most=most,
            select=["PartitionKey", "RowKey"],
        )
        return [str(entity["RowKey"]).split(":")[2] for entity in found]

    async def _read(self, target: str, key: str) -> Stored[Reset] | None:
        entity = await self._resets.get(target, key)
        if entity is None:
            return None
        return Stored(row=table_rows.reset_from(entity), etag=etag_of(entity))


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
