"""Calls the app's HTTP API: RELINK_URL, with the function key RELINK_KEY."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp

from local.errors import Failed
from shared.config import LOOPBACK

USUAL: Final = "http://127.0.0.1:7071"
VARIABLES: Final[Mapping[str, str]] = {"RELINK_URL": "url", "RELINK_KEY": "key"}


@dataclass(frozen=True, kw_only=True)
class ApiClient:
    """Raises Failed with one line, which has the words of the problem that the app answered."""

    url: str
    key: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "ApiClient":
        url = (environ.get("RELINK_URL") or USUAL).rstrip("/")
        host = urlsplit(url).hostname or ""
        if not (url.startswith("https://") or host in LOOPBACK):
            raise Failed(f"RELINK_URL: {url!r} is not https; a key would travel in the clear")
        key = environ.get("RELINK_KEY") or environ.get("LOCAL_FUNCTION_KEY") or ""
        if not key and host not in LOOPBACK:
            raise Failed("RELINK_KEY: missing; give a function key of the app")
        return cls(url=url, key=key or "local")

    async def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return the body, or None for 404."""
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        return await self._call("POST", path, body=body)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        headers = {"x-functions-key": self.key}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
                session.request(
                    method,
                    f"{self.url}/api{path}",
                    params=query,
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                ) as answer,
            ):
                return _read(self.url, answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Failed(
                f"RELINK_URL: {self.url} does not answer ({type(error).__name__}); "
                "is the app running there?"
            ) from error


def _read(url: str, status: int, raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        body = {}
    words = str(body.get("detail", "")) if isinstance(body, dict) else ""
    if status == 404:
        if words:
            raise Failed(words)
        return None
    if status == 401:
        raise Failed(f"RELINK_KEY: {url} refused the key")
    if status >= 300 or not isinstance(body, dict):
        raise Failed(words or f"{url} answered {status}")
    return body


def path_of(reset_id: str) -> str:
    return f"/resets/{quote(reset_id, safe='')}"
