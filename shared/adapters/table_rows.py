"""Turn the engine's values into table entities and back: a field a column, CamelCase. Pure."""

import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Final

from msgspec import Struct

from shared.domain.errors import NewerRow
from shared.domain.keys import (
    BEHIND,
    FROM,
    SearchKind,
    behind_key,
    event_key,
    find_key,
    notification_due_key,
    notification_key,
    open_key,
    reset_due_key,
    reset_key,
    subject_key,
)
from shared.domain.pace import Pace
from shared.domain.reset import (
    ROW_VERSION,
    Claim,
    DueRow,
    GivenUp,
    HistoryEntry,
    JobObservation,
    JobRow,
    LastFull,
    Link,
    Notification,
    OpenReset,
    Reset,
)
from shared.domain.sync_job import GraphObservation, GraphStatus

Entity = dict[str, Any]

INDEXED: Final = 2
"""From this version on, rows are found by the indexes; an older row is its own."""


def reset_entity(reset: Reset) -> Entity:
    entity = _columns(reset, leave_out={"id"})
    return {
        "PartitionKey": reset.target,
        "RowKey": reset_key(reset.requested_at, reset.id),
        "RequestId": reset.id,
        **entity,
    }


def reset_from(entity: Mapping[str, Any]) -> Reset:
    _check_version(entity)
    return Reset(id=entity["RequestId"], **_values(Reset, entity, leave_out={"id"}))


def open_entity(reset: Reset) -> Entity:
    """The row of the list of what is open; it is the same for as long as it exists."""
    return {
        "PartitionKey": reset.target,
        "RowKey": open_key(reset.id),
        "ResetKey": reset_key(reset.requested_at, reset.id),
        "Via": reset.via,
        "Version": ROW_VERSION,
    }


def open_from(entity: Mapping[str, Any]) -> OpenReset:
    return OpenReset(
        target=entity["PartitionKey"],
        id=str(entity["RowKey"]).removeprefix(open_key("")),
        key=entity.get("ResetKey", ""),
    )


def find_entities(reset: Reset) -> list[Entity]:
    """The rows by which a reset is found: its ticket, who asked, its subjects."""
    named = [(SearchKind.TICKET, reset.ticket_id), (SearchKind.ASKER, reset.requested_by)]
    named += [(SearchKind.SUBJECT, subject) for subject in reset.subjects]
    place = reset_key(reset.requested_at, reset.id)
    found = {
        find_key(kind, value, reset.requested_at, reset.id)
        for kind, value in named
        if value.strip()
    }
    return [
        {"PartitionKey": reset.target, "RowKey": key, "ResetKey": place} for key in sorted(found)
    ]


def found_from(entity: Mapping[str, Any]) -> OpenReset:
    return OpenReset(
        target=entity["PartitionKey"],
        id=str(entity["RowKey"]).rpartition(":")[2],
        key=entity["ResetKey"],
    )


def reset_index(reset: Reset) -> dict[str, Entity]:
    """The rows of the sweep's index under which an open reset is found; in version 1 none."""
    if reset.due_at is None or reset.version < INDEXED:
        return {}
    rows: list[Entity] = [{"RowKey": reset_due_key(reset.due_at, reset.id), "DueAt": reset.due_at}]
    if reset.behind:
        # By Seen the sweep tells whether an ended restart stands for it. Nobody waits without.
        seen = {"Seen": reset.seen_number} if reset.seen_number is not None else {}
        rows.append({"RowKey": behind_key(reset.behind, reset.id), **seen})
    place = {
        "PartitionKey": reset.target,
        "ResetKey": reset_key(reset.requested_at, reset.id),
    }
    return {str(row["RowKey"]): {**place, **row} for row in rows}


def notification_index(answer: Notification) -> dict[str, Entity]:
    """
    The row of the sweep's index under which a notification is found; in version 1 none.

    Of all rows of the index those of notifications alone have a Kind.
    """
    if answer.version < INDEXED:
        return {}
    key = notification_due_key(answer.due_at, answer.id, answer.n)
    row = {"PartitionKey": answer.target, "RowKey": key, "DueAt": answer.due_at, "Kind": "answer"}
    return {key: row}


