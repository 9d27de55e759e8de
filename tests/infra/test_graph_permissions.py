"""Permissions in Microsoft Graph: what the template grants, and what the command does."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.bicep import INFRA, ROOT
from local.deployment.directory import DirectoryError
from local.deployment.permissions import (
    OPTIONAL,
    OWNED,
    TENANT,
    Wanted,
    environment,
    grant,
    look,
    wanted,
)
from local.deployment.report import Verdict, conclude

from .templates import Deployment, template
from .tenant import GRAPH_ID, IDENTITY, ROLES, Tenant

SALESFORCE = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
TARGETS = {"RESET_TARGETS": json.dumps({"salesforce-prod": {"servicePrincipalId": SALESFORCE}})}
BASIC = Wanted(principal_id=IDENTITY, permissions=(TENANT,))
LEAST = Wanted(principal_id=IDENTITY, permissions=(OWNED,), owned={"salesforce-prod": SALESFORCE})


def graph_resources(scenario: str) -> list[tuple[str, dict[str, Any]]]:
    return [(r["type"].split("@")[0], r["properties"]) for r in Deployment(scenario).resources]


def test_the_template_grants_what_is_asked_for_and_nothing_else() -> None:
    assert Deployment("graph-owned").outputs["granted"] == [OWNED]
    assert Deployment("graph-tenant").outputs["granted"] == [
        TENANT,
        *(name for name, _ in OPTIONAL.values()),
    ]


def test_every_grant_of_the_template_is_to_the_identity_and_for_applications() -> None:
    for scenario, count in (("graph-tenant", 5), ("graph-owned", 1)):
        grants = [
            p
            for kind, p in graph_resources(scenario)
            if kind == "Microsoft.Graph/appRoleAssignedTo"
        ]
        assert len(grants) == count
        assert all(g["principalId"] == IDENTITY for g in grants)
        assert all("'Application'" in g["appRoleId"] for g in grants)


def test_ownership_comes_with_the_narrow_permission_and_takes_nobody_elses_away() -> None:
    owned = [
        p["owners"]
        for kind, p in graph_resources("graph-owned")
        if kind == "Microsoft.Graph/servicePrincipals"
    ]

    assert owned == [{"relationshipSemantics": "append", "relationships": [IDENTITY]}] * 2
    assert "Microsoft.Graph/servicePrincipals" not in dict(graph_resources("graph-tenant"))


def test_what_may_be_read_is_off_until_it_is_asked_for() -> None:
    parameters = template("graph/main")["parameters"]

    assert parameters["access"]["allowedValues"] == [TENANT, OWNED]
    assert {n: p["defaultValue"] for n, p in parameters.items() if n.startswith("read")} == {
        "readProvisioningLogs": False,
        "readAuditLogs": False,
        "readUsers": False,
        "readLinks": False,
    }


def test_the_command_and_the_template_listen_to_the_same_switches() -> None:
    given = (INFRA / "graph" / "main.bicepparam").read_text(encoding="utf-8")

    assert all(f"'{switch}'" in given for switch in (*OPTIONAL, "GRAPH_ACCESS"))


def sign_in() -> dict[str, dict[str, Any]]:
    """The registration's resources, by type."""
    return dict(graph_resources("graph-sign-in"))


def test_sign_in_has_no_secret_and_lets_in_only_who_is_assigned() -> None:
    kinds = sign_in()
    registration = kinds["Microsoft.Graph/applications"]

    assert "passwordCredentials" not in registration
    assert registration["signInAudience"] == "AzureADMyOrg"
    assert kinds["Microsoft.Graph/servicePrincipals"]["appRoleAssignmentRequired"] is True
    assert "Microsoft.Graph/applications/federatedIdentityCredentials" in kinds


