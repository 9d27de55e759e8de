"""
Build the OpenAPI document of the HTTP API; its schemas are the types that validate. Pure.

https://spec.openapis.org/oas/v3.1.1.html
"""

import json
from functools import cache
from typing import Final

import msgspec

from shared.domain.deciders import DECISIONS
from shared.domain.requests import (
    ALIAS_PATTERN,
    LONGEST_REASON,
    LONGEST_REQUEST,
    ResetRequest,
    leave_out_empty_defaults,
    take_null_as_left_out,
)
from shared.domain.reset import State
from shared.use_cases.lookup import DEFAULT_PAGE, MAX_PAGE
from shared.use_cases.receive_webhook import LONGEST_WEBHOOK
from shared.web.forms import FORM
from shared.web.messages import HTML, JSON, TEXT, HttpResponse
from shared.web.openapi_parts import (
    ETAG,
    HTML_PAGE,
    ID,
    NO_KEY,
    PLATFORMS_OWN,
    SECURITY,
    SENDER,
    THROTTLED,
    Part,
    json_body,
    pages,
    parameter,
    problems,
    query,
    ref,
)
from shared.web.overview_page import SEARCHES
from shared.web.views import (
    AcceptedView,
    DecidedView,
    DecisionBody,
    HealthView,
    ListPageView,
    ProblemView,
    ResetView,
    StatusView,
    UnreadablePageView,
)

API_VERSION: Final = "1.0.0"
"""The version of the contract, not of the app."""

_EXAMPLE_ID: Final = "h-3f1c9a7e5b2d4860a1c3e5f708192a3b"


@cache
def openapi_text() -> str:
    """Return the document as it is served and published."""
    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


def openapi_response() -> HttpResponse:
    """Return the document, which is the same for everybody."""
    return HttpResponse(status=200, body=openapi_text(), extra={"Cache-Control": "max-age=3600"})


def openapi_document() -> Part:
    _, schemas = msgspec.json.schema_components(
        [
            ResetRequest,
            DecisionBody,
            AcceptedView,
            DecidedView,
            ResetView,
            ListPageView,
            UnreadablePageView,
            HealthView,
            StatusView,
            ProblemView,
        ],
        ref_template="#/components/schemas/{name}",
    )
    leave_out_empty_defaults(schemas.values())
    take_null_as_left_out(schemas[name] for name in ("ResetRequest", "Ticket", "DecisionBody"))
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Relink",
            "version": API_VERSION,
            "description": "Full-scope resets of Microsoft Entra provisioning jobs: asked for by "
            "a ticket, done once, watched, recorded.",
            "license": {"name": "MIT", "identifier": "MIT"},
            "contact": {"name": "The people who operate this app"},
        },
        "servers": [{"url": "/", "description": "Where this document was read."}],
        "security": [{"functionKey": []}, {"functionCode": []}],
        "tags": [
            {"name": "resets", "description": "Ask for resets, look them up, decide on them."},
            {"name": "app", "description": "The app itself."},
        ],
        "paths": _paths(),
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
    }


def _paths() -> Part:
    return {
        "/api/resets": {"post": _submit(), "get": _list()},
        "/api/resets/{id}": {"parameters": [ID], "get": _get()},
        "/api/resets/{id}/status": {"parameters": [ID], "get": _status()},
        "/api/resets/{id}/decision": {"parameters": [ID], "post": _decide()},
        "/api/resets/{id}/page": {
            "parameters": [ID],
            "get": _page(),
            "post": _decide_on_page(),
        },
        "/api/unreadable": {"get": _list_unreadable()},
        "/api/unreadable/{key}/retry": {"parameters": [_KEY], "post": _retry_unreadable()},
        "/api/overview": {"get": _overview(), "post": _ask_on_page()},
        "/api/webhooks/{sender}": {"parameters": [SENDER], "post": _webhook()},
        "/api/health": {"get": _health()},
        "/api/openapi.json": {"get": _openapi()},
    }


