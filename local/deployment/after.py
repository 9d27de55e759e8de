"""
`python -m local.deployment.after`: after code went out, see that it runs.

The platform is made to look at the triggers, the functions are counted by name, resets are
switched on again where a drain switched them off, health and the timer are waited for, and one dry
run goes through. It ends green or yellow by design: what somebody else must grant is said, and
makes nothing red.
"""

import ast
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from local.bicep import ROOT
from local.deployment import permissions, smoke
from local.deployment.azure import AzureError, FunctionApp
from local.deployment.directory import DirectoryError, signed_in
from local.deployment.drain import switch_on_again
from local.deployment.permissions import Opened
from local.deployment.report import Line, Verdict, conclude

INDEXED_WITHIN: Final = 300.0
EVERY: Final = 10.0
_UNRESOLVED: Final = "Key Vault reference"
_TOKEN_LASTS: Final = (
    "The platform keeps the identity's token for about a day, and no restart renews it: where the "
    "app has asked for one already, the dry run passes a day after the grant at the latest. Then: "
    "azd hooks run postdeploy"
)


def expected_functions() -> set[str]:
    """Return the functions of function_app.py by name, without importing it."""
    tree = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef)
        and any(ast.unparse(each).startswith("app.") for each in node.decorator_list)
    }


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What is looked at, in order; each line is printed as soon as it is known."""

    environ: Mapping[str, str]
    app: FunctionApp | None
    directory: Opened
    dry_run: Callable[[Mapping[str, str]], Awaitable[list[Line]]]
    health: Callable[[str], Awaitable[Line]] = smoke.health
    forged: Callable[[str], Awaitable[Line]] = smoke.forged_sign_in
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> list[Line]:
        lines = []
        if self.app is not None:
            lines += [await self._triggers(self.app), await self._functions(self.app)]
            again = await switch_on_again(self.app)
            lines += [again] if again is not None else []
        if url := self.environ.get("RELINK_URL"):
            lines.append(await self._health(url))
            if self.environ.get("SIGN_IN_CLIENT_ID"):
                lines.append(await self.forged(url))
        if missing := await self._missing_permission():
            return [*lines, *missing]
        return [*lines, *await self.dry_run(self.environ)]

    async def _triggers(self, app: FunctionApp) -> Line:
        what = "triggers"
        try:
            await app.sync_triggers()
        except AzureError as error:
            says = f"the platform was not made to look at them again ({error})"
            return Line(verdict=Verdict.NOT_CHECKED, what=what, says=says)
        return Line(verdict=Verdict.GOOD, what=what, says="looked at again by the platform")

    async def _functions(self, app: FunctionApp) -> Line:
        """All of them by name: after a deployment there may be none, and HTTP may answer alone."""
        what, wanted = "functions", expected_functions()
        deadline = self.clock() + INDEXED_WITHIN
        while True:
            try:
                found = await app.functions()
            except AzureError as error:
                return Line(verdict=Verdict.NOT_CHECKED, what=what, says=str(error))
            if wanted <= found:
                return Line(verdict=Verdict.GOOD, what=what, says=f"all {len(wanted)} are there")
            if self.clock() > deadline:
                lost = ", ".join(sorted(wanted - found))
                says = f"{len(found)} of {len(wanted)}; missing: {lost}. Deploy again"
                return Line(verdict=Verdict.WRONG, what=what, says=says)
            await self.sleep(EVERY)

    async def _health(self, url: str) -> Line:
        """A vault that the first start could not read yet takes one restart."""
        line = await self.health(url)
        if line.verdict is Verdict.GOOD or _UNRESOLVED not in line.says or self.app is None:
            return line
        try:
            await self.app.restart()
        except AzureError as error:
            says = f"{line.says}; it was not restarted ({error})"
            return Line(verdict=line.verdict, what=line.what, says=says)
        await self.sleep(EVERY)
        return await self.health(url)

    async def _missing_permission(self) -> list[Line]:
        """What must be granted before a dry run makes sense; nothing where that is not known."""
        try:
            wish = permissions.wanted(self.environ)
            if not wish.principal_id:
                return []
            async with self.directory(permissions.endpoint(self.environ)) as directory:
                held = await directory.permissions(wish.principal_id)
        except DirectoryError:
            return []
        if wish.access in held:
            return []
        return [
            Line(verdict=Verdict.MISSING, what=wish.access, says=permissions.HOW),
            Line(verdict=Verdict.MISSING, what="dry run", says=f"left out. {_TOKEN_LASTS}"),
        ]


async def main(environ: Mapping[str, str]) -> int:
    aftermath = Aftermath(
        environ=environ,
        app=FunctionApp.of(environ),
        directory=signed_in,
        dry_run=smoke.dry_run,
    )
    return conclude(await aftermath.run())


if __name__ == "__main__":
    print("After the deployment (a dry run; at most ten minutes):", flush=True)
    sys.exit(asyncio.run(main(os.environ)))
