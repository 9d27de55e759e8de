"""
The signed-in person, as the platform's authentication tells it. Pure.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

import base64
import binascii
import json
from typing import Any, Final

HEADER: Final = "x-ms-client-principal"

_NAMES: Final = ("preferred_username", "upn", "name")


def signed_in(header: str, *, sign_in: bool) -> str:
    """
    Return the person's name; empty where nobody is signed in.

    The header is believed only where the platform's authentication is switched on: it strips what
    a caller sends and puts its own there. Elsewhere anybody could send it.
    """
    if not sign_in or not header:
        return ""
    try:
        found = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return ""
    claims = found.get("claims") if isinstance(found, dict) else None
    return _name(claims) if isinstance(claims, list) else ""


def _name(claims: list[Any]) -> str:
    values = {
        claim["typ"].rpartition("/")[2]: claim["val"]
        for claim in claims
        if isinstance(claim, dict)
        and isinstance(claim.get("typ"), str)
        and isinstance(claim.get("val"), str)
    }
    return next((values[name] for name in _NAMES if values.get(name)), "")
