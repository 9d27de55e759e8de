"""
`python -m local.deployment.settings`: whether what is about to be deployed is a valid app.

Asks `shared.config`, as the app will, about the settings that the template makes of this
environment.
"""

import base64
import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from local.bicep import ROOT
from local.deployment.report import Line, Verdict, conclude
from shared.config import SIGN_IN, Settings
from shared.names import CONNECTION

CHOSEN: Final = (
    "RESET_TARGETS",
    "RESETS_ENABLED",
    "RESET_DAILY_BUDGET",
    "RESET_MAX_AGE",
    "APPROVAL_EXPIRY",
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
        ("ALERTS_ON", "PRIVATE_NETWORK", "ZONE_REDUNDANT", "LOCK_STORAGE", "AUDIT_ACCESS"),
        ("true", "false"),
    ),
    "RESETS_ENABLED": ("true", "false", ""),
    "INSTANCE_MEMORY_MB": ("512", "2048", "4096"),
    "REMEDIATION_MAY_BE_SILENT": ("PT30M", "PT45M", "PT1H", "PT2H", "PT6H", "P1D", "P2D"),
    "AZURE_PRINCIPAL_TYPE": ("User", "Group", "ServicePrincipal"),
}
"""What the template takes where it is given; the platform would say so only in its own words."""

# Where the template puts an address that only Azure knows, or a reference into the vault.
_LATER: Final[Mapping[str, str]] = {
    f"{CONNECTION}__queueServiceUri": "https://known-later.queue.core.windows.net/",
    f"{CONNECTION}__tableServiceUri": "https://known-later.table.core.windows.net/",
}
_SOME_SECRET: Final = "whsec_" + base64.b64encode(bytes(32)).decode()


def app_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What the app will find; a stray ResetStorage of this machine has no part in it."""
    chosen = {name: environ[name] for name in CHOSEN if environ.get(name)}
    found = chosen | dict(_LATER)
    if environ.get("SIGN_IN_CLIENT_ID"):
        found[SIGN_IN] = "True"
    names = sender_names(chosen.get("WEBHOOK_SENDERS", ""))
    if names:
        # What the vault holds is not read from here: something of the right form stands for it.
        found["WEBHOOK_SECRETS"] = json.dumps({name: [_SOME_SECRET] for name in names})
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
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    for problem in settings.problems:
        name, _, says = problem.partition(": ")
        if name not in missing:
            lines.append(Line(verdict=Verdict.WRONG, what=name, says=says.replace("\n", " ")))
    if not lines:
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
    if environ.get("NOTIFIERS"):
        lines.append(
            Line(
                verdict=Verdict.NOT_CHECKED,
                what="NOTIFIERS",
                says="not read from here; put it into the vault (docs/operate/deploy.md)",
            )
        )
    return [*lines, *_senders(environ)]


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
