"""A proxy before the storage emulator: writes down each call on the wire, and answers faults."""

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

Fault = Callable[[str, str], tuple[int, str] | None]
"""From method and path to the status and error code to answer with, or None."""


@dataclass(kw_only=True)
class Call:
    method: str
    path: str
    query: dict[str, str]
    status: int
    message_text: str | None
    returned: list[tuple[str, str]] = field(default_factory=list)


class WireProxy:
    def __init__(self, target: str, fault: Fault) -> None:
        self._target = target
        self._fault = fault
        self.calls: list[Call] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        # The account is the first part of the path.
        path = "/" + request.rel_url.raw_path.split("/", 2)[2]
        text = ET.fromstring(body).findtext("MessageText") if body else None
        call = Call(
            method=request.method,
            path=path,
            query=dict(request.query),
            status=0,
            message_text=text or ("" if body else None),
        )
        # In the order of sending, as the recordings have it.
        self.calls.append(call)
        if (fault := self._fault(request.method, path)) is not None:
            call.status, code = fault
            error = f"<Error><Code>{code}</Code><Message>told to</Message></Error>"
            headers = {"x-ms-error-code": code, "Content-Type": "application/xml"}
            return web.Response(status=call.status, text=error, headers=headers)
        url = f"{self._target}{request.rel_url.raw_path}?{request.rel_url.raw_query_string}"
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        async with self.session.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=("Content-Type",),
        ) as found:
            content = await found.read()
            call.status = found.status
            if request.method == "GET" and path.endswith("/messages") and found.status == 200:
                call.returned = [
                    (m.findtext("MessageId") or "", m.findtext("MessageText") or "")
                    for m in ET.fromstring(content).iter("QueueMessage")
                ]
            kept = {
                k: v
                for k, v in found.headers.items()
                if k.lower() not in {"transfer-encoding", "content-length", "connection"}
            }
            return web.Response(status=found.status, body=content, headers=kept)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            self.session = session
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()
