"""
Build the OpenAPI document of the HTTP API; its schemas are the types that validate. Pure.

https://spec.openapis.org/oas/v3.1.1.html
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from shared.domain.deciders import DECISIONS
from shared.domain.requests import (
    ALIAS_PATTERN,
    LONGEST_REASON,
    LONGEST_REQUEST,
    RESET_ID,
    ResetRequest,
    leave_out_empty_defaults,
    take_null_as_left_out,
)
from shared.domain.reset import State
from shared.use_cases.lookup import DEFAULT_PAGE, MAX_PAGE
from shared.use_cases.receive_webhook import LONGEST_WEBHOOK
from shared.web.forms import FORM
from shared.web.messages import HTML, JSON, PROBLEM, TITLES, HttpResponse
from shared.web.overview_page import SEARCHES
from shared.web.views import (
    AcceptedView,
    DecidedView,
    DecisionBody,
    HealthView,
    ListPageView,
    ProblemView,
    ResetView,
    UnreadablePageView,
)

API_VERSION: Final = "1.0.0"
"""The version of the contract, not of the app."""

_CLOUD_EVENT: Final = "application/cloudevents+json"
_EXAMPLE_ID: Final = "h-3f1c9a7e5b2d4860a1c3e5f708192a3b"

_Part = dict[str, Any]


@cache
def openapi_text() -> str:
    """Return the document as it is served and published."""
    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


def openapi_response() -> HttpResponse:
    """Return the document, which is the same for everybody."""
    return HttpResponse(status=200, body=openapi_text(), extra={"Cache-Control": "max-age=3600"})


def openapi_document() -> _Part:
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
            ProblemView,
        ],
        ref_template="#/components/schemas/{name}",
    )
    leave_out_empty_defaults(schemas.values())
    take_null_as_left_out([schemas["ResetRequest"], schemas["Ticket"]])
    schemas["CloudEvent"] = _CLOUD_EVENT_SCHEMA
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Relink",
            "version": API_VERSION,
            "description": "Full-scope resets of Microsoft Entra provisioning jobs: asked for by "
            "a ticket, done once, watched, recorded.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document was read."}],
        "security": [{"functionKey": []}, {"functionCode": []}],
        "tags": [
            {"name": "resets", "description": "Ask for resets, look them up, decide on them."},
            {"name": "app", "description": "The app itself."},
        ],
        "paths": _paths(),
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


def _paths() -> _Part:
    return {
        "/api/resets": {"post": _submit(), "get": _list()},
        "/api/resets/{id}": {"parameters": [_ID], "get": _get()},
        "/api/resets/{id}/decision": {"parameters": [_ID], "post": _decide()},
        "/api/resets/{id}/page": {
            "parameters": [_ID],
            "get": _page(),
            "post": _decide_on_page(),
        },
        "/api/unreadable": {"get": _list_unreadable()},
        "/api/unreadable/{key}/retry": {"parameters": [_KEY], "post": _retry_unreadable()},
        "/api/overview": {"get": _overview(), "post": _ask_on_page()},
        "/api/webhooks/{sender}": {"parameters": [_SENDER], "post": _webhook()},
        "/api/health": {"get": _health()},
        "/api/openapi.json": {"get": _openapi()},
    }


def _submit() -> _Part:
    return {
        "operationId": "submitReset",
        "tags": ["resets"],
        "summary": "Ask for a reset",
        "description": f"At most {LONGEST_REQUEST:,} bytes. The same `requestId` with the same "
        "content is answered with the first reset; without one each call is a request of its own.",
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _ref(ResetRequest), "examples": _REQUESTS},
                _CLOUD_EVENT: {"schema": {"$ref": "#/components/schemas/CloudEvent"}},
            },
        },
        "responses": {
            "202": _accepted("Accepted."),
            "200": _accepted("It was accepted before."),
            **_problems(400, 403, 413, 415, 422, 429, 503),
            **_NO_KEY,
        },
    }


def _list() -> _Part:
    return {
        "operationId": "listResets",
        "tags": ["resets"],
        "summary": "List resets",
        "description": "Without `target` the open resets of all targets; with it all of that "
        "target, newest first.",
        "parameters": [
            _query("target", {"type": "string", "pattern": ALIAS_PATTERN}, "Alias of a target."),
            _query(
                "state",
                {"type": "string", "enum": list(State)},
                "Filters each page: a page may be short or empty although there is a next one.",
            ),
            _LIMIT,
            _query(
                "continuation",
                {"type": "string"},
                "From the previous page; the other parameters must not change.",
            ),
            _query("ticket", {"type": "string"}, "Resets of this ticket, newest first."),
            _query(
                "requestedBy", {"type": "string"}, "Resets that this person or system asked for."
            ),
            _query("subject", {"type": "string"}, "Resets with this user."),
            _query("since", {"type": "string", "format": "date-time"}, "Asked for since then."),
        ],
        "responses": {"200": _json("A page.", ListPageView), **_problems(400, 403, 503), **_NO_KEY},
    }


def _list_unreadable() -> _Part:
    return {
        "operationId": "listUnreadable",
        "tags": ["resets"],
        "summary": "List messages that became no reset, newest first",
        "parameters": [_LIMIT, _query("continuation", {"type": "string"}, "From the last page.")],
        "responses": {
            "200": _json("A page.", UnreadablePageView),
            **_problems(400, 403, 503),
            **_NO_KEY,
        },
    }


def _retry_unreadable() -> _Part:
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
            "content": {
                JSON: {"schema": _ref(ResetRequest), "examples": _REQUESTS},
                _CLOUD_EVENT: {"schema": {"$ref": "#/components/schemas/CloudEvent"}},
            },
        },
        "responses": {
            "202": _accepted("Accepted."),
            "200": _accepted("It was accepted before."),
            **_problems(400, 403, 404, 409, 413, 415, 422, 429, 503),
            **_NO_KEY,
        },
    }


def _get() -> _Part:
    return {
        "operationId": "getReset",
        "tags": ["resets"],
        "summary": "Read a reset and its history",
        "responses": {
            "200": {**_json("The reset.", ResetView), "headers": _ETAG},
            **_problems(403, 404, 503),
            **_NO_KEY,
        },
    }


def _decide() -> _Part:
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
                    "schema": _ref(DecisionBody),
                    "examples": {
                        "approve": {"value": {"decision": "approve", "by": "boss@contoso.com"}}
                    },
                }
            },
        },
        "responses": {
            "200": {**_json("Done.", DecidedView), "headers": _ETAG},
            **_problems(400, 403, 404, 409, 412, 413, 415, 503),
            **_NO_KEY,
        },
    }


_HTML: Final[_Part] = {"content": {HTML: {"schema": {"type": "string"}}}}


def _pages(**found: _Part) -> _Part:
    """The answers that every page has, and *found*."""
    return {
        **found,
        "401": {
            "description": "The caller is not signed in; the page says how to sign in.",
            "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
            **_HTML,
        },
        "403": {
            "description": "The app has no sign-in, the caller no role, or a form came from "
            "another site.",
            **_HTML,
        },
        "503": {"description": "Storage does not answer.", "headers": _RETRY_AFTER, **_HTML},
    }


def _decide_on_page() -> _Part:
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
        "responses": _pages(
            **{
                "303": {
                    "description": "Decided; the page shows it.",
                    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                },
                "400": {"description": "The form is not valid.", **_HTML},
                "404": {"description": "There is no such reset.", **_HTML},
                "409": {"description": "It came too late; the page says who decided.", **_HTML},
                "412": {"description": "The reset has changed since it was shown.", **_HTML},
            }
        ),
    }


def _overview() -> _Part:
    text: _Part = {"type": "string"}
    return {
        "operationId": "showOverview",
        "tags": ["resets"],
        "summary": "What waits for people, what is open, the targets, a search",
        "security": [{"signedIn": []}],
        "parameters": [
            _query("target", text, "Shows the last resets of this target."),
            _query("by", {"type": "string", "enum": list(SEARCHES)}, "By what to search."),
            _query("words", text, "What to search for, exactly."),
            _query("continuation", text, "The next page of what is shown."),
            _query("from", text, "The target at which the page of targets begins."),
        ],
        "responses": _pages(
            **{
                "200": {"description": "The page.", **_HTML},
                "400": {"description": "The search or the page asked for is not valid.", **_HTML},
                "404": {"description": "Nothing has the id searched for.", **_HTML},
            }
        ),
    }


def _ask_on_page() -> _Part:
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
        "responses": _pages(
            **{
                "303": {
                    "description": "Accepted; the page of the reset shows it.",
                    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                },
                "400": {"description": "The form is not valid; the page says why.", **_HTML},
            }
        ),
    }


def _page() -> _Part:
    return {
        "operationId": "showReset",
        "tags": ["resets"],
        "summary": "A reset for people",
        "description": "Only for a person whom the platform's authentication has signed in.",
        "security": [{"signedIn": []}],
        "responses": _pages(
            **{
                "200": {"description": "The page.", **_HTML},
                "404": {"description": "There is no such reset.", **_HTML},
            }
        ),
    }


def _webhook() -> _Part:
    return {
        "operationId": "receiveWebhook",
        "tags": ["resets"],
        "summary": "Accept a sender's webhook",
        "description": "The signature or secret is checked instead of a key. The format of the "
        "body is configured for each sender (WEBHOOK_SENDERS). At most "
        f"{LONGEST_WEBHOOK:,} bytes; {LONGEST_REQUEST:,} in the format `relink`.",
        "security": [],
        "requestBody": {"required": True, "content": {JSON: {"schema": {}}}},
        "responses": {
            "202": _accepted("Accepted."),
            "200": _accepted("It was accepted before."),
            "204": {
                "description": "An event that is not a request.",
                "headers": {"Relink-Reason": {"schema": {"type": "string"}}},
            },
            **_problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
        },
    }


def _health() -> _Part:
    return {
        "operationId": "readHealth",
        "tags": ["app"],
        "summary": "Whether the app can do its work",
        "security": [{}, {"healthKey": []}, {"signedIn": []}],
        "responses": {
            "200": _json("It can.", HealthView),
            "503": _json(
                "A setting is wrong or storage does not answer: see `problems`.", HealthView
            ),
        },
    }


def _openapi() -> _Part:
    return {
        "operationId": "readOpenapi",
        "tags": ["app"],
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1.",
                "content": {JSON: {"schema": {"type": "object"}}},
            }
        },
    }


def _ref(kind: type) -> _Part:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _json(description: str, kind: type) -> _Part:
    return {"description": description, "content": {JSON: {"schema": _ref(kind)}}}


def _accepted(description: str) -> _Part:
    example = {
        "id": _EXAMPLE_ID,
        "state": "accepted",
        "location": f"https://relink.example/api/resets/{_EXAMPLE_ID}",
    }
    return {
        "description": description,
        "headers": {
            "Location": {
                "description": "Where the reset is read.",
                "required": True,
                "schema": {"type": "string", "format": "uri-reference"},
            }
        },
        "content": {JSON: {"schema": _ref(AcceptedView), "example": example}},
    }


def _problems(*statuses: int) -> _Part:
    return {str(status): _problem(status) for status in statuses}


def _problem(status: int) -> _Part:
    found: _Part = {
        "description": f"{TITLES[status]}. {_MEANINGS[status]}",
        "content": {PROBLEM: {"schema": _ref(ProblemView)}},
    }
    return {**found, "headers": _RETRY_AFTER} if status in {429, 503} else found


_MEANINGS: Final[Mapping[int, str]] = {
    400: "The request is not valid; `detail` names the field and the remedy.",
    401: "The signature or secret is missing or wrong.",
    403: "The caller may not do this.",
    404: "There is no such reset, or no such sender.",
    409: "The reset's state does not allow it.",
    412: "The reset has changed since it was read.",
    413: "The body is too long.",
    415: "Another content type than those listed, or another encoding than UTF-8.",
    422: "The id stands for a request with other content.",
    429: "Too many requests of this sender are open: send again later.",
    503: "Storage does not answer, or a setting is wrong: try again later.",
}

_NO_KEY: Final[_Part] = {
    "401": {
        "description": "No function key, or a wrong one: the platform says so without a body. Or "
        "nobody is signed in where people sign in.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
    }
}

_ETAG: Final[_Part] = {
    "ETag": {
        "description": "The version of the reset, for If-Match.",
        "required": True,
        "schema": {"type": "string"},
    }
}

_RETRY_AFTER: Final[_Part] = {
    "Retry-After": {
        "description": "Seconds.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}


def _parameter(name: str, schema: _Part, description: str) -> _Part:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _query(name: str, schema: _Part, description: str) -> _Part:
    # The platform drops empty values, so that an empty parameter counts as left out.
    return {
        "name": name,
        "in": "query",
        "description": description,
        "allowEmptyValue": True,
        "schema": schema,
    }


_LIMIT: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    "Entries a page.",
)
_KEY: Final = _parameter(
    "key",
    {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9-]{0,127}$"},
    "Of an unreadable message.",
)
_ID: Final = _parameter(
    "id", {"type": "string", "pattern": f"^{RESET_ID.pattern}$"}, "Id of a reset."
)
_SENDER: Final = _parameter("sender", {"type": "string", "minLength": 1}, "As configured.")

_SECURITY: Final[_Part] = {
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "A function key or host key of the Functions app.",
    },
    "functionCode": {
        "type": "apiKey",
        "in": "query",
        "name": "code",
        "description": "The same key in the address, where it may end up in logs: use the header.",
    },
    "healthKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "The setting HEALTH_KEY, compared by the app itself; it shows the detail.",
    },
    "signedIn": {
        "type": "apiKey",
        "in": "cookie",
        "name": "AppServiceAuthSession",
        "description": "The platform's own sign-in (App Service authentication).",
    },
}

_REQUESTS: Final[_Part] = {
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

_EVENT_NAMES: Final[Sequence[str]] = ("specversion", "id", "source", "type", "data")
_CLOUD_EVENT_SCHEMA: Final[_Part] = {
    "title": "CloudEvent",
    "description": "A CloudEvents 1.0 envelope in structured mode; `source` and `id` are the "
    "request's id where `data` brings none.",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "datacontenttype": {"type": ["string", "null"]},
        "data": _ref(ResetRequest),
    },
    "required": list(_EVENT_NAMES),
}
