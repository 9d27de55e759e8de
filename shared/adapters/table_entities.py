"""
Turn rows into the service's JSON and back.

The types are the SDK's, whose own functions are asked for all but the plain ones: they look at
every column as if it might be any, and say of every text that it is one, which the service takes
it for anyway. A test holds both ways against the SDK's.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from azure.data.tables import EdmType, TableEntity
from azure.data.tables._deserialize import _ENTITY_TO_PYTHON_CONVERSIONS
from azure.data.tables._serialize import _add_entity_properties

from shared.adapters.table_rows import Entity

_TYPE: Final = "@odata.type"
_MOST: Final = 2**31
_typed: Final[Callable[[Entity], dict[str, Any]]] = _add_entity_properties
_sdks: Final[Any] = _ENTITY_TO_PYTHON_CONVERSIONS
_read: Final[Mapping[str, Callable[[Any], Any]]] = {
    **{kind.value: read for kind, read in _sdks.items()},
    EdmType.DATETIME.value: datetime.fromisoformat,
}


def text_of(entity: Entity) -> str:
    """Return the row as the service reads it, in ASCII."""
    found: dict[str, Any] = {}
    for name, value in entity.items():
        kind = type(value)
        if kind is str or kind is bool or (kind is int and -_MOST <= value < _MOST):
            found[name] = value
        else:
            found |= _typed({name: value})
    return json.dumps(found)


def entity_of(content: Mapping[str, Any]) -> Any:
    """Return the row that the service's JSON says, as the SDK's class; times are plain ones."""
    entity = TableEntity()
    types: dict[str, str] = {}
    for name, value in content.items():
        if name.endswith(_TYPE):
            types[name.removesuffix(_TYPE)] = value
        elif not name.startswith("odata."):
            entity[name] = value
    stamp, etag = entity.pop("Timestamp", ""), content.get("odata.etag")
    if stamp and not etag:
        etag = f"W/\"datetime'{quote(stamp)}'\""
    for name, kind in types.items():
        if name in entity and (read := _read.get(kind)):
            entity[name] = read(entity[name])
    moment = datetime.fromisoformat(stamp) if stamp else None
    entity._metadata = {"etag": etag, "timestamp": moment}  # noqa: SLF001 -- as the SDK sets it
    return entity
