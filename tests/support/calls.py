"""HTTP requests as the host hands them over."""

import base64
import json
import uuid
from collections.abc import Sequence

from shared.web.messages import HttpRequest

URL = "https://relink.example/api/resets?code=secret"


CLAIMS = "http://schemas.microsoft.com/identity/claims"
TENANT = "aaaaaaaa-0000-4000-8000-000000000001"


def object_id(name: str) -> str:
    """Of the person whom `principal` signs in under this name."""
    return str(uuid.uuid5(uuid.UUID(TENANT), name))


ALL_ROLES = ("Resets.Read", "Resets.Request", "Resets.Approve")


def principal(
    name: str = "boss@contoso.com",
    typ: str = "preferred_username",
    *,
    roles: Sequence[str] = ALL_ROLES,
    program: bool = False,
) -> str:
    """The header that the platform's sign-in puts there."""
    return encoded(
        {"typ": "x", "val": 3},
        {"typ": f"{CLAIMS}/objectidentifier", "val": object_id(name)},
        {"typ": f"{CLAIMS}/tenantid", "val": TENANT},
        {"typ": typ, "val": name},
        *({"typ": "roles", "val": role} for role in roles),
        *([{"typ": "idtyp", "val": "app"}] if program else []),
        "odd",
    )


def encoded(*claims: object) -> str:
    return base64.b64encode(json.dumps({"claims": claims}).encode()).decode()


def call(
    body: bytes | dict[str, object] = b"",
    *,
    reset_id: str = "",
    signed_in: str = "",
    content_type: str = "application/json",
    **query: str,
) -> HttpRequest:
    """*signed_in* is the header's value, as `principal` makes it."""
    headers = {"content-type": content_type} if content_type else {}
    if signed_in:
        headers["x-ms-client-principal"] = signed_in
    return HttpRequest(
        body=json.dumps(body).encode() if isinstance(body, dict) else body,
        url=URL,
        headers=headers,
        query=query,
        path={"id": reset_id} if reset_id else {},
    )
