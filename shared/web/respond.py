"""Call an endpoint and turn what it raises into an RFC 9457 problem: no exception gets out."""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from shared.domain.errors import (
    BadSignature,
    IdReused,
    InvalidRequest,
    MovedOn,
    NewerRow,
    NotAllowed,
    NotFound,
    NotJson,
    NotPossible,
    NotReachable,
    NotSignedIn,
    RelinkError,
    SettingsError,
    StorageUnavailable,
    TooLarge,
    TooManyOpen,
)
from shared.invocation import InvocationCancelled, shielded
from shared.telemetry import emit
from shared.web.messages import LATER, HttpRequest, HttpResponse, problem_response

Endpoint = Callable[[HttpRequest], Awaitable[HttpResponse]]

_STATUSES: Final[Mapping[type[RelinkError], int]] = {
    BadSignature: 401,
    IdReused: 422,
    InvalidRequest: 400,
    MovedOn: 412,
    NotAllowed: 403,
    NotFound: 404,
    NotJson: 415,
    NotPossible: 409,
    NotReachable: 403,
    NotSignedIn: 401,
    TooLarge: 413,
}


async def respond(endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
    """Call *endpoint*; every exception becomes a problem, and so does a cancellation."""
    try:
        return await shielded(endpoint(request.in_unicode()))
    except TooManyOpen as error:
        later = {"Retry-After": str(int(error.retry_after.total_seconds()))}
        return problem_response(429, str(error), later)
    except tuple(_STATUSES) as error:
        status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
        asks = {"WWW-Authenticate": "Bearer"} if isinstance(error, NotSignedIn) else None
        return problem_response(status, str(error), asks)
    except SettingsError as error:
        # Soon: Zendesk gives up where it is to wait a minute or more.
        return problem_response(503, str(error), LATER)
    except (StorageUnavailable, NewerRow):
        return problem_response(
            503, "storage does not answer; nothing was changed for certain", LATER
        )
    except InvocationCancelled:
        return problem_response(503, "the app is being stopped; send it again", LATER)
    except Exception as error:  # noqa: BLE001 -- the last handler: a caller gets no empty 500
        emit("request.failed", kind=type(error).__name__, where=_place(error))
        return problem_response(500, "the app failed on this request; its log says where")


def _place(error: Exception) -> str:
    """Where it was raised; its message is left out, since it may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
