"""Lists service principals with provisioning jobs, and catalogue entries (`make targets`)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.folding import note
from local.screen import Records, Screen
from local.session import Progress, job_document, open_gateway, size_of, state_of
from local.tenant import JobsFound, ServicePrincipalJobs, TenantGateway
from shared.config import Settings
from shared.domain.catalogue import Catalogue
from shared.domain.errors import Rejected
from shared.domain.requests import RESERVED
from shared.domain.sync_job import SyncJob

LONGEST_ALIAS: Final = 63
HEADER: Final = ("NAME", "OBJECT ID", "JOB ID", "STATE", "ENTRIES", "ALIAS", "LISTED")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A job, its alias in the catalogue or one made for it, and the entry to go with it."""

    principal: ServicePrincipalJobs
    job: SyncJob
    alias: str
    entry: Mapping[str, str]
    listed: bool


def lines(found: JobsFound, catalogue: Catalogue) -> list[Line]:
    """A line for each job; aliases that are taken are not given again."""
    taken = set(catalogue) | RESERVED
    return list(_lines(found, catalogue, taken))


def _lines(found: JobsFound, catalogue: Catalogue, taken: set[str]) -> Iterator[Line]:
    for principal in found.service_principals:
        for job in principal.jobs:
            only = len(principal.jobs) == 1
            entry = {"servicePrincipalId": principal.id} | ({} if only else {"jobId": job.id})
            listed = _alias_of(principal, job, catalogue)
            alias = listed or _new_alias(principal.name, taken)
            taken.add(alias)
            yield Line(principal=principal, job=job, alias=alias, entry=entry, listed=bool(listed))


def _alias_of(principal: ServicePrincipalJobs, job: SyncJob, catalogue: Catalogue) -> str:
    named = {job.id, ""} if len(principal.jobs) == 1 else {job.id}
    for alias, target in catalogue.items():
        same = target.service_principal_id.lower() == principal.id.lower()
        if same and target.job_id in named:
            return alias
    return ""


def ambiguous(found: JobsFound, catalogue: Catalogue) -> list[str]:
    """Aliases without a jobId, whose service principal has several jobs."""
    several = {sp.id.lower() for sp in found.service_principals if len(sp.jobs) > 1}
    return [
        alias
        for alias, target in catalogue.items()
        if not target.job_id and target.service_principal_id.lower() in several
    ]


def _new_alias(name: str, taken: set[str]) -> str:
    """The name in the letters that an alias may have; numbered where that is taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "target"
    alias, number = plain[:LONGEST_ALIAS].rstrip("-"), 1
    while alias in taken:
        number += 1
        end = f"-{number}"
        alias = plain[: LONGEST_ALIAS - len(end)].rstrip("-") + end
    return alias


def as_records(found: JobsFound, shown: list[Line]) -> Records:
    rows = [
        (
            line.principal.name,
            line.principal.id,
            line.job.id,
            state_of(line.job),
            size_of(line.job),
            line.alias,
            "yes" if line.listed else "no",
        )
        for line in shown
    ]
    rows += [
        (principal.name, principal.id, "", "cannot be read", "", "", "")
        for principal in found.service_principals
        if principal.problem
    ]
    return Records(
        header=HEADER,
        rows=rows,
        ids=frozenset({"OBJECT ID", "JOB ID", "ALIAS"}),
        states=frozenset({"STATE"}),
    )


def as_json(found: JobsFound, shown: list[Line]) -> str:
    return json.dumps(_document(found, shown), indent=2, ensure_ascii=False)


def _document(found: JobsFound, shown: list[Line]) -> dict[str, Any]:
    return {
        "lookedAt": found.looked_at,
        "problem": found.problem,
        "servicePrincipals": [
            {
                "id": principal.id,
                "appId": principal.app_id,
                "name": principal.name,
                "problem": principal.problem,
                "jobs": [
                    job_document(line.job) | {"alias": line.alias, "listed": line.listed}
                    for line in shown
                    if line.principal is principal
                ],
            }
            for principal in found.service_principals
        ],
        "catalogue": entries(shown),
    }


def entries(shown: list[Line]) -> dict[str, Mapping[str, str]]:
    """What could be added to RESET_TARGETS."""
    return {line.alias: line.entry for line in shown if not line.listed}


async def targets(settings: Settings, *, screen: Screen, machine: bool) -> None:
    async with open_gateway(settings, TenantGateway) as graph:
        progress = Progress("service principals looked at")
        found = await graph.service_principals_with_jobs(progress=progress)
    unread = [principal for principal in found.service_principals if principal.problem]
    if unread and len(unread) == len(found.service_principals):
        raise Rejected(unread[0].problem, status=0)
    shown = lines(found, settings.catalogue or {})
    if machine:
        print(as_json(found, shown))
    else:
        _print(found, shown, screen)
    _notes(settings, found, unread)


def _print(found: JobsFound, shown: list[Line], screen: Screen) -> None:
    if not found.service_principals:
        print(f"None of {found.looked_at} service principals has a provisioning job.")
        return
    print(as_records(found, shown).shown(screen))
    if new := entries(shown):
        print("\nEntries for RESET_TARGETS (only what is listed there may be reset):\n")
        for line in json.dumps(new, indent=2, ensure_ascii=False).splitlines():
            print(_within(line, screen.width))


def _within(line: str, width: int | None) -> str:
    """Put a long value on a line of its own, where it is still the same JSON."""
    if width is None or len(line) <= width:
        return line
    name, colon, value = line.partition(": ")
    return f"{name}:\n{value}" if colon else line


def _notes(settings: Settings, found: JobsFound, unread: list[ServicePrincipalJobs]) -> None:
    for principal in unread:
        note(f"{principal.name} ({principal.id}) cannot be read: {principal.problem}")
    if found.problem:
        note(f"Not all are shown: {found.problem}")
    for alias in ambiguous(found, settings.catalogue or {}):
        note(
            f"RESET_TARGETS: {alias} names a service principal with several jobs, so that it is "
            "refused; give it a jobId"
        )
    for why in settings.problems:
        if why.startswith("RESET_TARGETS") and "missing" not in why:
            note(f"LISTED is not known: {why}")
