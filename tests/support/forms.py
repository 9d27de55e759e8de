"""Forms as a browser sends them from a page of the app."""

from collections.abc import Mapping
from urllib.parse import urlencode

from shared.web.messages import HttpRequest

ORIGIN = "https://relink.example"


def form(
    *,
    signed_in: str,
    path: Mapping[str, str] | None = None,
    origin: str = ORIGIN,
    site: str = "same-origin",
    content_type: str = "application/x-www-form-urlencoded",
    **fields: str,
) -> HttpRequest:
    """*signed_in* is the header of the platform's sign-in; an empty header is not sent."""
    headers = {
        "content-type": content_type,
        "x-ms-client-principal": signed_in,
        "origin": origin,
        "sec-fetch-site": site,
    }
    return HttpRequest(
        body=urlencode(fields).encode(),
        url=f"{ORIGIN}/api/resets/r1/page",
        headers={name: value for name, value in headers.items() if value},
        path=path or {},
    )
