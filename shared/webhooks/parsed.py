"""What a webhook was found to ask for, whatever its format. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.domain.requests import LONGEST_REASON, ResetRequest, parse_request


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedRequest:
    """A request; `delivery` is what the body itself says that makes this delivery one."""

    request: ResetRequest
    delivery: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AsksNothing:
    """An event of the sender's that is no request: a comment, a close, a test."""

    reason: str


def as_request(fields: Mapping[str, Any]) -> ResetRequest:
    """By way of the one definition that validates; what is empty counts as left out."""
    ticket = {k: v for k, v in fields.get("ticket", {}).items() if v not in ("", None)}
    given = {k: v for k, v in fields.items() if v not in ("", None, [], {}) and k != "ticket"}
    if ticket.get("id"):
        given["ticket"] = ticket
    # A ticket's prose may be longer than a reason: its beginning is enough to find it again.
    if isinstance(reason := given.get("reason"), str) and len(reason) > LONGEST_REASON:
        given["reason"] = f"{reason[: LONGEST_REASON - 1]}…"
    return parse_request(msgspec.json.encode(given))
