"""What the HTTP functions answer: JSON, or an RFC 9457 problem. Knows no HTTP library."""

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.decide import Decisions
from shared.errors import (
    InvalidRequest,
    NewerRow,
    NotAllowed,
    NotFound,
    NotPossible,
    RelinkError,
    StorageUnavailable,
)

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
LONGEST_BODY: Final = 48 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class DecisionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of `POST /api/resets/{id}/decision`; without a signed-in person `by` is required."""

    decision: str
    by: str = ""


class Api:
    """The HTTP side of the use cases: bytes in, Reply out; no exception of ours gets out."""

    def __init__(self, *, decisions: Decisions) -> None:
        self._decisions = decisions

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
    413: "Content Too Large",
    503: "Service Unavailable",
}

_STATUSES: Final[Mapping[type[RelinkError], int]] = {
    InvalidRequest: 400,
    NotAllowed: 403,
    NotFound: 404,
    NotPossible: 409,
}

_LATER: Final[Mapping[str, str]] = {"Retry-After": "30"}


async def _replied(work: Awaitable[Reply]) -> Reply:
    try:
        return await work
    except tuple(_STATUSES) as error:
        status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
        return problem(status, str(error))
    except (StorageUnavailable, NewerRow):
        return problem(503, "storage does not answer; nothing was changed for certain", _LATER)