def due_from(entity: Mapping[str, Any], etag: str) -> DueRow:
    """Read an entry of the index; in version 1 the row `due:reset:` or `due:answer:` itself."""
    key = str(entity["RowKey"])
    if key.startswith(BEHIND):
        kind, reset_id, n = "reset", key.rpartition(":")[2], ""
    else:
        named = key.removeprefix(FROM)[14:] if key.startswith(FROM) else key.removeprefix("due:")
        kind, reset_id, n, *_ = [*named.split(":"), ""]
    return DueRow(
        target=entity["PartitionKey"],
        id=reset_id,
        key=key,
        reset_key=entity.get("ResetKey", ""),
        n=int(n) if kind == "answer" else None,
        sent=as_utc(entity["Sent"]) if entity.get("Sent") else None,
        etag=etag,
    )


def event_entity(reset: Reset, event: HistoryEntry) -> Entity:
    return {
        "PartitionKey": reset.target,
        "RowKey": event_key(reset.id, event.sequence),
        "At": event.at,
        "State": str(event.state),
        "By": event.by,
        "Detail": event.detail,
    }


def event_from(entity: Mapping[str, Any]) -> HistoryEntry:
    return HistoryEntry(
        sequence=int(str(entity["RowKey"]).rpartition(":")[2]),
        **_values(HistoryEntry, entity, leave_out={"sequence"}),
    )


def link_from(entity: Mapping[str, Any]) -> Link:
    return Link(**_values(Link, entity, leave_out=set()))


def link_entity(reset: Reset, number: int, link: Link) -> Entity:
    key = subject_key(reset.id, number)
    return {"PartitionKey": reset.target, "RowKey": key, **_columns(link, leave_out=set())}


def notification_entity(answer: Notification) -> Entity:
    entity = _columns(answer, leave_out={"target", "id", "n"})
    return {
        "PartitionKey": answer.target,
        "RowKey": notification_key(answer.id, answer.n),
        **entity,
    }


def notification_from(entity: Mapping[str, Any]) -> Notification:
    _, _, reset_id, n = str(entity["RowKey"]).split(":")
    return Notification(
        target=entity["PartitionKey"],
        id=reset_id,
        n=int(n),
        version=int(entity.get("Version", 1)),
        **_values(Notification, entity, leave_out={"target", "id", "n", "version"}),
    )


UNDELIVERED = "undelivered"
"""The partition of answers that were given up."""


def undelivered_key(answer: Notification) -> str:
    return f"{answer.target}:{answer.id}:{answer.n}"


def undelivered_entity(answer: Notification, *, why: str, at: datetime) -> Entity:
    return {
        **notification_entity(answer),
        "PartitionKey": UNDELIVERED,
        "RowKey": undelivered_key(answer),
        "Why": why,
        "GivenUpAt": at,
    }


def undelivered_from(entity: Mapping[str, Any]) -> GivenUp:
    target, reset_id, n = str(entity["RowKey"]).split(":")
    answer = Notification(
        target=target,
        id=reset_id,
        n=int(n),
        **_values(Notification, entity, leave_out={"target", "id", "n"}),
    )
    return GivenUp(answer=answer, why=entity["Why"], at=as_utc(entity["GivenUpAt"]))


def pace_entity(pace: Pace, *, key: str) -> Entity:
    return {"PartitionKey": "targets", "RowKey": key, **_columns(pace, leave_out=set())}


def pace_from(entity: Mapping[str, Any]) -> Pace:
    return Pace(**_values(Pace, entity, leave_out=set()))


def job_entity(row: JobRow) -> Entity:
    entity = _columns(row, leave_out={"target", "last_full"})
    last = row.last_full
    if last is not None:
        entity |= {
            f"LastFull{column}": getattr(last, name) for name, column, _ in _fields(LastFull)
        }
    return {"PartitionKey": row.target, "RowKey": "job", **entity}


