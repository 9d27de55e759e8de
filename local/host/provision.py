"""Creates the queues and tables that the app expects; in Azure the infrastructure creates them."""

from collections.abc import Iterable

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableServiceClient

from local.host.connections import Connection, queue_client
from local.host.errors import StartError
from local.host.queue_store import QueueStore


async def create_queues(connection: Connection, names: Iterable[str]) -> None:
    """Only with a connection string: an identity is for real storage, which is left alone."""
    if not connection.connection_string:
        return
    for name in names:
        queue = QueueStore(queue_client(connection, name))
        try:
            await queue.create(patiently=False)
        except AzureError as error:
            raise _unreachable(connection, f"queue {name}", error) from error
        finally:
            await queue.aclose()


async def create_tables(connection: Connection, names: Iterable[str]) -> None:
    if not connection.connection_string:
        return
    service = TableServiceClient.from_connection_string(connection.connection_string, retry_total=0)
    async with service:
        for name in names:
            try:
                await service.create_table(name)
            except ResourceExistsError:
                continue
            except AzureError as error:
                raise _unreachable(connection, f"table {name}", error) from error


def _unreachable(connection: Connection, what: str, error: AzureError) -> StartError:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return StartError(
        f"{connection.setting}: the {what} could not be made ({first}); "
        "is the storage emulator running? `make azurite` starts it"
    )
