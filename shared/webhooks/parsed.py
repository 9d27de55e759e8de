"""Define what the parsers of all webhook formats return. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from shared.domain.characters import without_hidden
from shared.domain.requests import LONGEST_REASON, ResetRequest, to_request


class ParsedRequest(Struct, frozen=True, kw_only=True):
    """
    A request; `delivery` identifies the delivery where the body itself does.

    `once` identifies the request itself: two deliveries that tell of one thing are one request.
    """

    request: ResetRequest
    delivery: str = ""
    once: str = ""


class AsksNothing(Struct, frozen=True, kw_only=True):
    """An event that is not a request: a comment, a close, a test."""

    reason: str


def as_request(fields: Mapping[str, Any]) -> ResetRequest:
    """Validate the fields of a payload; an empty one counts as left out."""
    ticket = {k: v for k, v in fields.get("ticket", {}).items() if v not in ("", None)}
    given = {k: v for k, v in fields.items() if v not in ("", None, [], {}) and k != "ticket"}
    if ticket.get("id"):
        given["ticket"] = ticket
    # A ticket's prose may be longer than a reason: its beginning is enough to find it again.
    if isinstance(reason := given.get("reason"), str):
        given["reason"] = _cut(without_hidden(reason))
    return to_request(given)


def _cut(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"
