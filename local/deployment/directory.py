"""
Permissions in Microsoft Graph: what an identity holds, and granting what it lacks.

By plain HTTP and as the signed-in engineer: nothing of this is deployed, and the app's own gateway
must not be able to do it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp
from azure.identity.aio import AzureCliCredential

from local.http_client import Answer, http_client

GRAPH_APP_ID: Final = "00000003-0000-0000-c000-000000000000"
"""Application id of Microsoft Graph in every tenant."""

_REPLICATES_WITHIN: Final = (5.0, 10.0, 20.0, 30.0)


class DirectoryError(Exception):
    """What Microsoft Graph said; `forbidden` where it was a lack of rights."""

    def __init__(self, words: str, *, forbidden: bool = False) -> None:
        super().__init__(words)
        self.forbidden = forbidden


class Graph(Protocol):
    """Microsoft Graph below its version; an address may be a whole one, such as a next link."""

    @property
    def base(self) -> str: ...

    async def ask(self, method: str, address: str, **more: Any) -> Answer: ...


class Directory:
    """Service principals, their app roles and their owners."""

    def __init__(
        self,
        graph: Graph,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._graph = graph
        self._sleep = sleep
        self._roles: dict[str, str] = {}
        self._graph_id = ""

    async def permissions(self, principal_id: str) -> frozenset[str]:
        """Return the names of the Graph application permissions that the identity holds."""
        names = {role_id: name for name, role_id in (await self._app_roles()).items()}
        rows = await self.pages(f"servicePrincipals/{principal_id}/appRoleAssignments")
        held = (row["appRoleId"] for row in rows if row["resourceId"] == self._graph_id)
        return frozenset(names[role_id] for role_id in held if role_id in names)

    async def grant(self, principal_id: str, permission: str) -> None:
        """https://learn.microsoft.com/graph/api/serviceprincipal-post-approleassignedto."""
        roles = await self._app_roles()
        if permission not in roles:
            raise DirectoryError(f"Microsoft Graph has no application permission {permission}")
        await self.change(
            f"servicePrincipals/{self._graph_id}/appRoleAssignedTo",
            {
                "principalId": principal_id,
                "resourceId": self._graph_id,
                "appRoleId": roles[permission],
            },
        )

    async def owners(self, service_principal_id: str) -> frozenset[str]:
        """Return the object ids of the owners of an enterprise application."""
        rows = await self.pages(f"servicePrincipals/{service_principal_id}/owners?$select=id")
        return frozenset(row["id"] for row in rows)

    async def make_owner(self, service_principal_id: str, principal_id: str) -> None:
        """https://learn.microsoft.com/graph/api/serviceprincipal-post-owners."""
        reference = f"{self._graph.base}directoryObjects/{principal_id}"
        await self.change(
            f"servicePrincipals/{service_principal_id}/owners/$ref", {"@odata.id": reference}
        )

    async def _app_roles(self) -> dict[str, str]:
        if not self._roles:
            found = await self.read(
                f"servicePrincipals(appId='{GRAPH_APP_ID}')?$select=id,appRoles"
            )
            self._graph_id = found["id"]
            self._roles = {
                role["value"]: role["id"]
                for role in found["appRoles"]
                if "Application" in role["allowedMemberTypes"]
            }
        return self._roles

    async def pages(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while path:
            page = await self.read(path)
            rows += page["value"]
            path = page.get("@odata.nextLink", "")
        return rows

    async def read(self, path: str) -> dict[str, Any]:
        answer = await self._asked("GET", path)
        if answer.status != HTTPStatus.OK:
            raise _error(answer)
        found: dict[str, Any] = answer.json()
        return found

    async def upsert(self, path: str, body: dict[str, Any]) -> None:
        """
        Make what the key in *path* names, or change it.

        https://learn.microsoft.com/graph/api/application-upsert
        """
        answer = await self._asked(
            "PATCH", path, json=body, headers={"Prefer": "create-if-missing"}
        )
        if not answer.ok:
            raise _error(answer)

    async def change(self, path: str, body: dict[str, Any]) -> None:
        """
        Post until the identity is known everywhere: a fresh one is not, for some seconds.

        What is there already counts as done.
        """
        for wait in (*_REPLICATES_WITHIN, None):
            answer = await self._asked("POST", path, json=body)
            words = answer.text.lower()
            if answer.ok or "already exist" in words:
                return
            is_new = answer.status == HTTPStatus.NOT_FOUND or "valid reference" in words
            if wait is None or not is_new:
                break
            await self._sleep(wait)
        raise _error(answer)

    async def _asked(self, method: str, path: str, **more: Any) -> Answer:
        try:
            return await self._graph.ask(method, path, **more)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DirectoryError(f"Microsoft Graph cannot be reached: {error!r}") from error


def _error(answer: Answer) -> DirectoryError:
    try:
        said = answer.json()["error"]
        words = f"{said['code']}: {said['message']}"
    except (ValueError, LookupError, TypeError):
        words = answer.text[:200]
    return DirectoryError(
        f"Microsoft Graph answered {answer.status} {words}",
        forbidden=answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN},
    )


@asynccontextmanager
async def signed_in(endpoint: str) -> AsyncIterator[Directory]:
    """The directory as the person sees it who did `az login`."""
    # The tenant of the deployment, which need not be the one that az is signed in to at the moment.
    async with AzureCliCredential(tenant_id=os.environ.get("AZURE_TENANT_ID", "")) as credential:
        try:
            token = await credential.get_token(f"{endpoint}/.default")
        except Exception as error:
            raise DirectoryError(f"no sign-in; run `az login` ({error})", forbidden=True) from error
    authorization = {"Authorization": f"Bearer {token.token}"}
    async with http_client(
        f"{endpoint}/v1.0/", headers=authorization, seconds=30, proxied=True
    ) as graph:
        yield Directory(graph)
