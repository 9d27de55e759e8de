"""
Read provisioning-log rows, results of provision on demand, and a job's matching attributes.

A member that is missing or of another type is left empty; only what is not an object at all is
left out. The beta shape (`action`, `statusInfo`) and the shape of provision on demand (`type` in
place of `identityType` and `provisioningStepType`) are read as well.
https://learn.microsoft.com/graph/api/resources/provisioningobjectsummary
https://learn.microsoft.com/graph/api/synchronization-synchronizationjob-provisionondemand
"""

from collections.abc import Iterator, Mapping
from copy import replace
from datetime import datetime
from typing import Final

from shared.adapters.graph import json_reader as read
from shared.domain.links import (
    LinkSource,
    MatchingAttribute,
    ProvisioningEntry,
    ProvisioningStep,
    StoredLink,
)

MAX_TEXT: Final = 500
"""Characters kept of an id, a description or a reason."""

MAX_MATCHING: Final = 20
"""Matching attributes that are kept: what decides a match is tried long before that."""

Object = Mapping[str, object]


def read_entry(
    raw: object, origin: LinkSource = LinkSource.PROVISIONING_LOG
) -> ProvisioningEntry | None:
    """Return a row as a value, or None where it is not a JSON object."""
    if not isinstance(raw, dict):
        return None
    row = read.members(raw)
    source, target = _object(row, "sourceIdentity"), _object(row, "targetIdentity")
    info = _object(row, "provisioningStatusInfo") or _object(row, "statusInfo")
    error = _object(info, "errorInformation") or info
    return ProvisioningEntry(
        source_id=_id(source, "id"),
        source_type=read.word(source.get("identityType")) or read.word(source.get("type")),
        target_id=_id(target, "id"),
        job_id=_id(row, "jobId"),
        at=_moment(row, "activityDateTime") or _moment(row, "endTime"),
        action=read.word(row.get("provisioningAction")) or read.word(row.get("action")),
        status=read.word(info.get("status")),
        error_code=read.word(error.get("errorCode")),
        reason=_text(error, "reason"),
        steps=tuple(map(_step, read.objects(row.get("provisioningSteps")))),
        origin=origin,
    )


def read_on_demand(body: bytes) -> tuple[ProvisioningEntry, ...]:
    """
    Return what provision on demand did, from either documented shape of its answer.

    `value` is JSON within JSON: an object, or a list of objects. The result stands in `key` in one
    of the shapes. Raise ValueError where neither the body nor the value is JSON.
    """
    pair = read.members(read.decoded(body))
    results = _inner(pair.get("value"))
    entries = (read_entry(each, LinkSource.PROVISION_ON_DEMAND) for each in read.objects(results))
    result = _result(pair.get("key"))
    return tuple(_with_result(e, result) for e in entries if e is not None)


def _inner(value: object) -> object:
    """The JSON within a text; what is JSON already stands for itself."""
    if not isinstance(value, str):
        return value
    return read.decoded(value.encode()) if value.strip() else None


def _with_result(entry: ProvisioningEntry, result: Object) -> ProvisioningEntry:
    details = _object(result, "details")
    return replace(
        entry,
        status=entry.status or read.word(result.get("result")),
        error_code=entry.error_code or read.word(details.get("errorCode")),
        reason=entry.reason or _text(details, "errorMessage"),
    )


def _result(key: object) -> Object:
    """One of the shapes names a type in `key` instead of the result."""
    try:
        return read.members(_inner(key))
    except ValueError:
        return {}


def read_connection(body: bytes) -> StoredLink | None:
    """Return an object connection (beta); None where it names no target anchor."""
    found = read.members(read.decoded(body))
    target = _id(found, "targetAnchor")
    if not target:
        return None
    return StoredLink(
        source_id=_id(found, "sourceAnchor") or _id(found, "objectId"),
        target_id=target,
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
    found = [
        _matching(attribute, priority)
        for mapping in _user_mappings(read.decoded(schema))
        for attribute in read.objects(mapping.get("attributeMappings"))
        if (priority := read.rank(attribute.get("matchingPriority"))) is not None
    ]
    return tuple(sorted(found, key=lambda each: each.priority)[:MAX_MATCHING])


def _matching(attribute: Object, priority: int) -> MatchingAttribute:
    source = _object(attribute, "source")
    direct = read.word(source.get("type")).casefold() == "attribute"
    name = _text(source, "name")
    return MatchingAttribute(
        priority=priority,
        source=name if direct and name else _text(source, "expression") or name,
        target=_text(attribute, "targetAttributeName"),
        is_expression=not direct,
    )


def read_user_rule(schema: bytes) -> str:
    """Return the id of the rule that provisions users; empty where the schema has none."""
    for rule in _rules(read.decoded(schema)):
        if any(map(_is_user_mapping, read.objects(rule.get("objectMappings")))):
            return _id(rule, "id")
    return ""


def _user_mappings(schema: object) -> Iterator[Object]:
    for rule in _rules(schema):
        yield from filter(_is_user_mapping, read.objects(rule.get("objectMappings")))


def _rules(schema: object) -> Iterator[Object]:
    yield from read.objects(read.members(schema).get("synchronizationRules"))


def _is_user_mapping(mapping: Object) -> bool:
    """A mapping that does not say whether it is switched on is."""
    enabled = read.flag(mapping.get("enabled")) is not False
    return enabled and read.word(mapping.get("sourceObjectName")).casefold() == "user"


def _step(raw: Object) -> ProvisioningStep:
    return ProvisioningStep(
        name=read.word(raw.get("name")),
        kind=read.word(raw.get("provisioningStepType")) or read.word(raw.get("type")),
        status=read.word(raw.get("status")),
        description=_text(raw, "description"),
        target_id=_id(_object(raw, "details"), "id"),
    )


def _object(raw: Object, name: str) -> Object:
    """An object; the documentation shows arrays of one object in places of objects."""
    return next(iter(read.objects(raw.get(name))), {})


def _id(raw: Object, name: str) -> str:
    return read.identifier(raw.get(name))[:MAX_TEXT]


def _text(raw: Object, name: str) -> str:
    return read.text(raw.get(name))[:MAX_TEXT]


def _moment(raw: Object, name: str) -> datetime | None:
    found = read.moment(raw.get(name))
    return found if isinstance(found, datetime) else None
