"""`GET /api/health` over HTTP: who may see the detail is decided by `use_cases.health`."""

from shared.config import Settings
from shared.use_cases.health import Health
from shared.web.messages import HttpRequest, HttpResponse, ok
from shared.web.principal import signed_in


async def health_response(
    reporter: Health, settings: Settings, request: HttpRequest
) -> HttpResponse:
    person = signed_in(request, sign_in=settings.sign_in)
    key = request.headers.get("x-functions-key", "")
    report = await reporter.report(key, signed_in=bool(person))
    return ok(report.body, report.status)