def _submit() -> Part:
    return {
        "operationId": "submitReset",
        "tags": ["resets"],
        "summary": "Ask for a reset",
        "description": f"At most {LONGEST_REQUEST:,} bytes. The same `requestId` with the same "
        "content is answered with the first reset; without one each call is a request of its own. "
        "The same body is also taken as the `data` of a CloudEvent "
        "(`application/cloudevents+json`).",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": ref(ResetRequest), "examples": _REQUESTS}},
        },
        "responses": {
            "202": {
                **_accepted("Accepted: `Location` is polled until it answers 200."),
                "headers": _POLLED,
            },
            "200": {**_accepted("It was accepted before."), "headers": _POLLED},
            **problems(400, 403, 413, 415, 422, 429, 503),
            **NO_KEY,
        },
    }


def _list() -> Part:
    return {
        "operationId": "listResets",
        "tags": ["resets"],
        "summary": "List resets",
        "description": "Without `target` the open resets of all targets; with it all of that "
        "target, newest first.",
        "parameters": [
            query("target", {"type": "string", "pattern": ALIAS_PATTERN}, "Alias of a target."),
            query(
                "state",
                {"type": "string", "enum": list(State)},
                "Filters each page: a page may be short or empty although there is a next one.",
            ),
            _LIMIT,
            query(
                "continuation",
                {"type": "string"},
                "From the previous page; the other parameters must not change.",
            ),
            query("ticket", {"type": "string"}, "Resets of this ticket, newest first."),
            query(
                "requestedBy", {"type": "string"}, "Resets that this person or system asked for."
            ),
            query("subject", {"type": "string"}, "Resets with this user."),
            query("since", {"type": "string", "format": "date-time"}, "Asked for since then."),
        ],
        "responses": {
            "200": json_body("A page.", ListPageView),
            **problems(400, 403, 503),
            **NO_KEY,
        },
    }


def _list_unreadable() -> Part:
    return {
        "operationId": "listUnreadable",
        "tags": ["resets"],
        "summary": "List messages that became no reset, newest first",
        "description": "Each is kept whole, with the reason why it was not taken in.",
        "parameters": [_LIMIT, query("continuation", {"type": "string"}, "From the last page.")],
        "responses": {
            "200": json_body("A page.", UnreadablePageView),
            **problems(400, 403, 503),
            **NO_KEY,
        },
    }


def _retry_unreadable() -> Part:
    return {
        "operationId": "retryUnreadable",
        "tags": ["resets"],
        "summary": "Send a message again that was put right",
        "description": "Without a body the message is judged again as it was kept; with one, the "
        "body takes its place. The caller asks for it. Without a `requestId` of its own it keeps "
        "the one of the message, or gets one that follows from the key, so that a retry that is "
        "repeated is the same request. The message stays in the list, with the reset's id.",
        "requestBody": {
            "required": False,
            "content": {JSON: {"schema": ref(ResetRequest), "examples": _REQUESTS}},
        },
        "responses": {
            "202": _accepted("Accepted."),
            "200": _accepted("It was accepted before."),
            **problems(400, 403, 404, 409, 413, 415, 422, 429, 503),
            **NO_KEY,
        },
    }


def _get() -> Part:
    return {
        "operationId": "getReset",
        "tags": ["resets"],
        "summary": "Read a reset and its history",
        "description": "The job before and after, what became of each user's link, and who did "
        "what and when.",
        "responses": {
            "200": {**json_body("The reset.", ResetView), "headers": ETAG},
            **problems(403, 404, 503),
            **NO_KEY,
        },
    }


def _status() -> Part:
    return {
        "operationId": "getStatus",
        "tags": ["resets"],
        "summary": "Wait for the end of a reset",
        "description": "The address that `submitReset` gives in `Location`; its token stands for a "
        "key, and shows nothing else. A wrong token is answered as an unknown id.",
        "security": [],
        "parameters": [query("token", {"type": "string"}, "As `Location` has it.")],
        "responses": {
            "202": {**json_body("Still open: ask again.", StatusView), "headers": _POLLED},
            "200": json_body("It has ended.", StatusView),
            **problems(404, 503),
        },
    }


