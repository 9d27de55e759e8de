"""A tenant's permissions behind Microsoft Graph's routes, in memory."""

import re
from dataclasses import dataclass, field
from typing import Any

from local.deployment.directory import GRAPH_APP_ID, Directory
from local.http_client import Answer

from .graph_port import URL, AnsweredGraph, Asked, reply

GRAPH_ID = "7ea9e944-71ce-443d-811c-71e8047b557a"
IDENTITY = "0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90"
ROLES = {
    "Synchronization.ReadWrite.All": "9b50c33d-700f-43b1-b2eb-87e89b703581",
    "Application.ReadWrite.OwnedBy": "18a4783c-866b-4cc7-a460-3d5e5662c884",
    "AuditLog.Read.All": "b0afded3-3588-46d8-8b3d-9842eff778da",
    "ProvisioningLog.Read.All": "00000000-0000-0000-0000-000000000001",
    "SynchronizationMetadata.Read.All": "00000000-0000-0000-0000-000000000002",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
}


@dataclass
class Tenant:
    """What is granted and who owns what; it can be slow to know a new identity, or say no."""

    held: set[str] = field(default_factory=set)
    owners: dict[str, set[str]] = field(default_factory=dict)
    other_grants: int = 0
    knows_after: int = 0
    may_grant: bool = True
    may_read: bool = True
    waits: list[float] = field(default_factory=list)
    posts: list[tuple[str, Any]] = field(default_factory=list)

    def directory(self) -> Directory:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        return Directory(AnsweredGraph(answer=self.answer), sleep=sleep)

    def answer(self, asked: Asked) -> Answer:
        path = asked.path
        if asked.method == "POST":
            return self._change(path, asked.body)
        if not self.may_read:
            return _no(403, "Authorization_RequestDenied", "Insufficient privileges")
        if path == f"servicePrincipals(appId='{GRAPH_APP_ID}')":
            roles = [
                {"id": i, "value": name, "allowedMemberTypes": ["Application"]}
                for name, i in ROLES.items()
            ]
            delegated = {"id": "x", "value": "User.Read", "allowedMemberTypes": ["User"]}
            return reply(200, {"id": GRAPH_ID, "appRoles": [*roles, delegated]})
        if path == f"servicePrincipals/{IDENTITY}/appRoleAssignments":
            return self._grants(skip=int(asked.query.get("$skiptoken", "0")))
        if found := re.fullmatch(r"servicePrincipals/([^/]+)/owners", path):
            owners = [{"id": owner} for owner in sorted(self.owners.get(found[1], set()))]
            return reply(200, {"value": owners})
        return _no(404, "Request_ResourceNotFound", path)

    def _grants(self, *, skip: int) -> Answer:
        """One a page, so that a reader who stops at the first page misses some."""
        rows = [{"appRoleId": ROLES[n], "resourceId": GRAPH_ID} for n in sorted(self.held)]
        rows += [{"appRoleId": "other", "resourceId": "another API"}] * self.other_grants
        page: dict[str, Any] = {"value": rows[skip : skip + 1]}
        if skip + 1 < len(rows):
            page["@odata.nextLink"] = (
                f"{URL}servicePrincipals/{IDENTITY}/appRoleAssignments?$skiptoken={skip + 1}"
            )
        return reply(200, page)

    def _change(self, path: str, body: dict[str, str]) -> Answer:
        self.posts.append((path, body))
        if not self.may_grant:
            return _no(403, "Authorization_RequestDenied", "Insufficient privileges")
        if self.knows_after:
            self.knows_after -= 1
            return _no(400, "Request_BadRequest", "Not a valid reference update.")
        if path == f"servicePrincipals/{GRAPH_ID}/appRoleAssignedTo":
            assert body["principalId"] == IDENTITY
            assert body["resourceId"] == GRAPH_ID
            (name,) = [n for n, i in ROLES.items() if i == body["appRoleId"]]
            if name in self.held:
                return _no(400, "Request_BadRequest", "EntitlementGrant entry already exists.")
            self.held.add(name)
            return reply(201, {"id": "1"})
        found = re.fullmatch(r"servicePrincipals/([^/]+)/owners/\$ref", path)
        assert found, path
        prefix = f"{URL}directoryObjects/"
        assert body["@odata.id"].startswith(prefix)
        self.owners.setdefault(found[1], set()).add(body["@odata.id"].removeprefix(prefix))
        return reply(204)


def _no(status: int, code: str, message: str) -> Answer:
    return reply(status, {"error": {"code": code, "message": message}})
