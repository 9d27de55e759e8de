"""Ask and change the function app through the Azure CLI, as the person who did `az login`."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

TAKES_AT_MOST: Final = 300.0

DRAINED: Final = "RELINK_SWITCHED_OFF_FOR_DEPLOYMENT"
"""A mark among the app settings: the hook before a deployment switched resets off."""


class AzureError(Exception):
    """What `az` said, or that it is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionApp:
    """The deployed app."""

    group: str
    name: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "FunctionApp | None":
        """Return the app that this environment has; None before the first provisioning."""
        group, name = environ.get("AZURE_RESOURCE_GROUP"), environ.get("AZURE_FUNCTION_NAME")
        return cls(group=group, name=name) if group and name else None

    async def settings(self) -> dict[str, str]:
        """Return the app settings; references into the vault are not resolved."""
        found = await az("functionapp", "config", "appsettings", "list", *self._which())
        return {each["name"]: each["value"] for each in found}

    async def change(self, **values: str) -> None:
        """Change app settings. The platform then starts the app again."""
        given = [f"{name}={value}" for name, value in values.items()]
        await az(
            "functionapp", "config", "appsettings", "set", *self._which(), "--settings", *given
        )

    async def functions(self) -> frozenset[str]:
        """Return the names of the functions that the platform has indexed."""
        found = await az("functionapp", "function", "list", *self._which())
        return frozenset(each["name"].rpartition("/")[2] for each in found)

    async def sync_triggers(self) -> None:
        """
        Make the platform look at the triggers again.

        After a deployment on Flex Consumption it may miss them: then timers and queues never start.
        """
        found = await az("functionapp", "show", *self._which())
        path = f"{found['id']}/host/default/sync?api-version=2025-03-01"
        await az("rest", "--method", "POST", "--uri", path)

    async def restart(self) -> None:
        await az("functionapp", "restart", *self._which())

    def _which(self) -> tuple[str, ...]:
        return "--resource-group", self.group, "--name", self.name


async def az(*arguments: str) -> Any:
    """Run `az` and return what it printed as JSON; None where it printed nothing."""
    program = shutil.which("az")
    if program is None:
        raise AzureError("the Azure CLI (az) is not on the PATH")
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        "--output",
        "json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TAKES_AT_MOST):
            out, err = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise AzureError(f"az {' '.join(arguments[:3])} took longer than five minutes") from error
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        raise AzureError(f"az {' '.join(arguments[:3])}: {said[-1] if said else 'failed'}")
    try:
        return json.loads(out) if out.strip() else None
    except ValueError as error:
        raise AzureError(f"az {' '.join(arguments[:3])} printed no JSON") from error
