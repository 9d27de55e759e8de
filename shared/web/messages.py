"""Model an HTTP request and response as values, and build responses. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from copy import replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct, field

from shared.domain.media import is_utf8

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
HTML: Final = "text/html"
TEXT: Final = "text/plain"

LATER: Final[Mapping[str, str]] = {"Retry-After": "30"}
AFTER_REPAIR: Final[Mapping[str, str]] = {"Retry-After": "300"}
"""A person has to correct the setting first."""

# Responses tell of people and their accounts: no cache may keep them.
_ALWAYS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class HttpRequest(Struct, frozen=True, kw_only=True):
    """An HTTP request as the host hands it over: header names in lower case, no empty query."""

    body: bytes = b""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """The content type without its parameters; empty where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def in_unicode(self) -> "HttpRequest":
        """Return it with U+FFFD for lone surrogates in its address: no response can hold them."""
        return replace(
            self, url=_in_unicode(self.url), query=_all(self.query), path=_all(self.path)
        )


def _all(values: Mapping[str, str]) -> Mapping[str, str]:
    return {_in_unicode(name): _in_unicode(value) for name, value in values.items()}


def _in_unicode(text: str) -> str:
    return text if text.isascii() else _LONE.sub("\N{REPLACEMENT CHARACTER}", text)


_LONE: Final = re.compile("[\ud800-\udfff]")


class HttpResponse(Struct, frozen=True, kw_only=True):
    status: int
    body: str
    content_type: str = JSON
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {**_ALWAYS, **self.extra}


def preferred(accept: str, offers: Sequence[str]) -> str:
    """
    Return which of *offers* the header `Accept` likes best; the first of equals, and of none.

    https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1. The most specific range decides, and
    what is refused with `q=0` comes last.
    """
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offers[0]
    return max(offers, key=lambda offer: (_quality(offer, ranges), -offers.index(offer)))


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    given = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    return name, float(given) if _QUALITY.fullmatch(given) else 0.0


_QUALITY: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    wild = f"{offer.partition('/')[0]}/*"
    for name in (offer, wild, "*/*"):
        found = [quality for given, quality in ranges if given == name]
        if found:
            return max(found)
    return 0.0


def ok(
    body: Mapping[str, Any], status: int = 200, extra: Mapping[str, str] | None = None
) -> HttpResponse:
    return HttpResponse(status=status, body=json.dumps(body, ensure_ascii=False), extra=extra or {})


def problem_response(
    status: int, detail: str, extra: Mapping[str, str] | None = None, **members: str
) -> HttpResponse:
    """https://www.rfc-editor.org/rfc/rfc9457."""
    body = {"title": TITLES[status], "status": status, "detail": detail, **members}
    return HttpResponse(
        status=status,
        body=json.dumps(body, ensure_ascii=False),
        content_type=PROBLEM,
        extra=extra or {},
    )


TITLES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def location(base: str, reset_id: str) -> str:
    """The address of a reset, under the app's own address or the one that the caller used."""
    return f"{base}/api/resets/{quote(reset_id, safe='')}"


def origin(url: str) -> str:
    """Scheme and host of an address; empty for anything else, so that a location is relative."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""


def body_problem(request: HttpRequest, longest: Mapping[str, int]) -> HttpResponse | None:
    """The problem with a body's type or size; *longest* has the bytes that each type may have."""
    most = longest.get(request.media_type)
    if most is None or not is_utf8(request.headers.get("content-type", "")):
        known = " or ".join(longest)
        return problem_response(
            415,
            f"content-type: send JSON in UTF-8, as {known}",
            {"Accept-Post": ", ".join(longest)},
        )
    if len(request.body) > most:
        return problem_response(
            413, f"request: {len(request.body):,} bytes, at most {most:,} are taken; shorten it"
        )
    return None
