"""Define what a reset request may say, and derive its id. Pure."""

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from shared.domain.errors import InvalidRequest
from shared.domain.json_object import decode_object
from shared.domain.reset import Scope
from shared.domain.wording import Wording

LONGEST_REQUEST: Final = 48 * 1024
"""Bytes of a whole request; a queue message holds 64 KiB, base64 and an envelope take the rest."""

RESERVED: Final = frozenset({"unreadable", "targets", "budget"})
"""Partitions of the table that are no target's."""

LONGEST_REASON: Final = 1000
LONGEST_NAME: Final = 256
LONGEST_TICKET_ID: Final = 128

ALIAS: Final = re.compile("[a-z0-9][a-z0-9-]{0,62}")
RESET_ID: Final = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""To be used with `fullmatch`; the two below are for schemas, where a `$` also allows a newline."""

ALIAS_PATTERN: Final = f"^{ALIAS.pattern}$"
ID_PATTERN: Final = f"^{RESET_ID.pattern}$"

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
    requested_by: Annotated[str, Meta(max_length=LONGEST_NAME)] = ""
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
    """
    A request together with the id that makes it idempotent.

    `own_id` is False where the id follows the queue message: sent again, it would be another one.
    """

    id: str
    request: ResetRequest
    own_id: bool = True

    def asked_by(self, person: str) -> "Received":
        """The same request, with another name for the one who asks."""
        request = msgspec.structs.replace(self.request, requested_by=person)
        return replace(self, request=request)


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
    return to_request(decode_object(raw, name="request"))


def to_request(fields: Mapping[str, Any]) -> ResetRequest:
    """
    Validate decoded JSON; raise InvalidRequest naming the field and the remedy.

    `null` is as left out: many serializers write every optional property.
    """
    if "specversion" in fields:
        raise InvalidRequest(
            "specversion: this is a CloudEvents envelope, and a request is expected; over HTTP "
            "send it as application/cloudevents+json"
        )
    given = _without_nulls(fields, "")
    ticket = given.get("ticket")
    if isinstance(ticket, dict):
        given["ticket"] = _without_nulls(ticket, "ticket")
    try:
        request = msgspec.convert(given, ResetRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(WORDING.describe(str(error))) from error
    _check_what_types_cannot(request)
    return request


_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _without_nulls(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """An unknown property is kept, so that it is refused by name even where it is null."""
    known = WORDING.names[path]
    return {k: v for k, v in fields.items() if v is not None or k not in known}


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


def _names(kind: type[Struct]) -> tuple[str, ...]:
    return tuple(each.encode_name for each in msgspec.structs.fields(kind))


WORDING: Final = Wording(
    names={"": _names(ResetRequest), "ticket": _names(Ticket)},
    patterns={
        ID_PATTERN: "use 1 to 128 of A-Z a-z 0-9 . _ -, first a letter or digit",
        ALIAS_PATTERN: "use an alias of the catalogue: 1 to 63 of a-z 0-9 -",
    },
    choices={"scope": "must be `full`, or be left out"},
)


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