def job_from(entity: Mapping[str, Any]) -> JobRow:
    _check_version(entity)
    last = None
    if "LastFullNumber" in entity:
        last = LastFull(
            **{name: entity.get(f"LastFull{column}", "") for name, column, _ in _fields(LastFull)}
        )
    return JobRow(
        target=entity["PartitionKey"],
        last_full=last,
        **_values(JobRow, entity, leave_out={"target", "last_full"}),
    )


def observation_entity(row: JobObservation) -> Entity:
    entity = _columns(row, leave_out={"target"})
    return {"PartitionKey": row.target, "RowKey": "watch", **entity}


def observation_from(entity: Mapping[str, Any]) -> JobObservation:
    _check_version(entity)
    return JobObservation(
        target=entity["PartitionKey"], **_values(JobObservation, entity, leave_out={"target"})
    )


def claim_entity(claim: Claim) -> Entity:
    return {
        "PartitionKey": claim.id,
        "RowKey": "id",
        "Target": claim.target,
        "RequestedAt": claim.requested_at,
        "ResetKey": reset_key(claim.requested_at, claim.id),
        "ContentHash": claim.content_hash,
    }


def claim_from(entity: Mapping[str, Any]) -> Claim:
    return Claim(
        id=entity["PartitionKey"],
        target=entity["Target"],
        requested_at=as_utc(entity["RequestedAt"]),
        content_hash=entity["ContentHash"],
    )


def graph_columns(seen: GraphObservation) -> Entity:
    mood = seen.mood[0].upper() + seen.mood[1:]
    return {f"{mood}At": seen.at, f"{mood}Call": seen.call, f"{mood}Why": seen.why}


def graph_from(entity: Mapping[str, Any]) -> list[GraphObservation]:
    found = []
    for mood in GraphStatus:
        column = mood[0].upper() + mood[1:]
        if entity.get(f"{column}At") is not None:
            at, call = as_utc(entity[f"{column}At"]), entity[f"{column}Call"]
            found.append(GraphObservation(mood=mood, at=at, call=call, why=entity[f"{column}Why"]))
    return found


def _check_version(entity: Mapping[str, Any]) -> None:
    if int(entity["Version"]) > ROW_VERSION:
        raise NewerRow(f"row {entity['RowKey']} has version {entity['Version']}")


_RENAMED: Final[Mapping[str, str]] = {"operator_asked": "Asked"}
"""Fields whose column keeps the name that the contract gives it."""


def _column(name: str) -> str:
    return _RENAMED.get(name) or "".join(part.title() for part in name.split("_"))


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Of each field its name, its column and its type: worked out once, asked for every row."""
    hints = typing.get_type_hints(kind)
    return tuple((name, _column(name), hints[name]) for name in kind.__struct_fields__)


def _columns(value: Struct, *, leave_out: set[str]) -> Entity:
    """Columns of a value, one for each field; None gives no column."""
    entity: Entity = {}
    for name, column, _ in _fields(type(value)):
        found = getattr(value, name)
        if name in leave_out or found is None:
            continue
        if isinstance(found, tuple):
            found = "\n".join(found)
        if isinstance(found, StrEnum):
            found = str(found)
        entity[column] = found
    return entity


def _values(
    kind: type[Struct], entity: Mapping[str, Any], *, leave_out: set[str]
) -> dict[str, Any]:
    return {
        name: _value(hint, entity[column])
        for name, column, hint in _fields(kind)
        if name not in leave_out and entity.get(column) is not None
    }


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        hint = next(part for part in hint.__args__ if part is not type(None))
    if hint is datetime:
        return as_utc(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if typing.get_origin(hint) is tuple:
        return tuple(str(value).split("\n")) if value else ()
    if hint is int:
        return int(value)
    return value


def as_utc(value: datetime) -> datetime:
    """A plain aware datetime in UTC, out of the client's own subclass."""
    if value.tzinfo is None:
        raise ValueError(f"a stored time has no zone: {value!r}")
    there = value.astimezone(UTC)
    return datetime.combine(
        date(there.year, there.month, there.day),
        time(there.hour, there.minute, there.second, there.microsecond, tzinfo=UTC),
    )
