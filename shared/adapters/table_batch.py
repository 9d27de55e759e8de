"""
Send a transaction: the SDK's own requests, put together and taken apart as plain text.

The SDK builds the multipart text of a transaction, and reads the one that comes back, with the
package `email`, which takes as long as everything else that the app does for a restart. What each
row's request says, the signature, the retries and the connection stay the SDK's. A test holds the
text against the SDK's.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import uuid4

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables._table_batch import TableBatchOperations  # the requests of the rows
from azure.data.tables.aio import TableClient

_ACCEPTED: Final = 202
_PART: Final = re.compile(rb"\r\n\r\nHTTP/1\.1 (\d{3})[^\r]*((?:\r\n[^\r]+)*)")
_ETAG: Final = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_INNER: Final = re.compile(rb"boundary=\"?(changesetresponse_[0-9a-zA-Z-]+)")


type Submit = Callable[[TableClient, Sequence[Any]], Awaitable[list[str]]]
"""The signature of `submit`."""


async def submit(client: TableClient, operations: Sequence[Any]) -> list[str]:
    """
    Return each row's new ETag, "" for one that was deleted.

    Raise HttpResponseError with the status of the row that was refused, or of the whole.
    """
    endpoint = f"{client.scheme}://{client._primary_hostname}"  # noqa: SLF001 -- a secondary is never written to
    batch = TableBatchOperations(
        config=client._client._config,  # noqa: SLF001 -- its API version
        endpoint=endpoint,
        table_name=client.table_name,
        is_cosmos_endpoint=False,
    )
    for operation in operations:
        batch.add_operation(operation)
    mark = str(uuid4())
    request = HttpRequest(
        "POST",
        f"{endpoint}/$batch",
        headers={
            "x-ms-version": client.api_version,
            "DataServiceVersion": "3.0",
            "MaxDataServiceVersion": "3.0;NetFx",
            "Content-Type": f"multipart/mixed; boundary=batch_{mark}",
            "Accept": "application/json",
        },
        content=written(batch.requests, mark),
    )
    # As a stream: the pipeline would look for JSON in it.
    response = await client._client.send_request(request, stream=True)  # noqa: SLF001 -- the pipeline
    content = await response.read()
    if response.status_code != _ACCEPTED:
        raise HttpResponseError(response=response)
    return etags(content, len(operations))


def written(requests: Sequence[HttpRequest], mark: str) -> bytes:
    """Return the body of the transaction; *mark* makes its boundaries its own."""
    parts = [f"--batch_{mark}\r\nContent-Type: multipart/mixed; boundary=changeset_{mark}\r\n\r\n"]
    for number, request in enumerate(requests):
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        parts.append(
            f"--changeset_{mark}\r\n"
            "Content-Type: application/http\r\n"
            "Content-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n"
            f"{request.method} {request.url} HTTP/1.1\r\n{headers}\r\n{request.content or ''}\r\n"
        )
    parts.append(f"--changeset_{mark}--\r\n\r\n--batch_{mark}--\r\n")
    return "".join(parts).encode()


def etags(body: bytes, count: int) -> list[str]:
    """Read the answer; one that is not whole leaves open what became of the transaction."""
    inner = _INNER.search(body)
    # The first piece is the outer part's head, the last one its end.
    pieces = body.split(b"--" + inner[1])[1:-1] if inner is not None else []
    found = [_PART.match(piece, piece.find(b"\r\n\r\n")) for piece in pieces]
    parts = [part for part in found if part is not None]
    refused = next((part for part in parts if not part[1].startswith(b"2")), None)
    if refused is not None:
        raise _refused(int(refused[1]))
    if len(parts) != count:
        raise _refused(None)
    named = [_ETAG.search(part[2]) for part in parts]
    return [each[1].decode() if each is not None else "" for each in named]


def _refused(status: int | None) -> HttpResponseError:
    error = HttpResponseError(f"a row of the transaction was answered {status}")
    error.status_code = status
    return error
