"""`GET /api/resets/{id}/page`: who is signed in sees the reset, everybody else how to sign in."""

from typing import Final
from urllib.parse import quote

from shared.domain.errors import NewerRow, NotFound, StorageUnavailable
from shared.use_cases.lookup import Lookup
from shared.web.html import element, html, notice
from shared.web.messages import LATER, HttpRequest, HttpResponse
from shared.web.principal import HEADER, signed_in
from shared.web.reset_page import render

SIGN_IN: Final = "/.auth/login/aad"
"""https://learn.microsoft.com/azure/app-service/configure-authentication-customize-sign-in-out"""

_NO_SIGN_IN: Final = (
    "The platform's authentication is not switched on for this app, so that nobody can be told "
    "from anybody. Whoever has a function key can read the reset with GET /api/resets/{id}."
)


class ShowReset:
    """The use case `show_reset`."""

    def __init__(self, *, lookup: Lookup, sign_in: bool) -> None:
        self._lookup = lookup
        self._sign_in = sign_in

    async def show(self, call: HttpRequest) -> HttpResponse:
        """Who is not signed in is told the same of every id, there or not; no row is read."""
        reset_id = call.path.get("id", "")
        if not self._sign_in:
            return notice(403, "Nobody can sign in here", element("p", _NO_SIGN_IN))
        if not signed_in(call.headers.get(HEADER, ""), sign_in=self._sign_in):
            return _sign_in_first(reset_id)
        try:
            found = await self._lookup.find(reset_id)
        except NotFound as error:
            return notice(404, "There is no such reset", element("p", str(error)))
        except (StorageUnavailable, NewerRow):
            return unavailable()
        return html(render(found))


def _sign_in_first(reset_id: str) -> HttpResponse:
    back = quote(f"/api/resets/{quote(reset_id, safe='')}/page", safe="")
    return notice(
        401,
        "Sign in first",
        element("p", "This page is for people who are signed in to this organisation."),
        element("p", element("a", "Sign in", href=f"{SIGN_IN}?post_login_redirect_uri={back}")),
        extra={"WWW-Authenticate": "Bearer"},
    )


def unavailable() -> HttpResponse:
    """A 503 that names no setting: it may be read by anybody."""
    said = element("p", "Storage does not answer. Try again in a minute.")
    return notice(503, "Not available just now", said, extra=dict(LATER))
