"""
Say what is asked of each row: method, place, headers and text of a request.

A request is made by itself, or as a part of a transaction. A test holds every request against the
SDK's own.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from azure.data.tables import UpdateMode

from shared.adapters.table_entities import text_of
from shared.adapters.table_rows import Entity

type Operation = tuple[str, Entity] | tuple[str, Entity, Mapping[str, Any]]
"""One write of a row, as the SDK's transactions take it."""

_SERVICE: Final = "3.0"


class RowRequest(NamedTuple):
    method: str
    place: str
    headers: dict[str, str]
    text: str = ""


def write_of(operation: Operation, *, table: str, version: str) -> RowRequest:
    """Return the request that performs *operation*."""
    kind, entity = operation[0], operation[1]
    options: Mapping[str, Any] = operation[2] if len(operation) > 2 else {}
    headers = {"x-ms-version": version, "DataServiceVersion": _SERVICE}
    if kind == "create":
        # Or the row would come back.
        headers["Prefer"] = "return-no-content"
        headers["Accept"] = "application/json;odata=minimalmetadata"
        return _with_text("POST", table, headers, entity)
    place = place_of(table, entity["PartitionKey"], entity["RowKey"])
    if kind == "delete":
        headers["Accept"] = "application/json;odata=minimalmetadata"
        headers["If-Match"] = options.get("etag") or "*"
        return RowRequest("DELETE", place, headers)
    headers["Accept"] = "application/json"
    if kind == "update":
        headers["If-Match"] = options.get("etag") or "*"
    merges = options.get("mode") == UpdateMode.MERGE
    return _with_text("PATCH" if merges else "PUT", place, headers, entity)


def read_headers(version: str) -> dict[str, str]:
    return {
        "x-ms-version": version,
        "DataServiceVersion": _SERVICE,
        "Accept": "application/json;odata=minimalmetadata",
    }


def place_of(table: str, partition: str, key: str) -> str:
    return f"{table}(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(key)}')"


def _with_text(method: str, place: str, headers: dict[str, str], entity: Entity) -> RowRequest:
    text = text_of(entity)
    content = {"Content-Type": "application/json", "Content-Length": str(len(text))}
    return RowRequest(method, place, content | headers, text)


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")
