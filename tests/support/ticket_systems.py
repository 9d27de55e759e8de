"""
Stand-ins for the ticket systems, one for each kind of notifier, that behave badly on demand.

Each answers only what its API documents: another path, method, header or body is written down in
`objections`, and answered as the real one would.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema
from aiohttp import web

from shared.domain.notifier_kinds import NotifierKind
from tests.support.ticket_apis import APIS, SYS_ID, Api, of_record
from tests.support.ticket_bodies import BODIES

FLOOD: Final = 10 * 1024 * 1024


def _text(body: Any) -> str:
    return "\n".join(found for found in _strings(body))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


@dataclass
class StandIn:
    """
    One system that listens on loopback. `faults` are met by the next comments that are written.

    A fault is a status, with a `Retry-After` where a colon follows; `silence`: the comment is
    taken and the connection closed; `flood`: taken, and ten megabytes come back; `away`: a
    redirect to `elsewhere`.
    """

    kind: NotifierKind
    faults: deque[str] = field(default_factory=deque)
    reads: deque[str] = field(default_factory=deque)
    comments: list[str] = field(default_factory=list)
    deliveries: list[str] = field(default_factory=list)
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)
    tokens: list[dict[str, str]] = field(default_factory=list)
    elsewhere: str = ""
    url: str = ""
    sent: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["StandIn"]:
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self._meet)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _meet(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.raw_path}")
        api = APIS[self.kind]
        if request.path.endswith(("/oauth_token.do", "/oauth/tokens", "/oauth/token")):
            return await self._give_token(request)
        if request.path.endswith("/access_tokens"):
            return web.json_response({"token": "given", "expires_at": "x"}, status=201)
        writes = request.method == api.write[0] and re.fullmatch(api.write[1], request.path)
        if writes or request.method == "GET":
            if not self._admits(request, api):
                return web.Response(status=401)
            return await (self._write if writes else self._read)(request, api)
        self.objections.append(f"no such call: {self.calls[-1]}")
        return web.Response(status=404)

    def _admits(self, request: web.Request, api: Api) -> bool:
        """Whether the call shows who it is, and carries what every call does."""

        def carries(name: str, pattern: str) -> bool:
            return re.fullmatch(pattern, request.headers.get(name, "")) is not None

        missing = [name for name, pattern in api.headers if not carries(name, pattern)]
        if api.ways and not any(carries(*way) for way in api.ways):
            missing.append("authentication")
        self.objections += [f"{self.calls[-1]}: {name}" for name in missing]
        return not missing

    async def _give_token(self, request: web.Request) -> web.Response:
        form = dict(await request.post()) or await request.json()
        self.tokens.append({str(k): str(v) for k, v in form.items()})
        return web.json_response({"access_token": "given", "expires_in": 1800})

    async def _write(self, request: web.Request, api: Api) -> web.StreamResponse:
        raw = await request.read()
        self.received.append((dict(request.headers), raw))
        fault = self.faults.popleft() if self.faults else ""
        if fault and fault not in {"silence", "flood"}:
            return await self._refuse(request, fault)
        self._check(request, raw)
        self.comments.append(_text(json.loads(raw)))
        self.deliveries.append(request.headers.get("webhook-id", ""))
        if fault == "silence":
            _hang_up(request)
            return web.Response(status=500)
        if fault == "flood":
            return await self._flood(request, api.status)
        if api.answer is None:
            return web.Response(status=api.status)
        if isinstance(api.answer, str):
            return web.Response(status=api.status, text=api.answer)
        return web.json_response(api.answer, status=api.status)

    def _check(self, request: web.Request, raw: bytes) -> None:
        if request.content_type != "application/json":
            self.objections.append(f"content type {request.content_type}")
        try:
            jsonschema.validate(
                json.loads(raw),
                BODIES[self.kind],
                format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
            )
        except jsonschema.ValidationError as error:
            self.objections.append(error.message)

    async def _read(self, request: web.Request, api: Api) -> web.StreamResponse:
        fault = self.reads.popleft() if self.reads else ""
        if fault == "flood":
            return await self._flood(request, 200)
        if fault:
            return await self._refuse(request, fault)
        for name, value in request.query.items():
            if not re.fullmatch(api.queries.get(name, ""), value):
                self.objections.append(f"no such parameter: {name}={value}")
        if self.kind is NotifierKind.SERVICENOW and "sysparm_query" in request.query:
            known = of_record(request.path, request.query) is not None
            return web.json_response({"result": [{"sys_id": SYS_ID}] if known else []})
        if not (api.listed and re.fullmatch(api.listed, request.path)):
            self.objections.append(f"no such call: {self.calls[-1]}")
            return web.Response(status=404)
        return web.json_response(api.page(self.comments, request.query))

    async def _refuse(self, request: web.Request, fault: str) -> web.StreamResponse:
        status, _, wait = fault.partition(":")
        if status == "away":
            return web.Response(status=302, headers={"Location": self.elsewhere})
        if status == "nothing":
            _hang_up(request)
            return web.Response(status=500)
        headers = {"Retry-After": wait} if wait else {}
        return web.Response(status=int(status), headers=headers, text="<html>no</html>")

    async def _flood(self, request: web.Request, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=200 if status == 204 else status)
        await response.prepare(request)
        chunk = b"x" * 65_536
        try:
            for _ in range(FLOOD // len(chunk)):
                await response.write(chunk)
                self.sent += len(chunk)
                await asyncio.sleep(0)
        except (ConnectionError, asyncio.CancelledError):
            pass
        return response


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
