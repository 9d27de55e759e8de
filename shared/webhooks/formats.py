"""
Parse a webhook's body with the parser of its sender's format. Pure.

The signature has been verified before. Whether the sender may reach the target is checked after.
"""

import codecs
import re
from typing import Any, Final, assert_never

from shared.domain.catalogue import Catalogue
from shared.domain.errors import InvalidRequest
from shared.domain.json_object import decode_object
from shared.domain.messages import open_envelope
from shared.domain.requests import to_request
from shared.webhooks.azure_monitor import Reach, read_alert
from shared.webhooks.field_map import read_mapped
from shared.webhooks.github import read_issue_event
from shared.webhooks.parsed import AsksNothing, ParsedRequest
from shared.webhooks.senders import FieldMap, FormatName, Sender


def read_payload(
    sender: Sender, raw: bytes, catalogue: Catalogue | None
) -> ParsedRequest | AsksNothing:
    """Raise InvalidRequest where the body asks for something, and not as its format wants."""
    layout = sender.entry.format
    payload = _decoded(raw.removeprefix(codecs.BOM_UTF8))
    match layout:
        case FieldMap():
            return read_mapped(layout, payload)
        case FormatName.RELINK:
            return _read_relink(payload)
        case FormatName.CLOUD_EVENTS:
            return _read_cloud_event(payload)
        case FormatName.GITHUB:
            return read_issue_event(payload, system=sender.name)
        case FormatName.AZURE_MONITOR:
            return read_alert(payload, system=sender.name, reach=_reach(sender, catalogue))
    assert_never(layout)


def _read_relink(payload: dict[str, Any]) -> ParsedRequest:
    if "specversion" in payload:
        raise InvalidRequest(
            "specversion: this sender's bodies are requests, not CloudEvents envelopes; its entry "
            'needs "format": "cloudevents" for those'
        )
    if "fields" in payload and "key" in payload:
        raise InvalidRequest(
            "body: this is Jira's `Issue data`; choose `Custom data` in the action `Send web "
            "request`, with a request as its body"
        )
    if len(payload) == 1 and isinstance(next(iter(payload.values())), dict):
        (wrapper,) = payload
        raise InvalidRequest(
            f"{wrapper[:64]}: the whole body stands inside; send the request itself (Freshservice: "
            "content `Advanced`), or give the sender a map of fields with pointers into it"
        )
    return ParsedRequest(request=to_request(_with_text_ids(payload)))


def _with_text_ids(payload: dict[str, Any]) -> dict[str, Any]:
    """Templates write an id without quotation marks where it is a number."""
    found = dict(payload)
    found["requestId"] = _as_text(found.get("requestId"))
    ticket = found.get("ticket")
    if isinstance(ticket, dict):
        found["ticket"] = {**ticket, "id": _as_text(ticket.get("id"))}
    return found


def _as_text(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        return decode_object(raw, name="body")
    except InvalidRequest as error:
        if not _TWICE_QUOTED.search(raw):
            raise
        raise InvalidRequest(
            f"{error}. A text stands between two pairs of quotation marks: Jira's asJsonString "
            "brings its own, so leave out the outer ones"
        ) from error


_TWICE_QUOTED: Final = re.compile(rb'[:\[,]\s*""[^"\s,}\]]')


def _read_cloud_event(payload: dict[str, Any]) -> ParsedRequest:
    if "specversion" not in payload:
        raise InvalidRequest(
            "specversion: missing; this sender's bodies are CloudEvents envelopes, its entry needs "
            '"format": "relink" for bare requests'
        )
    request, origin = open_envelope(payload)
    return ParsedRequest(request=request, delivery="\n".join(origin))


def _reach(sender: Sender, catalogue: Catalogue | None) -> Reach:
    return {
        alias: (target.service_principal_id.lower(), target.job_id)
        for alias, target in (catalogue or {}).items()
        if alias in sender.entry.targets
    }
