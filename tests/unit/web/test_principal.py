"""Who is signed in is an object of a tenant; a name is shown, and decides nothing."""

import base64
import json

import pytest

from local.host.principal import principal_headers
from shared.domain.people import Person, Role
from shared.web.messages import HttpRequest
from shared.web.principal import HEADER, signed_in
from tests.support.calls import CLAIMS, encoded, principal

OBJECT = {"typ": f"{CLAIMS}/objectidentifier", "val": "0B1C0000-0000-4000-8000-00000000000A"}
TENANT = {"typ": f"{CLAIMS}/tenantid", "val": "7E000000-0000-4000-8000-00000000000A"}
NAME = {"typ": "preferred_username", "val": "ann@contoso.com"}


def person(header: str, *, sign_in: bool = True) -> Person | None:
    return signed_in(HttpRequest(headers={HEADER: header}), sign_in=sign_in)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param((OBJECT, TENANT, NAME), id="as the platform maps them"),
        pytest.param(
            ({"typ": "oid", "val": OBJECT["val"]}, {"typ": "tid", "val": TENANT["val"]}, NAME),
            id="as they stand in the token",
        ),
        pytest.param((NAME, TENANT, OBJECT, OBJECT), id="in any order, and twice the same"),
    ],
)
def test_a_person_is_an_object_of_a_tenant(claims: tuple[object, ...]) -> None:
    found = person(encoded(*claims))

    assert found is not None
    assert found.identity == (
        "7e000000-0000-4000-8000-00000000000a/0b1c0000-0000-4000-8000-00000000000a"
    )
    assert found.name == "ann@contoso.com"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="none"),
        pytest.param("%%%", id="not base64"),
        pytest.param("bm8=", id="not JSON"),
        pytest.param(base64.b64encode(b"[]").decode(), id="a list"),
        pytest.param(base64.b64encode(b"{}").decode(), id="no claims"),
        pytest.param(base64.b64encode(b"[" * 100_000).decode(), id="nested too deeply"),
        pytest.param(encoded(NAME), id="a name alone"),
        pytest.param(encoded(NAME, OBJECT), id="no tenant"),
        pytest.param(encoded(NAME, TENANT), id="no object"),
        pytest.param(
            encoded(TENANT, {"typ": "extension/oid", "val": OBJECT["val"]}),
            id="a claim of the tenant's own that ends in oid",
        ),
        pytest.param(encoded(TENANT, OBJECT, {**OBJECT, "val": "other"}), id="two objects"),
    ],
)
def test_a_header_that_names_nobody_signs_nobody_in(header: str) -> None:
    assert person(header) is None


@pytest.mark.parametrize(
    ("claim", "shown"),
    [
        (NAME, "ann@contoso.com"),
        ({"typ": "name", "val": "Ann"}, "Ann"),
        ({"typ": "extension/preferred_username", "val": "boss@contoso.com"}, OBJECT["val"]),
        ({"typ": "name", "val": "ann\u200b"}, OBJECT["val"]),
        ({"typ": "name", "val": "a" * 257}, OBJECT["val"]),
        ({"typ": "name", "val": ""}, OBJECT["val"]),
    ],
)
def test_the_name_is_for_display_and_the_object_id_where_it_would_mislead(
    claim: dict[str, str], shown: str
) -> None:
    found = person(encoded(OBJECT, TENANT, claim))

    assert found is not None
    assert found.name.lower() == shown.lower()


def test_without_the_platforms_sign_in_the_header_is_not_trusted() -> None:
    assert person(principal(), sign_in=False) is None


# As App Service writes it: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
# The claims are those of Microsoft Entra's tokens, under the types that the platform maps them to:
# https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

IDENTITY = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
MAPPED_ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
USER, HOME = "0b1c0000-0000-4000-8000-00000000000a", "7e000000-0000-4000-8000-00000000000a"
APP = "a9900000-0000-4000-8000-00000000000a"


def real(*claims: tuple[str, str], role_type: str = MAPPED_ROLE) -> str:
    written = {
        "auth_typ": "aad",
        "claims": [{"typ": kind, "val": value} for kind, value in claims],
        "name_typ": f"{IDENTITY}/name",
        "role_typ": role_type,
    }
    return base64.b64encode(json.dumps(written).encode()).decode()


