"""The targets that may be reset, and nothing else may: RESET_TARGETS. Pure."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from shared.domain.errors import SettingsError
from shared.domain.quarantine import RESTART_HELPS
from shared.domain.requests import RESERVED
from shared.domain.setting_json import decode_entries
from shared.domain.wording import nearest

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LONGEST: Final = timedelta(days=400)
"""Of any duration in an entry: arithmetic on far longer ones leaves the calendar."""

_JOB_ID: Final = re.compile(r"[A-Za-z0-9._-]{0,255}")


class Approval(StrEnum):
    NEVER = "never"
    ALWAYS = "always"
    AUTOMATIC = "automatic"


class RemediateScope(StrEnum):
    QUARANTINE = "quarantine"
    FULL = "full"


class Remediate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    after: timedelta = timedelta(hours=2)
    scope: RemediateScope = RemediateScope.QUARANTINE
    reasons: tuple[str, ...] = ("EncounteredEscrowProportionThreshold",)
    stale_links: Annotated[int, Meta(ge=1)] | None = None


class Target(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """One entry; `job_id` is empty where the service principal has exactly one job."""

    service_principal_id: str
    job_id: str = ""
    cooldown: timedelta = timedelta(days=1)
    approval: Approval = Approval.NEVER
    approve_above: Annotated[int, Meta(ge=0)] | None = None
    approvers: Annotated[int, Meta(ge=1, le=2)] = 1
    remediate: Remediate | None = None
    schedule: timedelta | None = None
    notify: str = ""
    object_connections: bool = False
    provision_on_demand: bool = False


Catalogue = Mapping[str, Target]


def parse_catalogue(text: str) -> Catalogue:
    """Raise SettingsError naming the entry and the remedy; an empty catalogue allows nothing."""
    example = '{"alias": {"servicePrincipalId": "…"}}'
    found = decode_entries("RESET_TARGETS", text, Target, example=example)
    for alias, target in found.items():
        _check(alias, target)
    _refuse_twins(found)
    return found


def _check(alias: str, target: Target) -> None:
    if alias in RESERVED:
        raise SettingsError(
            f"RESET_TARGETS: alias {alias!r} is not allowed; choose another one than "
            f"{', '.join(sorted(RESERVED))}"
        )
    if not _GUID.fullmatch(target.service_principal_id):
        raise SettingsError(
            f"RESET_TARGETS: {alias}.servicePrincipalId is no GUID; give the object id of the "
            "enterprise application (not its application id)"
        )
    if not _JOB_ID.fullmatch(target.job_id):
        raise SettingsError(f"RESET_TARGETS: {alias}.jobId has characters that no job id has")
    for name, span in (("cooldown", target.cooldown), ("schedule", target.schedule)):
        if span is not None and span < timedelta(0):
            raise SettingsError(f"RESET_TARGETS: {alias}.{name} is negative; give a duration")
        if span is not None and span > LONGEST:
            raise SettingsError(f"RESET_TARGETS: {alias}.{name} is over {LONGEST.days} days")
    if target.schedule is not None and target.schedule < timedelta(hours=1):
        raise SettingsError(f"RESET_TARGETS: {alias}.schedule is under an hour; give PT1H or more")
    if target.remediate is not None:
        _check_remediate(alias, target.remediate)


def _check_remediate(alias: str, remediate: Remediate) -> None:
    if remediate.after < timedelta(0):
        raise SettingsError(f"RESET_TARGETS: {alias}.remediate.after is negative; give a duration")
    if remediate.after > LONGEST:
        raise SettingsError(f"RESET_TARGETS: {alias}.remediate.after is over {LONGEST.days} days")
    for reason in remediate.reasons:
        if reason not in RESTART_HELPS:
            raise SettingsError(
                f"RESET_TARGETS: {alias}.remediate.reasons: one of them is nothing that a "
                f"timer may clear; use any of {', '.join(sorted(RESTART_HELPS))}"
            )


def _refuse_twins(found: Catalogue) -> None:
    jobs: dict[str, dict[str, str]] = {}
    for alias, target in found.items():
        same = jobs.setdefault(target.service_principal_id.lower(), {})
        job = target.job_id.casefold()
        if same and ("" in same or not job or job in same):
            other = next(iter(same.values()))
            raise SettingsError(
                f"RESET_TARGETS: {alias} and {other} name one service principal; "
                "give each a jobId of its own"
            )
        same[job] = alias


def unknown_target(alias: str, catalogue: Catalogue) -> str:
    """The complaint about an alias that is not listed, with those that are."""
    near = nearest(alias, catalogue)
    guess = f"; did you mean {near!r}?" if near else ""
    known = ", ".join(sorted(catalogue)[:50]) or "none (the catalogue is empty)"
    return f"target: {alias!r} is not in the catalogue; known targets: {known}{guess}"