def test_a_person_gets_a_token_outside_a_browser() -> None:
    """`az account get-access-token` needs an address, a scope and its own preauthorisation."""
    registration = sign_in()["Microsoft.Graph/applications"]
    (uri,) = registration["identifierUris"]
    api = registration["api"]
    (scope,) = api["oauth2PermissionScopes"]

    assert uri == "api://00000000-0000-0000-0000-00000000000b/relink-test"
    assert Deployment("graph-sign-in").outputs["scope"] == f"{uri}/.default"
    # With version 1 the issuer would be another than the one that sign-in checks.
    assert api["requestedAccessTokenVersion"] == 2
    assert (scope["value"], scope["type"], scope["isEnabled"]) == (
        "user_impersonation",
        "User",
        True,
    )
    assert api["preAuthorizedApplications"] == [
        {"appId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "delegatedPermissionIds": [scope["id"]]}
    ]


def test_a_program_may_read_and_ask_and_never_approve() -> None:
    roles = sign_in()["Microsoft.Graph/applications"]["appRoles"]

    assert {role["value"]: role["allowedMemberTypes"] for role in roles} == {
        "Resets.Read": ["User", "Application"],
        "Resets.Request": ["User", "Application"],
        "Resets.Approve": ["User"],
    }
    assert len({role["id"] for role in roles}) == 3
    assert all(role["isEnabled"] for role in roles)


async def test_what_is_missing_is_granted_and_then_there() -> None:
    tenant = Tenant()

    lines = await grant(tenant.directory(), BASIC)

    assert tenant.held == {TENANT}
    assert [line.verdict for line in lines] == [Verdict.GOOD]


async def test_granting_again_changes_nothing() -> None:
    tenant = Tenant(held={TENANT})

    await grant(tenant.directory(), BASIC)

    assert tenant.posts == []


async def test_a_grant_that_somebody_else_just_made_is_done() -> None:
    tenant = Tenant(held={TENANT})

    await tenant.directory().grant(IDENTITY, TENANT)

    assert len(tenant.posts) == 1


async def test_a_fresh_identity_is_waited_for() -> None:
    tenant = Tenant(knows_after=2)

    await grant(tenant.directory(), BASIC)

    assert tenant.held == {TENANT}
    assert tenant.waits == [5.0, 10.0]


async def test_an_identity_that_is_never_known_is_an_error() -> None:
    tenant = Tenant(knows_after=99)

    with pytest.raises(DirectoryError, match="valid reference"):
        await grant(tenant.directory(), BASIC)
    assert len(tenant.waits) == 4


async def test_who_lacks_the_rights_is_told_so_at_once() -> None:
    tenant = Tenant(may_grant=False)

    with pytest.raises(DirectoryError, match="403 Authorization_RequestDenied") as caught:
        await grant(tenant.directory(), BASIC)

    assert caught.value.forbidden
    assert tenant.waits == []


async def test_the_narrow_way_makes_the_identity_an_owner() -> None:
    tenant = Tenant(owners={SALESFORCE: {"somebody"}})

    lines = await grant(tenant.directory(), LEAST)

    assert tenant.held == {OWNED}
    assert tenant.owners[SALESFORCE] == {"somebody", IDENTITY}
    assert {line.verdict for line in lines} == {Verdict.GOOD}


async def test_a_missing_permission_says_what_does_not_work() -> None:
    wish = wanted({"GRAPH_READ_AUDIT_LOGS": "true", "RELINK_IDENTITY_PRINCIPAL_ID": IDENTITY})

    restart, audit = await look(Tenant().directory(), wish)

    assert restart.verdict is audit.verdict is Verdict.MISSING
    assert "restarted until it is granted" in restart.says
    assert "a person to say" in audit.says


async def test_a_permission_too_many_is_said_with_its_remedy_and_stops_no_deployment() -> None:
    tenant = Tenant(held={TENANT, "User.Read.All"}, other_grants=2)

    lines = await look(tenant.directory(), BASIC)

    assert [(line.verdict, line.what) for line in lines] == [
        (Verdict.GOOD, TENANT),
        (Verdict.BEYOND, "User.Read.All"),
    ]
    assert "take it away (Entra" in lines[-1].says
    assert conclude(lines) == 0


def azd(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """An `azd` on the PATH, and nothing of a deployment in the environment."""
    (folder / "azd").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "azd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("RELINK_IDENTITY_PRINCIPAL_ID", raising=False)


def test_what_azd_knows_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {"RELINK_IDENTITY_PRINCIPAL_ID": IDENTITY, "ALERT_EMAILS": "a!b$(id)'\"@example.com"}
    (tmp_path / "said").write_text(json.dumps(known), encoding="utf-8")
    azd(monkeypatch, tmp_path, f'[ "$*" = "env get-values --output json" ] && cat {tmp_path}/said')

    assert known.items() <= environment().items()


def test_what_azd_complains_of_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    azd(monkeypatch, tmp_path, "echo no environment chosen >&2; exit 1")

    with pytest.raises(DirectoryError, match="no environment chosen"):
        environment()


async def test_a_permission_that_graph_does_not_have_is_named() -> None:
    with pytest.raises(DirectoryError, match="no application permission Synchronisation"):
        await Tenant().directory().grant(IDENTITY, "Synchronisation.ReadWrite.All")


def test_ownership_is_asked_for_with_the_narrow_permission_only() -> None:
    wide, narrow = wanted(TARGETS), wanted({**TARGETS, "GRAPH_ACCESS": OWNED})

    assert (wide.permissions, wide.owned) == ((TENANT,), {})
    assert (narrow.permissions, narrow.owned) == ((OWNED,), {"salesforce-prod": SALESFORCE})


def test_an_access_that_is_none_is_refused() -> None:
    with pytest.raises(DirectoryError, match="GRAPH_ACCESS"):
        wanted({"GRAPH_ACCESS": "Directory.ReadWrite.All"})


def test_the_app_has_no_way_to_grant_itself_anything() -> None:
    """The gateway that is deployed knows no route for it."""
    deployed = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "shared").rglob("*.py"))

    assert "app_role_assign" not in deployed.lower()
    assert "approleassign" not in deployed.lower()
    assert GRAPH_ID not in deployed
    assert not [role for role in ROLES.values() if role in deployed]
