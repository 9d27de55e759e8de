"""
What a webhook's body asks for: each format is a module, and this one picks it.

Pure. The body has been shown to come from its sender before anything here looks at it; a target
is only ever an alias of the catalogue, and whether this sender may reach it is asked elsewhere.
"""

import json
from contextlib import suppress
from typing import Any

import msgspec

from shared.domain.catalogue import Catalogue
from shared.domain.errors import InvalidRequest
from shared.domain.messages import read_body
from shared.webhooks.azure_monitor import Reach, read_alert
from shared.webhooks.field_map import read_mapped
from shared.webhooks.github import read_issue_event
from shared.webhooks.parsed import AsksNothing, ParsedRequest
from shared.webhooks.senders import FieldMap, FormatName, Sender


def read_event(
    sender: Sender, raw: bytes, catalogue: Catalogue | None
) -> ParsedRequest | AsksNothing:
    """Raise InvalidRequest where the body asks for something, and not as its format wants."""
    layout = sender.entry.format
    _refuse_twins(raw)
    if layout is FormatName.RELINK:
        request, origin = read_body(raw)
        return ParsedRequest(request=request, delivery="\n".join(origin))
    event = _object(raw)
    if isinstance(layout, FieldMap):
        return read_mapped(layout, event)
    if layout is FormatName.GITHUB:
        return read_issue_event(event, system=sender.name)
    return read_alert(event, system=sender.name, reach=_reach(sender, catalogue))


def _refuse_twins(raw: bytes) -> None:
    """
    A name given twice is how text in a template changes what stands before it.

    Templates put text between quotation marks without always escaping it, and of two the last
    would count.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InvalidRequest("body: a name is given twice in one object; give it once")
        return found

    # What is no JSON is told by whoever reads it next.
    with suppress(ValueError, RecursionError):
        json.loads(raw, object_pairs_hook=once)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body: not valid JSON in UTF-8; send one JSON object") from error
    if not isinstance(found, dict):
        raise InvalidRequest("body: no JSON object; send one JSON object")
    return found


def _reach(sender: Sender, catalogue: Catalogue | None) -> Reach:
    return {
        alias: (target.service_principal_id.lower(), target.job_id)
        for alias, target in (catalogue or {}).items()
        if alias in sender.entry.targets
    }
