"""Finds the storage connection that a binding names, and opens clients for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from azure.storage.queue.aio import QueueClient

from local.azurite import connection_string
from local.host.errors import StartError

HOST_STORAGE: Final = "AzureWebJobsStorage"

# The .NET clients know the shorthand for Azurite on its usual ports, the Python ones do not.
DEVELOPMENT_STORAGE: Final = connection_string("10000", "10001", "10002")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Either a connection string, or a queue address with an identity."""

    setting: str
    connection_string: str = ""
    queue_uri: str = ""
    client_id: str = ""
    managed: bool = False


def find_connection(name: str, environ: Mapping[str, str], *, wanted_by: str) -> Connection:
    """Look up `X`, then `AzureWebJobsX`; an exact setting wins over `X__queueServiceUri`."""
    name = name or HOST_STORAGE
    for setting in (name, f"AzureWebJobs{name}"):
        if text := environ.get(setting, "").strip():
            return Connection(setting=setting, connection_string=_in_full(text))
        account = environ.get(f"{setting}__accountName")
        uri = (
            environ.get(f"{setting}__queueServiceUri")
            or environ.get(f"{setting}__serviceUri")
            or (f"https://{account}.queue.core.windows.net" if account else "")
        )
        if uri:
            return Connection(
                setting=setting,
                queue_uri=uri,
                client_id=environ.get(f"{setting}__clientId", ""),
                managed=environ.get(f"{setting}__credential", "").lower() == "managedidentity",
            )
    raise StartError(
        f"{name}: missing, and {wanted_by} needs it; set {name} in local.settings.json or the "
        f"environment (UseDevelopmentStorage=true for Azurite), or {name}__queueServiceUri"
    )


def queue_client(connection: Connection, queue: str, **options: Any) -> QueueClient:
    """
    A client whose own retries are off: QueueStore does them, and can be told to stop.

    Close it after use.
    """
    # Or each call looks for a proxy and, in a thread, for a .netrc.
    options = {"retry_total": 0, "use_env_settings": False, **options}
    if connection.connection_string:
        try:
            return QueueClient.from_connection_string(
                connection.connection_string, queue, **options
            )
        except ValueError as error:
            raise StartError(
                f"{connection.setting}: is not a connection string ({error}); correct it"
            ) from error
    # Heavy, and only needed without a connection string.
    from azure.identity.aio import (  # noqa: PLC0415
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    client_id = connection.client_id or None
    credential = (
        ManagedIdentityCredential(client_id=client_id)
        if connection.managed
        else DefaultAzureCredential(managed_identity_client_id=client_id)
    )
    return QueueClient(connection.queue_uri, queue, credential=credential, **options)


def _in_full(text: str) -> str:
    short = text.rstrip(";").lower() == "usedevelopmentstorage=true"
    return DEVELOPMENT_STORAGE if short else text
