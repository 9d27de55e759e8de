"""
Which permission each kind of evidence needs, what it buys, and whether Graph has shown it.

Each is a parameter of `infra/graph`, off by default. What is said here is what Graph answered when
it was last asked: nothing is asked for the sake of the report. Pure.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.domain.sync_job import GraphObservation, GraphStatus


class Grant(StrEnum):
    """What Graph's last answer says about a permission."""

    GRANTED = "granted"
    MISSING = "missing"
    NOT_SEEN = "not seen yet"


class EvidencePermission(Struct, frozen=True, kw_only=True):
    """A permission in Microsoft Graph, and the parameter of `infra/graph` that grants it."""

    name: str
    parameter: str
    buys: str
    read: GraphStatus
    unreadable: GraphStatus


PERMISSIONS: Final = (
    EvidencePermission(
        name="ProvisioningLog.Read.All",
        parameter="readProvisioningLogs",
        buys="the account that a user is linked to, before and after a reset, and links to "
        "accounts that no longer exist",
        read=GraphStatus.PROVISIONING_LOG_READ,
        unreadable=GraphStatus.PROVISIONING_LOG_UNREADABLE,
    ),
    EvidencePermission(
        name="User.Read.All",
        parameter="readUsers",
        buys="users named by UPN, and the values of their matching attributes",
        read=GraphStatus.USERS_READ,
        unreadable=GraphStatus.USERS_UNREADABLE,
    ),
    EvidencePermission(
        name="AuditLog.Read.All",
        parameter="readAuditLogs",
        buys="whether a restart happened whose answer was lost, without asking a person",
        read=GraphStatus.AUDIT_LOG_READ,
        unreadable=GraphStatus.AUDIT_LOG_UNREADABLE,
    ),
    EvidencePermission(
        name="SynchronizationMetadata.Read.All",
        parameter="readLinks",
        buys="the stored link itself (objectConnections, preview), where a target has that on",
        read=GraphStatus.OBJECT_CONNECTIONS_READ,
        unreadable=GraphStatus.OBJECT_CONNECTIONS_UNREADABLE,
    ),
)

EVIDENCE: Final = frozenset(mood for each in PERMISSIONS for mood in (each.read, each.unreadable))
"""Moods that tell of a permission alone, and not of how Graph is."""


def how_to_grant(name: str) -> str:
    """What to do where *name* is missing, with the parameter where there is one."""
    parameters = {each.name: each.parameter for each in PERMISSIONS}
    by = f" (parameter {parameters[name]} of infra/graph)" if name in parameters else ""
    return f"grant {name} to the app's identity{by}"


class Granted(Struct, frozen=True, kw_only=True):
    """A permission with what Graph's last answer says about it."""

    permission: EvidencePermission
    grant: Grant

    def __str__(self) -> str:
        each = self.permission
        if self.grant is Grant.GRANTED:
            return f"{each.name} is granted: {each.buys}"
        return (
            f"{each.name} is {self.grant}; it would show {each.buys} "
            f"(parameter {each.parameter} of infra/graph)"
        )


def granted(seen: Iterable[GraphObservation]) -> tuple[Granted, ...]:
    """Judge each permission by the later of the two answers that tell of it."""
    moods = {each.mood: each.at for each in seen}
    found = []
    for permission in PERMISSIONS:
        read, refused = moods.get(permission.read), moods.get(permission.unreadable)
        if refused is not None and (read is None or refused > read):
            grant = Grant.MISSING
        else:
            grant = Grant.NOT_SEEN if read is None else Grant.GRANTED
        found.append(Granted(permission=permission, grant=grant))
    return tuple(found)
