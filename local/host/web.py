"""
Serves HTTP: finds the route, checks the key, and calls the worker.

No address is ever logged: its query may carry a key.
"""

import hmac
from datetime import UTC, datetime
from email.utils import format_datetime
from http.cookies import Morsel, SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from local.host.principal import HEADER, principal_headers
from local.host.routes import RouteTable
from local.host.wire import Message, TypedData
from local.host.worker import Worker

BODY_LIMIT: Final = 100 * 1024 * 1024
_SAME_SITE: Final = {1: "Lax", 2: "Strict", 3: "None"}


class WebHost:
    def __init__(
        self,
        worker: Worker,
        routes: RouteTable,
        *,
        key: str,
        principal: str,
        names: frozenset[str],
    ) -> None:
        """
        *key* opens every function; *principal* says who is signed in (see `principal`).

        Only requests to one of *names* are answered: a page in a browser may give a name of its
        own the address of this machine, and could then ask as if it were from here.
        """
        self._names = names
        self._worker = worker
        self._routes = routes
        self._key = key
        self._principal = principal_headers(principal)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if _name_of(request) not in self._names:
            return web.Response(
                status=421,
                text="Host: not a name of this host; call 127.0.0.1 or localhost, or set "
                "PUBLIC_URL to the address that callers use\n",
            )
        path = request.rel_url.raw_path
        found = self._routes.find(request.method, path)
        if found is None:
            allowed = self._routes.methods_at(path)
            if not allowed:
                return web.Response(status=404)
            return web.Response(status=405, headers={"Allow": ", ".join(sorted(allowed))})
        route, values = found
        level = str(route.function.trigger.get("authLevel", "FUNCTION")).upper()
        if level != "ANONYMOUS" and not self._has_key(request):
            return web.Response(status=401)
        body = await request.read()
        data = Message(
            method=request.method,
            url=str(request.url),
            headers=self._headers(request),
            params=values,
            query=_query(request),
            body=TypedData(bytes=body) if body else TypedData(),
        )
        answer = await self._worker.invoke(route.function, TypedData(http=data))
        return web.Response(status=500) if answer is None else _response(answer.return_value)

    def _has_key(self, request: web.Request) -> bool:
        # The header wins even where it is wrong and the query is right.
        given = request.headers.get("x-functions-key") or request.query.get("code", "")
        return hmac.compare_digest(given.encode(), self._key.encode())

    def _headers(self, request: web.Request) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        if self._principal:
            # As the platform's sign-in does: what the caller sent under these names proves nothing.
            headers = {k: v for k, v in headers.items() if not k.startswith(HEADER)}
            headers |= self._principal
        return headers


def _name_of(request: web.Request) -> str:
    """The name in the Host header, without its port and in small letters."""
    try:
        return (urlsplit(f"//{request.headers.get('Host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def _query(request: web.Request) -> dict[str, str]:
    values = {name: ",".join(request.query.getall(name)) for name in request.query}
    return {name: value for name, value in values.items() if value}


def _response(value: Any) -> web.Response:
    if value is None:
        return web.Response(status=204)
    if value.http is None:
        return web.Response(text=value.string or value.json or "")
    found = value.http
    headers = CIMultiDict(found.headers)
    for cookie in found.cookies or ():
        headers.add("Set-Cookie", _set_cookie(cookie))
    body = found.body
    content = (body.bytes or (body.string or body.json or "").encode()) if body else b""
    return web.Response(status=int(found.status_code), headers=headers, body=content)


def _set_cookie(cookie: Message) -> str:
    crumbs: SimpleCookie = SimpleCookie()
    crumbs[cookie.name] = cookie.value
    crumb: Morsel[str] = crumbs[cookie.name]
    for attribute, wrapped in (
        ("domain", cookie.domain),
        ("path", cookie.path),
        ("secure", cookie.secure),
        ("httponly", cookie.http_only),
        ("max-age", cookie.max_age and Message(value=int(cookie.max_age.value))),
    ):
        if wrapped is not None and wrapped.value:
            crumb[attribute] = wrapped.value
    if cookie.expires is not None:
        moment = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        crumb["expires"] = format_datetime(moment, usegmt=True)
    if cookie.same_site in _SAME_SITE:
        crumb["samesite"] = _SAME_SITE[cookie.same_site]
    return crumb.OutputString()
