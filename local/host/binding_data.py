"""Builds what a queue-triggered function is given: the body, and the trigger's metadata."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from local.host.encoding import as_text
from local.host.queue_wire import Message
from local.host.wire import TypedData


def queue_data(body: bytes, *, binary: bool) -> TypedData:
    return TypedData(bytes=body) if binary else TypedData(string=body.decode())


def queue_metadata(message: Message, body: bytes) -> dict[str, TypedData]:
    """
    The built-in names, overwritten by the body's own top-level properties.

    The host's dictionary does not tell capital letters from small ones: a body with "id" makes
    the function see that as the message's id, and one with a text "dequeueCount" fails the try.
    """
    text = as_text(body)
    metadata = {
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "ExpirationTime": TypedData(json=_moment(message.expires)),
        "Id": TypedData(string=message.id),
        "InsertionTime": TypedData(json=_moment(message.inserted)),
        "NextVisibleTime": TypedData(json=_moment(message.next_visible)),
        "PopReceipt": TypedData(string=message.pop_receipt),
    }
    if text is not None:
        metadata["QueueTrigger"] = TypedData(string=text)
        names = {name.lower(): name for name in metadata}
        for name, value in _properties(text):
            metadata[names.setdefault(name.lower(), name)] = value
    return metadata


def _properties(text: str) -> Iterator[tuple[str, TypedData]]:
    try:
        body: Any = json.loads(text)
    except ValueError:
        return
    if not isinstance(body, dict):
        return
    for name, value in body.items():
        if name.lower() == "sys" or value is None or isinstance(value, list):
            continue
        if isinstance(value, str):
            yield name, TypedData(string=value)
        else:
            yield name, TypedData(json=json.dumps(value))


def _moment(moment: datetime) -> str:
    return json.dumps(moment.isoformat(timespec="seconds"))
