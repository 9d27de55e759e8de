"""What the HTTP functions answer: JSON, or an RFC 9457 problem. Knows no HTTP library."""

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.accept import Accepted
from shared.decide import Decisions
from shared.errors import (
    BadSignature,
    IdReused,
    InvalidRequest,
    NewerRow,
    NotAllowed,
    NotFound,
    NotJson,
    NotPossible,
    NotReachable,
    RelinkError,
    SettingsError,
    StorageUnavailable,
    TooLarge,
)
from shared.formats import AsksNothing
from shared.webhooks import Webhooks

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
LONGEST_BODY: Final = 48 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


REASON: Final = "Relink-Reason"


def taken_in(accepted: Accepted) -> Reply:
    """202 for a new reset, 200 for one that was there; never 409, on which senders try again."""
    row = accepted.stored.row
    location = f"/api/resets/{row.id}"
    body = {"id": row.id, "state": str(row.state), "location": location}
    return Reply(
        status=200 if accepted.known else 202,
        body=json.dumps(body),
        headers={"Location": location},
    )


class DecisionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of `POST /api/resets/{id}/decision`; without a signed-in person `by` is required."""

    decision: str
    by: str = ""


class Api:
    """The HTTP side of the use cases: bytes in, Reply out; no exception of ours gets out."""

    def __init__(self, *, decisions: Decisions, webhooks: Webhooks) -> None:
        self._decisions = decisions
        self._webhooks = webhooks

    async def webhook(self, sender: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        """An event that asks for nothing is 204, and a header says why (a body it has none)."""
        return await _replied(self._webhook(sender, headers, raw))

    async def _webhook(self, sender: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        found = await self._webhooks.receive(sender, headers, raw)
        if isinstance(found, AsksNothing):
            why = found.reason.encode("ascii", "replace").decode()
            return Reply(status=204, body="", headers={REASON: why})
        return taken_in(found)

    async def decide(self, reset_id: str, raw: bytes, *, person: str = "") -> Reply:
        """A signed-in *person* decides in their own name, whatever the body's `by` says."""
        return await _replied(self._decide(reset_id, raw, person))

    async def _decide(self, reset_id: str, raw: bytes, person: str) -> Reply:
        if len(raw) > LONGEST_BODY:
            return problem(413, "request: too long")
        try:
            body = msgspec.json.decode(raw, type=DecisionBody)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                'request: not what is expected; send {"decision": "approve", "by": "…"} '
                f"({str(error)[:200]})"
            ) from error
        reset = await self._decisions.decide(
            reset_id, body.decision, by=person or body.by, signed_in=bool(person)
        )
        return ok({"id": reset.id, "state": str(reset.state), "detail": reset.detail})


def ok(body: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(body, ensure_ascii=False))


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    """https://www.rfc-editor.org/rfc/rfc9457."""
    body = {"title": _TITLES[status], "status": status, "detail": detail}
    return Reply(
        status=status,
        body=json.dumps(body, ensure_ascii=False),
        content_type=PROBLEM,
        headers=headers or {},
    )


_TITLES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    401: "Unauthorized",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    503: "Service Unavailable",
}

_STATUSES: Final[Mapping[type[RelinkError], int]] = {
    IdReused: 422,
    InvalidRequest: 400,
    BadSignature: 401,
    NotAllowed: 403,
    NotFound: 404,
    NotPossible: 409,
    NotReachable: 403,
    TooLarge: 413,
    NotJson: 415,
}

LATER: Final[Mapping[str, str]] = {"Retry-After": "30"}


async def _replied(work: Awaitable[Reply]) -> Reply:
    try:
        return await work
    except tuple(_STATUSES) as error:
        status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
        return problem(status, str(error))
    except (StorageUnavailable, NewerRow):
        return problem(503, "storage does not answer; nothing was changed for certain", LATER)
    except SettingsError as error:
        return problem(503, str(error), LATER)
