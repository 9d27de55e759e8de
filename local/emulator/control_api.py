"""Serves `/_emulator/*`: requests received, state, faults and clock; not part of Graph."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
from aiohttp import web

from local.emulator.directory import Directory
from local.emulator.emulation import Emulator
from local.emulator.faults import Fault
from local.emulator.merge import merge
from local.emulator.scopes import PORTAL, BadRestart, parse_scope
from local.emulator.seed import BadSeed, parse_state
from local.emulator.values import Initiator, Job, ServicePrincipal, State

type Handler = Callable[[web.Request], Awaitable[web.Response]]


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance: float

    def __post_init__(self) -> None:
        if self.advance < 0:
            raise ValueError("advance must be 0 or more; PUT the state to go back")


class Restart(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A restart by somebody else: as the portal does it unless a scope is given."""

    service_principal_id: str
    job_id: str | None = None
    reset_scope: str | None = None
    #: By default a person in the portal.
    by: Initiator = msgspec.field(
        default_factory=lambda: Initiator(
            kind="user", id="5f0c8e21-6b3d-4d7e-9a14-2c8b7e6d5f40", name="ann.admin@contoso.com"
        )
    )
    #: Emulated seconds from now.
    after: float = 0


class MakeAgain(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A job that is deleted and made again under another id."""

    service_principal_id: str
    job_id: str | None = None
    new_id: str = ""
    #: Emulated seconds for which a GET by the new id answers 404.
    hidden_for: float = 0


class ControlApi:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def add_routes(self, app: web.Application) -> None:
        app.add_routes(
            [
                web.get("/_emulator/requests", self.get_requests),
                web.delete("/_emulator/requests", self.clear_requests),
                web.get("/_emulator/state", self.get_state),
                web.put("/_emulator/state", _explained(self.put_state)),
                web.get("/_emulator/faults", self.get_faults),
                web.post("/_emulator/faults", _explained(self.add_fault)),
                web.delete("/_emulator/faults", self.clear_faults),
                web.post("/_emulator/restarts", _explained(self.restart)),
                web.post("/_emulator/jobs", _explained(self.make_job_again)),
                web.get("/_emulator/clock", self.get_clock),
                web.post("/_emulator/clock", _explained(self.advance)),
            ],
        )

    async def get_requests(self, _: web.Request) -> web.Response:
        return _json({"value": self._emulator.requests})

    async def clear_requests(self, _: web.Request) -> web.Response:
        self._emulator.requests.clear()
        return web.Response(status=204)

    async def get_state(self, _: web.Request) -> web.Response:
        return _json(self._emulator.state())

    async def put_state(self, request: web.Request) -> web.Response:
        """Merge what is given into the state, or with `?replace=true` put it in its place."""
        given = msgspec.json.decode(await request.read())
        old = self._emulator.state()
        replaces = request.query.get("replace") == "true"
        state = parse_state(given if replaces else merge(msgspec.to_builtins(old), given))
        if replaces or (isinstance(given, dict) and "clock" in given):
            self._emulator.clock.set(state.clock.now, speed=state.clock.speed)
        now = self._emulator.clock.now()
        _mark_modified(old, state, now=now)
        self._emulator.directory = Directory(state, now=now)
        return _json(self._emulator.state())

    async def get_faults(self, _: web.Request) -> web.Response:
        return _json({"value": self._emulator.faults.pending})

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = msgspec.json.decode(await request.read(), type=Fault)
        self._emulator.faults.add(fault)
        return _json(fault, status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._emulator.faults.pending.clear()
        return web.Response(status=204)

    async def restart(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Restart)
        directory = self._emulator.present()
        sp, job = _job(directory, asked.service_principal_id, asked.job_id)
        flags = PORTAL if asked.reset_scope is None else parse_scope(asked.reset_scope)
        directory.restart(sp, job, flags, by=asked.by, after=asked.after)
        return web.Response(status=204)

    async def make_job_again(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=MakeAgain)
        directory = self._emulator.present()
        sp, job = _job(directory, asked.service_principal_id, asked.job_id)
        fresh = directory.make_job_again(sp, job, new_id=asked.new_id or f"{job.id}.again")
        if asked.hidden_for:
            fresh.visible_from = directory.now + timedelta(seconds=asked.hidden_for)
        return _json(fresh, status=201)

    async def get_clock(self, _: web.Request) -> web.Response:
        return _json(self._emulator.state().clock)

    async def advance(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Advance)
        self._emulator.clock.advance(asked.advance)
        return _json(self._emulator.state().clock)


def _job(directory: Directory, sp_id: str, job_id: str | None) -> tuple[ServicePrincipal, Job]:
    sp = directory.service_principal(sp_id)
    if sp is None:
        raise BadSeed(f"no service principal `{sp_id}` - at `$.servicePrincipalId`")
    found = [job for job in sp.jobs if job_id in (None, job.id)]
    if len(found) != 1:
        raise BadSeed(f"{len(found)} jobs of that id - at `$.jobId`")
    return sp, found[0]


def _mark_modified(old: State, new: State, *, now: Any) -> None:
    """A user who was put in or changed is what the next incremental cycle has to see."""
    before = {user.id: user for user in old.users}
    for user in new.users:
        known = before.get(user.id)
        if known != user and user.modified == (known.modified if known else None):
            user.modified = now


def _explained(handler: Handler) -> Handler:
    """Answer 400 with the field's name where a body does not fit."""

    async def explaining(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (msgspec.MsgspecError, BadSeed, BadRestart) as error:
            return _json({"error": {"code": "BadRequest", "message": str(error)}}, status=400)

    return explaining


def _json(content: Any, *, status: int = 200) -> web.Response:
    body = msgspec.json.encode(content)
    return web.Response(status=status, body=body, content_type="application/json")
