"""What a reset request may say, and how it is read from a queue message. Pure."""

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from shared.errors import InvalidRequest
from shared.models import Scope

LONGEST_REQUEST: Final = 48 * 1024
"""Bytes of a whole request; a queue message holds 64 KiB, base64 and an envelope take the rest."""

LONGEST_EVENT: Final = 2 * LONGEST_REQUEST
"""Bytes of an envelope over HTTP; base64 of the longest request and the attributes fit."""

RESERVED: Final = frozenset({"unreadable", "targets", "budget"})
"""Partitions of the table that are no target's."""

LONGEST_REASON: Final = 1000
LONGEST_TICKET_ID: Final = 128

ALIAS_PATTERN: Final = "^[a-z0-9][a-z0-9-]{0,62}$"
ID_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

Alias = Annotated[str, Meta(pattern=ALIAS_PATTERN, max_length=63)]


class Ticket(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Which ticket hears of it: `system` names a notifier."""

    system: Annotated[str, Meta(min_length=1, max_length=64)]
    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_TICKET_ID)]
    url: Annotated[str, Meta(max_length=2048)] = ""


class ResetRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Ask for a full-scope restart of one provisioning job. Only `target` is required."""

    target: Annotated[Alias, Meta(description="Alias in the target catalogue.")]
    request_id: Annotated[
        str,
        Meta(
            pattern=ID_PATTERN,
            max_length=128,
            description="Idempotency key; left out, it is derived from the request's origin.",
        ),
    ] = ""
    scope: Annotated[
        Scope,
        Meta(description="`full` breaks all links. `quarantine` is only made by the app itself."),
    ] = Scope.FULL
    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""
    requested_by: Annotated[str, Meta(max_length=256)] = ""
    ticket: Ticket | None = None
    subjects: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(max_length=100, description="Object ids or UPNs of users whose link must change."),
    ] = ()
    not_before: (
        Annotated[datetime, Meta(tz=True, description="Start of the change window, with offset.")]
        | None
    ) = None
    dry_run: Annotated[bool, Meta(description="Say what would be done and do nothing else.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request together with the id that makes it idempotent."""

    id: str
    request: ResetRequest


def json_schema() -> dict[str, Any]:
    """The published JSON Schema, made from the definition that validates."""
    (schema,), parts = msgspec.json.schema_components([ResetRequest], ref_template="#/$defs/{name}")
    schema = parts.pop("ResetRequest") if "$ref" in schema else schema
    leave_out_empty_defaults([schema, *parts.values()])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relink reset request",
        **{k: v for k, v in schema.items() if k != "title"},
        "$defs": parts,
    }


def leave_out_empty_defaults(schemas: Iterable[dict[str, Any]]) -> None:
    """An empty string stands for "left out" here; sent, it would often break its own pattern."""
    for schema in schemas:
        for part in schema.get("properties", {}).values():
            if part.get("default") == "":
                del part["default"]


def parse_request(raw: bytes) -> ResetRequest:
    """Read a bare request; raise InvalidRequest naming the field and the remedy."""
    if len(raw) > LONGEST_REQUEST:
        raise InvalidRequest(
            f"request: {len(raw):,} bytes, at most {LONGEST_REQUEST:,} are taken; shorten it"
        )
    if raw.startswith(_BYTE_ORDER_MARKS):
        raise InvalidRequest("request: begins with a byte order mark; send plain UTF-8 without one")
    try:
        request = msgspec.json.decode(raw, type=ResetRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_in_words(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("request: not valid JSON in UTF-8; send one JSON object") from error
    _check_what_types_cannot(request)
    return request


_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _check_what_types_cannot(request: ResetRequest) -> None:
    # `$` of a regular expression also matches before a last newline; such an id is no row key.
    for name, value in (("target", request.target), ("requestId", request.request_id)):
        if value.endswith("\n"):
            raise InvalidRequest(f"{name}: ends with a newline; remove it")
    if request.target in RESERVED:
        raise InvalidRequest(
            f"target: {request.target!r} is reserved; use an alias of the catalogue"
        )
    if any("\n" in subject for subject in request.subjects):
        raise InvalidRequest("subjects: one of them contains a newline; send a list of users")
    if request.not_before and not EARLIEST_YEAR <= request.not_before.year <= LATEST_YEAR:
        raise InvalidRequest(f"notBefore: year {request.not_before.year} is no change window")
    if request.scope is Scope.SUBJECTS:
        raise InvalidRequest("scope: `subjects` is not supported; send `full`")


EARLIEST_YEAR: Final = 2000
LATEST_YEAR: Final = 9000


_SCHEMA_WORDS: Final = {
    ID_PATTERN: "use 1 to 128 of A-Z a-z 0-9 . _ -, first a letter or digit",
    ALIAS_PATTERN: "use an alias of the catalogue: 1 to 63 of a-z 0-9 -",
}


def _in_words(complaint: str) -> str:
    """Turn msgspec's complaint round: the field first, then the remedy."""
    what, _, where = complaint.partition(" - at `")
    field = where.removesuffix("`").removeprefix("$").removeprefix(".") or "request"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        if (field, unknown[1]) == ("request", "specversion"):
            return "specversion: this is an event; send it as application/cloudevents+json"
        inside = Ticket if field == "ticket" else ResetRequest
        known = ", ".join(f.encode_name for f in msgspec.structs.fields(inside))
        name = unknown[1][:64] if field == "request" else f"{field}.{unknown[1][:64]}"
        return f"{name}: unknown property; remove it, known are {known}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        name = missing[1] if field == "request" else f"{field}.{missing[1]}"
        return f"{name}: missing; it is required"
    if pattern := re.fullmatch(r"Expected `str` matching regex (.*)", what, re.DOTALL):
        for known_pattern, words in _SCHEMA_WORDS.items():
            if known_pattern in pattern[1].replace("\\\\", "\\"):
                return f"{field}: {words}"
    if what.startswith("Invalid enum value"):
        return f"{field}: must be `full`, or be left out"
    if longest := re.fullmatch(r"Expected `(str|array)` of length <= (\d+)", what):
        things = "characters" if longest[1] == "str" else "entries"
        return f"{field}: too long; at most {int(longest[2]):,} {things} are taken"
    if re.fullmatch(r"Expected `(?:str|array)` of length >= \d+", what):
        return f"{field}: empty; give a value or leave it out"
    if "`datetime`" in what or "datetime" in what or "timezone" in what:
        return f"{field}: must be a date and time with an offset, like 2026-12-01T20:00:00Z"
    if typed := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        return f"{field}: must be {_KINDS.get(typed[1], typed[1])}, not {typed[2]}"
    return f"{field}: {what[:200]}"


_KINDS: Final = {
    "str": "a string",
    "bool": "true or false",
    "object": "a JSON object",
    "array": "a list of strings",
    "object | null": "a JSON object",
}


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


def derived_id(*parts: str) -> str:
    """`h-` and 32 hex digits of SHA-256 over where a request without an id of its own came from."""
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return "h-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_AUTOMATIC: Final = re.compile(r"(?:schedule|quarantine|stale)-[0-9a-f]{32}(?:-dry)?")


def is_automatic(reset_id: str) -> bool:
    """Whether only `remediate` makes such ids: known beforehand, others could use them up."""
    return _AUTOMATIC.fullmatch(reset_id) is not None


def is_derived(reset_id: str) -> bool:
    """Whether it looks like an id that stands for where a request came from."""
    return re.fullmatch(r"h-[0-9a-f]{32}", reset_id) is not None


def content_hash(request: ResetRequest) -> str:
    """What makes two requests with one id the same: target, scope, dryRun, sorted subjects."""
    subjects: Sequence[str] = sorted(request.subjects)
    content = [request.target, str(request.scope), request.dry_run, subjects]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
