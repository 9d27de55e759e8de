"""
`python -m local.deployment.settings`: whether what is about to be deployed is a valid app.

Asks `shared.config`, as the app will, about the settings that the template makes of this
environment.
"""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from local.bicep import ROOT
from local.deployment.report import Line, Verdict, conclude
from shared.config import SIGN_IN, Settings
from shared.domain.approvability import Gap, gaps
from shared.names import CONNECTION

CHOSEN: Final = (
    "RESET_TARGETS",
    "RESETS_ENABLED",
    "RESET_DAILY_BUDGET",
    "RESET_MAX_AGE",
    "RESET_MAX_OPEN",
    "APPROVAL_EXPIRY",
    "APPROVAL_VALID",
    "FOLLOW_UP_INTERVAL",
    "RESET_RETENTION",
    "SWEEP_SCHEDULE",
    "REMEDIATION_SCHEDULE",
    "WEBHOOK_SENDERS",
    "GRAPH_ENDPOINT",
    "PUBLIC_URL",
)
"""What infra/main.bicepparam reads from the environment, for the app's setting of that name."""

NEEDED: Final[Mapping[str, str]] = {
    "AZURE_ENV_NAME": "a short name for this environment, for example prod",
    "AZURE_LOCATION": "a region that has Flex Consumption, for example westeurope",
    "ALERT_EMAILS": "who is told when something needs a person, separated by commas",
    "RESET_TARGETS": "the catalogue of what may be reset; `make targets` writes entries",
}

ONE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "ALERTS_ON",
            "AUDIT_ACCESS",
            "AUDIT_BLOBS",
            "FORBID_PUBLISHING_CREDENTIALS",
            "LOCK_STORAGE",
            "NAT_GATEWAY",
            "PRIVATE_NETWORK",
            "PURGE_PROTECTION",
            "RESOURCE_GROUP_EXISTS",
            "SIGN_IN_REQUIRED",
            "ZONE_REDUNDANT",
        ),
        ("true", "false"),
    ),
    "RESETS_ENABLED": ("true", "false", ""),
    "INSTANCE_MEMORY_MB": ("512", "2048", "4096"),
    "REMEDIATION_MAY_BE_SILENT": ("PT30M", "PT45M", "PT1H", "PT2H", "PT6H", "P1D", "P2D"),
    "AZURE_PRINCIPAL_TYPE": ("", "User", "Group", "ServicePrincipal"),
}
"""What the template takes where it is given; the platform would say so only in its own words."""

NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "ALWAYS_READY_HTTP": (0, 1000),
    "ALWAYS_READY_SWEEP": (0, 1000),
    "AUDIT_RETENTION_DAYS": (30, 730),
    "LOG_DAILY_QUOTA_GB": (1, 4000),
    "LOG_RETENTION_DAYS": (30, 730),
    "MAXIMUM_INSTANCE_COUNT": (1, 1000),
    "MONTHLY_BUDGET": (0, 1_000_000),
}
"""Least and most of what the template takes as a number."""

NAMES: Final = frozenset(
    {
        "actionGroup",
        "app",
        "auditWorkspace",
        "budget",
        "component",
        "identity",
        "network",
        "plan",
        "storage",
        "vault",
        "workspace",
    }
)
"""What RESOURCE_NAMES may name."""

_FEW_INSTANCES: Final = 40

# Where the template puts an address that only Azure knows, or a reference into the vault.
_LATER: Final[Mapping[str, str]] = {
    f"{CONNECTION}__queueServiceUri": "https://known-later.queue.core.windows.net/",
    f"{CONNECTION}__tableServiceUri": "https://known-later.table.core.windows.net/",
}


def _some_secret(name: str) -> str:
    """A secret that every scheme takes; no two senders share one."""
    return "whsec_" + base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def app_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What the app will find; a stray ResetStorage of this machine has no part in it."""
    chosen = {name: environ[name] for name in CHOSEN if environ.get(name)}
    found = chosen | dict(_LATER)
    if environ.get("SIGN_IN_CLIENT_ID"):
        found[SIGN_IN] = "True"
    names = sender_names(chosen.get("WEBHOOK_SENDERS", ""))
    if names:
        # What the vault holds is not read from here: something of the right form stands for it.
        found["WEBHOOK_SECRETS"] = json.dumps({name: [_some_secret(name)] for name in names})
    return found


def sender_names(given: str) -> tuple[str, ...]:
    """The senders' names; none where the app will not be able to read them either."""
    try:
        path = ROOT / given.removeprefix("@").strip()
        text = path.read_text(encoding="utf-8") if given.strip().startswith("@") else given
        found = json.loads(text or "{}")
    except (OSError, ValueError):
        return ()
    return tuple(sorted(found)) if isinstance(found, dict) else ()


