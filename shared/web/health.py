"""
`GET /api/health` over HTTP: JSON, or a page or plain text where the caller asks for that.

Who may see the detail is decided by `use_cases.health`.
"""

from typing import Final

from shared.config import Settings
from shared.use_cases.health import Health
from shared.web import health_page
from shared.web.html import html_response
from shared.web.messages import (
    HTML,
    JSON,
    TEXT,
    HttpRequest,
    HttpResponse,
    ok,
    preferred,
)
from shared.web.principal import signed_in
from shared.web.roles import READERS

OFFERED: Final = (JSON, HTML, TEXT)
_VARIES: Final = {"Vary": "Accept"}


async def health_response(
    reporter: Health, settings: Settings, request: HttpRequest
) -> HttpResponse:
    """A key shows the detail, and so does a role of any kind where people sign in."""
    person = signed_in(request, sign_in=settings.sign_in)
    key = request.headers.get("x-functions-key", "")
    may_read = person is not None and bool(person.roles.intersection(READERS))
    report = await reporter.report(key, signed_in=may_read)
    match preferred(request.headers.get("accept", ""), OFFERED):
        case "text/html":
            page = health_page.render(report, now=reporter.clock())
            return html_response(page, report.status, dict(_VARIES))
        case "text/plain":
            text = health_page.as_text(report, now=reporter.clock())
            return HttpResponse(
                status=report.status, body=text, content_type=TEXT, extra=dict(_VARIES)
            )
        case _:
            return ok(report.body, report.status, dict(_VARIES))