USUAL = (
    ("aud", "api://relink"),
    ("iss", f"https://login.microsoftonline.com/{HOME}/v2.0"),
    ("iat", "1795730870"),
    ("nbf", "1795730870"),
    ("exp", "1795734770"),
    (f"{CLAIMS}/tenantid", HOME),
    ("uti", "x"),
    ("rh", "y"),
)
BY_COOKIE = real(
    *USUAL,
    ("c_hash", "z"),
    ("nonce", "n"),
    ("name", "Ann Vance"),
    (f"{CLAIMS}/objectidentifier", USER),
    ("preferred_username", "ann@contoso.com"),
    (f"{IDENTITY}/nameidentifier", "pairwise-subject"),
    ("ver", "2.0"),
    ("roles", "Resets.Read"),
    ("roles", "Resets.Approve"),
)
BY_TOKEN_OF_VERSION_2 = real(
    *USUAL,
    ("azp", APP),
    ("azpacr", "0"),
    ("name", "Ann Vance"),
    (f"{CLAIMS}/objectidentifier", USER),
    ("preferred_username", "ann@contoso.com"),
    (f"{CLAIMS}/scope", "user_impersonation"),
    (f"{IDENTITY}/nameidentifier", "pairwise-subject"),
    ("roles", "Resets.Approve"),
    ("roles", "Resets.Read"),
    role_type="roles",
)
BY_TOKEN_OF_VERSION_1 = real(
    *USUAL,
    ("appid", APP),
    ("appidacr", "0"),
    (f"{IDENTITY}/givenname", "Ann"),
    (f"{CLAIMS}/objectidentifier", USER),
    (f"{IDENTITY}/name", "ann@contoso.com"),
    (f"{IDENTITY}/upn", "ann@contoso.com"),
    (f"{CLAIMS}/scope", "user_impersonation"),
    (f"{IDENTITY}/nameidentifier", "pairwise-subject"),
    ("ver", "1.0"),
    (MAPPED_ROLE, "Resets.Read"),
    (MAPPED_ROLE, "Resets.Approve"),
)
UNMAPPED = real(
    ("oid", USER),
    ("tid", HOME),
    ("sub", "pairwise-subject"),
    ("scp", "user_impersonation"),
    ("azp", APP),
    ("idtyp", "user"),
    ("preferred_username", "ann@contoso.com"),
    ("roles", "Resets.Read"),
    ("roles", "Resets.Approve"),
)
WITH_TOO_MANY_GROUPS = real(
    *USUAL,
    (f"{CLAIMS}/objectidentifier", USER),
    ("preferred_username", "ann@contoso.com"),
    ("hasgroups", "true"),
    ("_claim_names", '{"groups":"src1"}'),
    (
        "_claim_sources",
        f'{{"src1":{{"endpoint":"https://graph.windows.net/{HOME}/users/{USER}/getMemberObjects"}}}}',
    ),
    ("roles", "Resets.Read"),
    ("roles", "Resets.Approve"),
)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(BY_COOKIE, id="signed in by the browser"),
        pytest.param(BY_TOKEN_OF_VERSION_2, id="az account get-access-token, version 2"),
        pytest.param(BY_TOKEN_OF_VERSION_1, id="az account get-access-token, version 1"),
        pytest.param(UNMAPPED, id="claims as they stand in the token"),
        pytest.param(WITH_TOO_MANY_GROUPS, id="in more groups than a token holds"),
    ],
)
def test_a_person_is_known_in_every_shape_that_the_platform_writes(header: str) -> None:
    found = person(header)

    assert found == Person(
        object_id=USER,
        tenant_id=HOME,
        name="ann@contoso.com",
        roles=frozenset({Role.READ, Role.APPROVE}),
    )