def _decide() -> Part:
    return {
        "operationId": "decideReset",
        "tags": ["resets"],
        "summary": "Approve, reject, cancel, confirm or resend",
        "description": "Where people sign in, a person with the role `Resets.Approve` decides, in "
        "their own name; who asked for it may cancel it. `approve` also ends a wait for the "
        "cooldown or the budget.",
        "parameters": [
            {
                "name": "If-Match",
                "in": "header",
                "description": "The reset's ETag as read: 412 where it has changed since.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": ref(DecisionBody),
                    "examples": {
                        "approve": {"value": {"decision": "approve", "by": "boss@contoso.com"}}
                    },
                }
            },
        },
        "responses": {
            "200": {**json_body("Done.", DecidedView), "headers": ETAG},
            **problems(400, 403, 404, 409, 412, 413, 415, 503),
            **NO_KEY,
        },
    }


def _decide_on_page() -> Part:
    fields = {
        "decision": {"type": "string", "enum": list(DECISIONS)},
        "reason": {"type": "string", "maxLength": LONGEST_REASON},
        "seen": {"type": "string", "description": "The version of the reset that was shown."},
    }
    return {
        "operationId": "decideOnPage",
        "tags": ["resets"],
        "summary": "Decide by the form on the page",
        "description": "Only from a page of this app: `Origin` and `Sec-Fetch-Site` must say so.",
        "security": [{"signedIn": []}],
        "requestBody": {
            "required": True,
            "content": {FORM: {"schema": {"type": "object", "properties": fields}}},
        },
        "responses": pages(
            **{
                "303": {
                    "description": "Decided; the page shows it.",
                    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                },
                "400": {"description": "The form is not valid.", **HTML_PAGE},
                "404": {"description": "There is no such reset.", **HTML_PAGE},
                "409": {"description": "It came too late; the page says who decided.", **HTML_PAGE},
                "412": {"description": "The reset has changed since it was shown.", **HTML_PAGE},
                "default": PLATFORMS_OWN,
            }
        ),
    }


def _overview() -> Part:
    text: Part = {"type": "string"}
    return {
        "operationId": "showOverview",
        "tags": ["resets"],
        "summary": "What waits for people, what is open, the targets, a search",
        "description": "Only for a person whom the platform's authentication has signed in.",
        "security": [{"signedIn": []}],
        "parameters": [
            query("target", text, "Shows the last resets of this target."),
            query("by", {"type": "string", "enum": list(SEARCHES)}, "By what to search."),
            query("words", text, "What to search for, exactly."),
            query("continuation", text, "The next page of what is shown."),
            query("from", text, "The target at which the page of targets begins."),
        ],
        "responses": pages(
            **{
                "200": {"description": "The page.", **HTML_PAGE},
                "400": {
                    "description": "The search or the page asked for is not valid.",
                    **HTML_PAGE,
                },
                "404": {"description": "Nothing has the id searched for.", **HTML_PAGE},
            }
        ),
    }


def _ask_on_page() -> Part:
    fields = {
        "requestId": {"type": "string"},
        "target": {"type": "string"},
        "reason": {"type": "string", "maxLength": LONGEST_REASON},
        "users": {"type": "string", "description": "One a line."},
        "dryRun": {"type": "string", "description": "Any text asks for a dry run."},
    }
    return {
        "operationId": "askOnPage",
        "tags": ["resets"],
        "summary": "Ask for a reset by the form on the overview",
        "description": "Only from a page of this app: `Origin` and `Sec-Fetch-Site` must say so.",
        "security": [{"signedIn": []}],
        "requestBody": {
            "required": True,
            "content": {FORM: {"schema": {"type": "object", "properties": fields}}},
        },
        "responses": pages(
            **{
                "303": {
                    "description": "Accepted; the page of the reset shows it.",
                    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                },
                "400": {"description": "The form is not valid; the page says why.", **HTML_PAGE},
                "default": PLATFORMS_OWN,
            }
        ),
    }


