"""
`python -m local.deployment.permissions`: grant the app's identity what it needs in Microsoft Graph.

The same as infra/graph/main.bicep, for who has the rights and no way to the extension. `--show`
changes nothing.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from local.bicep import ROOT
from local.deployment.directory import Directory, DirectoryError, signed_in
from local.deployment.report import Line, Verdict, conclude
from local.deployment.settings import app_settings
from shared.config import Settings

Opened = Callable[[str], AbstractAsyncContextManager[Directory]]
"""Opens the directory of the Graph at an address."""

TENANT: Final = "Synchronization.ReadWrite.All"
OWNED: Final = "Application.ReadWrite.OwnedBy"

GRANTS: Final = "GRANT_GRAPH_PERMISSIONS"
"""`true`: the hook after provisioning grants what is missing, where the deployer may."""

OPTIONAL: Final[Mapping[str, tuple[str, str]]] = {
    "GRAPH_READ_PROVISIONING_LOGS": (
        "ProvisioningLog.Read.All",
        "links can be seen neither before nor after, nor stale ones (remediate.staleLinks)",
    ),
    "GRAPH_READ_AUDIT_LOGS": (
        "AuditLog.Read.All",
        "a restart whose answer was lost may need a person to say whether it happened",
    ),
    "GRAPH_READ_USERS": (
        "User.Read.All",
        "a subject must be given by object id, and its matching attributes are not shown",
    ),
    "GRAPH_READ_LINKS": (
        "SynchronizationMetadata.Read.All",
        "the stored link of one account (objectConnections, beta) cannot be read",
    ),
}
"""Switch -> permission, and what is missing without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What this environment is to be granted."""

    principal_id: str
    permissions: tuple[str, ...]
    owned: Mapping[str, str] = field(default_factory=dict)
    """Alias -> service principal; only with Application.ReadWrite.OwnedBy."""

    @property
    def access(self) -> str:
        """The one permission without which no job can be read."""
        return self.permissions[0]


def wanted(environ: Mapping[str, str]) -> Wanted:
    access = environ.get("GRAPH_ACCESS") or TENANT
    if access not in {TENANT, OWNED}:
        raise DirectoryError(f"GRAPH_ACCESS: {access!r} is neither {TENANT} nor {OWNED}")
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    targets = settings.catalogue or {}
    return Wanted(
        principal_id=environ.get("RELINK_IDENTITY_PRINCIPAL_ID", ""),
        permissions=(
            access,
            *(p for switch, (p, _) in OPTIONAL.items() if environ.get(switch) == "true"),
        ),
        owned={a: t.service_principal_id for a, t in targets.items()} if access == OWNED else {},
    )


async def look(directory: Directory, wish: Wanted) -> list[Line]:
    """One line a permission and an ownership."""
    held = await directory.permissions(wish.principal_id)
    lines = [
        Line(verdict=Verdict.GOOD, what=name)
        if name in held
        else Line(verdict=Verdict.MISSING, what=name, says=_without(name))
        for name in wish.permissions
    ]
    for alias, service_principal_id in wish.owned.items():
        is_owner = wish.principal_id in await directory.owners(service_principal_id)
        lines.append(
            Line(
                verdict=Verdict.GOOD if is_owner else Verdict.MISSING,
                what=f"owner of {alias}",
                says="" if is_owner else "its restarts will be refused",
            )
        )
    more = sorted(held - set(wish.permissions))
    if more:
        lines.append(Line(verdict=Verdict.BEYOND, what=", ".join(more), says=_TAKE_AWAY))
    return lines


async def grant(directory: Directory, wish: Wanted) -> list[Line]:
    """Grant what is missing; repeating it changes nothing."""
    held = await directory.permissions(wish.principal_id)
    for name in wish.permissions:
        if name not in held:
            await directory.grant(wish.principal_id, name)
    for service_principal_id in wish.owned.values():
        if wish.principal_id not in await directory.owners(service_principal_id):
            await directory.make_owner(service_principal_id, wish.principal_id)
    return await look(directory, wish)


_TAKE_AWAY: Final = (
    "held and not asked for by this environment; take it away (Entra: Enterprise applications, the "
    "identity, Permissions), or set the switch that asks for it (docs/operate/deploy.md, step 5)"
)


def _without(permission: str) -> str:
    lost = next((lost for name, lost in OPTIONAL.values() if name == permission), "")
    return lost or "no job can be read or restarted until it is granted"


HOW: Final = (
    "to grant it, as Privileged Role Administrator: python infra/hooks/permissions.py, or by "
    "infra/graph (docs/operate/deploy.md, step 5)"
)


def endpoint(environ: Mapping[str, str]) -> str:
    return environ.get("GRAPH_ENDPOINT") or "https://graph.microsoft.com"


async def after_provisioning(environ: Mapping[str, str], opened: Opened) -> list[Line]:
    """
    Look, and grant where that is asked for; nothing of it makes a provisioning red.

    Before code goes out no token was spent, so that a grant made now counts at once.
    """
    what = "permissions in Microsoft Graph"
    try:
        wish = wanted(environ)
        if not wish.principal_id:
            raise DirectoryError("RELINK_IDENTITY_PRINCIPAL_ID: missing; provision first")
        grants = environ.get(GRANTS, "") == "true"
        async with opened(endpoint(environ)) as directory:
            lines = await (grant if grants else look)(directory, wish)
    except DirectoryError as error:
        return [Line(verdict=Verdict.NOT_CHECKED, what=what, says=str(error))]
    if any(line.verdict is Verdict.MISSING for line in lines):
        says = f"{HOW}. Best before code is deployed: a token without it lasts about a day"
        lines.append(Line(verdict=Verdict.MISSING, what="how", says=says))
    return lines


async def run(environ: Mapping[str, str], *, only_show: bool) -> int:
    wish = wanted(environ)
    if not wish.principal_id:
        raise DirectoryError("RELINK_IDENTITY_PRINCIPAL_ID: missing; provision first")
    async with signed_in(endpoint(environ)) as directory:
        lines = await (look if only_show else grant)(directory, wish)
    conclude(lines)
    if any(line.verdict is Verdict.MISSING for line in lines):
        print(HOW)
    return int(any(line.verdict is not Verdict.GOOD for line in lines))


def environment() -> Mapping[str, str]:
    """This process's variables, and azd's where there is none of a deployment among them."""
    if os.environ.get("RELINK_IDENTITY_PRINCIPAL_ID"):
        return os.environ
    try:
        done = subprocess.run(
            ["azd", "env", "get-values", "--output", "json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise DirectoryError(
            f"azd cannot be run ({error}); export RELINK_IDENTITY_PRINCIPAL_ID and RESET_TARGETS"
        ) from error
    if done.returncode:
        raise DirectoryError(f"azd env get-values: {done.stderr.strip() or done.stdout.strip()}")
    return {**os.environ, **json.loads(done.stdout)}


def main() -> int:
    if "--after-provisioning" in sys.argv[1:]:
        # azd has put its environment into this process.
        return conclude(asyncio.run(after_provisioning(os.environ, signed_in)))
    try:
        return asyncio.run(run(environment(), only_show="--show" in sys.argv[1:]))
    except DirectoryError as error:
        print(f"{error}\n{HOW}" if error.forbidden else error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    print("Permissions of the app's identity in Microsoft Graph:")
    sys.exit(main())
