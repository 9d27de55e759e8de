"""Records every Graph request, applies faults, and adds headers and error answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.emulator.emulation import Emulator, Received
from local.emulator.errors import GraphError, error_json, error_of, no_such_segment
from local.emulator.faults import Fault

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTROL = "/_emulator/"
JSON_TYPE = (
    "application/json;odata.metadata=minimal;odata.streaming=true;"
    "IEEE754Compatible=false;charset=utf-8"
)


def answer(content: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(content).encode(),
        headers={"Content-Type": JSON_TYPE},
    )


class Traffic:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def middleware(self) -> Any:
        @web.middleware
        async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(CONTROL):
                return await handler(request)
            return await self._exchange(request, handler)

        return pass_through

    async def _exchange(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        raw = (await request.read()).decode(errors="replace")
        directory = self._emulator.present()
        received = Received(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=_parsed(raw),
            raw_body=raw,
            at=directory.now,
            authorization="Authorization" in request.headers,
            client_request_id=request.headers.get("client-request-id"),
        )
        self._emulator.requests.append(received)
        fault = self._emulator.faults.take(request.method, request.path)
        request_id = str(uuid4())
        if fault is None:
            response = await self._carry_out(request, handler, received, request_id)
        else:
            response = await self._with_fault(fault, request, handler, received, request_id)
        return self._with_headers(response, request, request_id)

    async def _carry_out(
        self,
        request: web.Request,
        handler: Handler,
        received: Received,
        request_id: str,
    ) -> web.StreamResponse:
        try:
            response = await handler(request)
        except GraphError as error:
            response = self._error(error, request, request_id)
        except web.HTTPMethodNotAllowed:
            response = self._error(error_of(405), request, request_id)
        except web.HTTPNotFound:
            known = request.path.startswith(("/v1.0/", "/beta/"))
            refusal = no_such_segment(request.path) if known else error_of(404)
            response = self._error(refusal, request, request_id)
        received.status = response.status
        received.effective = response.status < 400
        return response

    async def _with_fault(
        self,
        fault: Fault,
        request: web.Request,
        handler: Handler,
        received: Received,
        request_id: str,
    ) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        if fault.takes_effect:
            response = await self._carry_out(request, handler, received, request_id)
        if fault.status is not None:
            received.status = fault.status
            response = self._faulty(fault, fault.status, request, request_id)
        await asyncio.sleep(fault.delay)
        if fault.drop is not None and request.transport is not None:
            # The response that is returned now finds the connection closed.
            request.transport.close()
        return response

    def _faulty(
        self,
        fault: Fault,
        status: int,
        request: web.Request,
        request_id: str,
    ) -> web.Response:
        if fault.body is not None:
            response = web.Response(
                status=status,
                body=fault.body.encode(),
                headers={"Content-Type": "text/html" if fault.body.startswith("<") else JSON_TYPE},
            )
        elif status < 400:
            response = web.Response(status=status)
        else:
            response = self._error(error_of(status), request, request_id)
        if fault.retry_after is not None:
            hint = fault.retry_after
            response.headers["Retry-After"] = hint if isinstance(hint, str) else f"{hint:g}"
        return response

    def _error(self, error: GraphError, request: web.Request, request_id: str) -> web.Response:
        client_id = request.headers.get("client-request-id", request_id)
        now = self._emulator.directory.now
        content = error_json(error, now=now, request_id=request_id, client_id=client_id)
        response = answer(content, error.status)
        if error.retry_after is not None:
            response.headers["Retry-After"] = f"{error.retry_after:g}"
        return response

    def _with_headers(
        self,
        response: web.StreamResponse,
        request: web.Request,
        request_id: str,
    ) -> web.StreamResponse:
        now = self._emulator.present().now
        response.headers["Date"] = format_datetime(now, usegmt=True)
        response.headers["request-id"] = request_id
        response.headers["client-request-id"] = request.headers.get("client-request-id", request_id)
        response.headers["OData-Version"] = "4.0"
        return response


def _parsed(raw: str) -> Any:
    """The body as JSON where it is some, else as text; None where there is none."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw
