"""Answer the HTTP functions while storage is not configured: a 503 that names the setting."""

from msgspec import Struct

from shared.config import Settings
from shared.domain.errors import TooLarge
from shared.use_cases.health import Health
from shared.use_cases.receive_webhook import LONGEST_WEBHOOK, named_only
from shared.web.health import health_response
from shared.web.messages import AFTER_REPAIR, HttpRequest, HttpResponse, problem_response
from shared.web.openapi import openapi_response
from shared.web.show_reset import unavailable


class NotConfiguredApi(Struct, frozen=True, kw_only=True):
    """The same endpoints as `Api`."""

    settings: Settings
    reporter: Health

    async def _unavailable(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 -- an endpoint
        return problem_response(503, self.settings.problems[0], AFTER_REPAIR)

    submit_reset = get_reset = list_resets = decide_reset = _unavailable
    list_unreadable = retry_unreadable = _unavailable

    async def receive_webhook(self, request: HttpRequest) -> HttpResponse:
        if len(request.body) > LONGEST_WEBHOOK:
            raise TooLarge("body: too long; shorten it")
        raise named_only(self.settings.problems[0])

    async def get_status(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 -- an endpoint
        # Its token is not checked without storage: every caller is a stranger.
        raise named_only(self.settings.problems[0])

    async def show_reset(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 -- an endpoint
        return unavailable()

    decide_on_page = show_overview = ask_on_page = show_reset

    async def openapi(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 -- an endpoint
        return openapi_response()

    async def health(self, request: HttpRequest) -> HttpResponse:
        return await health_response(self.reporter, self.settings, request)
