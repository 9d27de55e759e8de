"""A body read by the fields that its sender's entry declares: pointers and constants. Pure."""

from typing import Any

from shared.webhooks.json_pointer import look_up
from shared.webhooks.parsed import AsksNothing, ParsedRequest, as_request
from shared.webhooks.senders import FieldMap, Words


def read_mapped(fields: FieldMap, event: dict[str, Any]) -> ParsedRequest | AsksNothing:
    for pointer, wanted in fields.when.items():
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if not any(_equal(look_up(event, pointer), one) for one in allowed):
            return AsksNothing(reason=f"{pointer} is not what this sender's `when` asks for")
    target = _text(event, fields.target)
    if target is None:
        return AsksNothing(reason=f"there is no target at {fields.target}")
    ticket = fields.ticket
    request = as_request(
        {
            "target": target,
            "requestId": _text(event, fields.request_id),
            "reason": _text(event, fields.reason),
            "requestedBy": _text(event, fields.requested_by),
            "ticket": {
                "system": _text(event, ticket.system),
                "id": _text(event, ticket.id),
                "url": _text(event, ticket.url),
            }
            if ticket is not None
            else {},
            "subjects": _subjects(event, fields.subjects),
            "notBefore": _text(event, fields.not_before),
            "dryRun": _value(event, fields.dry_run),
        }
    )
    return ParsedRequest(request=request)


def _equal(found: Any, wanted: Words) -> bool:
    # True == 1 for Python, and is not for JSON.
    return type(found) is type(wanted) and found == wanted


def _value(event: dict[str, Any], declared: str | bool) -> Any:
    if isinstance(declared, str) and declared.startswith("/"):
        return look_up(event, declared)
    return declared


def _text(event: dict[str, Any], declared: str) -> Any:
    """A number becomes text, as in ids; anything else is for the validation to judge."""
    found = _value(event, declared)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    return found if found != "" else None


def _subjects(event: dict[str, Any], declared: str | tuple[str, ...]) -> Any:
    found = list(declared) if isinstance(declared, tuple) else _text(event, declared)
    return [found] if isinstance(found, str) else found
