"""
Stand-ins for the ticket systems, one for each kind of notifier, that behave badly on demand.

Each answers only what its API documents: another path, method, header or body is written down in
`objections`, and answered as the real one would.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema
from aiohttp import web

from shared.domain.notifier_kinds import NotifierKind

SYS_ID: Final = "9d385017c611228701d22104cc95c371"
FLOOD: Final = 10 * 1024 * 1024


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 32_000}
_NODE: Final = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "text"},
        "text": _TEXT,
        "marks": {
            "type": "array",
            "items": _object(type={"const": "link"}, attrs=_object(href=_TEXT)),
        },
    },
    "additionalProperties": False,
}
_PARAGRAPH: Final = _object(
    type={"const": "paragraph"}, content={"type": "array", "items": _NODE, "minItems": 1}
)
# https://unpkg.com/@atlaskit/adf-schema/dist/json-schema/v1/full.json, the nodes that are used.
_ADF: Final = _object(
    type={"const": "doc"},
    version={"const": 1},
    content={
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                _PARAGRAPH,
                _object(
                    type={"const": "blockquote"},
                    content={"type": "array", "items": _PARAGRAPH, "minItems": 1},
                ),
            ]
        },
    },
)
_RUN: Final = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "TextRun"},
        "text": _TEXT,
        "weight": {"enum": ["Bolder"]},
        "size": {"enum": ["Small"]},
        "isSubtle": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_CARD: Final = {
    "type": "object",
    "required": ["type", "version", "body"],
    "properties": {
        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
        "type": {"const": "AdaptiveCard"},
        "version": {"const": "1.5"},
        "fallbackText": _TEXT,
        "body": {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    _object(
                        type={"const": "RichTextBlock"},
                        inlines={"type": "array", "items": _RUN, "minItems": 1},
                    ),
                    _object(
                        type={"const": "FactSet"},
                        facts={"type": "array", "items": _object(title=_TEXT, value=_TEXT)},
                    ),
                ]
            },
        },
        "actions": {
            "type": "array",
            "items": _object(type={"const": "Action.OpenUrl"}, title=_TEXT, url=_TEXT),
        },
    },
    "additionalProperties": False,
}
_SLACK_TEXT: Final = _object(
    type={"enum": ["plain_text", "mrkdwn"]}, text={**_TEXT, "maxLength": 3000}
)

BODIES: Final[Mapping[NotifierKind, dict[str, Any]]] = {
    NotifierKind.SERVICENOW: _object(work_notes=_TEXT),
    NotifierKind.JIRA: _object(body=_ADF),
    NotifierKind.JSM: _object(body=_TEXT, public={"const": False}),
    NotifierKind.ZENDESK: _object(
        ticket=_object(comment=_object(body=_TEXT, public={"const": False}))
    ),
    NotifierKind.GITHUB: _object(body={**_TEXT, "maxLength": 65_536}),
    NotifierKind.PAGERDUTY: _object(note=_object(content={**_TEXT, "maxLength": 25_000})),
    NotifierKind.FRESHSERVICE: _object(body=_TEXT, private={"const": True}),
    NotifierKind.TEAMS: _object(
        type={"const": "message"},
        attachments={
            "type": "array",
            "minItems": 1,
            "items": _object(
                contentType={"const": "application/vnd.microsoft.card.adaptive"},
                contentUrl={"type": "null"},
                content=_CARD,
            ),
        },
    ),
    NotifierKind.SLACK: _object(
        text=_TEXT,
        blocks={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "anyOf": [
                    _object(type={"const": "section"}, text=_SLACK_TEXT),
                    _object(
                        type={"const": "context"},
                        elements={"type": "array", "items": _SLACK_TEXT, "maxItems": 10},
                    ),
                ]
            },
        },
    ),
    NotifierKind.WEBHOOK: _object(
        type={"type": "string", "pattern": r"^reset\.[a-z_]+$"},
        timestamp={"type": "string", "format": "date-time"},
        data={
            "type": "object",
            "required": ["id", "target", "kind", "state", "text", "ticket"],
        },
    ),
}
"""What each system documents as the body of a comment; nothing beside it is taken."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """How one kind is written to, and what its list of comments looks like."""

    write: tuple[str, str]
    status: int
    answer: Any
    tickets: tuple[str, ...] = ()
    listed: str = ""
    shape: Callable[[list[str]], Any] = list
    header: tuple[str, str] = ("", "")


def _text(body: Any) -> str:
    return "\n".join(found for found in _strings(body))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


APIS: Final[Mapping[NotifierKind, Api]] = {
    NotifierKind.SERVICENOW: Api(
        write=("PATCH", rf"/api/now/table/incident/{SYS_ID}"),
        status=200,
        answer={"result": {"sys_id": SYS_ID}},
        tickets=("INC0012345",),
        listed=rf"/api/now/table/incident/{SYS_ID}",
        shape=lambda texts: {"result": {"work_notes": "\n\n".join(texts)}},
        header=("Authorization", r"Basic cmVsaW5rOmh1c2g="),
    ),
    NotifierKind.JIRA: Api(
        write=("POST", r"/rest/api/3/issue/IT-42/comment"),
        status=201,
        answer={"id": "10000"},
        tickets=("IT-42",),
        listed=r"/rest/api/3/issue/IT-42/comment",
        shape=lambda texts: {"comments": [{"body": text} for text in texts], "total": len(texts)},
        header=("Authorization", r"Basic .+"),
    ),
    NotifierKind.JSM: Api(
        write=("POST", r"/rest/servicedeskapi/request/IT-42/comment"),
        status=201,
        answer={"id": "10000", "public": False},
        tickets=("IT-42",),
        listed=r"/rest/api/3/issue/IT-42/comment",
        shape=lambda texts: {"comments": [{"body": text} for text in texts], "total": len(texts)},
        header=("Authorization", r"Basic .+"),
    ),
    NotifierKind.ZENDESK: Api(
        write=("PUT", r"/api/v2/tickets/35436\.json"),
        status=200,
        answer={"ticket": {"id": 35436}},
        tickets=("35436",),
        listed=r"/api/v2/tickets/35436/comments\.json",
        shape=lambda texts: {"comments": [{"body": text, "public": False} for text in texts]},
        # relink/token:hush
        header=("Authorization", r"Basic cmVsaW5rL3Rva2VuOmh1c2g="),
    ),
    NotifierKind.GITHUB: Api(
        write=("POST", r"/repos/octo/identity/issues/42/comments"),
        status=201,
        answer={"id": 1},
        tickets=("octo/identity#42",),
        listed=r"/repos/octo/identity/issues/42/comments",
        shape=lambda texts: [{"body": text} for text in reversed(texts)],
        header=("X-GitHub-Api-Version", r"2022-11-28"),
    ),
    NotifierKind.PAGERDUTY: Api(
        write=("POST", r"/incidents/PT4KHLK/notes"),
        status=200,
        answer={"note": {"id": "PWL7QXS"}},
        tickets=("PT4KHLK",),
        listed=r"/incidents/PT4KHLK/notes",
        shape=lambda texts: {"notes": [{"content": text} for text in texts]},
        header=("From", r"relink@contoso\.com"),
    ),
    NotifierKind.FRESHSERVICE: Api(
        write=("POST", r"/api/v2/tickets/264/notes"),
        status=201,
        answer={"conversation": {"id": 1}},
        tickets=("INC-264",),
        listed=r"/api/v2/tickets/264/conversations",
        shape=lambda texts: {"conversations": [{"body": text} for text in reversed(texts)]},
        # hush:X
        header=("Authorization", r"Basic aHVzaDpY"),
    ),
    NotifierKind.TEAMS: Api(write=("POST", r"/workflows/x/triggers"), status=202, answer=None),
    NotifierKind.SLACK: Api(write=("POST", r"/services/T0/B0/x"), status=200, answer="ok"),
    NotifierKind.WEBHOOK: Api(write=("POST", r"/hook"), status=204, answer=None),
}


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
        if request.method == api.write[0] and re.fullmatch(api.write[1], request.path):
            return await self._write(request, api)
        if request.method == "GET":
            return await self._read(request, api)
        self.objections.append(f"no such call: {self.calls[-1]}")
        return web.Response(status=404)

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
        self._check(request, raw, api)
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

    def _check(self, request: web.Request, raw: bytes, api: Api) -> None:
        name, pattern = api.header
        if name and not re.fullmatch(pattern, request.headers.get(name, "")):
            self.objections.append(f"header {name}: {request.headers.get(name)}")
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
        if self.kind is NotifierKind.SERVICENOW and "sysparm_query" in request.query:
            number = request.query["sysparm_query"].removeprefix("number=")
            found = [{"sys_id": SYS_ID}] if number in api.tickets else []
            return web.json_response({"result": found})
        if not (api.listed and re.fullmatch(api.listed, request.path)):
            self.objections.append(f"no such call: {self.calls[-1]}")
            return web.Response(status=404)
        return web.json_response(api.shape(self.comments[::-1]))

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
