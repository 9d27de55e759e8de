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

from shared.adapters.graph import json_reader as read
from shared.domain.sync_job import StaleLink

STALE: Final = "InvalidAnchor"
"""
An error whose code ends so, in any case: `SalesforceInvalidAnchor` is one.
https://learn.microsoft.com/entra/identity/monitoring-health/howto-analyze-provisioning-logs
"""

_USER: Final = "user"


def newest_are_stale(rows: Iterable[object], *, since: datetime) -> tuple[StaleLink, ...]:
    """
    Return the users whose newest row is an InvalidAnchor, newest first.

    A newer row of another kind says that the link was broken, or that nobody knows better. So
    does one of the same moment or without one: where no order is known, nothing is guessed.
    """
    newest: dict[str, tuple[datetime, bool]] = {}
    undated: set[str] = set()
    for user, at, stale in _of_users(rows):
        if at is None:
            undated |= set() if stale else {user}
            continue
        if at <= since:
            continue
        known = newest.get(user)
        if known is None or at > known[0]:
            newest[user] = (at, stale)
        elif at == known[0]:
            newest[user] = (at, stale and known[1])
    links = [
        StaleLink(user_id=user, at=at)
        for user, (at, stale) in newest.items()
        if stale and user not in undated
    ]
    return tuple(sorted(links, key=lambda link: (link.at, link.user_id), reverse=True))


def _of_users(rows: Iterable[object]) -> Iterator[tuple[str, datetime | None, bool]]:
    for row in rows:
        members = read.members(row)
        source = read.members(members.get("sourceIdentity"))
        user, at = read.text(source.get("id")), read.moment(members.get("activityDateTime"))
        kind = read.text(source.get("identityType")) or read.text(source.get("type"))
        # Microsoft's own samples have rows without a date, and rows of groups and of roles.
        if user and kind.casefold() in {"", _USER}:
            yield user, at if isinstance(at, datetime) else None, _is_stale(members)


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
