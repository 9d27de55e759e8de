"""
Read provisioning-log rows, results of provision on demand, and a job's matching attributes.

A member that is missing or of another type is left empty; only what is not an object at all is
left out. The beta shape (`action`, `statusInfo`) and the shape of provision on demand (`type` in
place of `identityType` and `provisioningStepType`) are read as well.
https://learn.microsoft.com/graph/api/resources/provisioningobjectsummary
https://learn.microsoft.com/graph/api/synchronization-synchronizationjob-provisionondemand
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.domain.links import (
    LinkSource,
    MatchingAttribute,
    ProvisioningEntry,
    ProvisioningStep,
    StoredLink,
)

MAX_TEXT: Final = 500
"""Characters kept of a description or reason."""

_FIRST_YEAR: Final = 2

Object = Mapping[str, Any]


def read_entry(
    raw: object, origin: LinkSource = LinkSource.PROVISIONING_LOG
) -> ProvisioningEntry | None:
    """Return a row as a value, or None where it is not a JSON object."""
    if not isinstance(raw, Mapping):
        return None
    source, target = _object(raw, "sourceIdentity"), _object(raw, "targetIdentity")
    info = _object(raw, "provisioningStatusInfo") or _object(raw, "statusInfo")
    error = _object(info, "errorInformation") or info
    return ProvisioningEntry(
        source_id=_text(source, "id"),
        source_type=_text(source, "identityType") or _text(source, "type"),
        target_id=_text(target, "id"),
        job_id=_text(raw, "jobId"),
        at=_time(_text(raw, "activityDateTime") or _text(raw, "endTime")),
        action=_text(raw, "provisioningAction") or _text(raw, "action"),
        status=_text(info, "status"),
        error_code=_text(error, "errorCode"),
        reason=_text(error, "reason"),
        steps=tuple(_step(each) for each in _objects(raw, "provisioningSteps")),
        origin=origin,
    )


def read_on_demand(body: bytes) -> tuple[ProvisioningEntry, ...]:
    """
    Return what provision on demand did, from either documented shape of its answer.

    `value` is JSON within JSON: an object, or a list of objects. Raise msgspec.DecodeError where
    neither the body nor the value is JSON. The result stands in `key` in one of the shapes.
    """
    pair = msgspec.json.decode(body)
    if not isinstance(pair, Mapping):
        return ()
    value = msgspec.json.decode(_raw_text(pair, "value") or "[]")
    results = value if isinstance(value, list) else [value]
    entries = (read_entry(each, LinkSource.PROVISION_ON_DEMAND) for each in results)
    result = _result(_raw_text(pair, "key"))
    return tuple(_with_result(e, result) for e in entries if e is not None)


def _with_result(entry: ProvisioningEntry, result: Object) -> ProvisioningEntry:
    details = _object(result, "details")
    return replace(
        entry,
        status=entry.status or _text(result, "result"),
        error_code=entry.error_code or _text(details, "errorCode"),
        reason=entry.reason or _text(details, "errorMessage"),
    )


def _result(key: str) -> Object:
    """One of the shapes names a type in `key` instead of the result."""
    try:
        found = msgspec.json.decode(key)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def read_connection(body: bytes) -> StoredLink | None:
    """Return an object connection (beta); None where it names no target anchor."""
    found = msgspec.json.decode(body)
    if not isinstance(found, Mapping) or not _text(found, "targetAnchor"):
        return None
    return StoredLink(
        source_id=_text(found, "sourceAnchor") or _text(found, "objectId"),
        target_id=_text(found, "targetAnchor"),
        at=None,
        origin=LinkSource.OBJECT_CONNECTION,
        display_name=_text(found, "displayName"),
    )


def read_matching(schema: bytes) -> tuple[MatchingAttribute, ...]:
    """
    Return the attributes that decide a user's match, in the order in which they are tried.

    A matchingPriority of 0 or none takes no part. Disabled mappings are left out.
    https://learn.microsoft.com/graph/api/resources/synchronization-attributemapping
    """
    found: list[MatchingAttribute] = []
    for mapping in _user_mappings(msgspec.json.decode(schema)):
        for attribute in _objects(mapping, "attributeMappings"):
            priority = _whole(attribute.get("matchingPriority"))
            if priority < 1:
                continue
            source = _object(attribute, "source")
            direct = _text(source, "type").lower() == "attribute"
            name = _text(source, "name")
            found.append(
                MatchingAttribute(
                    priority=priority,
                    source=name if direct and name else _text(source, "expression") or name,
                    target=_text(attribute, "targetAttributeName"),
                    is_expression=not direct,
                )
            )
    return tuple(sorted(found, key=lambda each: each.priority))


def read_user_rule(schema: bytes) -> str:
    """Return the id of the rule that provisions users; empty where the schema has none."""
    found = msgspec.json.decode(schema)
    for rule in _objects(found, "synchronizationRules"):
        if any(_is_user_mapping(each) for each in _objects(rule, "objectMappings")):
            return _text(rule, "id")
    return ""


def _user_mappings(schema: object) -> Iterator[Object]:
    for rule in _objects(schema, "synchronizationRules"):
        yield from (m for m in _objects(rule, "objectMappings") if _is_user_mapping(m))


def _is_user_mapping(mapping: Object) -> bool:
    enabled = mapping.get("enabled", True) is not False
    return enabled and _text(mapping, "sourceObjectName").lower() == "user"


def _step(raw: Object) -> ProvisioningStep:
    return ProvisioningStep(
        name=_text(raw, "name"),
        kind=_text(raw, "provisioningStepType") or _text(raw, "type"),
        status=_text(raw, "status"),
        description=_text(raw, "description"),
        target_id=_text(_object(raw, "details"), "id"),
    )


def _object(raw: object, name: str) -> Object:
    found = raw.get(name) if isinstance(raw, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _objects(raw: object, name: str) -> Iterator[Object]:
    """A list of objects; the documentation shows single objects in places of lists."""
    found = raw.get(name) if isinstance(raw, Mapping) else None
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, Mapping):
            yield each


def _raw_text(raw: Object, name: str) -> str:
    found = raw.get(name)
    return found if isinstance(found, str) else ""


def _text(raw: Object, name: str) -> str:
    """A string, cut; a whole number as text, since ids of some applications are numbers."""
    found = raw.get(name)
    if isinstance(found, list):
        found = next(iter(found), None)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found[:MAX_TEXT] if isinstance(found, str) else ""


def _whole(value: object) -> int:
    """A whole number, also as text or with a point; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        number = float(value)
        return int(number) if number.is_integer() else 0
    except (ValueError, OverflowError):
        return 0


def _time(text: str) -> datetime | None:
    """Graph writes up to seven digits of a second; year 1 means never."""
    try:
        at = datetime.fromisoformat(text)
        if at.year < _FIRST_YEAR:
            return None
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
