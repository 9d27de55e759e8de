"""Keep what the policy asks for: the day's budget, and the jobs and Graph as last observed."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from shared.adapters import table_rows
from shared.adapters.table_budget import TableBudget
from shared.adapters.table_client import Table, etag_of
from shared.domain import keys
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.reset import Budget, BudgetPlace, Fleet, JobObservation, SenderCount, Stored
from shared.domain.sync_job import GraphObservation

MAX_RACES: Final = 20

# Among the heartbeats, where no alias can be and which `targets` leaves out.
_FLEET: Final = "heartbeat:fleet"
_GRAPH: Final = "heartbeat:graph"
_REFUSED: Final = "heartbeat:refused:"
_UNHEARD: Final = "heartbeat:unheard:"


class TableLimits:
    """The ports `Limits`, `Observations` and `GraphRecord`."""

    def __init__(self, resets: Table, *, new_write_id: Callable[[], str]) -> None:
        self._resets = resets
        self._new_write_id = new_write_id
        self._budget = TableBudget(resets)

    async def budget(self, day: str, *, limit: int | None = None) -> Budget:
        return Budget(spent=await self._budget.spent(day, limit=limit))

    async def reserve(self, place: BudgetPlace, *, limit: int | None) -> bool:
        key = _place_key(place)

        def take(taken: tuple[str, ...]) -> tuple[str, ...] | None:
            if key in taken:
                return taken
            full = limit is not None and len(taken) >= limit
            return None if full else (*taken, key)

        return await self._budget.change(place.day, take)

    async def give_back(self, place: BudgetPlace) -> None:
        key = _place_key(place)
        await self._budget.change(
            place.day, lambda taken: tuple(each for each in taken if each != key)
        )

    async def read_observation(self, target: str) -> Stored[JobObservation]:
        entity = await self._resets.get(target, "watch")
        if entity is None:
            return Stored(row=JobObservation(target=target))
        return Stored(row=table_rows.observation_from(entity), etag=etag_of(entity))

    async def write_observation(
        self, before: Stored[JobObservation], after: JobObservation
    ) -> Stored[JobObservation]:
        entity = table_rows.observation_entity(after)
        etag = await self._resets.write_own(entity, before.etag, write_id=self._new_write_id())
        return Stored(row=after, etag=etag)

    async def note_fleet(self, fleet: Fleet, *, at: datetime) -> Fleet:
        for _ in range(MAX_RACES):
            there = await self._resets.get("targets", _FLEET)
            if there is not None and table_rows.as_utc(there["At"]) > at:
                return _fleet(there)
            row = {
                "PartitionKey": "targets",
                "RowKey": _FLEET,
                "At": at,
                "Seen": fleet.seen,
                "Quarantined": fleet.quarantined,
            }
            with contextlib.suppress(Conflict):
                await self._write(row, there)
                return fleet
        raise StorageUnavailable("the fleet's row: too many concurrent writes")

    async def fleet(self) -> Fleet:
        entity = await self._resets.get("targets", _FLEET)
        return _fleet(entity) if entity is not None else Fleet()

    async def note_graph(self, seen: Sequence[GraphObservation]) -> None:
        entity: table_rows.Entity = {"PartitionKey": "targets", "RowKey": _GRAPH}
        for each in seen:
            entity |= table_rows.graph_columns(each)
        await self._resets.merge_in(entity)

    async def graph_seen(self) -> list[GraphObservation]:
        entity = await self._resets.get("targets", _GRAPH)
        return table_rows.graph_from(entity) if entity is not None else []

    async def count_open(self, target: str, via: str) -> int:
        found = self._resets.rows(
            "PartitionKey eq @target and RowKey ge 'due:reset:' and RowKey lt 'due:reset;' "
            "and Via eq @via",
            {"target": target, "via": via},
            select=["RowKey"],
        )
        return len([None async for _ in found])

    async def note_refused(self, via: str, count: int, *, at: datetime) -> None:
        await self._add(f"{_REFUSED}{via}", count, at=at)

    async def note_unheard(self, via: str, count: int, *, at: datetime) -> None:
        await self._add(f"{_UNHEARD}{via}", count, at=at)

    async def _add(self, key: str, count: int, *, at: datetime) -> None:
        for _ in range(MAX_RACES):
            there = await self._resets.get("targets", key)
            before = int(there["Count"]) if there is not None else 0
            row = {"PartitionKey": "targets", "RowKey": key, "At": at, "Count": before + count}
            with contextlib.suppress(Conflict):
                await self._write(row, there)
                return
        raise StorageUnavailable(f"{key}: too many concurrent writes")

    async def refusals(self) -> list[SenderCount]:
        return await self._counted(_REFUSED)

    async def unheard(self) -> list[SenderCount]:
        return await self._counted(_UNHEARD)

    async def _counted(self, prefix: str) -> list[SenderCount]:
        found = self._resets.rows(
            "PartitionKey eq 'targets' and RowKey ge @first and RowKey lt @last",
            {"first": prefix, "last": keys.after(prefix)},
        )
        return [
            SenderCount(
                via=str(entity["RowKey"]).removeprefix(prefix),
                count=int(entity["Count"]),
                last_at=table_rows.as_utc(entity["At"]),
            )
            async for entity in found
        ]

    async def _write(self, row: table_rows.Entity, there: Any | None) -> None:
        """Create the row, or replace the one that was read."""
        if there is None:
            await self._resets.create(row)
        else:
            await self._resets.replace(row, etag_of(there))


def _fleet(entity: Any) -> Fleet:
    return Fleet(seen=int(entity["Seen"]), quarantined=int(entity["Quarantined"]))


def _place_key(place: BudgetPlace) -> str:
    # Ids are up to 128 characters, a column holds 32,768: a digest lets a budget of 1,000 fit.
    name = f"{place.reset_id}/{place.client_request_id}"
    return hashlib.sha256(name.encode()).hexdigest()[:16]
