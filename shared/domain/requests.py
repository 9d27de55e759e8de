"""Define what a reset request may say, and derive its id. Pure."""

import codecs
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from shared.domain.characters import hidden_in, in_plain_letters
from shared.domain.errors import InvalidRequest
from shared.domain.json_object import decode_object
from shared.domain.reset import Reset, Scope
from shared.domain.wording import Wording

LONGEST_REQUEST: Final = 48 * 1024
"""Bytes of a whole request; a queue message holds 64 KiB, base64 and an envelope take the rest."""

RESERVED: Final = frozenset({"unreadable", "targets", "budget", "undelivered", "keys"})
"""Partitions of the table that are no target's."""

LONGEST_REASON: Final = 1000
LONGEST_NAME: Final = 256
LONGEST_TICKET_ID: Final = 128

LONGEST_ID: Final = 128
HORIZON: Final = timedelta(days=30)
"""How far ahead a change window may open."""

ALIAS: Final = re.compile("[a-z0-9][a-z0-9-]{0,62}")
"""Of a target, a sender or a notifier. It holds no dot, so that one ends a sender's prefix."""

RESET_ID: Final = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,62}\.)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Of a reset: a request's id, under its sender's name where a webhook brought it."""

ALIAS_PATTERN: Final = f"^{ALIAS.pattern}$"
ID_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""For schemas. A `$` also matches before a newline, so that code uses the two above."""

OWN_NAMES: Final = frozenset({"relink", "remediate"})
"""Names under which the app itself acts: nobody else asks or decides under them."""


def is_own_name(name: str) -> bool:
    """Whether it reads as a name of the app's own, whatever its letters are."""
    return in_plain_letters(name) in OWN_NAMES


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
            max_length=LONGEST_ID,
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


class Received(Struct, frozen=True, kw_only=True):
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
    take_null_as_left_out([schema, *parts.values()])
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


