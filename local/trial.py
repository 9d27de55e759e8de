"""
Builds what a trial on this machine needs: a tenant in real time, and the settings of the app.

The packaged seed is made to be watched at 60 times the real speed, where the dates of Graph and
those of the app drift apart. Here the same cycles take the same time at speed 1, and the two logs
show their rows after two seconds.
"""

import json
from pathlib import Path
from typing import Any, Final

from local.emulator.seed import PACKAGED

SPEED_OF_SEED: Final = 60
SALESFORCE: Final = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"


def seed() -> dict[str, Any]:
    """Return the packaged seed in real time."""
    state: dict[str, Any] = json.loads(PACKAGED.read_text(encoding="utf-8"))
    state |= {"clock": {"speed": 1}, "auditDelay": 2, "provisioningLogDelay": 2}
    for principal in state["servicePrincipals"]:
        for job in principal["jobs"]:
            job["secondsPerUser"] = job.get("secondsPerUser", 1) / SPEED_OF_SEED
    return state


def write_seed(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trial-seed.json"
    path.write_text(json.dumps(seed()), encoding="utf-8")
    return path


def catalogue() -> dict[str, dict[str, Any]]:
    """Every job of the seed under an alias; the second of two asks a person."""
    entries: dict[str, dict[str, Any]] = {}
    for principal in seed()["servicePrincipals"]:
        alias = str(principal["displayName"]).lower().replace(" ", "-")
        if principal["id"] == SALESFORCE:
            alias = "salesforce-prod"
        jobs = principal["jobs"]
        for number, job in enumerate(jobs, start=1):
            name = alias if len(jobs) == 1 else f"{alias}-{number}"
            entries[name] = {
                "servicePrincipalId": principal["id"],
                "cooldown": "PT0S",
                "notify": "desk",
                "approval": "always" if number > 1 else "never",
            } | ({} if len(jobs) == 1 else {"jobId": job["id"]})
    return entries
