"""Holds whole answers that Graph has been seen to give, for a fault to name."""

import json
from typing import Final, Literal

type OddAnswer = Literal[
    "brokenJson",
    "concurrencyViolation",
    "emptyList",
    "emptyObject",
    "html",
    "innerJsonNotFound",
    "jobNotFound",
    "list",
    "nothing",
    "null",
    "onDemandResult",
    "reportsThrottled",
    "requestDenied",
    "skipTokenExpired",
    "throttled",
    "tokenExpired",
    "unknownErrorUnauthorized",
    "withoutValue",
]

_INNER: Final = {
    "date": "2026-11-24T09:00:00",
    "request-id": "a68b1289-0000-4000-8000-1d2e3f4a5b6c",
    "client-request-id": "a68b1289-0000-4000-8000-1d2e3f4a5b6c",
}
_INNER_SERVICE: Final = json.dumps(
    {
        "Message": "No HTTP resource was found that matches the request URI "
        "'https://syncfabric.windowsazure.com/api/servicePrincipals('acc560a1-67df-4d8d-abd0-"
        "7cf74a1d7201')/synchronization/jobs('gsuite.74beb1753b704b63b8d56f0b76082b16')"
        "?api-version=2.0'."
    }
)


def _error(code: str, message: str, more: dict[str, str] | None = None) -> str:
    inner = {"innerError": _INNER | (more or {})} if more or code == "UnknownError" else {}
    return json.dumps({"error": {"code": code, "message": message, **inner}})


ODD_ANSWERS: Final[dict[OddAnswer, tuple[int, str]]] = {
    "brokenJson": (200, '{"value": ['),
    "concurrencyViolation": (
        409,
        _error(
            "Directory_ConcurrencyViolation",
            "Error due to concurrent requests being made to the tenant. "
            "Please wait briefly and retry",
        ),
    ),
    "emptyList": (200, '{"value": []}'),
    "emptyObject": (200, "{}"),
    "html": (502, "<html><head><title>502 Bad Gateway</title></head><body></body></html>"),
    "innerJsonNotFound": (404, _error("UnknownError", _INNER_SERVICE)),
    "jobNotFound": (404, _error("ResourceNotFound", "Job not found")),
    "list": (200, "[]"),
    "nothing": (200, ""),
    "null": (200, "null"),
    "onDemandResult": (
        200,
        json.dumps(
            {
                "@odata.context": "$metadata#microsoft.graph.stringKeyStringValuePair",
                "key": json.dumps({"result": "Skipped", "details": {}}),
                "value": "{}",
            }
        ),
    ),
    "reportsThrottled": (429, _error("UnknownError", "Too Many Requests")),
    "requestDenied": (
        403,
        _error("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    ),
    "skipTokenExpired": (
        400,
        _error("", "Token not found: token is either invalid or expired", {"code": "BadRequest"}),
    ),
    "throttled": (
        429,
        _error("TooManyRequests", "Please retry again later.", {"code": "429", "status": "429"}),
    ),
    "tokenExpired": (
        401,
        _error("InvalidAuthenticationToken", "Access token has expired or is not yet valid"),
    ),
    "unknownErrorUnauthorized": (401, _error("UnknownError", "")),
    "withoutValue": (
        200,
        json.dumps({"@odata.context": "$metadata#synchronization/jobs"}),
    ),
}
