"""The command registers what the template registers, for who has no way to the Graph extension."""

import json
from typing import Any

import pytest

from local.deployment.directory import Directory, DirectoryError
from local.deployment.sign_in import AZURE_CLI, ROLES, assign, register, registration
from local.http_client import Answer

from .graph_port import AnsweredGraph, Asked, reply
from .templates import Deployment

ENVIRON = {
    "AZURE_ENV_NAME": "test",
    "AZURE_TENANT_ID": "00000000-0000-0000-0000-00000000000b",
    "RELINK_URL": "https://func-relink.azurewebsites.net",
    "RELINK_IDENTITY_PRINCIPAL_ID": "0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90",
}
CLIENT = "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f"


class Registrations:
    """The applications of a tenant, as Graph's upsert makes and changes them."""

    def __init__(self, *, may_write: bool = True) -> None:
        self.application: dict[str, Any] = {}
        self.principal: dict[str, Any] = {}
        self.assertions: list[dict[str, Any]] = []
        self.assigned: list[dict[str, Any]] = []
        self.may_write = may_write
        self.writes: list[str] = []

    def directory(self) -> Directory:
        return Directory(AnsweredGraph(answer=self.answer))

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return self._read(asked.path)
        self.writes.append(f"{asked.method} {asked.path}")
        if not self.may_write:
            error = {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}
            return reply(403, {"error": error})
        return self._write(asked)

    def _read(self, path: str) -> Answer:
        if path.startswith("applications("):
            return reply(200, self.application)
        if path.endswith("federatedIdentityCredentials"):
            return reply(200, {"value": self.assertions})
        assert path == f"servicePrincipals(appId='{CLIENT}')"
        return reply(200, self.principal)

    def _write(self, asked: Asked) -> Answer:
        path, body = asked.path, asked.body
        if asked.method == "PATCH":
            assert asked.headers["Prefer"] == "create-if-missing"
            if path.startswith("servicePrincipals("):
                self.principal = {"id": "sp-1", **self.principal, **body}
                return reply(201, self.principal)
            assert path == "applications(uniqueName='relink-test')"
            scopes = self.application.get("api", {}).get("oauth2PermissionScopes", [])
            for each in body.get("api", {}).get("preAuthorizedApplications", []):
                # Graph refuses the id of a scope that the registration has not got yet.
                assert set(each["delegatedPermissionIds"]) <= {scope["id"] for scope in scopes}
            api = {**self.application.get("api", {}), **body.pop("api", {})}
            self.application = {
                "id": "app-1",
                "appId": CLIENT,
                **self.application,
                **body,
                "api": api,
            }
            return reply(204)
        if path.endswith("federatedIdentityCredentials"):
            self.assertions.append(body)
        else:
            assert path == "servicePrincipals/sp-1/appRoleAssignedTo"
            self.assigned.append(body)
        return reply(201, {})


async def test_the_command_registers_what_the_template_registers() -> None:
    tenant = Registrations()
    made = await register(tenant.directory(), ENVIRON)
    template = {
        r["type"].split("@")[0]: r["properties"] for r in Deployment("graph-sign-in").resources
    }
    wanted = template["Microsoft.Graph/applications"]

    def without_ids(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in role.items() if k != "id"} for role in roles]

    for name in ("identifierUris", "signInAudience", "web", "displayName"):
        assert tenant.application[name] == wanted[name], name
    assert without_ids(tenant.application["appRoles"]) == without_ids(wanted["appRoles"])
    api, expected = tenant.application["api"], wanted["api"]
    assert api["requestedAccessTokenVersion"] == expected["requestedAccessTokenVersion"]
    assert without_ids(api["oauth2PermissionScopes"]) == without_ids(
        expected["oauth2PermissionScopes"]
    )
    assert [each["appId"] for each in api["preAuthorizedApplications"]] == [AZURE_CLI]
    assert tenant.principal["appRoleAssignmentRequired"] is True
    assert made == {"clientId": CLIENT, "scope": Deployment("graph-sign-in").outputs["scope"]}


async def test_the_identity_stands_for_a_client_secret() -> None:
    tenant = Registrations()
    await register(tenant.directory(), ENVIRON)
    (assertion,) = tenant.assertions

    assert assertion["subject"] == ENVIRON["RELINK_IDENTITY_PRINCIPAL_ID"]
    assert assertion["audiences"] == ["api://AzureADTokenExchange"]
    assert "passwordCredentials" not in registration(ENVIRON)


async def test_registering_again_changes_nothing() -> None:
    tenant = Registrations()
    await register(tenant.directory(), ENVIRON)
    before = json.dumps([tenant.application, tenant.principal, tenant.assertions])
    await register(tenant.directory(), ENVIRON)

    assert json.dumps([tenant.application, tenant.principal, tenant.assertions]) == before


async def test_a_role_is_given_by_its_name() -> None:
    tenant = Registrations()
    await register(tenant.directory(), ENVIRON)
    await assign(tenant.directory(), ENVIRON, "person-1", "Resets.Approve")
    (given,) = tenant.assigned
    roles = {role["id"]: role["value"] for role in tenant.application["appRoles"]}

    assert (given["principalId"], roles[given["appRoleId"]]) == ("person-1", "Resets.Approve")


async def test_who_may_not_register_is_told_so() -> None:
    with pytest.raises(DirectoryError, match="403 Authorization_RequestDenied"):
        await register(Registrations(may_write=False).directory(), ENVIRON)


def test_only_people_may_hold_the_role_that_decides() -> None:
    assert ROLES["Resets.Approve"][2] == ("User",)
