"""Serves what shows or moves one user's link: objectConnections (beta) and provisionOnDemand."""

from aiohttp import web

from local.emulator.addressed import job_of
from local.emulator.emulation import Emulator
from local.emulator.errors import GraphError, access_denied, no_such_connection
from local.emulator.on_demand import not_provisioned, provisioned, subject_of
from local.emulator.steps import told
from local.emulator.traffic import answer
from local.emulator.values import Job

_JOB = "/servicePrincipals/{sp}/synchronization/jobs/{job}"
_PAIR = "microsoft.graph.stringKeyStringValuePair"


class LinksApi:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def add_routes(self, app: web.Application) -> None:
        connections = f"/beta{_JOB}/objectConnections"
        app.add_routes(
            [
                web.get(connections, self.list_connections),
                web.get(connections + "('{object}')", self.get_connection),
                web.get(connections + "/{object}", self.get_connection),
                web.delete(connections + "('{object}')", self.delete_connection),
                web.delete(connections + "/{object}", self.delete_connection),
                web.post(f"/v1.0{_JOB}/provisionOnDemand", self.provision_on_demand),
            ],
        )

    async def list_connections(self, request: web.Request) -> web.Response:
        self._permitted(request)
        raise GraphError(400, "BadRequest", "The collection of object connections is not listed.")

    async def get_connection(self, request: web.Request) -> web.Response:
        job = self._permitted(request)
        wanted = request.match_info["object"]
        user_id, target = _connection(job, wanted)
        user = self._emulator.directory.user(user_id)
        origin = request.url.origin()
        return answer(
            {
                "@odata.context": f"{origin}/beta/$metadata#objectConnection/$entity",
                "objectId": wanted,
                "sourceAnchor": user_id,
                "targetAnchor": target,
                "displayName": user.display_name if user else "",
                "objectTypeName": "user",
            }
        )

    async def delete_connection(self, request: web.Request) -> web.Response:
        """Remove one link; a running job is a conflict, a link that is gone is not an error."""
        job = self._permitted(request)
        if job.schedule_state == "Active":
            raise GraphError(409, "Conflict", "The job must be paused or disabled.")
        try:
            user_id, _ = _connection(job, request.match_info["object"])
        except GraphError:
            return web.Response(status=204)
        del job.links[user_id]
        return web.Response(status=204)

    async def provision_on_demand(self, request: web.Request) -> web.Response:
        directory = self._emulator.directory
        state = directory.state
        self._emulator.throttle.take("provisionOnDemand", state.throttle, now=directory.now)
        sp, job = job_of(self._emulator, request)
        user_id, shape = subject_of(await request.read(), job), state.on_demand_shape
        user = directory.user(user_id)
        if user is None or (job.scope is not None and user.id not in job.scope):
            code = "NotEffectivelyEntitled" if user else "EntryNotFound"
            row = not_provisioned(user_id, code, "The user is not in scope.", shape)
        else:
            event = directory.provision_on_demand(sp, job, user)
            steps = told(event, user, sp.display_name)
            row = provisioned(event, steps, sp.display_name, shape)
        origin = request.url.origin()
        return answer({"@odata.context": f"{origin}/v1.0/$metadata#{_PAIR}"} | row)

    def _permitted(self, request: web.Request) -> Job:
        if not self._emulator.directory.state.object_connections_readable:
            raise access_denied()
        _, job = job_of(self._emulator, request)
        if not job.object_connections:
            raise no_such_connection(request.match_info.get("object", ""))
        return job


def _connection(job: Job, wanted: str) -> tuple[str, str]:
    """Find by the user's object id first, then by the target's."""
    if wanted in job.links:
        return wanted, job.links[wanted]
    for user_id, target in job.links.items():
        if target == wanted:
            return user_id, target
    raise no_such_connection(wanted)