def test_a_guest_is_an_object_of_our_tenant_whatever_their_home() -> None:
    header = real(
        *USUAL,
        (f"{CLAIMS}/objectidentifier", USER),
        (
            f"{CLAIMS}/identityprovider",
            "https://sts.windows.net/99999999-0000-4000-8000-000000000000/",
        ),
        (f"{IDENTITY}/emailaddress", "ann@fabrikam.com"),
        ("name", "Ann Vance"),
        ("roles", "Resets.Read"),
    )

    found = person(header)

    assert found is not None
    assert (found.identity, found.name) == (f"{HOME}/{USER}", "ann@fabrikam.com")
    assert found.roles == {Role.READ}
    assert not found.is_program


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(
            (("idtyp", "app"), ("azp", APP), ("azpacr", "1"), (f"{IDENTITY}/nameidentifier", USER)),
            id="version 2, with the optional claim idtyp",
        ),
        pytest.param(
            (("azp", APP), ("azpacr", "2"), (f"{IDENTITY}/nameidentifier", USER)),
            id="version 2 without idtyp: its subject is itself",
        ),
        pytest.param(
            (
                ("appid", APP),
                ("appidacr", "2"),
                (f"{CLAIMS}/identityprovider", f"https://sts.windows.net/{HOME}/"),
                (f"{IDENTITY}/nameidentifier", USER),
            ),
            id="a managed identity, version 1",
        ),
        pytest.param((("appid", APP), ("appidacr", "1")), id="a client, and no scope of a person"),
        pytest.param((("idtyp", "device"),), id="a device"),
        pytest.param((("idtyp", "APP"),), id="another case of the word"),
    ],
)
def test_a_program_is_told_from_a_person(claims: tuple[tuple[str, str], ...]) -> None:
    found = person(
        real(*USUAL, (f"{CLAIMS}/objectidentifier", USER), ("roles", "Resets.Request"), *claims)
    )

    assert found is not None
    assert found.is_program
    assert found.roles == {Role.REQUEST}
    assert found.name == USER


@pytest.mark.parametrize(
    "role",
    [
        ("roles", "Resets.Approve,Resets.Read"),
        ("roles", '["Resets.Approve"]'),
        ("roles", "resets.approve"),
        ("roles", "Resets.Approve "),
        ("role", "Resets.Approve"),
        ("extn.roles", "Resets.Approve"),
        ("groups", "Resets.Approve"),
        ("wids", "Resets.Approve"),
        ("scp", "Resets.Approve"),
    ],
)
def test_only_an_app_role_by_its_exact_name_is_one(role: tuple[str, str]) -> None:
    found = person(real(*USUAL, (f"{CLAIMS}/objectidentifier", USER), role))

    assert found is not None
    assert found.roles == frozenset()


def test_a_header_of_another_product_names_nobody() -> None:
    """Static Web Apps writes one of this name, in another shape."""
    other = {
        "identityProvider": "aad",
        "userId": USER,
        "userDetails": "ann@contoso.com",
        "userRoles": ["Resets.Approve"],
    }

    assert person(base64.b64encode(json.dumps(other).encode()).decode()) is None


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("ann", ("ann", frozenset(Role), False)),
        ('{"name": "rita", "roles": ["Resets.Read"]}', ("rita", {Role.READ}, False)),
        ('{"name": "eve", "roles": []}', ("eve", frozenset(), False)),
        (
            '{"name": "bot", "program": true, "roles": ["Resets.Request"]}',
            ("bot", {Role.REQUEST}, True),
        ),
        (
            f'{{"name": "ann", "objectId": "{USER}", "tenantId": "{HOME}"}}',
            ("ann", frozenset(Role), False),
        ),
    ],
)
def test_the_development_host_plays_any_person_and_role(
    setting: str, expected: tuple[str, frozenset[Role], bool]
) -> None:
    found = person(principal_headers(setting)[HEADER])
    again = person(principal_headers(setting)[HEADER])

    assert found is not None
    assert (found.name, found.roles, found.is_program) == expected
    assert found == again
    if USER in setting:
        assert found.identity == f"{HOME}/{USER}"


def test_two_names_are_two_persons_to_the_development_host() -> None:
    ann, bob = (person(principal_headers(name)[HEADER]) for name in ("ann", "bob"))

    assert ann is not None
    assert bob is not None
    assert ann.object_id != bob.object_id
    assert ann.tenant_id == bob.tenant_id
