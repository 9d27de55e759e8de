"""
Before code goes out: see that no restart is on the wire.

A deployment, like every change of a setting, ends what is running at once. A restart whose answer
is then lost may need a person to say whether it happened.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from local.deployment.azure import DRAINED, AzureError, FunctionApp
from local.deployment.report import Line, Verdict
from shared.domain.errors import StorageUnavailable
from shared.domain.ports import Store
from shared.domain.reset import State

WITHIN: Final = 600.0
"""An intent that nobody takes further is settled after its deadline and two minutes."""

EVERY: Final = 5.0
OVERRIDE: Final = "DEPLOY_WITHOUT_DRAINING"
_MOST: Final = 200
_WHAT: Final = "restarts under way"


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Waits until nothing is `sending`, switches resets off, and looks once more."""

    app: FunctionApp
    store: Store
    within: float = WITHIN
    every: float = EVERY
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    say: Callable[[str], None] = print

    async def run(self) -> Line:
        started = self.clock()
        try:
            # First quiet, then off: switching off starts the app again and would cut one short too.
            busy = await self._until_quiet(started)
            if busy:
                return _still(busy)
            off = await self._switch_off()
            busy = await self._until_quiet(started)
        except StorageUnavailable as error:
            says = f"its rows cannot be read ({error}); see that nothing is `sending` yourself"
            return Line(verdict=Verdict.NOT_CHECKED, what=_WHAT, says=says)
        except AzureError as error:
            says = f"resets were not switched off: {error}"
            return Line(verdict=Verdict.NOT_CHECKED, what=_WHAT, says=says)
        if busy:
            return _still(busy)
        says = f"none, after {self.clock() - started:.0f} s" + (
            "; RESETS_ENABLED is false until `azd hooks run postdeploy`" if off else ""
        )
        return Line(verdict=Verdict.GOOD, what=_WHAT, says=says)

    async def _switch_off(self) -> bool:
        """Switch resets off, with a mark that they were on; False where they were off."""
        settings = await self.app.settings()
        if settings.get("RESETS_ENABLED") != "true":
            return settings.get(DRAINED) == "true"
        await self.app.change(RESETS_ENABLED="false", **{DRAINED: "true"})
        return True

    async def _until_quiet(self, started: float) -> list[str]:
        """Return what is still being sent when the time is over; nothing, as soon as that is so."""
        told = False
        while busy := await sending(self.store):
            if self.clock() - started > self.within:
                return busy
            if not told:
                self.say(f"  waiting for {', '.join(busy)} to be sent (at most ten minutes)")
                told = True
            await self.sleep(self.every)
        return []


async def sending(store: Store) -> list[str]:
    """Return the ids of the resets whose restart may be on the wire."""
    found = []
    for target in await store.targets():
        after = ""
        while places := await store.open_resets(target, after=after, most=_MOST):
            for there in places:
                stored = await store.read_open(there)
                if stored is not None and stored.row.state is State.SENDING:
                    found.append(there.id)
            after = places[-1].id
    return found


async def switch_on_again(app: FunctionApp) -> Line | None:
    """Undo what a drain did; None where there was none."""
    what = "RESETS_ENABLED"
    try:
        if (await app.settings()).get(DRAINED) != "true":
            return None
        await app.change(RESETS_ENABLED="true", **{DRAINED: "false"})
    except AzureError as error:
        says = f"still false: {error}; try again (azd hooks run postdeploy)"
        return Line(verdict=Verdict.WRONG, what=what, says=says)
    return Line(verdict=Verdict.GOOD, what=what, says="true again, as before the deployment")


def _still(busy: list[str]) -> Line:
    says = (
        f"{', '.join(busy)} is still being sent after ten minutes; look at it first, or deploy "
        f"all the same with {OVERRIDE}=true"
    )
    return Line(verdict=Verdict.WRONG, what=_WHAT, says=says)
