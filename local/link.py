"""Shows to which account a user is linked, and which the matching attributes would find."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from local.errors import Failed
from local.screen import Records, Screen
from local.session import open_gateway
from shared.adapters.graph.gateway import GraphGateway
from shared.bootstrap import utc_now
from shared.config import Settings
from shared.domain.catalogue import Target
from shared.domain.links import (
    MatchingAttribute,
    StoredLink,
    link_before,
    matched_differently,
    object_id_of,
    with_values,
)
from shared.domain.ports import Graph, LinkGraph

REACHES_BACK: Final = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What Graph tells of one user's link; `problems` say what could not be read, and why."""

    user: str
    target: str
    object_id: str = ""
    stored: StoredLink | None = None
    matching: Sequence[MatchingAttribute] = ()
    differs: str = ""
    problems: Sequence[str] = ()


async def inspect(
    graph: Graph, links: LinkGraph, alias: str, target: Target, user: str
) -> Inspection:
    """Read user, schema and link; nothing is changed."""
    job = await graph.read_job(target.service_principal_id, target.job_id)
    mappings = await links.mappings(target.service_principal_id, job.id)
    given = object_id_of(user)
    subject = await links.find_user(given or user, [each.source for each in mappings.matching])
    object_id = subject.object_id or given
    problems = [subject.problem, mappings.problem]
    stored, differs = None, ""
    if object_id and target.object_connections:
        connection = await links.object_connection(target.service_principal_id, job.id, object_id)
        stored = connection.link
        problems.append(connection.problem)
    if object_id:
        page = await links.provisioning_page(
            job.id, since=utc_now() - REACHES_BACK, user_id=object_id
        )
        stored = stored or link_before(page.entries, object_id)
        differs = matched_differently(page.entries, object_id)
        problems.append(page.problem)
        if stored is None and not page.problem:
            problems.append("no row of the provisioning logs of the last 30 days names this user")
    return Inspection(
        user=user,
        target=alias,
        object_id=object_id,
        stored=stored,
        matching=with_values(mappings.matching, subject.attributes),
        differs=differs,
        problems=[each for each in problems if each],
    )


def as_records(found: Inspection) -> Records:
    """One card: the link, since when, how known, what would match, what to change first."""
    stored = found.stored
    rows = [
        ("user", found.user),
        ("object id", found.object_id or "not known"),
        ("target", found.target),
        ("linked to", stored.target_id if stored else "not known"),
        ("seen", f"{stored.at:%Y-%m-%d %H:%M} UTC" if stored and stored.at else ""),
        ("read from", str(stored.origin) if stored else ""),
        *(("matched by", f"{each.priority}. {each}") for each in found.matching),
        ("would change", found.differs),
        ("change first", _change_first(found)),
        *(("not known", problem) for problem in found.problems),
    ]
    shown = [row for row in rows if row[1]]
    return Records(
        header=tuple(name for name, _ in shown), rows=[tuple(value for _, value in shown)]
    )


def _change_first(found: Inspection) -> str:
    if not found.matching or found.stored is None or found.differs:
        return ""
    able = [each for each in found.matching if each.value != ""]
    if not able:
        return ""
    names = " and ".join(dict.fromkeys(each.target for each in able))
    value = able[0].value if len(able) == 1 and able[0].value else "the value above"
    return (
        f"{names} of account {found.stored.target_id}, wherever it equals {value}: else a full "
        "reset links to the same account again"
    )


def as_json(found: Inspection) -> str:
    stored = found.stored
    document: dict[str, Any] = {
        "user": found.user,
        "target": found.target,
        "objectId": found.object_id or None,
        "linkedTo": stored.target_id if stored else None,
        "seenAt": stored.at.isoformat() if stored and stored.at else None,
        "readFrom": str(stored.origin) if stored else None,
        "matching": [
            {
                "priority": each.priority,
                "source": each.source,
                "target": each.target,
                "value": each.value,
            }
            for each in found.matching
        ],
        "wouldChange": found.differs or None,
        "changeFirst": _change_first(found) or None,
        "problems": list(found.problems),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


async def link_and_print(
    settings: Settings, *, user: str, alias: str, screen: Screen, machine: bool
) -> None:
    if settings.catalogue is None:
        bad = (why for why in settings.problems if why.startswith("RESET_TARGETS"))
        raise Failed(next(bad, "RESET_TARGETS: cannot be read"))
    target = settings.catalogue.get(alias)
    if target is None:
        known = ", ".join(sorted(settings.catalogue)) or "none"
        raise Failed(f"target: {alias!r} is not in RESET_TARGETS; known are {known}")
    async with open_gateway(settings, GraphGateway) as gateway:
        found = await inspect(gateway, gateway.links(), alias, target, user)
    print(as_json(found) if machine else as_records(found).card(screen))
