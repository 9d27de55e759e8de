"""Rows and transactions in Azure Table Storage: the only module that knows its client."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters import table_rows
from shared.domain import keys
from shared.domain.errors import Conflict, NewerRow, StorageUnavailable
from shared.domain.reset import (
    Budget,
    Claim,
    DueRow,
    Fleet,
    HistoryEntry,
    JobObservation,
    JobRow,
    Link,
    Notification,
    Reset,
    Stored,
)
from shared.domain.sync_job import GraphObservation

TAKES_AT_MOST: Final = 60.0
"""Seconds of one call, the client's retries and their Retry-After included."""

_FLEET: Final = "heartbeat:fleet"
"""Among the heartbeats, where no alias can be: `remediate` notes it with each of its runs."""

_LOST_RACE: Final = frozenset({404, 409, 412})
_RESERVE_TRIES: Final = 20
_GRAPH_SEEN: Final = "heartbeat:graph"
"""Among the heartbeats, which `targets` leaves out."""


class TableStore:
    """
    The `Store` over two tables.

    `new_id` gives the WriteId of each transaction: after an answer that was lost or that the
    client's own retry turned into a conflict with itself, the row is read again, and our WriteId
    there means that the write had succeeded.
    """

    def __init__(self, resets: TableClient, ids: TableClient, *, new_id: Callable[[], str]) -> None:
        self._resets = resets
        self._ids = ids
        self._new_id = new_id
        self._known_targets: set[str] = set()

    async def remember_target(self, alias: str, *, at: datetime) -> None:
        if alias in self._known_targets:
            return
        entity = {"PartitionKey": "targets", "RowKey": alias, "FirstUsedAt": at}
        with contextlib.suppress(ResourceExistsError):
            await _asked(self._resets.create_entity(entity), ResourceExistsError)
        self._known_targets.add(alias)

    async def claim(self, claim: Claim) -> Claim:
        try:
            await _asked(
                self._ids.create_entity(table_rows.claim_entity(claim)), ResourceExistsError
            )
        except ResourceExistsError:
            found = await self.find(claim.id)
            if found is None:
                raise StorageUnavailable("an ids row was there and is gone") from None
            return found
        return claim

    async def find(self, reset_id: str) -> Claim | None:
        entity = await self._get(self._ids, reset_id, "id")
        return table_rows.claim_from(entity) if entity is not None else None

    async def read_job(self, target: str) -> Stored[JobRow]:
        entity = await self._get(self._resets, target, "job")
        if entity is None:
            return Stored(row=JobRow(target=target))
        return Stored(row=table_rows.job_from(entity), etag=_etag(entity))

    async def read_reset(self, claim: Claim) -> Stored[Reset] | None:
        return await self._read(claim.target, keys.reset_key(claim.requested_at, claim.id))

    async def insert(
        self, reset: Reset, event: HistoryEntry, answers: Sequence[Notification]
    ) -> Stored[Reset]:
        written = replace(reset, write_id=self._new_id())
        operations: list[Any] = [
            ("create", table_rows.reset_entity(written)),
            ("upsert", table_rows.due_entity(written), {"mode": UpdateMode.REPLACE}),
            ("create", table_rows.event_entity(written, event)),
            *(("create", table_rows.answer_entity(answer)) for answer in answers),
        ]
        stored = await self._transact(operations, written)
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
        operations: list[Any] = [_guarded(table_rows.reset_entity(written), before.etag)]
        if written.due_at is not None:
            operations.append(
                ("upsert", table_rows.due_entity(written), {"mode": UpdateMode.REPLACE})
            )
        elif before.row.due_at is not None:
            operations.append(("delete", table_rows.due_entity(before.row)))
        if given_up is not None:
            operations.append(
                (
                    "delete",
                    table_rows.answer_entity(given_up.row),
                    {"etag": given_up.etag, "match_condition": MatchConditions.IfNotModified},
                )
            )
        if event is not None:
            operations.append(("create", table_rows.event_entity(written, event)))
        operations += [("create", table_rows.answer_entity(answer)) for answer in answers]
        if job is not None:
            was, becomes = job
            operations.append(_guarded(table_rows.job_entity(becomes), was.etag))
        stored = await self._transact(operations, written)
        if stored is None or stored.row.write_id != written.write_id:
            raise Conflict(f"{after.id} or its job row has changed")
        return stored

    async def _transact(self, operations: list[Any], written: Reset) -> Stored[Reset] | None:
        """Return what is there afterwards: ours, or (after a lost race) whatever won it."""
        try:
            async with asyncio.timeout(TAKES_AT_MOST):
                results = await self._resets.submit_transaction(operations)
        except TableTransactionError as error:
            if error.status_code not in _LOST_RACE:
                raise StorageUnavailable(f"transaction: {error.status_code}") from error
        except HttpResponseError as error:
            if error.status_code not in _LOST_RACE and not _ambiguous(error):
                raise StorageUnavailable(f"transaction: {error.status_code}") from error
        except (AzureError, TimeoutError) as error:
            # The answer was lost: what the row says now decides, below.
            lost = error
            try:
                return await self._read(
                    written.target, keys.reset_key(written.requested_at, written.id)
                )
            except StorageUnavailable:
                raise StorageUnavailable(f"transaction: {type(lost).__name__}") from lost
        else:
            return Stored(row=written, etag=results[0]["etag"])
        return await self._read(written.target, keys.reset_key(written.requested_at, written.id))

    async def events(self, reset: Reset) -> list[HistoryEntry]:
        return [table_rows.event_from(entity) async for entity in self._of(reset, "event")]

    async def links(self, reset: Reset) -> list[Link]:
        return [table_rows.link_from(entity) async for entity in self._of(reset, "subject")]

    async def resets(self, target: str, *, after: str, most: int) -> list[Reset]:
        found = self._resets.query_entities(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt 'reset;'",
            parameters={"target": target, "after": after or "reset:"},
            results_per_page=most,
        )
        return [table_rows.reset_from(entity) for entity in await _first(found, most)]

    async def open_ids(self, target: str, *, after: str, most: int) -> list[str]:
        found = self._resets.query_entities(
            "PartitionKey eq @target and RowKey gt @after and RowKey lt 'due:reset;'",
            parameters={"target": target, "after": keys.due_key(after)},
            results_per_page=most,
            select=["PartitionKey", "RowKey"],
        )
        return [str(entity["RowKey"]).split(":")[2] for entity in await _first(found, most)]

    def _of(self, reset: Reset, kind: str) -> AsyncIterator[Any]:
        """A reset's rows of one kind; `;` is the character after `:`, so the range is closed."""
        return _rows(
            self._resets.query_entities(
                "PartitionKey eq @target and RowKey ge @first and RowKey lt @last",
                parameters={
                    "target": reset.target,
                    "first": f"{kind}:{reset.id}:",
                    "last": f"{kind}:{reset.id};",
                },
            )
        )

    async def read_answer(self, target: str, reset_id: str, n: int) -> Stored[Notification] | None:
        entity = await self._get(self._resets, target, keys.answer_key(reset_id, n))
        if entity is None:
            return None
        return Stored(row=table_rows.answer_from(entity), etag=_etag(entity))

    async def put_off(
        self, before: Stored[Notification], after: Notification
    ) -> Stored[Notification]:
        replaced = await self._replace(table_rows.answer_entity(after), before.etag)
        return Stored(row=after, etag=str(replaced["etag"]))

    async def delivered(self, answer: Stored[Notification]) -> None:
        row = answer.row
        with contextlib.suppress(ResourceNotFoundError, ResourceModifiedError):
            await _asked(
                self._resets.delete_entity(
                    row.target,
                    keys.answer_key(row.id, row.n),
                    etag=answer.etag,
                    match_condition=MatchConditions.IfNotModified,
                ),
                ResourceNotFoundError,
                ResourceModifiedError,
            )

    async def outdated(self, target: str, *, before: datetime, most: int) -> list[Reset]:
        found = self._resets.query_entities(
            "PartitionKey eq @target and RowKey ge @first and RowKey lt 'reset;'",
            parameters={"target": target, "first": keys.reset_key(before, "")},
            results_per_page=most,
        )
        kept: list[Reset] = []
        async for entity in _rows(found):
            with contextlib.suppress(NewerRow):
                kept.append(table_rows.reset_from(entity))
            if len(kept) == most:
                break
        return kept

    async def forget(self, reset: Reset) -> None:
        # The order lets a later run go on after a crash: the rest is found by the reset's row, and
        # the ids row is deleted after the audit, so that where it is gone (or the id stands for a
        # younger reset by now) the rows under this id are no longer ours.
        claim = await self._get(self._ids, reset.id, "id")
        key = keys.reset_key(reset.requested_at, reset.id)
        if claim is not None and claim["ResetKey"] == key:
            await self._forget_audit(reset)
            await _asked(self._ids.delete_entity(reset.id, "id"))
        await _asked(self._resets.delete_entity(reset.target, key))

    async def _forget_audit(self, reset: Reset) -> None:
        for kind in ("event", "subject"):
            for key in [str(entity["RowKey"]) async for entity in self._of(reset, kind)]:
                await _asked(self._resets.delete_entity(reset.target, key))

    async def budget(self, day: str, reset_id: str) -> Budget:
        taken = _spent(await self._get(self._resets, "budget", day))
        return Budget(spent=len(taken), mine=_short(reset_id) in taken)

    async def reserve(self, day: str, reset_id: str, *, limit: int) -> bool:
        key = _short(reset_id)
        for _ in range(_RESERVE_TRIES):
            entity = await self._get(self._resets, "budget", day)
            taken = _spent(entity)
            if key in taken:
                return True
            if len(taken) >= limit:
                return False
            row = {"PartitionKey": "budget", "RowKey": day, "Spent": "\n".join((*taken, key))}
            try:
                if entity is None:
                    await _asked(self._resets.create_entity(row), ResourceExistsError)
                else:
                    await self._replace(row, _etag(entity))
            except (ResourceExistsError, Conflict):
                continue
            return True
        raise StorageUnavailable("the budget row is fought over")

    async def keep_unreadable(
        self, key: str, body: bytes, *, reason: str, queue: str, at: datetime
    ) -> str:
        digest = hashlib.sha256(body).hexdigest()
        for row_key in (key, f"{key}-{digest[:16]}"):
            entity = {
                "PartitionKey": "unreadable",
                "RowKey": row_key,
                "At": at,
                "Queue": queue,
                "Reason": reason,
                "Body": body,
                "Digest": digest,
            }
            try:
                await _asked(self._resets.create_entity(entity), ResourceExistsError)
            except ResourceExistsError:
                there = await self._get(self._resets, "unreadable", row_key)
                if there is None or there.get("Digest") != digest:
                    continue
            return row_key
        raise StorageUnavailable(f"two messages share the key {key}")

    async def targets(self) -> list[str]:
        found = self._resets.query_entities(
            "PartitionKey eq 'targets' and RowKey lt 'heartbeat:' or "
            "PartitionKey eq 'targets' and RowKey ge 'heartbeat;'",
            select=["RowKey"],
        )
        return [str(entity["RowKey"]) async for entity in _rows(found)]

    async def due(self, target: str) -> AsyncIterator[DueRow]:
        found = self._resets.query_entities(
            "PartitionKey eq @target and RowKey ge 'due:' and RowKey lt 'due;'",
            parameters={"target": target},
            select=["PartitionKey", "RowKey", "DueAt", "Behind", "Sent"],
        )
        async for entity in _rows(found):
            yield table_rows.due_from(entity, _etag(entity))

    async def mark_sent(self, row: DueRow, *, at: datetime) -> None:
        key = keys.due_key(row.id) if row.n is None else keys.answer_key(row.id, row.n)
        try:
            await _asked(
                self._resets.update_entity(
                    {"PartitionKey": row.target, "RowKey": key, "Sent": at},
                    mode=UpdateMode.MERGE,
                    etag=row.etag,
                    match_condition=MatchConditions.IfNotModified,
                ),
                ResourceNotFoundError,
                ResourceModifiedError,
            )
        except (ResourceNotFoundError, ResourceModifiedError):
            # Ended or moved on meanwhile: whoever did that wrote the row anew.
            return

    async def read_watch(self, target: str) -> Stored[JobObservation]:
        entity = await self._get(self._resets, target, "watch")
        if entity is None:
            return Stored(row=JobObservation(target=target))
        return Stored(row=table_rows.watch_from(entity), etag=_etag(entity))

    async def write_watch(
        self, before: Stored[JobObservation], after: JobObservation
    ) -> Stored[JobObservation]:
        entity = table_rows.watch_entity(after)
        if before.etag:
            return Stored(row=after, etag=str((await self._replace(entity, before.etag))["etag"]))
        try:
            created = await _asked(self._resets.create_entity(entity), ResourceExistsError)
        except ResourceExistsError as error:
            raise Conflict(f"{after.target}: watch is there by now") from error
        return Stored(row=after, etag=str(created["etag"]))

    async def note_fleet(self, fleet: Fleet, *, at: datetime) -> Fleet:
        for _ in range(_RESERVE_TRIES):
            there = await self._get(self._resets, "targets", _FLEET)
            if there is not None and table_rows.as_utc(there["At"]) > at:
                return _fleet(there)
            with contextlib.suppress(ResourceExistsError, Conflict):
                await self._write_fleet(fleet, at, _etag(there) if there is not None else "")
                return fleet
        raise StorageUnavailable("the fleet's row is fought over")

    async def _write_fleet(self, fleet: Fleet, at: datetime, etag: str) -> None:
        entity = {
            "PartitionKey": "targets",
            "RowKey": _FLEET,
            "At": at,
            "Seen": fleet.seen,
            "Quarantined": fleet.quarantined,
        }
        if etag:
            await self._replace(entity, etag)
        else:
            await _asked(self._resets.create_entity(entity), ResourceExistsError)

    async def fleet(self) -> Fleet:
        entity = await self._get(self._resets, "targets", _FLEET)
        return _fleet(entity) if entity is not None else Fleet()

    async def beat(self, timer: str, *, at: datetime) -> None:
        entity = {"PartitionKey": "targets", "RowKey": f"heartbeat:{timer}", "At": at}
        await _asked(self._resets.upsert_entity(entity, mode=UpdateMode.REPLACE))

    async def last_beat(self, timer: str) -> datetime | None:
        entity = await self._get(self._resets, "targets", f"heartbeat:{timer}")
        return table_rows.as_utc(entity["At"]) if entity is not None else None

    async def note_graph(self, seen: Sequence[GraphObservation]) -> None:
        entity: table_rows.Entity = {"PartitionKey": "targets", "RowKey": _GRAPH_SEEN}
        for each in seen:
            entity |= table_rows.sighting_columns(each)
        await _asked(self._resets.upsert_entity(entity, mode=UpdateMode.MERGE))

    async def graph_seen(self) -> list[GraphObservation]:
        entity = await self._get(self._resets, "targets", _GRAPH_SEEN)
        return table_rows.sightings_from(entity) if entity is not None else []

    async def _read(self, target: str, key: str) -> Stored[Reset] | None:
        entity = await self._get(self._resets, target, key)
        if entity is None:
            return None
        return Stored(row=table_rows.reset_from(entity), etag=_etag(entity))

    async def _replace(self, entity: table_rows.Entity, etag: str) -> Any:
        try:
            return await _asked(
                self._resets.update_entity(
                    entity,
                    mode=UpdateMode.REPLACE,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                ),
                ResourceModifiedError,
                ResourceNotFoundError,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Conflict(f"{entity['RowKey']} has changed") from error

    @staticmethod
    async def _get(table: TableClient, partition: str, key: str) -> Any | None:
        try:
            return await _asked(table.get_entity(partition, key), ResourceNotFoundError)
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) == "TableNotFound":
                raise StorageUnavailable(f"table {table.table_name} is missing") from error
            return None


