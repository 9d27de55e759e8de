"""`GET /api/resets/{id}/page`: show a reset to signed-in people, and others how to sign in."""

from typing import Final
from urllib.parse import quote

from shared.domain.errors import NewerRow, NotFound, StorageUnavailable
from shared.use_cases.lookup import Lookup
from shared.web.html import element, html_response, notice
from shared.web.messages import LATER, HttpRequest, HttpResponse
from shared.web.principal import signed_in
from shared.web.reset_page import render

SIGN_IN: Final = "/.auth/login/aad"
"""https://learn.microsoft.com/azure/app-service/configure-authentication-customize-sign-in-out"""

_NO_SIGN_IN: Final = (
    "The platform's authentication is not switched on for this app, so it cannot tell who you are. "
    "With a function key the reset can be read with GET /api/resets/{id}."
)


async def show_reset(lookup: Lookup, request: HttpRequest, *, sign_in: bool) -> HttpResponse:
    """Without sign-in every id gets the same answer, and no row is read."""
    reset_id = request.path.get("id", "")
    if not sign_in:
        return notice(403, "Nobody can sign in here", element("p", _NO_SIGN_IN))
    if not signed_in(request, sign_in=sign_in):
        return _sign_in_first(reset_id)
    try:
        found = await lookup.find(reset_id)
    except NotFound as error:
        return notice(404, "There is no such reset", element("p", str(error)))
    except (StorageUnavailable, NewerRow):
        return unavailable()
    return html_response(render(found))


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
    """A 503 that names no setting, since anybody may read it."""
    text = element("p", "Storage does not answer. Try again in a minute.")
    return notice(503, "Not available just now", text, extra=dict(LATER))
