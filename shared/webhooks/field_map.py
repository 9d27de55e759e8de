"""Read a body by the fields that its sender's entry declares: pointers and constants. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.domain.errors import InvalidRequest
from shared.domain.json_object import kind_of
from shared.webhooks.json_pointer import look_up
from shared.webhooks.parsed import AsksNothing, ParsedRequest, as_request
from shared.webhooks.senders import FieldMap, Words

_PING: Final = "pagey.ping"
_ACCOUNT: Final = "/accountId"


def read_mapped(fields: FieldMap, event: dict[str, Any]) -> ParsedRequest | AsksNothing:
    if look_up(event, "/event/event_type") == _PING:
        return AsksNothing(reason="PagerDuty's test of a subscription: it works")
    for pointer, wanted in fields.when.items():
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        found = look_up(event, pointer)
        if not any(_equal(found, one) for one in allowed):
            return AsksNothing(reason=_not_wanted(pointer, found, allowed))
    target = _text(event, fields.target, "target")
    if target is None:
        return AsksNothing(reason=f"there is no target at {fields.target}")
    ticket = fields.ticket
    request = as_request(
        {
            "target": target,
            "requestId": _text(event, fields.request_id, "requestId"),
            "reason": _text(event, fields.reason, "reason"),
            "requestedBy": _account(event, fields.requested_by),
            "ticket": {
                "system": _text(event, ticket.system, "ticket.system"),
                "id": _text(event, ticket.id, "ticket.id"),
                "url": _text(event, ticket.url, "ticket.url"),
            }
            if ticket is not None
            else {},
            "subjects": _subjects(event, fields.subjects),
            "notBefore": _text(event, fields.not_before, "notBefore"),
            "dryRun": _switch(event, fields.dry_run),
        }
    )
    return ParsedRequest(request=request)


def _not_wanted(pointer: str, found: Any, allowed: tuple[Words, ...]) -> str:
    """Never the value itself: a reason is logged."""
    alike = isinstance(found, str) and any(
        isinstance(one, str) and one.casefold() == found.casefold() for one in allowed
    )
    if alike:
        return f"{pointer} differs from this sender's `when` in capital letters only"
    return f"{pointer} is not what this sender's `when` asks for"


def _equal(found: Any, wanted: Words) -> bool:
    # True == 1 for Python, and is not for JSON.
    return type(found) is type(wanted) and found == wanted


def _value(event: dict[str, Any], declared: str | bool) -> Any:
    if isinstance(declared, str) and declared.startswith("/"):
        return look_up(event, declared)
    return declared


def _text(event: dict[str, Any], declared: str, field: str) -> str | None:
    """
    Return the text, or None where there is none.

    A number becomes text, as ids are numbers here and texts there. A field of choices is its one
    `value`, whether the pointer ends there or before it.
    """
    found = _one(_value(event, declared), declared, field)
    if found is None or found == "":
        return None
    if isinstance(found, str):
        return found
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    raise InvalidRequest(
        f"{field}: must be a string, and {declared} holds {kind_of(found)}; point to a text in it"
    )


def _one(found: Any, declared: str, field: str) -> Any:
    """Open a list of one entry and a choice; refuse what could mean two things."""
    if isinstance(found, list):
        if len(found) > 1:
            raise InvalidRequest(
                f"{field}: must be a string, and {declared} holds a list of {len(found)}; point to "
                f"one of them, like {declared}/0"
            )
        found = found[0] if found else None
    if isinstance(found, dict) and isinstance(found.get("child"), dict):
        raise InvalidRequest(
            f"{field}: must be a string, and {declared} holds a cascading choice; point to "
            f"{declared}/value or to {declared}/child/value"
        )
    if isinstance(found, dict) and isinstance(found.get("value"), str):
        return found["value"]
    return found


def _account(event: dict[str, Any], declared: str) -> str | None:
    """Jira's own server has no account ids, but names."""
    found = _text(event, declared, "requestedBy")
    if found is None and declared.startswith("/") and declared.endswith(_ACCOUNT):
        return _text(event, f"{declared.removesuffix(_ACCOUNT)}/name", "requestedBy")
    return found


def _switch(event: dict[str, Any], declared: str | bool) -> Any:
    """In many systems a template has no true and false, but texts and choices of these words."""
    if isinstance(declared, bool):
        return declared
    found = _one(_value(event, declared), declared, "dryRun")
    if not isinstance(found, str) or not found:
        return found
    word = found.strip().casefold()
    if word not in _WORDS:
        raise InvalidRequest(f"dryRun: must be true or false, and {declared} holds another text")
    return _WORDS[word]


_WORDS: Final[Mapping[str, bool]] = {"true": True, "false": False}


def _subjects(event: dict[str, Any], declared: str | tuple[str, ...]) -> list[str]:
    """A text field has one user a line, or several between commas; nobody's name has those."""
    if isinstance(declared, tuple):
        return list(declared)
    found = _value(event, declared)
    entries = found if isinstance(found, list) else [found]
    texts = [_entry(each, declared) for each in entries if each is not None]
    return [each.strip() for text in texts for each in _BETWEEN.split(text) if each.strip()]


_BETWEEN: Final = re.compile(r"[,;\r\n]+")


def _entry(found: Any, declared: str) -> str:
    if isinstance(found, str):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    raise InvalidRequest(
        f"subjects: must be a list of strings, and {declared} holds {kind_of(found)} where a user "
        "belongs; point to texts"
    )
