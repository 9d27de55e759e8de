"""Who is signed in is an object of a tenant; a name is shown, and decides nothing."""

import base64

import pytest

from shared.domain.people import Person
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
