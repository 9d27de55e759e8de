"""The HTTP side of the use cases: a Call in, a Reply out. Knows no HTTP library."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from shared.config import Settings
from shared.domain.errors import InvalidRequest, StorageUnavailable
from shared.domain.messages import LONGEST_EVENT, read_event
from shared.domain.requests import LONGEST_REQUEST, Received, parse_request
from shared.use_cases.accept import Accepted
from shared.use_cases.decide_reset import DecideReset
from shared.use_cases.lookup import ListQuery, Lookup
from shared.use_cases.receive_webhook import ReceiveWebhook
from shared.use_cases.submit import Submission
from shared.web.messages import (
    AFTER_REPAIR,
    JSON,
    LATER,
    HttpRequest,
    HttpResponse,
    location,
    ok,
    origin,
    problem_response,
    replied,
    unsuitable,
)
from shared.web.principal import HEADER, signed_in
from shared.web.views import DecisionBody, page, whole
from shared.webhooks.parsed import AsksNothing

VIA: Final = "api"
WHY_NOTHING: Final = "Relink-Reason"
CLOUD_EVENT: Final = "application/cloudevents+json"
LONGEST_BODY: Final[Mapping[str, int]] = {JSON: LONGEST_REQUEST, CLOUD_EVENT: LONGEST_EVENT}


class Api:
    """*new_id* gives 32 random hex digits, for a request that brings no id of its own."""

    def __init__(
        self,
        *,
        settings: Settings,
        submission: Submission,
        decisions: DecideReset,
        lookup: Lookup,
        webhooks: ReceiveWebhook,
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._submission = submission
        self._decisions = decisions
        self._lookup = lookup
        self._webhooks = webhooks
        self._new_id = new_id

    async def submit(self, call: HttpRequest) -> HttpResponse:
        """`POST /api/resets`."""
        if refused := self.not_now() or unsuitable(call, LONGEST_BODY):
            return refused
        return await replied(self._submit(call))

    def not_now(self) -> HttpResponse | None:
        """Nothing is taken in while a setting is bad: whoever asks hears of it and asks again."""
        if not self._settings.problems:
            return None
        return problem_response(503, self._settings.problems[0], AFTER_REPAIR)

    async def _submit(self, call: HttpRequest) -> HttpResponse:
        received = self._received(call)
        person = self._person(call)
        if person:
            # Whatever the body claims: who is signed in is who asks.
            request = msgspec.structs.replace(received.request, requested_by=person)
            received = Received(id=received.id, request=request)
        try:
            accepted = await self._submission.submit(received, via=VIA, signed_in=bool(person))
        except StorageUnavailable:
            # Whoever asks again under this id asks once, whatever became of this time.
            return problem_response(
                503,
                f'storage does not answer; send it again with "requestId": "{received.id}"',
                LATER,
                requestId=received.id,
            )
        return accepted_reply(accepted, self.base(call))

    def _received(self, call: HttpRequest) -> Received:
        if call.media_type == CLOUD_EVENT:
            return read_event(call.body)
        request = parse_request(call.body)
        return Received(id=request.request_id or f"h-{self._new_id()}", request=request)

    async def receive_webhook(self, call: HttpRequest) -> HttpResponse:
        """`POST /api/webhooks/{sender}`; an event that asks for nothing is a 204 that says why."""
        return await replied(self._webhook(call))

    async def _webhook(self, call: HttpRequest) -> HttpResponse:
        found = await self._webhooks.receive(call.path.get("sender", ""), call.headers, call.body)
        if isinstance(found, AsksNothing):
            # A 204 has no body.
            why = found.reason.encode("ascii", "replace").decode()
            return HttpResponse(status=204, body="", extra={WHY_NOTHING: why})
        return accepted_reply(found, self.base(call))

    async def get_reset(self, call: HttpRequest) -> HttpResponse:
        """`GET /api/resets/{id}`."""
        return await replied(self._get(call))

    async def _get(self, call: HttpRequest) -> HttpResponse:
        found = await self._lookup.find(call.path.get("id", ""))
        return ok(whole(found.reset, found.events, found.links))

    async def list_resets(self, call: HttpRequest) -> HttpResponse:
        """`GET /api/resets`."""
        return await replied(self._list(call))

    async def _list(self, call: HttpRequest) -> HttpResponse:
        found = await self._lookup.page(ListQuery.from_query(call.query))
        return ok(page(found.resets, found.continuation))

    async def decide(self, call: HttpRequest) -> HttpResponse:
        """`POST /api/resets/{id}/decision`; a signed-in person decides in their own name."""
        if refused := unsuitable(call, {JSON: LONGEST_REQUEST}):
            return refused
        return await replied(self._decide(call))

    async def _decide(self, call: HttpRequest) -> HttpResponse:
        try:
            body = msgspec.json.decode(call.body, type=DecisionBody)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                'request: not what is expected; send {"decision": "approve", "by": "…"} '
                f"({str(error)[:200]})"
            ) from error
        person = self._person(call)
        reset = await self._decisions.decide(
            call.path.get("id", ""), body.decision, by=person or body.by, signed_in=bool(person)
        )
        return ok({"id": reset.id, "state": str(reset.state), "detail": reset.detail})

    def base(self, call: HttpRequest) -> str:
        return self._settings.public_url or origin(call.url)

    def _person(self, call: HttpRequest) -> str:
        return signed_in(call.headers.get(HEADER, ""), sign_in=self._settings.sign_in)


def accepted_reply(accepted: Accepted, base: str) -> HttpResponse:
    """
    What whoever asked is told, by `POST /api/resets` and by a webhook alike.

    202 where the reset was written now, 200 where it was there: never 409, on which some senders
    try again for ever.
    """
    reset = accepted.stored.row
    where = location(base, reset.id)
    return ok(
        {"id": reset.id, "state": str(reset.state), "location": where},
        200 if accepted.known else 202,
        {"Location": where},
    )
