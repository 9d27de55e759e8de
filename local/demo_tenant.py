"""Watches the emulated tenant of the demo, and does there what persons do: a portal, a rename."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from local.http_client import HttpClient
from local.link import Inspection, inspect
from shared.adapters.graph.gateway import GraphGateway
from shared.domain.catalogue import Target
from shared.domain.links import LinkEvidence, judge_link

SERVICE_PRINCIPAL: Final = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
CYCLE_TAKES_AT_MOST: Final = 60.0
_CLOCK_STEP: Final = 1.0
"""Graph's own dates have whole seconds: what is a second apart is in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account in the application."""

    id: str
    username: str
    active: bool

    def __str__(self) -> str:
        return f"{self.id} ({self.username}, {'active' if self.active else 'DEACTIVATED'})"


class Tenant:
    """The emulator as an administrator sees it, and Graph as `make link` reads it."""

    def __init__(self, client: HttpClient, gateway: GraphGateway, alias: str) -> None:
        self._client, self._gateway, self._alias = client, gateway, alias

    async def inspect(self, user: str) -> Inspection:
        """What `make link` shows."""
        target = Target(service_principal_id=SERVICE_PRINCIPAL)
        return await inspect(self._gateway, self._gateway.links(), self._alias, target, user)

    async def verdict(self, before: Inspection, since: datetime) -> LinkEvidence:
        """Judge a link by the rows of the log since then, as the app does after a restart."""
        page = await self._gateway.links().provisioning_page(
            (await self._job())["id"], since=since, user_id=before.object_id
        )
        return judge_link(
            before.stored,
            page.entries,
            before.object_id,
            restarted_at=since,
            matching=before.matching,
        )

    async def linked(self, user: str) -> Account:
        """The account that the job has linked the user to."""
        state = await self._state()
        user_id = next(u["id"] for u in state["users"] if u["userPrincipalName"] == user)
        principal = _principal(state)
        target_id = principal["jobs"][0]["links"].get(user_id, "none")
        return _account(next(a for a in principal["targetAccounts"] if a["id"] == target_id))

    async def restarts(self) -> list[dict[str, Any]]:
        received = (await self._client.get("/_emulator/requests")).json()["value"]
        return [r for r in received if r["method"] == "POST" and r["path"].endswith("/restart")]

    async def restart_in_the_portal(self) -> datetime:
        """Press the button, wait for its cycle, and return when it was pressed."""
        began = await self._now()
        asked = {"servicePrincipalId": SERVICE_PRINCIPAL}
        (await self._client.post("/_emulator/restarts", json=asked)).raise_for_status()
        async with asyncio.timeout(CYCLE_TAKES_AT_MOST):
            while not await self._ended_since(began):
                await asyncio.sleep(0.2)
        await asyncio.sleep(_CLOCK_STEP)
        return began

    async def rename(self, account_id: str, username: str) -> None:
        """Do what an administrator of the application does."""
        account = {"id": account_id, "attributes": {"Username": username}}
        principal = {"id": SERVICE_PRINCIPAL, "targetAccounts": [account]}
        body = {"servicePrincipals": [principal]}
        (await self._client.put("/_emulator/state", json=body)).raise_for_status()

    async def _ended_since(self, moment: datetime) -> bool:
        status = (await self._job())["status"]
        steady = datetime.fromisoformat(status["steadyStateLastAchievedTime"])
        return status["code"] == "Active" and steady > moment

    async def _job(self) -> dict[str, Any]:
        jobs = f"/v1.0/servicePrincipals/{SERVICE_PRINCIPAL}/synchronization/jobs"
        job: dict[str, Any] = (await self._client.get(jobs)).json()["value"][0]
        return job

    async def _now(self) -> datetime:
        return datetime.fromisoformat((await self._client.get("/_emulator/clock")).json()["now"])

    async def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self._client.get("/_emulator/state")).json()
        return state


def _principal(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        p for p in state["servicePrincipals"] if p["id"] == SERVICE_PRINCIPAL
    )
    return found


def _account(raw: dict[str, Any]) -> Account:
    return Account(
        id=raw["id"],
        username=raw["attributes"].get("Username", "?"),
        active=bool(raw.get("active", False)),
    )
