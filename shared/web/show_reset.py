"""
`GET` and `POST /api/resets/{id}/page`: show a reset to signed-in people and take their decisions.

Others are told how to sign in, or with which command to decide where nobody can sign in.
"""

from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from shared.config import Settings
from shared.domain.approvals import Standard
from shared.domain.errors import (
    InvalidRequest,
    MovedOn,
    NewerRow,
    NotAllowed,
    NotFound,
    NotPossible,
    NotSignedIn,
    StorageUnavailable,
)
from shared.domain.people import Person
from shared.domain.ports import Clock
from shared.use_cases.decide_reset import DecideReset, Decision
from shared.use_cases.lookup import Found, ListQuery, Lookup
from shared.web.forms import own_origins, read_form
from shared.web.html import element, html_response, notice
from shared.web.messages import LATER, HttpRequest, HttpResponse
from shared.web.reset_page import RENEWED_EVERY, Viewing, page_of, render
from shared.web.roles import READERS, demand

SIGN_IN: Final = "/.auth/login/aad"
"""https://learn.microsoft.com/azure/app-service/configure-authentication-customize-sign-in-out"""

ENTRA: Final = {
    "graph.microsoft.com": "https://entra.microsoft.com",
    "graph.microsoft.us": "https://entra.microsoft.us",
    "dod-graph.microsoft.us": "https://entra.microsoft.us",
}
"""The portal of each cloud; of the others the address is not documented."""

EARLIER: Final = 10


class ResetPages(Struct, frozen=True, kw_only=True):
    """The functions `show_reset` and `decide_on_page`."""

    settings: Settings
    lookup: Lookup
    decisions: DecideReset
    clock: Clock

    async def show(self, request: HttpRequest) -> HttpResponse:
        """Without sign-in every id gets the same answer, and no row is read."""
        reset_id = request.path.get("id", "")
        person = visitor(request, self.settings, back=page_of(reset_id))
        if isinstance(person, HttpResponse):
            return person
        renews = request.query.get("renew") == "yes"
        return await self._page(reset_id, person, renews=renews)

    async def decide(self, request: HttpRequest) -> HttpResponse:
        """Take a form; 303 back to the page, or the page with the reason why it did not count."""
        reset_id = request.path.get("id", "")
        person = visitor(request, self.settings, back=page_of(reset_id))
        if isinstance(person, HttpResponse):
            return person
        try:
            origins = own_origins(request, self.settings.public_url)
            fields = read_form(request, own_origins=origins)
        except NotAllowed as error:
            return notice(403, "Not taken", element("p", str(error)))
        except InvalidRequest as error:
            return notice(400, "Not taken", element("p", str(error)))
        wanted = Decision(
            decision=fields.get("decision", ""),
            person=person,
            reason=fields.get("reason", ""),
            seen=tuple(filter(None, [fields.get("seen", "")])),
        )
        try:
            await self.decisions.decide(reset_id, wanted)
        except (InvalidRequest, NotAllowed, MovedOn, NotPossible) as error:
            status = next(code for kind, code in _STATUSES if isinstance(error, kind))
            return await self._page(
                reset_id, person, status=status, said=str(error), reason=wanted.reason[:1000]
            )
        except NotFound as error:
            return notice(404, "There is no such reset", element("p", str(error)))
        except (StorageUnavailable, NewerRow):
            return unavailable()
        return HttpResponse(status=303, body="", extra={"Location": page_of(reset_id)})

    async def _page(
        self,
        reset_id: str,
        person: Person,
        *,
        status: int = 200,
        said: str = "",
        reason: str = "",
        renews: bool = False,
    ) -> HttpResponse:
        try:
            found = await self.lookup.find(reset_id)
            earlier = await self.lookup.page(ListQuery(target=found.reset.target, limit=EARLIER))
        except NotFound as error:
            return notice(404, "There is no such reset", element("p", str(error)))
        except (StorageUnavailable, NewerRow):
            return unavailable()
        viewing = Viewing(
            now=self.clock(),
            person=person,
            standard=self._standard(found),
            earlier=earlier.resets,
            entra=ENTRA.get(urlsplit(self.settings.graph_endpoint).hostname or "", ""),
            said=said,
            reason=reason,
            renews=renews,
        )
        extra = {"Refresh": str(RENEWED_EVERY)} if renews and status == 200 else None
        return html_response(render(found, viewing), status, extra)

    def _standard(self, found: Found) -> Standard:
        rules = self.settings.rules
        target = (rules.catalogue or {}).get(found.reset.target)
        return rules.standard(target) if target is not None else Standard(sign_in=rules.sign_in)


_STATUSES: Final = ((InvalidRequest, 400), (NotAllowed, 403), (MovedOn, 412), (NotPossible, 409))


def visitor(request: HttpRequest, settings: Settings, *, back: str) -> Person | HttpResponse:
    """Return who looks at a page, or the page that says why they may not."""
    if not settings.sign_in:
        return nobody_signs_in()
    try:
        person = demand(request, *READERS, sign_in=True)
    except NotAllowed as error:
        return notice(403, "Not for you yet", element("p", str(error)))
    except NotSignedIn:
        person = None
    return person if person is not None else _sign_in_first(back)


def nobody_signs_in() -> HttpResponse:
    """Say with which command to read and decide instead."""
    return notice(
        403,
        "Nobody can sign in here",
        element(
            "p",
            "The platform's authentication is not switched on for this app, so it cannot tell who "
            "you are, and this page shows and takes nothing. With a function key the reset can be "
            "read and decided on from a command line:",
        ),
        element(
            "p",
            element("code", 'curl -H "x-functions-key: $KEY" $APP/api/resets/ID'),
        ),
        element(
            "p",
            element(
                "code",
                'curl -H "x-functions-key: $KEY" -H "content-type: application/json" '
                """-d '{"decision": "approve", "by": "YOU", "reason": "WHY"}' """
                "$APP/api/resets/ID/decision",
            ),
        ),
        element(
            "p",
            "What needs two persons cannot be approved that way. docs/operate/deploy.md says how "
            "sign-in is set up.",
        ),
    )


def _sign_in_first(back: str) -> HttpResponse:
    return notice(
        401,
        "Sign in first",
        element("p", "This page is for people who are signed in to this organisation."),
        element(
            "p",
            element(
                "a", "Sign in", href=f"{SIGN_IN}?post_login_redirect_uri={quote(back, safe='')}"
            ),
        ),
        extra={"WWW-Authenticate": "Bearer"},
    )


def unavailable() -> HttpResponse:
    """A 503 that names no setting, since anybody may read it."""
    text = element("p", "Storage does not answer. Try again in a minute.")
    return notice(503, "Not available just now", text, extra=dict(LATER))
