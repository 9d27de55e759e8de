"""
Read who is signed in, and with which roles, from the header of the platform's authentication. Pure.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.domain.characters import hidden_in
from shared.domain.people import Person, Role
from shared.domain.requests import LONGEST_NAME
from shared.web.messages import HttpRequest

HEADER: Final = "x-ms-client-principal"

# Each claim under its short name, and under the one that the platform maps it to. Only these: a
# claim whose type merely ends in one of them may be anything that the tenant lets users edit.
_CLAIMS: Final = "http://schemas.microsoft.com/identity/claims"
_IDENTITY: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_OBJECT_ID: Final = ("oid", f"{_CLAIMS}/objectidentifier")
_TENANT_ID: Final = ("tid", f"{_CLAIMS}/tenantid")
_ROLES: Final = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_SUBJECT: Final = ("sub", f"{_IDENTITY}/nameidentifier")
_KIND: Final = ("idtyp",)
_SCOPE: Final = ("scp", f"{_CLAIMS}/scope")
_CLIENT: Final = ("azp", "appid")
_NAMES: Final = (
    "preferred_username",
    "upn",
    f"{_IDENTITY}/upn",
    f"{_IDENTITY}/emailaddress",
    "name",
    f"{_IDENTITY}/name",
)


def signed_in(request: HttpRequest, *, sign_in: bool) -> Person | None:
    """
    Return the person; None where nobody is signed in, or where the ids are missing.

    The header is believed only where the platform's authentication is switched on: it strips what
    a caller sends and puts its own there. Elsewhere anybody could send it.
    """
    header = request.headers.get(HEADER, "")
    if not sign_in or not header:
        return None
    try:
        found = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    claims = _claims(found)
    object_id, tenant_id = _first(claims, _OBJECT_ID), _first(claims, _TENANT_ID)
    if not object_id or not tenant_id:
        return None
    name = _first(claims, _NAMES) or object_id
    return Person(
        object_id=object_id.lower(),
        tenant_id=tenant_id.lower(),
        name=object_id if hidden_in(name) or len(name) > LONGEST_NAME else name,
        roles=frozenset(each for each in Role if each in _all(claims, _ROLES)),
        is_program=_is_program(claims, object_id),
    )


def _is_program(claims: Mapping[str, Sequence[str]], object_id: str) -> bool:
    """
    Whether a program signed in with its own token.

    `idtyp` says so where the registration asks for that claim. Else such a token has the same
    `sub` and `oid`, and names its client without any scope that a person gave it.
    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    if kind := _first(claims, _KIND):
        return kind != "user"
    if _first(claims, _SUBJECT).lower() == object_id.lower():
        return True
    return bool(_all(claims, _CLIENT)) and not _all(claims, _SCOPE)


def _claims(principal: Any) -> dict[str, list[str]]:
    claims = principal.get("claims") if isinstance(principal, dict) else None
    found: dict[str, list[str]] = {}
    for claim in claims if isinstance(claims, list) else ():
        kind, value = _pair(claim)
        if kind and value:
            found.setdefault(kind, []).append(value)
    return found


def _pair(claim: Any) -> tuple[str, str]:
    kind, value = (claim.get("typ"), claim.get("val")) if isinstance(claim, dict) else ("", "")
    return (kind, value) if isinstance(kind, str) and isinstance(value, str) else ("", "")


def _all(claims: Mapping[str, Sequence[str]], kinds: Sequence[str]) -> frozenset[str]:
    return frozenset(value for kind in kinds for value in claims.get(kind, ()))


def _first(claims: Mapping[str, Sequence[str]], kinds: Sequence[str]) -> str:
    """A claim that is given with two different values names nobody."""
    for kind in kinds:
        values = set(claims.get(kind, ()))
        if values:
            return values.pop() if len(values) == 1 else ""
    return ""
