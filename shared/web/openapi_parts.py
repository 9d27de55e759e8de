"""Give the OpenAPI document its building blocks: parameters, answers, problems, security. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from shared.domain.requests import RESET_ID
from shared.web.messages import HTML, JSON, PROBLEM, TITLES
from shared.web.views import ProblemView

type Part = dict[str, Any]


def ref(kind: type) -> Part:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def json_body(description: str, kind: type) -> Part:
    return {"description": description, "content": {JSON: {"schema": ref(kind)}}}


def problems(*statuses: int) -> Part:
    return {str(status): _problem(status) for status in statuses}


def _problem(status: int) -> Part:
    found: Part = {
        "description": f"{TITLES[status]}. {MEANINGS[status]}",
        "content": {PROBLEM: {"schema": ref(ProblemView)}},
    }
    return {**found, "headers": RETRY_AFTER} if status in {429, 503} else found


MEANINGS: Final[Mapping[int, str]] = {
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

NO_KEY: Final[Part] = {
    "401": {
        "description": "No function key, or a wrong one: the platform says so without a body. Or "
        "nobody is signed in where people sign in.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
    }
}

ETAG: Final[Part] = {
    "ETag": {
        "description": "The version of the reset, for If-Match.",
        "required": True,
        "schema": {"type": "string"},
    }
}

PLATFORMS_OWN: Final[Part] = {
    "description": "Any other answer is the platform's own, before the app is asked."
}

THROTTLED: Final[Part] = {
    "429": {"description": "The platform is too busy, and says so before the app is asked."}
}

RETRY_AFTER: Final[Part] = {
    "Retry-After": {
        "description": "Seconds.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}


def parameter(name: str, schema: Part, description: str) -> Part:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def query(name: str, schema: Part, description: str) -> Part:
    # The platform drops empty values, so that an empty parameter counts as left out.
    return {
        "name": name,
        "in": "query",
        "description": description,
        "allowEmptyValue": True,
        "schema": schema,
    }


ID: Final = parameter(
    "id", {"type": "string", "pattern": f"^{RESET_ID.pattern}$"}, "Id of a reset."
)
SENDER: Final = parameter("sender", {"type": "string", "minLength": 1}, "As configured.")

SECURITY: Final[Part] = {
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

HTML_PAGE: Final[Part] = {"content": {HTML: {"schema": {"type": "string"}}}}


def pages(**found: Part) -> Part:
    """The answers that every page has, and *found*."""
    return {
        **found,
        "401": {
            "description": "The caller is not signed in; the page says how to sign in.",
            "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
            **HTML_PAGE,
        },
        "403": {
            "description": "The app has no sign-in, the caller no role, or a form came from "
            "another site.",
            **HTML_PAGE,
        },
        "503": {"description": "Storage does not answer.", "headers": RETRY_AFTER, **HTML_PAGE},
    }
