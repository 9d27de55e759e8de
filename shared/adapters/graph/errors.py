"""What the Graph SDK raises, as the errors of ours that mean something to the engine."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
from kiota_abstractions.api_error import APIError
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from shared.domain.errors import FateUnknown, NotSent, Rejected, Throttled

LONGEST_WORDS: Final = 500
LONGEST_RETRY_AFTER: Final = timedelta(days=1)

RESTARTING: Final = "Synchronization.ReadWrite.All"

_THROTTLED: Final = 429
_TIMED_OUT: Final = 408


@asynccontextmanager
async def translated(limit: timedelta, *, needs: str = RESTARTING) -> AsyncIterator[None]:
    """
    Every vendor error becomes NotSent, FateUnknown or Rejected; nothing else gets through.

    *needs* is the permission that is named where Graph refuses.
    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (NotSent, FateUnknown, Rejected):
        raise
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NotSent(f"no connection to Microsoft Graph: {words(error)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise FateUnknown(f"the answer of Microsoft Graph was lost: {words(error)}") from error
    except APIError as error:
        raise _by_status(error, needs) from error
    except Exception as error:
        # The SDK could not read what came (garbage in the body): it may have happened.
        raise FateUnknown(f"the answer of Microsoft Graph is unreadable: {words(error)}") from error


def _by_status(error: APIError, needs: str) -> NotSent | FateUnknown | Rejected:
    status = error.response_status_code or 0
    headers = {k.lower(): v for k, v in (error.response_headers or {}).items()}
    code, message = "", ""
    if isinstance(error, ODataError) and error.error is not None:
        code, message = error.error.code or "", error.error.message or ""
    said = f"Microsoft Graph answered {status}" + (f" {code}" if code else "")
    if status == _THROTTLED:
        return Throttled(f"{said} (throttled)", retry_after=_retry_after(headers))
    if status == _TIMED_OUT or not 400 <= status < 500:
        return FateUnknown(said, retry_after=_retry_after(headers))
    remedy = _REMEDIES.get(status, "").format(needs=needs)
    reason = f"{said}{': ' if message else ''}{message[:LONGEST_WORDS]}{remedy}"
    return Rejected(reason, status=status, code=code, request_id=plain(headers.get("request-id")))


_PERMISSION: Final = (
    "; the app's identity needs {needs} on Microsoft Graph "
    "(a permission granted just now shows only with the next token)"
)
_REMEDIES: Final[Mapping[int, str]] = {
    401: _PERMISSION,
    403: _PERMISSION,
    404: "; check servicePrincipalId (the object id of the enterprise application, not its "
    "application id) and jobId in RESET_TARGETS",
}


def _retry_after(headers: Mapping[str, Any]) -> timedelta | None:
    """Seconds or an HTTP date, as RFC 9110 allows; anything else is no hint."""
    value = plain(headers.get("retry-after")).strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), LONGEST_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(plain(headers.get("date")))
    except (ValueError, TypeError):
        # TypeError: one of the two says that its zone is unknown (-0000).
        return None
    return min(max(timedelta(0), wait), LONGEST_RETRY_AFTER)


def plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else next(iter(value), "")


def words(error: BaseException) -> str:
    return (
        f"{type(error).__name__}: {error}"[:LONGEST_WORDS] if str(error) else type(error).__name__
    )
