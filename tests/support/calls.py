"""HTTP requests as the host hands them over."""

import base64
import json

from shared.web.messages import HttpRequest

URL = "https://relink.example/api/resets?code=secret"


def principal(name: str = "boss@contoso.com", typ: str = "preferred_username") -> str:
    """The header that the platform's sign-in puts there."""
    claims = {"claims": [{"typ": "x", "val": 3}, {"typ": typ, "val": name}, "odd"]}
    return base64.b64encode(json.dumps(claims).encode()).decode()


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
