"""
Speak HTTP to one ticket system: the only module here that opens a connection.

No redirect is followed and no cookie kept, TLS is verified, of an answer at most 64 KiB are read,
and each status becomes what the outbox does about it.
"""

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from msgspec import Struct

from shared.domain.errors import NotDelivered, ReceiverGone, Undeliverable
from shared.domain.ports import Clock

READ_AT_MOST: Final = 64 * 1024
TAKES_AT_MOST: Final = aiohttp.ClientTimeout(total=20, connect=5)
LONGEST_RETRY_AFTER: Final = timedelta(days=1)

_PASSES: Final = frozenset({401, 403, 407, 408, 409, 421, 423, 425, 429})
_GONE: Final = 410
_MISSING: Final = frozenset({404, 405})
_REDIRECTS: Final = range(300, 400)


class Reply(Struct, frozen=True, kw_only=True):
    """What came back; `whole` is false where the rest was not read."""

    status: int
    body: bytes
    whole: bool

    def json(self) -> Any:
        """The body as JSON; NotDelivered where it is none, or was cut."""
        if not self.whole:
            raise NotDelivered(f"answered with more than {READ_AT_MOST // 1024} KiB")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NotDelivered("answered with something that is not JSON") from error

    def holds(self, text: str) -> bool:
        """Look for plain text in the body as it came; it needs no escaping in JSON or HTML."""
        return text.encode() in self.body


class Exchange:
    """
    One session to one configured system, opened at its first use.

    *writes_to_tickets*: a 404 then means that the ticket is not there, which no later try mends;
    of a channel it is the address that is wrong, which an administrator puts right.
    """

    def __init__(self, name: str, *, clock: Clock, writes_to_tickets: bool) -> None:
        self.name = name
        self.clock = clock
        self._writes_to_tickets = writes_to_tickets
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        payload: Any = None,
        raw: bytes | None = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return what a 2xx brought; raise NotDelivered or Undeliverable for anything else."""
        data: Any = raw if form is None else dict(form)
        if payload is not None:
            data = json.dumps(payload, ensure_ascii=False).encode()
            headers = {**headers, "Content-Type": "application/json"}
        try:
            async with self._open().request(
                method,
                url,
                headers=headers,
                data=data,
                params=params,
                allow_redirects=False,
            ) as response:
                self._judge(response)
                return await _read(response)
        except (aiohttp.ClientError, TimeoutError, UnicodeError, ValueError) as error:
            # Without the error's words: aiohttp's name the address, which may have a key in it.
            raise NotDelivered(f"{self.name}: {type(error).__name__}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=TAKES_AT_MOST,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "relink", "Accept": "application/json"},
                middlewares=(self._send_once,),
            )
        return self._session

    async def _send_once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """
        Take a broken connection for what it is.

        aiohttp sends a PUT a second time by itself, because RFC 9110 calls it idempotent; an
        update of a ticket adds its comment twice.
        """
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise NotDelivered(f"{self.name}: {type(error).__name__}") from error

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        status, headers = response.status, response.headers
        if 200 <= status < 300:
            return
        said = f"{self.name} answered {status}"
        if status in _REDIRECTS:
            raise NotDelivered(
                f"{said}: redirects are not followed; give the address that it leads to"
            )
        wait = retry_after(headers, clock=self.clock)
        if status in _PASSES or status >= 500:
            raise NotDelivered(
                f"{said}{_REMEDIES.get(status, '')}", retry_after=wait, refused=status == 401
            )
        if status == _GONE and not self._writes_to_tickets:
            raise ReceiverGone(f"{said}: the receiver wants no more; correct NOTIFIERS")
        if status in _MISSING and not self._writes_to_tickets:
            raise NotDelivered(
                f"{said}: nobody listens at that address; correct it", retry_after=wait
            )
        raise Undeliverable(f"{said}{_REMEDIES.get(status, '')}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


_REMEDIES: Final = {
    401: ": the credentials are wrong or have ended; put NOTIFIER_SECRETS right",
    403: ": the account may not do that; give it the right (docs/use/notifiers.md)",
    404: ": there is no such ticket, or the account may not see it",
}


async def _read(response: aiohttp.ClientResponse) -> Reply:
    """At most READ_AT_MOST bytes, after decompression; then the connection is dropped."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > READ_AT_MOST:
            response.close()
            return Reply(status=response.status, body=bytes(body[:READ_AT_MOST]), whole=False)
    return Reply(status=response.status, body=bytes(body), whole=True)


def retry_after(headers: Mapping[str, str], *, clock: Clock) -> timedelta | None:
    """
    How long to wait by the system's word: seconds, whole or broken, or a date; else no hint.

    GitHub says it in x-ratelimit-reset where nothing is left, PagerDuty in ratelimit-reset.
    """
    found = _seconds(headers.get("Retry-After", "").strip())
    if found is None:
        found = _until(headers.get("Retry-After", ""), headers.get("Date", ""), clock)
    if found is None and headers.get("x-ratelimit-remaining") == "0":
        reset = _seconds(headers.get("x-ratelimit-reset", ""))
        found = reset - clock().timestamp() if reset is not None else None
    if found is None:
        found = _seconds(headers.get("ratelimit-reset", ""))
    if found is None:
        return None
    return min(max(timedelta(0), timedelta(seconds=math.ceil(found))), LONGEST_RETRY_AFTER)


def _seconds(text: str) -> float | None:
    whole, dot, broken = text.partition(".")
    digits = f"{whole}{broken}"
    if not (text.isascii() and digits.isdigit() and len(digits) <= 15 and whole) or (
        dot and not broken
    ):
        return None
    return float(text)


def _until(text: str, now: str, clock: Clock) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:
            return None
        since = parsedate_to_datetime(now) if now else clock()
        return (at - since).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # TypeError: one of the two says that its zone is unknown (-0000).
        return None
