"""`GET` and `POST /api/overview`: the first page for people, and its form to ask for a reset."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.errors import (
    InvalidRequest,
    NewerRow,
    NotAllowed,
    NotFound,
    RelinkError,
    StorageUnavailable,
)
from shared.domain.keys import SearchKind
from shared.domain.people import Person, Role
from shared.domain.ports import Clock
from shared.domain.requests import Received, issued_id, to_request
from shared.use_cases.accept import API
from shared.use_cases.lookup import DEFAULT_PAGE, ListPage, ListQuery, Lookup
from shared.use_cases.overview import Overview
from shared.use_cases.submit import Submission
from shared.web.forms import own_origins, read_form
from shared.web.html import OVERVIEW, element, html_response, notice
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.overview_page import SEARCHES, Asked, Looking, render
from shared.web.reset_page import page_of
from shared.web.show_reset import unavailable, visitor


class OverviewPages(Struct, frozen=True, kw_only=True):
    """
    The functions `show_overview` and `ask_on_page`.

    *new_id* gives 32 random hex digits, for the id of the request that the form may send.
    """

    settings: Settings
    overview: Overview
    lookup: Lookup
    submission: Submission
    clock: Clock
    new_id: Callable[[], str]

    async def show(self, request: HttpRequest) -> HttpResponse:
        person = visitor(request, self.settings, back=OVERVIEW)
        if isinstance(person, HttpResponse):
            return person
        target = request.query.get("target", "")
        asked = Asked(request_id=issued_id(self.new_id()), target=target)
        return await self._page(person, asked, request.query)

    async def ask(self, request: HttpRequest) -> HttpResponse:
        """Take the form; 303 to the page of the reset, or the form with what is wrong with it."""
        person = visitor(request, self.settings, back=OVERVIEW)
        if isinstance(person, HttpResponse):
            return person
        try:
            origins = own_origins(request, self.settings.public_url)
            fields = read_form(request, own_origins=origins)
        except NotAllowed as error:
            return notice(403, "Not taken", element("p", str(error)))
        except InvalidRequest as error:
            return notice(400, "Not taken", element("p", str(error)))
        if Role.REQUEST not in person.roles:
            words = f"The app role {Role.REQUEST} is needed to ask for a reset."
            return notice(403, "Not taken", element("p", words))
        if self.settings.problems:
            return unavailable()
        try:
            received = Received(id=fields.get("requestId", ""), request=to_request(_wanted(fields)))
            accepted = await self.submission.submit(
                received.asked_by(person.name), via=API, asker=person
            )
        except InvalidRequest as error:
            return await self._page(person, self._again(fields, str(error)), {}, status=400)
        except (StorageUnavailable, NewerRow):
            return unavailable()
        return HttpResponse(
            status=303, body="", extra={"Location": page_of(accepted.stored.row.id)}
        )

    def _again(self, fields: Mapping[str, str], problem: str) -> Asked:
        return Asked(
            request_id=issued_id(self.new_id()),
            target=fields.get("target", ""),
            reason=fields.get("reason", ""),
            users=fields.get("users", ""),
            dry_run=bool(fields.get("dryRun")),
            problem=problem,
        )

    async def _page(
        self, person: Person, asked: Asked, query: Mapping[str, str], *, status: int = 200
    ) -> HttpResponse:
        by, words, target = query.get("by", "ticket"), query.get("words", ""), query.get("target")
        problem, found, sights = "", None, None
        try:
            searches = bool(words or target)
            try:
                found = await self._found(by, words.strip(), target or "", query)
            except RelinkError as error:
                if not isinstance(error, InvalidRequest | NotFound):
                    raise
                problem, status = str(error), 404 if isinstance(error, NotFound) else 400
            sights = await self.overview.look(
                from_target=query.get("from", ""),
                continuation="" if searches else query.get("continuation", ""),
            )
        except InvalidRequest as error:
            return notice(400, "There is no such page", element("p", str(error)))
        except (StorageUnavailable, NewerRow):
            return unavailable()
        looking = Looking(
            now=self.clock(),
            person=person,
            asked=asked,
            targets=sorted(self.settings.catalogue or {}),
            by=by if by in SEARCHES else "ticket",
            words=words,
            target=target or "",
            found=found,
            problem=problem,
        )
        return html_response(render(sights, looking), status)

    async def _found(
        self, by: str, words: str, target: str, query: Mapping[str, str]
    ) -> ListPage | None:
        after = query.get("continuation", "")
        if target:
            return await self.lookup.page(
                ListQuery(target=target, limit=DEFAULT_PAGE, continuation=after)
            )
        if not words:
            return None
        if by == "id":
            return ListPage(resets=[(await self.lookup.find(words)).reset])
        if by not in SEARCHES:
            raise InvalidRequest(f"by: must be one of {', '.join(SEARCHES)}")
        return await self.lookup.search(SearchKind(by), words, continuation=after)


_LISTS: Final = ("target", "reason", "requestId")


def _wanted(fields: Mapping[str, str]) -> dict[str, Any]:
    """The form as a request; an empty field is left out."""
    wanted: dict[str, Any] = {name: fields[name] for name in _LISTS if fields.get(name)}
    users = [each.strip() for each in fields.get("users", "").splitlines()]
    return {
        **wanted,
        "subjects": [each for each in users if each],
        "dryRun": bool(fields.get("dryRun")),
    }
