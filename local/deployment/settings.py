"""
`python -m local.deployment.settings`: whether what is about to be deployed is a valid app.

Asks `shared.config`, as the app will, about the settings that the template makes of this
environment.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from local.bicep import ROOT
from local.deployment.report import Line, Verdict, conclude
from shared.config import Settings
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
    "NOTIFIERS",
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

# Where the template puts an address that only Azure knows, or a reference into the vault.
_LATER: Final[Mapping[str, str]] = {
    f"{CONNECTION}__queueServiceUri": "https://known-later.queue.core.windows.net/",
    f"{CONNECTION}__tableServiceUri": "https://known-later.table.core.windows.net/",
}
_IN_THE_VAULT: Final = ("WEBHOOK_SECRETS", "HEALTH_KEY")


def app_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What the app will find; a stray ResetStorage of this machine has no part in it."""
    return {name: environ[name] for name in CHOSEN if environ.get(name)} | dict(_LATER)


def check(environ: Mapping[str, str]) -> list[Line]:
    missing = [name for name in NEEDED if not environ.get(name, "").strip()]
    lines = [
        Line(verdict=Verdict.WRONG, what=name, says=f"missing; give {NEEDED[name]}")
        for name in missing
    ]
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    for problem in settings.problems:
        name, _, says = problem.partition(": ")
        if name in missing or name in _IN_THE_VAULT:
            continue
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
    lines += _secrets(environ)
    return lines


def _secrets(environ: Mapping[str, str]) -> list[Line]:
    """Which secrets are expected; what the vault holds is not looked at."""
    try:
        senders = json.loads(environ.get("WEBHOOK_SENDERS") or "{}")
    except ValueError:
        return []
    if not isinstance(senders, dict) or not senders:
        return []
    names = ", ".join(sorted(senders))
    return [
        Line(
            verdict=Verdict.NOT_CHECKED,
            what="secret webhook-secrets",
            says=f"must hold secrets for {names}; docs/deploy.md says how to put them in",
        )
    ]


if __name__ == "__main__":
    print("Settings, as the app will read them:")
    sys.exit(conclude(check(os.environ)))
