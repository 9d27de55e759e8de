"""Keep the key of the status addresses: one row, written once, read once by each process."""

import contextlib
from collections.abc import Callable
from typing import Final

from shared.adapters.table_client import Table
from shared.domain.errors import Conflict, StorageUnavailable

_PARTITION: Final = "keys"
_ROW: Final = "status"


class TableKeys:
    """The port `StatusKeys`."""

    def __init__(self, resets: Table) -> None:
        self._resets = resets
        self._status_key = ""

    async def status_key(self, new: Callable[[], str]) -> str:
        if not self._status_key:
            self._status_key = await self._find_status_key() or await self._keep_status_key(new())
        return self._status_key

    async def _find_status_key(self) -> str:
        entity = await self._resets.get(_PARTITION, _ROW)
        return str(entity["Key"]) if entity is not None else ""

    async def _keep_status_key(self, key: str) -> str:
        # Of two processes that begin at once one is refused; both go on with the row's key.
        with contextlib.suppress(Conflict):
            await self._resets.create({"PartitionKey": _PARTITION, "RowKey": _ROW, "Key": key})
        found = await self._find_status_key()
        if not found:
            raise StorageUnavailable("the key of the status addresses was deleted just now")
        return found
