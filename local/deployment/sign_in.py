"""
`python infra/hooks/sign_in.py`: register the sign-in, as infra/graph/sign-in.bicep does.

For an Application Administrator without a way to the Graph extension. Repeating it changes nothing.
`--assign OBJECT-ID ROLE` gives a person, a group or a program a role.
"""

import argparse
import asyncio
import sys
import uuid
from collections.abc import Mapping
from typing import Any, Final

from local.deployment.directory import Directory, DirectoryError, signed_in
from local.deployment.permissions import endpoint, environment

AZURE_CLI: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SCOPE: Final = "user_impersonation"
ROLES: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "Resets.Read": (
        "Read resets",
        "Sees resets, their history and the overview.",
        ("User", "Application"),
    ),
    "Resets.Request": (
        "Ask for resets",
        "Asks for a reset; a person or a program.",
        ("User", "Application"),
    ),
    "Resets.Approve": (
        "Decide on resets",
        "Approves, rejects, confirms and sends again. People only, and never what they asked for.",
        ("User",),
    ),
}
"""Name -> what it is called, what it allows, and who may hold it."""

_LOGIN: Final = "https://login.microsoftonline.com"


def identifier_uri(environ: Mapping[str, str]) -> str:
    """Of the form that a tenant takes by default; the client id would not be known yet."""
    return f"api://{environ['AZURE_TENANT_ID']}/relink-{environ['AZURE_ENV_NAME']}"


def registration(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the app registration without the preauthorisation, which needs the scope first."""
    uri = identifier_uri(environ)
    return {
        "displayName": f"Relink {environ['AZURE_ENV_NAME']}",
        "signInAudience": "AzureADMyOrg",
        "identifierUris": [uri],
        "api": {
            "requestedAccessTokenVersion": 2,
            "oauth2PermissionScopes": [
                {
                    "id": _id(uri, SCOPE),
                    "value": SCOPE,
                    "type": "User",
                    "isEnabled": True,
                    "adminConsentDisplayName": "Use Relink",
                    "adminConsentDescription": "Calls Relink as the signed-in person.",
                    "userConsentDisplayName": "Use Relink",
                    "userConsentDescription": "Calls Relink as you.",
                }
            ],
        },
        "appRoles": [
            {
                "id": _id(uri, value),
                "value": value,
                "displayName": name,
                "description": description,
                "allowedMemberTypes": list(members),
                "isEnabled": True,
            }
            for value, (name, description, members) in ROLES.items()
        ],
        "web": {
            "redirectUris": [f"{environ['RELINK_URL']}/.auth/login/aad/callback"],
            "implicitGrantSettings": {"enableIdTokenIssuance": True},
        },
    }


def _id(uri: str, value: str) -> str:
    """The same id for the same environment, so that a second run changes nothing."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}#{value}"))


async def register(directory: Directory, environ: Mapping[str, str]) -> dict[str, str]:
    """Make the registration, or bring it up to date; return its client id and scope."""
    path = f"applications(uniqueName='relink-{environ['AZURE_ENV_NAME']}')"
    await directory.upsert(path, registration(environ))
    found = await directory.read(path)
    api = found["api"]
    (scope,) = (each for each in api["oauth2PermissionScopes"] if each["value"] == SCOPE)
    preauthorised = {"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"]]}
    if preauthorised not in api.get("preAuthorizedApplications", []):
        await directory.upsert(path, {"api": {"preAuthorizedApplications": [preauthorised]}})
    assertions = await directory.pages(f"applications/{found['id']}/federatedIdentityCredentials")
    subject = environ["RELINK_IDENTITY_PRINCIPAL_ID"]
    if not any(each["subject"] == subject for each in assertions):
        await directory.change(
            f"applications/{found['id']}/federatedIdentityCredentials",
            {
                "name": "identity",
                "issuer": f"{_LOGIN}/{environ['AZURE_TENANT_ID']}/v2.0",
                "subject": subject,
                "audiences": ["api://AzureADTokenExchange"],
            },
        )
    # Only people, groups and programs that are assigned to it get a token.
    await directory.upsert(
        f"servicePrincipals(appId='{found['appId']}')", {"appRoleAssignmentRequired": True}
    )
    return {"clientId": found["appId"], "scope": f"{identifier_uri(environ)}/.default"}


async def assign(directory: Directory, environ: Mapping[str, str], who: str, role: str) -> None:
    """Give *who* (an object id) a role of the registration."""
    path = f"applications(uniqueName='relink-{environ['AZURE_ENV_NAME']}')"
    found = await directory.read(path)
    (role_id,) = (each["id"] for each in found["appRoles"] if each["value"] == role)
    principal = await directory.read(f"servicePrincipals(appId='{found['appId']}')")
    await directory.change(
        f"servicePrincipals/{principal['id']}/appRoleAssignedTo",
        {"principalId": who, "resourceId": principal["id"], "appRoleId": role_id},
    )


async def run(environ: Mapping[str, str], given: argparse.Namespace) -> None:
    for name in ("AZURE_ENV_NAME", "AZURE_TENANT_ID", "RELINK_URL", "RELINK_IDENTITY_PRINCIPAL_ID"):
        if not environ.get(name):
            raise DirectoryError(f"{name}: missing; provision first, or export it")
    async with signed_in(endpoint(environ)) as directory:
        if given.assign:
            await assign(directory, environ, *given.assign)
            print(f"{given.assign[1]} is given to {given.assign[0]}")
            return
        made = await register(directory, environ)
    print(f"azd env set SIGN_IN_CLIENT_ID {made['clientId']}")
    print("azd provision")
    print(f"az account get-access-token --scope {made['scope']} --query accessToken -o tsv")


def main() -> int:
    parser = argparse.ArgumentParser(prog="sign_in.py", description=__doc__)
    parser.add_argument("--assign", nargs=2, metavar=("OBJECT-ID", "ROLE"))
    given = parser.parse_args()
    if given.assign and given.assign[1] not in ROLES:
        parser.error(f"ROLE must be one of {', '.join(ROLES)}")
    try:
        asyncio.run(run(environment(), given))
    except DirectoryError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
