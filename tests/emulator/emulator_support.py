"""A tiny tenant, and the real Graph SDK pointed at an emulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

from local.emulator import Clock, Emulator, parse_state, serve
from local.emulator.directory import Directory
from local.emulator.jobs import status_of
from local.emulator.scopes import ResetScope
from local.emulator.values import Job, ServicePrincipal, State, Status

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
APP = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
JOB_PATH = f"/v1.0/servicePrincipals/{APP}/synchronization/jobs/{JOB}"


def tenant(**job: Any) -> State:
    """
    Ann and Bob are linked to their accounts, Cid is to an old one.

    Cid's new account carries his name; so only a restart that breaks links moves him to it.
    """
    names = ("ann", "bob", "cid")
    links = {"ann": "005-ann", "bob": "005-bob", "cid": "005-cid-OLD"}
    given = {"id": JOB, "templateId": "salesforce", "secondsPerUser": 10, "links": links} | job
    return parse_state(
        {
            "users": [{"id": name, "userPrincipalName": f"{name}@contoso.com"} for name in names],
            "servicePrincipals": [
                {
                    "id": APP,
                    "appId": "1f5d0b7e-93c4-4a6e-8d2b-7c0e4f6a9b18",
                    "displayName": "Salesforce Production",
                    "jobs": [given],
                    "targetAccounts": [
                        account("005-ann", "ann@contoso.com"),
                        account("005-bob", "bob@contoso.com"),
                        account("005-cid-OLD", "cid@contoso.com.old", active=False),
                        account("005-cid-NEW", "cid@contoso.com"),
                    ],
                },
            ],
        },
    )


def account(anchor: str, username: str, *, active: bool = True) -> dict[str, Any]:
    return {"id": anchor, "active": active, "attributes": {"userName": username}}


class Story:
    """A directory with one job, and time that moves by seconds."""

    def __init__(self, state: State | None = None) -> None:
        self.directory = Directory(state or tenant(), now=START)

    @property
    def sp(self) -> ServicePrincipal:
        return self.directory.state.service_principals[0]

    @property
    def job(self) -> Job:
        return self.sp.jobs[0]

    @property
    def status(self) -> Status:
        return status_of(self.job)

    @property
    def now(self) -> datetime:
        return self.directory.now

    def advance(self, seconds: float) -> None:
        self.directory.advance_to(self.now + timedelta(seconds=seconds))

    def restart(self, flags: ResetScope) -> None:
        self.directory.restart(self.sp, self.job, flags)

    def delete_account(self, anchor: str) -> None:
        self.sp.target_accounts[:] = [a for a in self.sp.target_accounts if a.id != anchor]

    def happened(self, name: str) -> list[dict[str, str]]:
        return [event.detail for event in self.directory.state.events if event.name == name]


@asynccontextmanager
async def emulated(state: State | None = None) -> AsyncIterator[Emulator]:
    """An emulator whose time stands still until it is advanced."""
    async with serve(state or tenant(), clock=Clock(START, speed=0)) as emulator:
        yield emulator


@asynccontextmanager
async def graph_sdk(
    emulator: Emulator,
) -> AsyncIterator[tuple[GraphServiceClient, list[httpx.Response]]]:
    """The SDK, and the answers that it got."""
    answers: list[httpx.Response] = []

    async def keep(response: httpx.Response) -> None:
        answers.append(response)

    async with httpx.AsyncClient(event_hooks={"response": [keep]}) as http:
        adapter = GraphRequestAdapter(AnonymousAuthenticationProvider(), client=http)
        adapter.base_url = f"{emulator.url}/v1.0"
        yield GraphServiceClient(request_adapter=adapter), answers
