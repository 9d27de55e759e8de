"""People decide in a real Chromium, on pages of the development host, over the Graph emulator."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local import processes
from shared.domain.reset import State
from tests.functional.stack import SALESFORCE, Stack, storage_and_graph
from tests.functional.test_remediation_live import quarantine
from tests.support.browser import AXE, CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs a Chromium in the PATH (apt-get install chromium)"
    ),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core (npm ci in local/)"),
]

TARGETS = {
    "salesforce-prod": {"servicePrincipalId": SALESFORCE, "approval": "always"},
}
LOOKS = [(360, False), (360, True), (1280, False), (1280, True)]


def played(name: str, *roles: str) -> str:
    return json.dumps({"name": name, "roles": [f"Resets.{role}" for role in roles]})


@dataclass
class People:
    """One host for each person, over one storage."""

    stack: Stack
    ann: str
    boss: str
    tab: Browser

    async def clean(self, folder: Path, name: str) -> None:
        """The page that is open has nothing that axe objects to, and fits every screen."""
        for width, dark in LOOKS:
            await self.tab.look_as(width=width, dark=dark)
            found = await self.tab.violations()
            await self.tab.photograph(folder / f"{name}-{width}-{'dark' if dark else 'light'}.png")
            assert found == [], f"{name} at {width}: {found}"
            assert await self.tab.width() <= width, f"{name} is wider than {width}"


@asynccontextmanager
async def people(folder: Path) -> AsyncIterator[People]:
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(storage_and_graph())
        environ = {**stack.environ, "RESET_TARGETS": json.dumps(TARGETS)}
        hosts = []
        for who in (played("ann", "Request", "Approve"), played("boss", "Approve", "Request")):
            host = processes.host({**environ, "LOCAL_PRINCIPAL": who})
            hosts.append((await opened.enter_async_context(host))[1])
        tab = await opened.enter_async_context(browser(folder / "profile"))
        yield People(stack=stack, ann=hosts[0], boss=hosts[1], tab=tab)


async def test_one_asks_and_is_refused_another_approves_and_it_runs_to_its_end(
    tmp_path: Path,
) -> None:
    async with people(tmp_path) as them:
        tab = them.tab
        await tab.open(f"{them.ann}/api/overview")
        await them.clean(tmp_path, "overview")
        await tab.fill("target", "salesforce-prod")
        await tab.fill("reason", "Adele was created again")
        await tab.run("document.querySelector('[name=dryRun]').checked = false")
        await tab.press("Ask")
        page = await tab.run("location.pathname")
        reset_id = page.split("/")[3]
        await them.stack.reached(reset_id, State.AWAITING_APPROVAL)

        await tab.open(f"{them.ann}{page}")
        own = await tab.text()
        await tab.open(f"{them.boss}/api/overview")
        waiting = await tab.text()
        await tab.open(f"{them.boss}{page}")
        await them.clean(tmp_path, "asking")
        await tab.fill("reason", "agreed with the owner")
        await tab.press("Approve")
        ended = await them.stack.ended(reset_id)
        await tab.open(f"{them.boss}{page}")
        await them.clean(tmp_path, "ended")
        text = await tab.text()

        forged = httpx.post(
            f"{them.boss}{page}",
            data={"decision": "cancel"},
            headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        )

    assert "ann asked for this reset and cannot approve it" in own
    assert reset_id in waiting.partition("Open")[0]
    assert ended.state is State.COMPLETED
    assert "approved (signed in): agreed with the owner" in text.lower()
    assert "Completed" in text
    assert forged.status_code == 403


@pytest.mark.parametrize(
    ("label", "state"), [("Reject", State.REJECTED), ("Cancel", State.CANCELLED)]
)
async def test_a_form_stops_it(label: str, state: State, tmp_path: Path) -> None:
    async with people(tmp_path) as them:
        await them.stack.ask("r1")
        await them.stack.reached("r1", State.AWAITING_APPROVAL)
        await them.tab.open(f"{them.boss}/api/resets/r1/page")
        await them.tab.press(label)
        text = await them.tab.text()
        ended = await them.stack.ended("r1")

    assert ended.state is state
    assert label.lower() in text.lower()


async def test_a_mass_deletion_takes_two_different_persons(tmp_path: Path) -> None:
    async with people(tmp_path) as them:
        await quarantine(them.stack, "TooManyDeletes")
        await them.stack.ask("r1")
        asked = await them.stack.reached("r1", State.AWAITING_APPROVAL)
        assert "TooManyDeletes" in asked.detail
        tab = them.tab
        await tab.open(f"{them.ann}/api/resets/r1/page")
        await tab.press("Approve")
        first = await tab.text()
        await tab.open(f"{them.boss}/api/resets/r1/page")
        await tab.press("Approve")
        await them.stack.until("r1", lambda x: x.sent_at is not None)

    assert "1 of 2 given" in first
