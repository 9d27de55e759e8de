"""Writes out the schema of a job as it was kept beside a reset, to put it back if need be."""

import sys
from pathlib import Path

from local.errors import Failed
from local.session import need_storage, open_store
from shared.config import Settings


async def write_mappings(settings: Settings, *, reset_id: str, to: str) -> None:
    """Write the schema to the file *to*, or to standard output where that is empty."""
    need_storage(settings)
    async with open_store(settings) as store:
        if store is None:
            raise AssertionError("there is storage")
        stored = await store.find_reset(reset_id)
        if stored is None:
            raise Failed(f"there is no reset {reset_id}")
        schema = await store.schema(stored.row)
    if not schema:
        raise Failed(
            f"{reset_id}: no schema is kept; it is kept for resets that name subjects, where "
            "Graph let it be read and it is not larger than 900 KB compressed"
        )
    if not to:
        sys.stdout.buffer.write(schema + b"\n")
        return
    Path(to).write_bytes(schema)
    print(f"wrote {to} ({len(schema):,} bytes)", file=sys.stderr)
