"""Serves the routes of Graph that provisioning needs."""

from datetime import timedelta

from aiohttp import web

from local.emulator.addressed import job_of, service_principal, synchronized
from local.emulator.audit import audit_rows
from local.emulator.emulation import Emulator
from local.emulator.errors import (
    GraphError,
    access_denied,
    no_such_object,
)
from local.emulator.expressions import Filter
from local.emulator.odata import matches, page, select, unsupported
from local.emulator.odd_logs import odd_audit_rows, odd_provisioning_rows
from local.emulator.provisioning_log import TEXTS, TIMES, provisioning_rows
from local.emulator.schema import schema_json
from local.emulator.scopes import BadRestart, parse_restart
from local.emulator.shapes import (
    job_json,
    more_of_user,
    service_principal_json,
    user_json,
)
from local.emulator.traffic import answer
from local.emulator.values import ServicePrincipal

# The documentation names no option for the list of jobs; a next link has its token all the same.
_JOBS_OPTIONS = frozenset({"$skiptoken"})
_AUDIT_TEXTS = frozenset({"id", "activityDisplayName", "category", "loggedByService"})


class GraphApi:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def add_routes(self, app: web.Application) -> None:
        jobs = "/v1.0/servicePrincipals/{sp}/synchronization/jobs"
        app.add_routes(
            [
                web.get("/v1.0/servicePrincipals", self.list_service_principals),
                web.get("/v1.0/servicePrincipals(appId={app_id:'[^']*'})", self.get_by_app_id),
                web.get("/v1.0/servicePrincipals/{sp}", self.get_service_principal),
                web.get(jobs, self.list_jobs),
                web.get(jobs + "/{job}", self.get_job),
                web.delete(jobs + "/{job}", self.delete_job),
                web.get(jobs + "/{job}/schema", self.get_schema),
                web.post(jobs + "/{job}/restart", self.restart),
                web.post(jobs + "/{job}/start", self.start),
                web.post(jobs + "/{job}/pause", self.pause),
                web.get("/v1.0/users/{user}", self.get_user),
                web.get("/v1.0/auditLogs/directoryAudits", self.list_directory_audits),
                web.get("/v1.0/auditLogs/provisioning", self.list_provisioning),
            ],
        )

    async def list_service_principals(self, request: web.Request) -> web.Response:
        names = frozenset({"displayName"})
        accepts = matches(
            request.query.get("$filter"),
            texts=frozenset({"id", "appId", "displayName"}),
            prefixes=names,
        )
        if "$orderby" in request.query:
            raise unsupported("$orderby")
        state = self._emulator.directory.state
        rows = [service_principal_json(sp) for sp in state.service_principals]
        context = _context(request, "servicePrincipals")
        most = state.largest_page
        found = filter(accepts, rows)
        return answer(page(found, request.url, context=context, most=most))

    async def get_by_app_id(self, request: web.Request) -> web.Response:
        app_id = request.match_info["app_id"].strip("'").lower()
        for sp in self._emulator.directory.state.service_principals:
            if sp.app_id.lower() == app_id:
                return self._entity(request, service_principal_json(sp), "servicePrincipals")
        raise no_such_object(app_id)

    async def get_service_principal(self, request: web.Request) -> web.Response:
        row = service_principal_json(service_principal(self._emulator, request))
        return self._entity(request, row, "servicePrincipals")

    async def get_user(self, request: web.Request) -> web.Response:
        if not self._emulator.directory.state.users_readable:
            raise access_denied()
        key = request.match_info["user"]
        user = self._emulator.directory.user(key)
        if user is None:
            raise no_such_object(key)
        row = more_of_user(user) if "$select" in request.query else user_json(user)
        return self._entity(request, row, "users")

    async def list_jobs(self, request: web.Request) -> web.Response:
        sp = synchronized(self._emulator, request)
        now = self._emulator.directory.now
        rows = [job_json(job, now=now) for job in sp.jobs]
        context = _context(request, _jobs_of(sp))
        most = self._emulator.directory.state.jobs_page or max(len(rows), 1)
        return answer(page(rows, request.url, context=context, most=most, options=_JOBS_OPTIONS))

    async def get_job(self, request: web.Request) -> web.Response:
        sp, job = job_of(self._emulator, request)
        row = job_json(job, now=self._emulator.directory.now)
        context = _context(request, f"{_jobs_of(sp)}/$entity")
        return answer({"@odata.context": context} | row)

    async def delete_job(self, request: web.Request) -> web.Response:
        self._emulator.directory.delete_job(*job_of(self._emulator, request))
        return web.Response(status=204)

    async def get_schema(self, request: web.Request) -> web.Response:
        sp, job = job_of(self._emulator, request)
        context = _context(request, f"{_jobs_of(sp)}('{job.id}')/schema/$entity")
        return answer({"@odata.context": context} | schema_json(sp, job))

    async def restart(self, request: web.Request) -> web.Response:
        sp, job = job_of(self._emulator, request)
        try:
            flags = parse_restart(await request.read())
        except BadRestart as error:
            raise GraphError(400, "BadRequest", str(error)) from error
        self._emulator.directory.restart(sp, job, flags)
        return web.Response(status=204)

    async def start(self, request: web.Request) -> web.Response:
        self._emulator.directory.start(*job_of(self._emulator, request))
        return web.Response(status=204)

    async def pause(self, request: web.Request) -> web.Response:
        self._emulator.directory.pause(*job_of(self._emulator, request))
        return web.Response(status=204)

    async def list_directory_audits(self, request: web.Request) -> web.Response:
        state, now = self._emulator.directory.state, self._emulator.directory.now
        self._emulator.throttle.take("reports", state.throttle, now=now)
        if not state.audit_readable:
            raise access_denied()
        odd = state.audit_oddities
        accepts = matches(
            None if "filterIgnored" in odd else request.query.get("$filter"),
            texts=_AUDIT_TEXTS,
            times=frozenset({"activityDateTime"}),
            targets=True,
        )
        if request.query.get("$orderby", "activityDateTime desc") != "activityDateTime desc":
            raise unsupported("$orderby")
        told_by = now - timedelta(seconds=state.audit_delay)
        rows = odd_audit_rows(list(filter(accepts, audit_rows(state, until=told_by))), odd)
        context = _context(request, "auditLogs/directoryAudits")
        return answer(page(rows, request.url, context=context, most=state.largest_page))

    async def list_provisioning(self, request: web.Request) -> web.Response:
        state, now = self._emulator.directory.state, self._emulator.directory.now
        self._emulator.throttle.take("reports", state.throttle, now=now)
        if not state.provisioning_log_readable:
            raise access_denied()
        if "$select" in request.query:
            raise unsupported("$select")
        rows = provisioning_rows(state, now=now)
        if expression := request.query.get("$filter"):
            rows = list(filter(Filter(expression, texts=TEXTS, times=TIMES).accepts, rows))
        match request.query.get("$orderby", "activityDateTime desc"):
            case "activityDateTime desc":
                pass
            case "activityDateTime" | "activityDateTime asc":
                rows.reverse()
            case _:
                raise unsupported("$orderby")
        rows = odd_provisioning_rows(rows, state.provisioning_log_oddities)
        context = _context(request, "auditLogs/provisioning")
        return answer(page(rows, request.url, context=context, most=state.largest_page))

    def _entity(self, request: web.Request, row: dict[str, object], of: str) -> web.Response:
        context = _context(request, f"{of}/$entity")
        return answer({"@odata.context": context} | select(row, request.query))


def _context(request: web.Request, of: str) -> str:
    return f"{request.url.origin()}/v1.0/$metadata#{of}"


def _jobs_of(sp: ServicePrincipal) -> str:
    return f"servicePrincipals('{sp.id}')/synchronization/jobs"
