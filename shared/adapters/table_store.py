"""Put every role that rows play over the two tables."""

from collections.abc import Callable

from azure.data.tables.aio import TableClient

from shared.adapters.table_archive import TableArchive
from shared.adapters.table_calls import Calls
from shared.adapters.table_client import Table
from shared.adapters.table_keys import TableKeys
from shared.adapters.table_limits import TableLimits
from shared.adapters.table_links import TableLinks
from shared.adapters.table_messages import TableMessages
from shared.adapters.table_outbox import TableOutbox
from shared.adapters.table_resets import TableResets
from shared.adapters.table_schedule import TableSchedule


class TableStore(
    TableResets,
    TableSchedule,
    TableOutbox,
    TableLimits,
    TableLinks,
    TableMessages,
    TableArchive,
    TableKeys,
):
    """All ports of rows; a use case is handed it as the roles that it may play."""

    def __init__(
        self,
        resets: TableClient,
        ids: TableClient,
        *,
        new_id: Callable[[], str],
        calls: Calls | None = None,
    ) -> None:
        """*new_id* gives the mark of each write; *calls* as for `Table`."""
        resets_table, ids_table = Table(resets, calls=calls), Table(ids, calls=calls)
        TableResets.__init__(self, resets_table, ids_table, new_id=new_id)
        TableSchedule.__init__(self, resets_table, new_write_id=new_id)
        TableOutbox.__init__(self, resets_table)
        TableLimits.__init__(self, resets_table, new_write_id=new_id)
        TableLinks.__init__(self, resets_table)
        TableMessages.__init__(self, resets_table)
        TableArchive.__init__(self, resets_table, ids_table)
        TableKeys.__init__(self, resets_table)
