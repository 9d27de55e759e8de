"""Parses the body of a restart into the parts of a job's state that it clears."""

import json
from enum import IntFlag
from typing import Any


class ResetScope(IntFlag):
    """`synchronizationJobRestartScope`, values as in Graph's metadata."""

    NONE = 0
    CONNECTOR_DATA_STORE = 1
    ESCROWS = 2
    WATERMARK = 4
    QUARANTINE_STATE = 8
    FORCE_DELETES = 32


# Without ForceDeletes, although the documentation says "all of the options".
FULL = ResetScope(15)
PORTAL = ResetScope.ESCROWS | ResetScope.WATERMARK | ResetScope.QUARANTINE_STATE

_BY_NAME = {
    "None": ResetScope.NONE,
    "ConnectorDataStore": ResetScope.CONNECTOR_DATA_STORE,
    "Escrows": ResetScope.ESCROWS,
    "Watermark": ResetScope.WATERMARK,
    "QuarantineState": ResetScope.QUARANTINE_STATE,
    "Full": FULL,
    "ForceDeletes": ResetScope.FORCE_DELETES,
}


class BadRestart(ValueError):
    """Graph would not understand this body; the text is for the error's message."""


def parse_restart(body: bytes) -> ResetScope:
    """Read the flags; criteria that are absent, null or empty are the portal's restart."""
    if not body.strip():
        raise BadRestart("Empty Payload. JSON content expected.")
    try:
        content = json.loads(body)
    except ValueError as error:
        raise BadRestart("Unable to read JSON request payload.") from error
    parameters = _members(content, allowed="criteria", of="the action 'restart'")
    if (criteria := parameters.get("criteria")) is None:
        return PORTAL
    kind = "the type 'microsoft.graph.synchronizationJobRestartCriteria'"
    scope = _members(criteria, allowed="resetScope", of=kind).get("resetScope")
    return PORTAL if scope is None else parse_scope(scope)


def _members(content: Any, *, allowed: str, of: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise BadRestart(f"An object was expected as the value of {of}.")
    for name in content:
        if name != allowed and not name.startswith("@odata."):
            raise BadRestart(f"The property '{name}' does not exist on {of}.")
    return content


def parse_scope(scope: Any) -> ResetScope:
    if not isinstance(scope, str):
        raise BadRestart(
            "Cannot convert a non-string value to the type "
            "'microsoft.graph.synchronizationJobRestartScope'.",
        )
    flags = ResetScope.NONE
    for name in scope.split(","):
        if (flag := _BY_NAME.get(name.strip())) is None:
            raise BadRestart(
                f"The value '{name.strip()}' is not a member of the enumeration "
                "'microsoft.graph.synchronizationJobRestartScope'.",
            )
        flags |= flag
    return flags
