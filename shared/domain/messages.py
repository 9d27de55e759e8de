"""Read queue messages: JSON or base64 of it, bare or in a CloudEvents envelope."""

import base64
import binascii
import hashlib
import re
from typing import Any, Final

import msgspec

from shared.domain.errors import InvalidRequest
from shared.domain.requests import (
    LONGEST_REQUEST,
    Received,
    ResetRequest,
    derived_id,
    parse_request,
)

LONGEST_EVENT: Final = 2 * LONGEST_REQUEST
"""Bytes of an envelope over HTTP; base64 of the longest request and the attributes fit."""


def read_message(text: str, *, message_id: str) -> Received:
    """
    Read a queue message: JSON or base64 of JSON, bare or as the data of a CloudEvents envelope.

    Raise InvalidRequest for anything else. The id is the request's own, or comes from the
    envelope's source and id, or from the message's id.
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """
    request, origin = read_body(_unpack(text))
    derived = derived_id("cloudevents", *origin) if origin else derived_id("queue", message_id)
    return Received(id=request.request_id or derived, request=request)


def read_body(raw: bytes) -> tuple[ResetRequest, tuple[str, ...]]:
    """
    Read JSON, bare or as the data of a CloudEvents envelope; with the envelope's source and id.

    Raise InvalidRequest, naming the field and the remedy, for anything else.
    """
    envelope = _object(raw)
    if "specversion" not in envelope:
        return parse_request(raw), ()
    source, event_id, data = _open_envelope(envelope)
    return parse_request(data), (source, event_id)


def read_event(raw: bytes) -> Received:
    """Read a CloudEvents envelope in structured mode; raise InvalidRequest for anything else."""
    if len(raw) > LONGEST_EVENT:
        raise InvalidRequest(
            f"event: {len(raw):,} bytes, at most {LONGEST_EVENT:,} are taken; shorten it"
        )
    if "specversion" not in _object(raw):
        raise InvalidRequest("specversion: missing; CloudEvents 1.0 requires it")
    request, origin = read_body(raw)
    return Received(id=request.request_id or derived_id("cloudevents", *origin), request=request)


def to_message(received: Received) -> str:
    """The request as `read_message` reads it, under its own id."""
    request = msgspec.structs.replace(received.request, request_id=received.id)
    return msgspec.json.encode(request).decode()


def _unpack(text: str) -> bytes:
    bare = text.strip().removeprefix("\ufeff")
    if bare.startswith("{"):
        return bare.encode()
    try:
        raw = base64.b64decode("".join(bare.split()), validate=True)
        unpacked = raw.decode("utf-8-sig").strip()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(_NEITHER) from error
    if not unpacked.startswith("{"):
        raise InvalidRequest(_NEITHER)
    return unpacked.encode()


_NEITHER: Final = "message: neither a JSON object nor base64 of one; send the request as JSON"


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest("message: not valid JSON in UTF-8; send one JSON object") from error
    if not isinstance(found, dict):
        raise InvalidRequest(_NEITHER)
    return found


def _open_envelope(envelope: dict[str, Any]) -> tuple[str, str, bytes]:
    if envelope["specversion"] != "1.0":
        raise InvalidRequest("specversion: only CloudEvents 1.0 is read; send `1.0`")
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise InvalidRequest(f"{name}: missing or no string; CloudEvents 1.0 requires it")
    kind = envelope.get("datacontenttype", "application/json")
    subtype = str(kind).partition(";")[0].strip().lower()
    if subtype != "application/json" and not subtype.endswith("+json"):
        raise InvalidRequest("datacontenttype: only JSON data is read; send application/json")
    if "data" in envelope and "data_base64" in envelope:
        raise InvalidRequest("data: given twice, as data and as data_base64; send one of them")
    if isinstance(envelope.get("data_base64"), str):
        try:
            data = base64.b64decode(envelope["data_base64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequest("data_base64: not base64; send the request as data") from error
        return envelope["source"], envelope["id"], data
    if not isinstance(envelope.get("data"), dict):
        raise InvalidRequest("data: missing or no JSON object; put the request there")
    return envelope["source"], envelope["id"], msgspec.json.encode(envelope["data"])


_QUEUE_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def unreadable_key(message_id: str, body: bytes) -> str:
    """
    The message's id, as a row key.

    The host lets a property `id` of the body overwrite the message's own: such an id is anybody's
    choice and may be no row key, so that what is no queue id is replaced by the body's digest.
    """
    if _QUEUE_ID.fullmatch(message_id):
        return message_id
    return "h-" + hashlib.sha256(body).hexdigest()[:32]
