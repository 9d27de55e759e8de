"""Delete resets whose retention is over, with all their rows."""

import contextlib
from datetime import datetime

from shared.adapters import table_rows
from shared.adapters.table_client import Table
from shared.adapters.table_resets import rows_of
from shared.domain import keys
from shared.domain.errors import NewerRow
from shared.domain.reset import Reset


class TableArchive:
    """The resets of the port `Archive`."""

    def __init__(self, resets: Table, ids: Table) -> None:
        self._resets = resets
        self._ids = ids

    async def outdated(self, target: str, *, before: datetime, most: int) -> list[Reset]:
        found = await self._resets.first(
            "PartitionKey eq @target and RowKey ge @first and RowKey lt 'reset;'",
            {"target": target, "first": keys.reset_key(before, "")},
            most=most,
        )
        kept: list[Reset] = []
        for entity in found:
            with contextlib.suppress(NewerRow):
                kept.append(table_rows.reset_from(entity))
        return kept

    async def forget(self, reset: Reset) -> None:
        # The order lets a later run go on after a crash: the rest is found by the reset's row, and
        # the ids row is deleted after the audit. Where it is gone, or the id stands for a younger
        # reset, the rows under this id are no longer ours.
        claim = await self._ids.get(reset.id, "id")
        key = keys.reset_key(reset.requested_at, reset.id)
        if claim is not None and claim["ResetKey"] == key:
            await self._forget_audit(reset)
            await self._ids.delete(reset.id, "id")
        await self._resets.delete(reset.target, key)

    async def _forget_audit(self, reset: Reset) -> None:
        for entity in table_rows.find_entities(reset):
            await self._resets.delete(reset.target, str(entity["RowKey"]))
        for kind in ("event", "subject", "schema"):
            found = rows_of(self._resets, reset, kind)
            for key in [str(entity["RowKey"]) async for entity in found]:
                await self._resets.delete(reset.target, key)
        key = f"{reset.target}:{reset.id}"
        given_up = self._resets.rows(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last",
            {"partition": table_rows.UNDELIVERED, "first": f"{key}:", "last": f"{key};"},
        )
        for row in [str(entity["RowKey"]) async for entity in given_up]:
            await self._resets.delete(table_rows.UNDELIVERED, row)
