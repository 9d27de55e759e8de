"""
What went wrong with a call to Graph, as the errors of ours that mean something to the engine.

Status and code decide together, and the words name each cause that is known for them: the same
401 says that a permission is missing, that nobody has the id asked for, or that the token is bad.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import httpx

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.words import in_own_words, of_exception
from shared.domain.errors import (
    FateUnknown,
    GraphError,
    NotSent,
    RefusedForNow,
    Rejected,
    Throttled,
)

RESTARTING: Final = "Synchronization.ReadWrite.All"
READING_AUDITS: Final = "AuditLog.Read.All"
READING_LOGS: Final = "ProvisioningLog.Read.All"

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_CONFLICT: Final = 409
_LOCKED: Final = 423
_THROTTLED: Final = 429

_NO_AUTHENTICATION: Final = "InvalidAuthenticationToken"
_OF_AUTHENTICATION: Final = ("CompactToken", "Token", "Lifetime", "audience")

_FOR_NOW: Final = "this may pass by itself"
_PERMISSION: Final = (
    "the app's identity needs {needs} on Microsoft Graph (a permission granted just now shows "
    "only with the next token, on some instances after a day)"
)
_NOBODYS_ID: Final = (
    "or nobody has this servicePrincipalId: it is the object id of the enterprise application, "
    "not its application id, nor that of a template"
)
_IDENTITY: Final = (
    "Graph does not take the app's token: another is fetched; if this lasts, check this machine's "
    "clock, and that GRAPH_ENDPOINT is the cloud that the identity belongs to (the token's "
    "audience)"
)
_MISSING: Final = (
    "check servicePrincipalId (the object id of the enterprise application, not its application "
    "id) and jobId in RESET_TARGETS; a job that was made just now may take some minutes to show"
)
_CONCURRENT: Final = "something else changes the same object at this moment, and nothing was done"


@asynccontextmanager
async def translated(limit: timedelta) -> AsyncIterator[None]:
    """Whatever is raised inside becomes NotSent or FateUnknown, or is one of ours already."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except GraphError:
        raise
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NotSent(f"no connection to Microsoft Graph: {of_exception(error)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise FateUnknown(
            f"the answer of Microsoft Graph was lost: {of_exception(error)}"
        ) from error
    except Exception as error:
        # What came could not be read (garbage in the body): it may have happened.
        raise FateUnknown(
            f"the answer of Microsoft Graph is unreadable: {of_exception(error)}"
        ) from error


def fault(answer: Answer, *, needs: str = RESTARTING) -> GraphError:
    """What an answer other than success means; *needs* is the permission of the call."""
    code, message = _said(answer)
    words = f"Microsoft Graph answered {answer.status}" + (f" {code}" if code else "")
    if answer.status == _THROTTLED:
        return Throttled(f"{words} (throttled)", retry_after=answer.retry_after)
    if answer.status == _TIMED_OUT or not 400 <= answer.status < 500:
        return FateUnknown(words, retry_after=answer.retry_after)
    remedy = _remedy(answer.status, code, message).format(needs=needs)
    reason = "; ".join(filter(None, (": ".join(filter(None, (words, message))), remedy)))
    if answer.status in {_UNAUTHENTICATED, _FORBIDDEN, _CONFLICT, _LOCKED}:
        return RefusedForNow(
            reason,
            status=answer.status,
            code=code,
            permission=answer.status in {_UNAUTHENTICATED, _FORBIDDEN}
            and not _is_about_the_token(code, message),
            retry_after=answer.retry_after,
        )
    return Rejected(reason, status=answer.status, code=code, request_id=answer.request_id)


def _is_about_the_token(code: str, message: str) -> bool:
    """Known by the code, and where that is UnknownError by what the message speaks of."""
    if code == _NO_AUTHENTICATION:
        return True
    return any(word in message for word in _OF_AUTHENTICATION) and code in {"", "UnknownError"}


def _remedy(status: int, code: str, message: str) -> str:
    match status:
        case 401 if _is_about_the_token(code, message):
            return f"{_IDENTITY}; {_FOR_NOW}"
        case 401:
            return f"{_PERMISSION}, {_NOBODYS_ID}; {_FOR_NOW}"
        case 403 if not _is_about_the_token(code, message):
            return f"{_PERMISSION}; {_FOR_NOW}"
        case 403:
            return f"{_IDENTITY}; {_FOR_NOW}"
        case 404:
            return _MISSING
        case 409 | 423:
            return f"{_CONCURRENT}; {_FOR_NOW}"
        case _:
            return ""


def _said(answer: Answer) -> tuple[str, str]:
    """Code and message of the error, fit to be shown; empty where the body has none."""
    try:
        error = read.members(read.members(read.decoded(answer.body)).get("error"))
    except ValueError:
        return "", ""
    return in_own_words(read.word(error.get("code"))), in_own_words(read.text(error.get("message")))