def take_null_as_left_out(schemas: Iterable[dict[str, Any]]) -> None:
    """Null stands for "left out" wherever a property may be left out."""
    for schema in schemas:
        required = schema.get("required", [])
        for name, part in schema.get("properties", {}).items():
            if name not in required and {"type": "null"} not in part.get("anyOf", []):
                kept = {k: part.pop(k) for k in ("description", "default") if k in part}
                value = dict(part)
                part.clear()
                part.update(anyOf=[value, {"type": "null"}], **kept)


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
    for name, words in _WRAPPED.items():
        if name in fields:
            raise InvalidRequest(f"{name}: {words}")
    given = _without_nulls(fields, "")
    ticket = given.get("ticket")
    if isinstance(ticket, dict):
        given["ticket"] = _without_nulls(ticket, "ticket")
    try:
        request = msgspec.convert(given, ResetRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{WORDING.describe(str(error))}{_alias_in(given, error)}") from error
    _check_what_types_cannot(request)
    return request


def _alias_in(given: Mapping[str, Any], error: Exception) -> str:
    """Ask for the alias that a target was probably meant to be: in capitals, between blanks."""
    target = given.get("target")
    if not isinstance(target, str) or not str(error).endswith("`$.target`"):
        return ""
    alias = _BLANKS.sub("-", target.strip(" \t\r\n'\"`").casefold())
    return f"; did you mean {alias}?" if ALIAS.fullmatch(alias) else ""


_BLANKS: Final = re.compile(r"[\s_]+")

_WRAPPED: Final[Mapping[str, str]] = {
    "eventType": "this is an event in Event Grid's own schema; choose `Cloud Event Schema v1.0` "
    "in the event subscription, with the request as the event's data",
    "$content": "Logic Apps wraps what it does not take for JSON; send the request with "
    "content type application/json",
    "ContentData": "a connector has wrapped the message; send the decoded content alone",
}
"""Properties of what other systems put around a body, and the remedy."""

_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _without_nulls(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """An unknown property is kept, so that it is refused by name even where it is null."""
    known = WORDING.names[path]
    return {k: v for k, v in fields.items() if v is not None or k not in known}


def _check_what_types_cannot(request: ResetRequest) -> None:
    # `$` of a regular expression also matches before a last newline; such an id is not a row key.
    for name, value in (("target", request.target), ("requestId", request.request_id)):
        if value.endswith("\n"):
            raise InvalidRequest(f"{name}: ends with a newline; remove it")
    if request.target in RESERVED:
        raise InvalidRequest(
            f"target: {request.target!r} is reserved; use an alias of the catalogue"
        )
    if any("\n" in subject for subject in request.subjects):
        raise InvalidRequest("subjects: one of them contains a newline; send a list of users")
    for name, text in _texts(request):
        if character := hidden_in(text, lines=name == "reason"):
            raise InvalidRequest(
                f"{name}: holds a character that cannot be seen; remove {character}"
            )
    # The timer's own request comes by the queue as well; its ids are nobody else's.
    if is_own_name(request.requested_by) and not is_automatic(request.request_id):
        raise InvalidRequest("requestedBy: is a name of the app itself; name the person or system")
    if request.not_before and not EARLIEST_YEAR <= request.not_before.year <= LATEST_YEAR:
        raise InvalidRequest(
            f"notBefore: year {request.not_before.year} cannot be a change window; give one "
            f"at most {HORIZON.days} days ahead"
        )
    if request.scope is Scope.SUBJECTS:
        raise InvalidRequest("scope: `subjects` is not supported; send `full`")


def _texts(request: ResetRequest) -> Iterator[tuple[str, str]]:
    yield "reason", request.reason
    yield "requestedBy", request.requested_by
    if request.ticket is not None:
        yield "ticket.system", request.ticket.system
        yield "ticket.id", request.ticket.id
        yield "ticket.url", request.ticket.url
    for n, subject in enumerate(request.subjects):
        yield f"subjects[{n}]", subject


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


def as_reset(request: ResetRequest, *, reset_id: str, at: datetime, via: str) -> Reset:
    """Return a reset with what was asked for, and with nothing that was found or done."""
    ticket = request.ticket
    return Reset(
        id=reset_id,
        target=request.target,
        requested_at=at,
        scope=request.scope,
        requested_by=request.requested_by,
        via=via,
        reason=request.reason,
        ticket_system=ticket.system if ticket else "",
        ticket_id=ticket.id if ticket else "",
        ticket_url=ticket.url if ticket else "",
        subjects=request.subjects,
        dry_run=request.dry_run,
        not_before=request.not_before,
    )


def derived_id(*parts: str) -> str:
    """`h-` and 32 hex digits of SHA-256 over where a request without an id of its own came from."""
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return "h-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_AUTOMATIC: Final = re.compile(r"(?:schedule|quarantine|stale)-[0-9a-f]{32}(?:-dry)?")
_DERIVED: Final = re.compile(r"h-[0-9a-f]{32}")
_RANDOM_DIGITS: Final = 24


def is_automatic(reset_id: str) -> bool:
    """True for ids of the timer: they are predictable, so that callers must not take them."""
    return _AUTOMATIC.fullmatch(reset_id) is not None


def issued_id(random_digits: str) -> str:
    """
    Make the id of an API request that brings none, from 32 random hex digits.

    The last eight are a check of the others: after a 503 the caller sends it again, and it must be
    told from a derived id, which nobody may choose.
    """
    digits = random_digits[:_RANDOM_DIGITS]
    return f"h-{digits}{hashlib.sha256(digits.encode()).hexdigest()[:8]}"


def is_derived(reset_id: str) -> bool:
    """True for ids that stand for where a request came from: a caller could take another's."""
    return (
        _DERIVED.fullmatch(reset_id) is not None
        and issued_id(reset_id.removeprefix("h-")) != reset_id
    )


def reserved_form(request_id: str, senders: Collection[str]) -> str:
    """
    Say why a request may not choose this id; "" where it may.

    *senders* are the names under which the ids of webhooks are kept.
    """
    # In any letter case: nobody should have to look twice at whose id it is.
    folded = request_id.casefold()
    if is_automatic(folded):
        return "schedule-, quarantine- and stale- with a digest are the app's own"
    if is_derived(request_id) or (folded != request_id and _DERIVED.fullmatch(folded)):
        return "h- with a digest is the app's own"
    sender, dot, _ = folded.partition(".")
    if dot and sender in senders:
        return f"{sender}. is the prefix of that sender's webhooks"
    if len(request_id) > LONGEST_ID:
        return f"it may have {LONGEST_ID} characters"
    return ""


def content_hash(request: ResetRequest) -> str:
    """What makes two requests with one id the same: target, scope, dryRun, notBefore, subjects."""
    content: list[object] = [
        request.target,
        str(request.scope),
        request.dry_run,
        sorted(request.subjects),
    ]
    if request.not_before is not None:
        # Last, and only where it is given: rows of earlier versions keep their hash.
        content.append(request.not_before.astimezone(UTC).isoformat())
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
