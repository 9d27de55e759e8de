"""
Rows of the provisioning logs: the users whose linked account no longer exists.

Rows come in two shapes (v1.0 nests the status in `provisioningStatusInfo`, beta has `statusInfo`
and flat errors), in no order that can be relied on, and with error codes that carry the
connector's name in front.
https://learn.microsoft.com/graph/api/resources/provisioningobjectsummary
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.adapters.graph import json_reader as read
from shared.domain.sync_job import StaleLink

STALE: Final = "InvalidAnchor"
"""
An error whose code ends so, in any case: `SalesforceInvalidAnchor` is one.
https://learn.microsoft.com/entra/identity/monitoring-health/howto-analyze-provisioning-logs
"""

_USER: Final = "user"


class _Row(Struct, frozen=True, kw_only=True):
    """`kind` is empty where the row does not say whose it is."""

    source_id: str
    kind: str
    at: datetime | None
    stale: bool


def newest_are_stale(rows: Iterable[object], *, since: datetime) -> tuple[StaleLink, ...]:
    """
    Return the users whose newest row is an InvalidAnchor, newest first.

    A newer row of another kind says that the link was broken, or that nobody knows better. So
    does one of the same moment or without one: where no order is known, nothing is guessed. Of
    whom no row says that they are a user, they are none: groups and roles have rows as well.
    """
    read_rows = [_row(each) for each in rows]
    kinds = {row.source_id: set[str]() for row in read_rows}
    for row in read_rows:
        kinds[row.source_id] |= {row.kind} - {""}
    newest: dict[str, tuple[datetime, bool]] = {}
    undated: set[str] = set()
    for row in read_rows:
        if kinds[row.source_id] != {_USER} or not row.source_id:
            continue
        if row.at is None:
            undated |= set() if row.stale else {row.source_id}
            continue
        if row.at <= since:
            continue
        known = newest.get(row.source_id)
        if known is None or row.at > known[0]:
            newest[row.source_id] = (row.at, row.stale)
        elif row.at == known[0]:
            newest[row.source_id] = (row.at, row.stale and known[1])
    links = [
        StaleLink(user_id=user, at=at)
        for user, (at, stale) in newest.items()
        if stale and user not in undated
    ]
    return tuple(sorted(links, key=lambda link: (link.at, link.user_id), reverse=True))


def _row(raw: object) -> _Row:
    members = read.members(raw)
    source = read.members(members.get("sourceIdentity"))
    at = read.moment(members.get("activityDateTime"))
    # Microsoft's own samples have rows without a date, and rows of groups and of roles.
    return _Row(
        source_id=read.text(source.get("id")),
        kind=_kind(source),
        at=at if isinstance(at, datetime) else None,
        stale=_is_stale(members),
    )


def _kind(source: Mapping[str, object]) -> str:
    """What the row's source is, in lower case: also where only its details tell."""
    details = read.members(source.get("details"))
    said = (source.get("identityType"), source.get("type"), details.get("odatatype"))
    kind = next((text for each in said if (text := read.text(each))), "")
    return kind.rpartition(".")[2].casefold()


def _is_stale(row: Mapping[str, object]) -> bool:
    return any(
        read.text(found.get("errorCode")).casefold().endswith(STALE.casefold())
        for found in _error_shapes(row)
    )


def _error_shapes(row: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for name in ("provisioningStatusInfo", "statusInfo"):
        info = read.members(row.get(name))
        yield info
        yield read.members(info.get("errorInformation"))
