"""
Put the text of a transaction together, and take its answer apart.

The SDK does both with the package `email`, which takes as long as everything else that the app does
for a restart. A test holds the text against the SDK's.
"""

import re
from collections.abc import Sequence
from typing import Final

from azure.core.exceptions import HttpResponseError

from shared.adapters.table_requests import RowRequest

_PART: Final = re.compile(rb"\r\n\r\nHTTP/1\.1 (\d{3})[^\r]*((?:\r\n[^\r]+)*)")
_ETAG: Final = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_INNER: Final = re.compile(rb"boundary=\"?(changesetresponse_[0-9a-zA-Z-]+)")


def headers_of(mark: str, *, version: str) -> dict[str, str]:
    return {
        "x-ms-version": version,
        "DataServiceVersion": "3.0",
        "MaxDataServiceVersion": "3.0;NetFx",
        "Content-Type": f"multipart/mixed; boundary=batch_{mark}",
        "Accept": "application/json",
    }


def written(requests: Sequence[RowRequest], mark: str, *, endpoint: str) -> bytes:
    """Return the body of the transaction; *mark* makes its boundaries its own."""
    parts = [f"--batch_{mark}\r\nContent-Type: multipart/mixed; boundary=changeset_{mark}\r\n\r\n"]
    for number, request in enumerate(requests):
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        line = f"{request.method} {endpoint}/{request.place} HTTP/1.1"
        parts.append(
            f"--changeset_{mark}\r\n"
            "Content-Type: application/http\r\n"
            "Content-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\n"
            f"{line}\r\n{headers}\r\n{request.text}\r\n"
        )
    parts.append(f"--changeset_{mark}--\r\n\r\n--batch_{mark}--\r\n")
    return "".join(parts).encode()


def etags(body: bytes, count: int) -> list[str]:
    """
    Return each row's new ETag, "" for one that was deleted.

    Raise HttpResponseError with the status of the row that was refused; with none where the answer
    is not whole, which leaves open what became of the transaction.
    """
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
