"""Builds Graph's error answers."""

from datetime import UTC, datetime
from typing import Any


class GraphError(Exception):
    """Graph answers *status* and an error object."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


_CODES = {
    400: ("BadRequest", "Bad request."),
    401: ("InvalidAuthenticationToken", "Access token is empty."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("ResourceNotFound", "Resource could not be discovered."),
    405: ("BadRequest", "Specified HTTP method is not allowed for the request target."),
    409: ("Conflict", "The request conflicts with the state of the resource."),
    429: ("TooManyRequests", "Too many requests."),
    500: ("InternalServerError", "An internal server error occurred."),
    502: ("BadGateway", "Bad gateway."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
    504: ("GatewayTimeout", "The gateway did not receive an answer in time."),
}


def error_of(status: int) -> GraphError:
    """The usual error of a status, for faults and for what the router refuses."""
    code, message = _CODES.get(status, ("UnknownError", ""))
    return GraphError(status, code, message)


def lacks_permission() -> GraphError:
    """The synchronization API says 401 with nothing in it, where others say 403."""
    return GraphError(401, "UnknownError", "")


def access_denied() -> GraphError:
    return error_of(403)


def no_such_object(object_id: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects "
        "are not present.",
    )


def no_such_job(job_id: str) -> GraphError:
    return GraphError(404, "ResourceNotFound", f"Synchronization job '{job_id}' was not found.")


def no_such_connection(object_id: str) -> GraphError:
    return GraphError(404, "ResourceNotFound", f"Object connection '{object_id}' was not found.")


def no_such_segment(path: str) -> GraphError:
    segment = path.rstrip("/").rpartition("/")[2]
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")


def error_json(error: GraphError, *, now: datetime, request_id: str, client_id: str) -> Any:
    inner = {
        "date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_id,
    }
    return {"error": {"code": error.code, "message": error.message, "innerError": inner}}