def _page() -> Part:
    return {
        "operationId": "showReset",
        "tags": ["resets"],
        "summary": "A reset for people",
        "description": "Only for a person whom the platform's authentication has signed in.",
        "security": [{"signedIn": []}],
        "responses": pages(
            **{
                "200": {"description": "The page.", **HTML_PAGE},
                "404": {"description": "There is no such reset.", **HTML_PAGE},
            }
        ),
    }


def _webhook() -> Part:
    return {
        "operationId": "receiveWebhook",
        "tags": ["resets"],
        "summary": "Accept a sender's webhook",
        "description": "The signature or secret is checked instead of a key. The format of the "
        "body is configured for each sender (WEBHOOK_SENDERS). At most "
        f"{LONGEST_WEBHOOK:,} bytes; {LONGEST_REQUEST:,} in the format `relink`.",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"description": "As the sender's format has it."}}},
        },
        "responses": {
            "202": _accepted("Accepted. There is no `Location`: a sender could not read it."),
            "200": _accepted("It was accepted before."),
            "204": {
                "description": "An event that is not a request.",
                "headers": {"Relink-Reason": {"schema": {"type": "string"}}},
            },
            **problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
        },
    }


def _health() -> Part:
    return {
        "operationId": "readHealth",
        "tags": ["app"],
        "summary": "Whether the app can do its work",
        "description": "JSON, or a page or plain text where `Accept` asks for that. With the "
        "health key, or signed in with a role, in detail; only there is `attention` told.",
        "security": [{}, {"healthKey": []}, {"signedIn": []}],
        "responses": {
            "200": _for_people(json_body("It can: `ok` or `attention`.", HealthView)),
            "503": _for_people(
                json_body(
                    "`unhealthy`: a setting is wrong, storage does not answer, or the sweep is "
                    "silent; see `problems`.",
                    HealthView,
                )
            ),
            **THROTTLED,
        },
    }


def _for_people(answer: Part) -> Part:
    """The same answer, as a page and as text too."""
    words: Part = {"schema": {"type": "string"}}
    return {**answer, "content": {**answer["content"], HTML: words, TEXT: words}}


def _openapi() -> Part:
    return {
        "operationId": "readOpenapi",
        "tags": ["app"],
        "summary": "This document",
        "description": "The whole contract of the HTTP API.",
        "security": [],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1.",
                "content": {JSON: {"schema": {"type": "object"}}},
            },
            **THROTTLED,
        },
    }


def _accepted(description: str) -> Part:
    example = {
        "id": _EXAMPLE_ID,
        "state": "accepted",
        "location": f"https://relink.example/api/resets/{_EXAMPLE_ID}",
    }
    return {
        "description": description,
        "content": {JSON: {"schema": ref(AcceptedView), "example": example}},
    }


_POLLED: Final[Part] = {
    "Location": {
        "description": "Where the status is polled, without a key.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before that address is asked.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}

_REQUESTS: Final[Part] = {
    "smallest": {"value": {"target": "salesforce-prod"}},
    "ticket": {
        "value": {
            "requestId": "INC0012345-1",
            "target": "salesforce-prod",
            "reason": "Adele's Salesforce user was created again",
            "requestedBy": "helpdesk@contoso.com",
            "ticket": {
                "system": "servicenow",
                "id": "INC0012345",
                "url": "https://contoso.service-now.com/INC0012345",
            },
            "subjects": ["adele.vance@contoso.com"],
            "notBefore": "2026-12-01T20:00:00Z",
        }
    },
}

_LIMIT: Final = query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    "Entries a page.",
)
_KEY: Final = parameter(
    "key",
    {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9-]{0,127}$"},
    "Of an unreadable message.",
)
