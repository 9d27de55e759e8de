"""Keep what was found out about users' links, the job's schema, and the turns to ask Graph."""

import contextlib
import gzip
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.adapters import table_rows
from shared.adapters.table_client import Table, etag_of
from shared.adapters.table_resets import rows_of
from shared.adapters.table_rows import Entity
from shared.domain import keys
from shared.domain.errors import Conflict
from shared.domain.reset import Link, Reset

MAX_PART: Final = 64 * 1024
"""Bytes of a binary column."""

MAX_SCHEMA: Final = 900_000
"""Bytes of a schema that is kept, compressed."""

MAX_RACES: Final = 5


class TableLinks:
    """The port `Links`."""

    def __init__(self, resets: Table) -> None:
        self._resets = resets

    async def links(self, reset: Reset) -> list[Link]:
        found = rows_of(self._resets, reset, "subject")
        return [table_rows.link_from(entity) async for entity in found]

    async def write_link(self, reset: Reset, number: int, link: Link) -> None:
        await self._resets.put(table_rows.link_entity(reset, number, link))

    async def keep_schema(self, reset: Reset, schema: bytes) -> bool:
        packed = gzip.compress(schema, mtime=0)
        if len(packed) > MAX_SCHEMA:
            return False
        starts = range(0, len(packed), MAX_PART)
        for number, start in enumerate(starts, 1):
            await self._resets.put(
                {
                    "PartitionKey": reset.target,
                    "RowKey": keys.schema_key(reset.id, number),
                    "Part": packed[start : start + MAX_PART],
                    "Parts": len(starts),
                }
            )
        return True

    async def schema(self, reset: Reset) -> bytes:
        rows = [entity async for entity in rows_of(self._resets, reset, "schema")]
        # A crash in between leaves some of the parts: they are no schema.
        if not rows or len(rows) != int(rows[0]["Parts"]):
            return b""
        return gzip.decompress(b"".join(bytes(entity["Part"]) for entity in rows))

    async def take_turn(self, name: str, *, at: datetime, most: int, per: timedelta) -> bool:
        for _ in range(MAX_RACES):
            entity = await self._resets.get("targets", _turns_key(name))
            turns = _Turns.of(entity)
            # The clocks of two instances differ: a turn of a little later counts as well.
            recent = [t for t in turns.taken if t > at - per]
            if len(recent) >= most or at < turns.not_before:
                return False
            if await self._write_turns(name, entity, _Turns(taken=(*recent, at))):
                return True
        # Others took turns all the time: there is none left for now.
        return False

    async def hold_turns(self, name: str, *, until: datetime) -> None:
        for _ in range(MAX_RACES):
            entity = await self._resets.get("targets", _turns_key(name))
            turns = _Turns.of(entity)
            if until <= turns.not_before:
                return
            held = _Turns(taken=turns.taken, not_before=until)
            if await self._write_turns(name, entity, held):
                return

    async def _write_turns(self, name: str, entity: Entity | None, turns: "_Turns") -> bool:
        row = {
            "PartitionKey": "targets",
            "RowKey": _turns_key(name),
            "Turns": " ".join(t.isoformat() for t in turns.taken),
            "NotBefore": turns.not_before,
        }
        with contextlib.suppress(Conflict):
            if entity is None:
                await self._resets.create(row)
            else:
                await self._resets.replace(row, etag_of(entity))
            return True
        return False


def _turns_key(name: str) -> str:
    """Among the heartbeats, where no alias can be and which `targets` leaves out."""
    return f"heartbeat:turns-{name}"


_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


class _Turns(Struct, frozen=True, kw_only=True):
    """When turns were taken, and before when none may be."""

    taken: tuple[datetime, ...] = ()
    not_before: datetime = _LONG_AGO

    @classmethod
    def of(cls, entity: Entity | None) -> "_Turns":
        if entity is None:
            return cls()
        held = entity.get("NotBefore")
        return cls(
            taken=tuple(datetime.fromisoformat(t) for t in str(entity["Turns"]).split()),
            not_before=table_rows.as_utc(held) if held is not None else _LONG_AGO,
        )
