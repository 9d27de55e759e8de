"""
Rows of the directory audit log: which restarts they show, and who made them.

Nothing is taken from the filter that was sent: a row counts only where its own activity, time and
target say so, and as ours only where its initiator does.
https://learn.microsoft.com/graph/api/resources/directoryaudit
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Final

from shared.adapters.graph import json_reader as read
from shared.domain.sync_job import RestartSeen

RESTART_ACTIVITY: Final = "Enable/restart provisioning configuration"
"""https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities"""

ANONYMOUS: Final = frozenset({"00000000-0000-0000-0000-000000000000", ""})
"""The ids of an app that calls the emulator, which no token vouches for."""

_IDS_OF_AN_APP: Final = ("servicePrincipalId", "appId")


class _Place(Enum):
    HERE = auto()
    ELSEWHERE = auto()
    NOWHERE = auto()


def restarts_of(
    rows: Iterable[object], service_principal_id: str, *, since: datetime, own_ids: frozenset[str]
) -> tuple[list[RestartSeen], int]:
    """Return the restarts of this service principal, and how many rows cannot be placed."""
    seen, unplaced = list[RestartSeen](), 0
    for row in rows:
        members = read.members(row)
        activity = read.text(members.get("activityDisplayName"))
        if activity and activity.casefold() != RESTART_ACTIVITY.casefold():
            # A filter that was not applied, or not as it was meant.
            continue
        place = _place(members.get("targetResources"), service_principal_id)
        at = read.moment(members.get("activityDateTime"))
        if place is _Place.ELSEWHERE or (isinstance(at, datetime) and at < since):
            continue
        if not activity or place is _Place.NOWHERE or not isinstance(at, datetime):
            unplaced += 1
        elif read.text(members.get("result")).casefold() not in {"", "success"}:
            # It says that a restart was tried. Whether it did something, nobody says.
            unplaced += 1
        else:
            initiator = read.members(members.get("initiatedBy"))
            seen.append(RestartSeen(at=at, ours=_is_ours(initiator, own_ids), by=_named(initiator)))
    return seen, unplaced


def _place(targets: object, service_principal_id: str) -> _Place:
    ids = [read.text(read.members(target).get("id")) for target in read.items(targets) or ()]
    if any(found.casefold() == service_principal_id.casefold() for found in ids if found):
        return _Place.HERE
    return _Place.ELSEWHERE if any(ids) else _Place.NOWHERE


def _is_ours(initiator: Mapping[str, object], own_ids: frozenset[str]) -> bool:
    user, app = initiator.get("user"), initiator.get("app")
    if isinstance(user, dict):
        # An engineer's own sign-in is one of the identities that the app runs under.
        own = read.text(user.get("id")).casefold()
        return bool(own) and own in own_ids
    if not isinstance(app, dict):
        return False
    ids = {read.text(app.get(name)).casefold() for name in _IDS_OF_AN_APP}
    if own_ids <= ANONYMOUS:
        return ids <= own_ids
    return bool((ids - {""}) & own_ids)


def _named(initiator: Mapping[str, object]) -> str:
    user, app = read.members(initiator.get("user")), read.members(initiator.get("app"))
    found = (
        user.get("userPrincipalName"),
        user.get("displayName"),
        user.get("id"),
        app.get("displayName"),
        app.get("servicePrincipalId"),
        app.get("appId"),
    )
    return next((word for value in found if (word := read.word(value))), "")