async def _asked[T](call: Awaitable[T], *expected: type[AzureError]) -> T:
    """Let the *expected* errors through; all else is StorageUnavailable."""
    try:
        async with asyncio.timeout(TAKES_AT_MOST):
            return await call
    except TimeoutError as error:
        raise StorageUnavailable("table storage did not answer in time") from error
    except HttpResponseError as error:
        if error.status_code == 412 and ResourceModifiedError in expected:
            raise ResourceModifiedError(response=error.response) from error
        if isinstance(error, expected):
            raise
        raise StorageUnavailable(f"table storage answered {error.status_code}") from error
    except AzureError as error:
        raise StorageUnavailable(f"table storage: {type(error).__name__}") from error


async def _rows(found: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async with asyncio.timeout(TAKES_AT_MOST):
            pages = [entity async for entity in found]
    except (AzureError, TimeoutError) as error:
        raise StorageUnavailable(f"table storage: {type(error).__name__}") from error
    for entity in pages:
        yield entity


async def _first(found: AsyncIterator[Any], most: int) -> list[Any]:
    """As many as asked for, and no page after that is read."""
    first: list[Any] = []
    try:
        async with asyncio.timeout(TAKES_AT_MOST):
            async for entity in found:
                first.append(entity)
                if len(first) == most:
                    break
    except (AzureError, TimeoutError) as error:
        raise StorageUnavailable(f"table storage: {type(error).__name__}") from error
    return first


def _guarded(entity: table_rows.Entity, etag: str) -> Any:
    if not etag:
        return ("create", entity)
    condition = {
        "mode": UpdateMode.REPLACE,
        "etag": etag,
        "match_condition": MatchConditions.IfNotModified,
    }
    return ("update", entity, condition)


def _ambiguous(error: HttpResponseError) -> bool:
    return error.status_code is None or error.status_code >= 500


def _fleet(entity: Any) -> Fleet:
    return Fleet(seen=int(entity["Seen"]), quarantined=int(entity["Quarantined"]))


def _etag(entity: Any) -> str:
    return str(entity.metadata["etag"])


def _spent(entity: Any | None) -> tuple[str, ...]:
    return tuple(str(entity["Spent"]).split("\n")) if entity is not None else ()


def _short(reset_id: str) -> str:
    # Ids are up to 128 characters, a column holds 32,768: a digest lets a budget of 1,000 fit.
    return hashlib.sha256(reset_id.encode()).hexdigest()[:16]
