"""Read queue messages: JSON or base64 of it, bare or in a CloudEvents envelope."""

import base64
import binascii
import codecs
import hashlib
import re
from typing import Any, Final

import msgspec

from shared.domain.errors import InvalidRequest
from shared.domain.json_object import decode_object, is_form, is_gzip, is_utf16
from shared.domain.requests import (
    LONGEST_ID,
    LONGEST_REQUEST,
    RESET_ID,
    WORDING,
    Received,
    ResetRequest,
    derived_id,
    to_request,
)

LONGEST_EVENT: Final = 2 * LONGEST_REQUEST
"""Bytes of an envelope over HTTP; base64 of the longest request and the attributes fit."""


def read_message(body: bytes, *, message_id: str) -> Received:
    """
    Read a queue message: JSON or base64 of JSON, bare or as the data of a CloudEvents envelope.

    Raise InvalidRequest for anything else. The id is the request's own, or comes from the
    envelope's source and id, or from the message's id.
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """
    found = decode_object(_unpack(body), name="message")
    if "specversion" in found:
        return _enveloped(found)
    request = _with_stored_id(found)
    own = bool(request.request_id)
    derived = derived_id("queue", message_id)
    return Received(id=request.request_id or derived, request=request, own_id=own)


def claimed_id(body: bytes) -> str:
    """
    The `requestId` that a message gives, bare or in an envelope; "" where none can be read.

    The message itself may be wrong otherwise: its sender looks for it under this id.
    """
    try:
        found = decode_object(_unpack(body), name="message")
        inner = found if "specversion" not in found else _data(found)
    except InvalidRequest:
        return ""
    given = inner.get("requestId")
    return given if isinstance(given, str) and RESET_ID.fullmatch(given) else ""


def _with_stored_id(found: dict[str, Any]) -> ResetRequest:
    """The app's own messages may bring a longer id than a request: one with a sender's prefix."""
    given = found.get("requestId")
    if not isinstance(given, str) or len(given) <= LONGEST_ID or not RESET_ID.fullmatch(given):
        return to_request(found)
    request = to_request({name: value for name, value in found.items() if name != "requestId"})
    return msgspec.structs.replace(request, request_id=given)


def read_cloud_event(raw: bytes) -> Received:
    """Read a CloudEvents envelope in structured mode; raise InvalidRequest for anything else."""
    if len(raw) > LONGEST_EVENT:
        raise InvalidRequest(
            f"event: {len(raw):,} bytes, at most {LONGEST_EVENT:,} are taken; shorten it"
        )
    envelope = decode_object(raw, name="event")
    if "specversion" not in envelope:
        raise InvalidRequest("specversion: missing; CloudEvents 1.0 requires it")
    return _enveloped(envelope)


def _enveloped(envelope: dict[str, Any]) -> Received:
    request, origin = open_envelope(envelope)
    return Received(id=request.request_id or derived_id("cloudevents", *origin), request=request)


def to_message(received: Received) -> str:
    """Write the request as `read_message` reads it, under its own id."""
    request = msgspec.structs.replace(received.request, request_id=received.id)
    return msgspec.json.encode(request).decode()


def _unpack(body: bytes) -> bytes:
    bare = body.strip().removeprefix(codecs.BOM_UTF8).strip()
    if mistake := _mistake(bare):
        raise InvalidRequest(f"message: {mistake}")
    if bare.startswith(b"{"):
        return bare
    unpacked = _from_base64(bare)
    if unpacked is None:
        raise InvalidRequest(_NEITHER)
    if mistake := _mistake(unpacked):
        raise InvalidRequest(f"message: base64 of something else: {mistake}")
    if unpacked.startswith(b"{"):
        return unpacked
    if _in_base64(unpacked):
        raise InvalidRequest("message: base64 twice; the client encodes already, so send the JSON")
    raise InvalidRequest(_NEITHER)


_NEITHER: Final = "message: neither a JSON object nor base64 of one; send the request as JSON"


def _from_base64(text: bytes) -> bytes | None:
    try:
        return (
            base64.b64decode(b"".join(text.split()), validate=True)
            .removeprefix(codecs.BOM_UTF8)
            .strip()
        )
    except (binascii.Error, ValueError):
        return None


def _in_base64(text: bytes) -> bool:
    """Whether it is base64 of an object, once or several times."""
    for _ in range(_MOST_LAYERS):
        inner = _from_base64(text)
        if not inner:
            return False
        if inner.startswith(b"{"):
            return True
        text = inner
    return False


