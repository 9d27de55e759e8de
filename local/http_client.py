"""Asks over HTTP, for the tools that are never deployed and for the tests."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered, read to its end."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        if not self.ok:
            raise UnexpectedStatus(f"answered {self.status}: {self.text[:500]}")


class UnexpectedStatus(Exception):
    """The answer is none of 200 to 299; the text has its first words."""


@dataclass(frozen=True, kw_only=True)
class HttpClient:
    """
    Calls what is below *base*, or a whole address. Follows no redirect and keeps no cookie.

    Raises what aiohttp raises: ClientError, and TimeoutError.
    """

    session: aiohttp.ClientSession
    base: str = ""

    async def ask(self, method: str, address: str, **more: Any) -> Answer:
        """*more* is what aiohttp takes: `json`, `data`, `headers`, `params`."""
        url = address if address.startswith(("http://", "https://")) else self.base + address
        call = self.session.request(method, url, allow_redirects=False, **more)
        async with call as answer:
            return Answer(status=answer.status, headers=answer.headers, body=await answer.read())

    async def get(self, address: str, **more: Any) -> Answer:
        return await self.ask("GET", address, **more)

    async def post(self, address: str, **more: Any) -> Answer:
        return await self.ask("POST", address, **more)

    async def put(self, address: str, **more: Any) -> Answer:
        return await self.ask("PUT", address, **more)


@asynccontextmanager
async def http_client(
    base: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 120.0,
    proxied: bool = False,
) -> AsyncIterator[HttpClient]:
    """*proxied* heeds HTTPS_PROXY and the like, which what runs on this machine must not."""
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=proxied,
    ) as session:
        yield HttpClient(session=session, base=base)