def check(environ: Mapping[str, str]) -> list[Line]:
    missing = [name for name in NEEDED if not environ.get(name, "").strip()]
    lines = [
        Line(verdict=Verdict.WRONG, what=name, says=f"missing; give {NEEDED[name]}")
        for name in missing
    ]
    lines += [
        Line(
            verdict=Verdict.WRONG, what=name, says=f"{environ[name]!r} is none of {_list(allowed)}"
        )
        for name, allowed in ONE_OF.items()
        if environ.get(name, allowed[0]) not in allowed
    ]
    lines += [*_numbers(environ), *_names(environ), *_network(environ)]
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    for problem in settings.problems:
        name, _, says = problem.partition(": ")
        if name not in missing:
            lines.append(Line(verdict=Verdict.WRONG, what=name, says=says.replace("\n", " ")))
    if not any(line.verdict is Verdict.WRONG for line in lines):
        targets = ", ".join(sorted(settings.catalogue or {}))
        lines.append(Line(verdict=Verdict.GOOD, what="settings", says=f"targets: {targets}"))
        if not settings.enabled:
            lines.append(
                Line(
                    verdict=Verdict.MISSING,
                    what="RESETS_ENABLED",
                    says="not true, so that no restart will be sent; requests will wait",
                )
            )
        lines += [_gap(gap) for gap in gaps(settings.catalogue or {}, sign_in=settings.sign_in)]
    if environ.get("NOTIFIERS"):
        lines.append(
            Line(
                verdict=Verdict.NOT_CHECKED,
                what="NOTIFIERS",
                says="not read from here; put it into the vault (docs/operate/deploy.md)",
            )
        )
    return [*lines, *_senders(environ)]


def _gap(gap: Gap) -> Line:
    """Where an approval could not be given the deployment works, and says so."""
    what = f"approvals of {gap.alias}" if gap.alias else "approvals"
    return Line(verdict=Verdict.MISSING, what=what, says=gap.words)


def _wrong(name: str, says: str) -> Line:
    return Line(verdict=Verdict.WRONG, what=name, says=says)


def _numbers(environ: Mapping[str, str]) -> list[Line]:
    lines = []
    for name, (least, most) in NUMBERS.items():
        value = environ.get(name, str(least))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            lines.append(_wrong(name, f"{value!r} is not a number from {least} to {most}"))
        elif name == "MAXIMUM_INSTANCE_COUNT" and name in environ and int(value) < _FEW_INSTANCES:
            says = "some regions refuse fewer than 40; leave it out if provisioning fails"
            lines.append(Line(verdict=Verdict.NOT_CHECKED, what=name, says=says))
    return lines


def _names(environ: Mapping[str, str]) -> list[Line]:
    """RESOURCE_NAMES and RESOURCE_TAGS: what a typing mistake would leave unused."""
    lines = []
    for variable in ("RESOURCE_NAMES", "RESOURCE_TAGS"):
        try:
            found = json.loads(environ.get(variable, "") or "{}")
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            lines.append(_wrong(variable, 'must be a JSON object of texts, {"name": "value"}'))
        elif variable == "RESOURCE_NAMES" and (unknown := found.keys() - NAMES):
            says = f"{', '.join(sorted(unknown))} is none of {', '.join(sorted(NAMES))}"
            lines.append(_wrong(variable, says))
    if environ.get("RESOURCE_GROUP_EXISTS") == "true" and not environ.get("RESOURCE_GROUP_NAME"):
        lines.append(_wrong("RESOURCE_GROUP_NAME", "missing; give the group that exists"))
    logs, audit = environ.get("LOG_WORKSPACE_ID", ""), environ.get("AUDIT_WORKSPACE_ID", "")
    if logs and logs.lower() == audit.lower():
        says = "is LOG_WORKSPACE_ID as well; who fills its cap would silence the audit"
        lines.append(_wrong("AUDIT_WORKSPACE_ID", says))
    return lines


def _network(environ: Mapping[str, str]) -> list[Line]:
    subnets = [environ.get(name, "") for name in ("APP_SUBNET_ID", "ENDPOINT_SUBNET_ID")]
    lines = []
    if any(subnets) and not all(subnets):
        lines.append(_wrong("APP_SUBNET_ID", "give ENDPOINT_SUBNET_ID as well, or neither"))
    if any(subnets) and environ.get("PRIVATE_NETWORK") != "true":
        lines.append(_wrong("PRIVATE_NETWORK", "must be true where a subnet is given"))
    dns = environ.get("PRIVATE_DNS", "own")
    if dns not in {"own", "none"} and not dns.startswith("/subscriptions/"):
        says = f"{dns!r} is neither own, none nor the id of a resource group (/subscriptions/…)"
        lines.append(_wrong("PRIVATE_DNS", says))
    return lines


def _list(allowed: tuple[str, ...]) -> str:
    return ", ".join(value for value in allowed if value)


def _senders(environ: Mapping[str, str]) -> list[Line]:
    """What the template and the vault must know of the senders, and cannot be seen from here."""
    names = list(sender_names(environ.get("WEBHOOK_SENDERS", "")))
    if not names:
        return []
    lines = [
        Line(
            verdict=Verdict.NOT_CHECKED,
            what="secret webhook-secrets",
            says=f"must hold secrets for {', '.join(names)}; see docs/operate/deploy.md",
        )
    ]
    # The compiler cannot read a file whose name comes from the environment.
    open_to = environ.get("WEBHOOK_SENDER_NAMES", "").split(",")
    is_file = environ.get("WEBHOOK_SENDERS", "").strip().startswith("@")
    if environ.get("SIGN_IN_CLIENT_ID") and is_file and sorted(open_to) != names:
        says = f"must be {','.join(names)}, or sign-in keeps these senders out"
        lines.append(Line(verdict=Verdict.WRONG, what="WEBHOOK_SENDER_NAMES", says=says))
    return lines


if __name__ == "__main__":
    print("Settings, as the app will read them:")
    sys.exit(conclude(check(os.environ)))
