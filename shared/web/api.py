"""Translate each HTTP endpoint to its use case and back; errors are raised, for `respond`."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from shared.config import Settings
from shared.domain.errors import InvalidRequest, StorageUnavailable
from shared.domain.json_object import decode_object
from shared.domain.messages import LONGEST_EVENT, read_cloud_event
from shared.domain.people import Person, Role
from shared.domain.requests import (
    LONGEST_ID,
    LONGEST_REQUEST,
    RESET_ID,
    Received,
    ResetRequest,
    derived_id,
    issued_id,
    parse_request,
)
from shared.domain.reset import Reset, tag
from shared.domain.wording import Wording
from shared.use_cases.accept import API, Accepted
from shared.use_cases.decide_reset import DecideReset, Decision
from shared.use_cases.health import Health
from shared.use_cases.lookup import ListQuery, Lookup
from shared.use_cases.receive_webhook import ReceiveWebhook
from shared.use_cases.submit import Submission
from shared.use_cases.unreadable import UnreadableMessages
from shared.web.health import health_response
from shared.web.messages import (
    AFTER_REPAIR,
    JSON,
    LATER,
    HttpRequest,
    HttpResponse,
    body_problem,
    location,
    ok,
    origin,
    problem_response,
)
from shared.web.openapi import openapi_response
from shared.web.roles import READERS, demand
from shared.web.show_overview import OverviewPages
from shared.web.show_reset import ResetPages
from shared.web.show_status import StatusAddress
from shared.web.views import DecisionBody, list_body, reset_body, unreadable_body
from shared.webhooks.parsed import AsksNothing

WHY_NOTHING: Final = "Relink-Reason"
CLOUD_EVENT: Final = "application/cloudevents+json"
LONGEST_BODY: Final[Mapping[str, int]] = {JSON: LONGEST_REQUEST, CLOUD_EVENT: LONGEST_EVENT}


class Api(Struct, frozen=True, kw_only=True):
    """
    The endpoints; each is called through `respond`, which answers for what it raises.

    *new_id* gives 32 random hex digits, for a request that brings no id of its own.
    """

    settings: Settings
    submission: Submission
    webhooks: ReceiveWebhook
    decisions: DecideReset
    lookup: Lookup
    messages: UnreadableMessages
    reporter: Health
    statuses: StatusAddress
    pages: ResetPages
    overviews: OverviewPages
    new_id: Callable[[], str]

    async def submit_reset(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/resets`. Nothing is accepted while a setting is bad."""
        if self.settings.problems:
            return problem_response(503, self.settings.problems[0], AFTER_REPAIR)
        if problem := body_problem(request, LONGEST_BODY):
            return problem
        person = self._demand(request, Role.REQUEST)
        only_key(request.query)
        received = self._received(request)
        if person:
            # The signed-in person is the requester, even if the body names another.
            received = received.asked_by(person.name)
        try:
            accepted = await self.submission.submit(received, via=API, asker=person)
            where = await self.statuses.headers(accepted.stored.row.id, request)
        except StorageUnavailable:
            # Sent again under this id it is one request, even if this attempt was stored.
            return problem_response(
                503,
                f'storage does not answer; send it again with "requestId": "{received.id}"',
                LATER,
                requestId=received.id,
            )
        return accepted_response(accepted, self._base(request), where)

    def _received(self, request: HttpRequest) -> Received:
        key = request.headers.get("idempotency-key", "")
        if request.media_type == CLOUD_EVENT:
            event = read_cloud_event(request.body)
            keyed = with_key(event.request, key)
            return Received(id=keyed.request_id or event.id, request=keyed)
        reset = with_key(parse_request(request.body), key)
        if not reset.request_id and any(request.headers.get(each) for each in _BINARY_MODE):
            return from_headers(reset, request.headers)
        return Received(
            id=reset.request_id or issued_id(self.new_id()),
            own_id=bool(reset.request_id),
            request=reset,
        )

    async def receive_webhook(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/webhooks/{sender}`; an event that asks for nothing is a 204 that says why."""
        sender = request.path.get("sender", "")
        received = await self.webhooks.receive(sender, request.headers, request.body, request.query)
        if isinstance(received, AsksNothing):
            # A 204 has no body.
            why = received.reason.encode("ascii", "replace").decode()
            return HttpResponse(status=204, body="", extra={WHY_NOTHING: why})
        return accepted_response(received, self._base(request))

    async def get_reset(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/resets/{id}`."""
        self._demand(request, *READERS)
        found = await self.lookup.find(request.path.get("id", ""))
        body = reset_body(found.reset, found.events, found.links)
        return ok(body, extra={"ETag": etag(found.reset)})

    async def list_resets(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/resets`."""
        self._demand(request, *READERS)
        found = await self.lookup.page(ListQuery.from_query(request.query))
        return ok(
            list_body(
                found.resets,
                found.continuation,
                next_link(self._here(request, "resets"), request.query, found.continuation),
            )
        )

    async def list_unreadable(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/unreadable`."""
        self._demand(request, *READERS)
        found = await self.messages.page(request.query)
        here = self._here(request, "unreadable")
        more = next_link(here, request.query, found.continuation)
        return ok(unreadable_body(found.messages, found.continuation, more))

    async def retry_unreadable(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/unreadable/{key}/retry`; a body takes the place of the message."""
        if self.settings.problems:
            return problem_response(503, self.settings.problems[0], AFTER_REPAIR)
        problem = body_problem(request, LONGEST_BODY) if request.body else None
        if problem:
            return problem
        person = self._demand(request, Role.REQUEST)
        only_key(request.query)
        corrected = self._received(request) if request.body else None
        accepted = await self.messages.retry(request.path.get("key", ""), corrected, person=person)
        where = await self.statuses.headers(accepted.stored.row.id, request)
        return accepted_response(accepted, self._base(request), where)

    async def decide_reset(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/resets/{id}/decision`; a signed-in person decides in their own name."""
        if problem := body_problem(request, {JSON: LONGEST_REQUEST}):
            return problem
        person = self._demand(request)
        only_key(request.query)
        body = _decision(request.body)
        wanted = Decision(
            decision=body.decision,
            by=body.by,
            person=person,
            reason=body.reason,
            seen=versions(request.headers.get("if-match", "")),
        )
        reset = await self.decisions.decide(request.path.get("id", ""), wanted)
        return ok(
            {"id": reset.id, "state": str(reset.state), "detail": reset.detail},
            extra={"ETag": etag(reset)},
        )

    async def get_status(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/resets/{id}/status`."""
        return await self.statuses.show(request)

    async def show_reset(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/resets/{id}/page`."""
        return await self.pages.show(request)

    async def decide_on_page(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/resets/{id}/page`."""
        return await self.pages.decide(request)

    async def show_overview(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/overview`."""
        return await self.overviews.show(request)

    async def ask_on_page(self, request: HttpRequest) -> HttpResponse:
        """`POST /api/overview`."""
        return await self.overviews.ask(request)

    async def openapi(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 -- always the same
        """`GET /api/openapi.json`."""
        return openapi_response()

    async def health(self, request: HttpRequest) -> HttpResponse:
        """`GET /api/health`."""
        return await health_response(self.reporter, self.settings, request)

    def _base(self, request: HttpRequest) -> str:
        return self.settings.public_url or origin(request.url)

    def _here(self, request: HttpRequest, route: str) -> str:
        return f"{self._base(request)}/api/{route}"

    def _demand(self, request: HttpRequest, *roles: Role) -> Person | None:
        return demand(request, *roles, sign_in=self.settings.sign_in)


def etag(reset: Reset) -> str:
    """The version of a reset's row, as a strong entity tag."""
    return f'"{tag(reset)}"'


def versions(if_match: str) -> tuple[str, ...]:
    """
    Read `If-Match`; empty where any version will do.

    A weak tag never matches (RFC 9110, 13.1.1), nor does what is not a tag.
    """
    if if_match.strip() in {"", "*"}:
        return ()
    return tuple(each.strip().strip('"') for each in if_match.split(","))


def with_key(reset: ResetRequest, key: str) -> ResetRequest:
    """`Idempotency-Key` names a request that brings no `requestId`; two names must be one."""
    if not key:
        return reset
    name = key.strip().removeprefix('"').removesuffix('"')
    if len(name) > LONGEST_ID or not RESET_ID.fullmatch(name):
        raise InvalidRequest(
            "Idempotency-Key: use 1 to 128 of A-Z a-z 0-9 . _ -, first a letter or digit"
        )
    if reset.request_id not in {"", name}:
        raise InvalidRequest("Idempotency-Key: differs from requestId; send one of them")
    return msgspec.structs.replace(reset, request_id=name)


_BINARY_MODE: Final = ("ce-specversion", "ce-id", "ce-source")
"""One of them alone would name no request, and each call would be a new one: it is refused."""


def from_headers(reset: ResetRequest, headers: Mapping[str, str]) -> Received:
    """A CloudEvent in binary mode: its attributes are headers, the body is the request."""
    source, event_id = headers.get("ce-source", ""), headers.get("ce-id", "")
    if not source or not event_id:
        raise InvalidRequest("ce-id: CloudEvents needs ce-id and ce-source; send both")
    if headers.get("ce-specversion") != "1.0":
        raise InvalidRequest("ce-specversion: only CloudEvents 1.0 is read; send `1.0`")
    return Received(id=derived_id("cloudevents", source, event_id), request=reset)


def _decision(body: bytes) -> DecisionBody:
    # Strictly, as a request: of two decisions in one body the last one would count.
    found = decode_object(body, name="request")
    given = {k: v for k, v in found.items() if v is not None or k not in _DECISION.names[""]}
    try:
        return msgspec.convert(given, DecisionBody)
    except msgspec.ValidationError as error:
        why = _DECISION.describe(str(error))
        raise InvalidRequest(f'{why}; send {{"decision": "approve", "by": "…"}}') from error


_DECISION: Final = Wording(names={"": DecisionBody.__struct_encode_fields__})


def only_key(query: Mapping[str, str]) -> None:
    """
    Raise InvalidRequest for a parameter in the address of what changes something.

    The platform's key may stand there. What else does was meant for the body (`?dryRun=true`).
    """
    for name in query:
        if name != "code":
            raise InvalidRequest(
                f"{name[:64]}: stands in the address, where nothing is read; put it into the body "
                "or remove it"
            )


def next_link(here: str, query: Mapping[str, str], continuation: str) -> str:
    """Return the address of the next page of a list; without the key that was in the address."""
    if not continuation:
        return ""
    asked = {name: value for name, value in query.items() if name != "code"}
    return f"{here}?{urlencode({**asked, 'continuation': continuation})}"


def accepted_response(
    accepted: Accepted, base: str, where: Mapping[str, str] | None = None
) -> HttpResponse:
    """
    202 where the reset was written now, 200 where it was there before.

    Never 409: Jira and Zendesk send a webhook again and again on it. *where* has the headers that
    lead to the status; none for a webhook, since a sender that follows them has no proof to show.
    """
    reset = accepted.stored.row
    body: dict[str, object] = {
        "id": reset.id,
        "state": str(reset.state),
        "location": location(base, reset.id),
    }
    if reset.warnings:
        body["warnings"] = list(reset.warnings)
    return ok(body, 200 if accepted.known else 202, where)