_MOST_LAYERS: Final = 4


def _mistake(text: bytes) -> str:
    """Name what went wrong at the sender; "" where that is not known. Nothing is guessed right."""
    if text.startswith((b"b'", b'b"', b"bytearray(")):
        return "the text of Python bytes (b'…'); send raw.decode(), not str(raw)"
    if text.startswith(b'"'):
        return "JSON inside a JSON string, encoded twice; send the object itself"
    if is_gzip(text):
        return "compressed (gzip); send the JSON itself"
    if is_utf16(text):
        return "UTF-16 (PowerShell's Unicode encoding); send UTF-8"
    if text.startswith(b"[object "):
        return "the text of a JavaScript object; send JSON.stringify(…) of it"
    if text.startswith(b"["):
        return "a list; send one message for each request"
    if text.startswith(b"<"):
        return "XML or HTML; send JSON"
    if text[:3].lower() == b"%7b":
        return "percent-encoded, as in an address; send the JSON itself"
    if text.startswith(b"data:"):
        return "a data: address; send the JSON itself"
    if is_form(text):
        return "a form (name=value); send JSON"
    padded = text + b"=" * (-len(text) % 4)
    if padded != text and _holds_object(padded):
        return "base64 without its padding (=); send the JSON, or standard base64"
    if _URL_SAFE.search(text) and _holds_object(padded.translate(_TO_STANDARD)):
        return "base64 in the alphabet for addresses (- and _); send the JSON, or standard base64"
    return ""


def _holds_object(text: bytes) -> bool:
    return (_from_base64(text) or b"").startswith(b"{")


_URL_SAFE: Final = re.compile(rb"[-_]")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


def open_envelope(envelope: dict[str, Any]) -> tuple[ResetRequest, tuple[str, str]]:
    """
    Return the request in the data, and the envelope's source and id.

    Raise InvalidRequest where a property of a request stands beside those of the envelope: text
    that was put into a template unescaped must not replace the request that the template makes.
    """
    if beside := sorted(name for name in envelope if name.casefold() in _OF_A_REQUEST):
        raise InvalidRequest(
            f"{beside[0][:64]}: stands beside specversion; send either a request or a CloudEvents "
            "envelope with the request as its data"
        )
    if envelope.get("specversion") != "1.0":
        raise InvalidRequest("specversion: only CloudEvents 1.0 is read; send `1.0`")
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise InvalidRequest(f"{name}: missing or no string; CloudEvents 1.0 requires it")
    kind = envelope.get("datacontenttype")
    if kind is None or kind == "":
        kind = "application/json"
    if not isinstance(kind, str):
        raise InvalidRequest("datacontenttype: must be a string; send application/json")
    subtype = kind.partition(";")[0].strip().lower()
    if subtype != "application/json" and not subtype.endswith("+json"):
        raise InvalidRequest("datacontenttype: only JSON data is read; send application/json")
    request = _bounded(to_request(_data(envelope)))
    return request, (envelope["source"], envelope["id"])


_OF_A_REQUEST: Final = frozenset(name.casefold() for name in WORDING.names[""])


def _data(envelope: dict[str, Any]) -> dict[str, Any]:
    data, coded = envelope.get("data"), envelope.get("data_base64")
    if data is not None and coded is not None:
        raise InvalidRequest("data: given twice, as data and as data_base64; send one of them")
    if isinstance(coded, str):
        try:
            raw = base64.b64decode(coded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequest("data_base64: not base64; send the request as data") from error
        return decode_object(raw, name="data_base64")
    if not isinstance(data, dict):
        raise InvalidRequest("data: missing or no JSON object; put the request there")
    return data


def _bounded(request: ResetRequest) -> ResetRequest:
    """An envelope may be longer than a request, the request in it may not."""
    size = len(msgspec.json.encode(request))
    if size > LONGEST_REQUEST:
        raise InvalidRequest(
            f"data: {size:,} bytes, at most {LONGEST_REQUEST:,} are taken; shorten it"
        )
    return request


_QUEUE_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def unreadable_key(message_id: str, body: bytes) -> str:
    """
    The message's id, as a row key.

    The host lets a property `id` of the body overwrite the message's own: such an id is anybody's
    choice and may not be a row key; an id that is not a queue id is replaced by the body's digest.
    """
    if _QUEUE_ID.fullmatch(message_id):
        return message_id
    return "h-" + hashlib.sha256(body).hexdigest()[:32]
