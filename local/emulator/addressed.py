"""Finds what the path of a request names, or raises the error that Graph answers."""

from uuid import UUID

from aiohttp import web

from local.emulator.emulation import Emulator
from local.emulator.errors import GraphError, lacks_permission, no_such_job, no_such_object
from local.emulator.values import Job, ServicePrincipal


def service_principal(emulator: Emulator, request: web.Request) -> ServicePrincipal:
    object_id = request.match_info["sp"]
    if (sp := emulator.directory.service_principal(object_id)) is not None:
        return sp
    if not _is_guid(object_id):
        message = f"Invalid object identifier '{object_id}'."
        raise GraphError(400, "Request_BadRequest", message)
    raise no_such_object(object_id)


def synchronized(emulator: Emulator, request: web.Request) -> ServicePrincipal:
    """Ask for the permission first, as the synchronization API does."""
    if emulator.directory.state.permission == "missing":
        raise lacks_permission()
    return service_principal(emulator, request)


def job_of(emulator: Emulator, request: web.Request) -> tuple[ServicePrincipal, Job]:
    sp = synchronized(emulator, request)
    wanted, now = request.match_info["job"], emulator.directory.now
    for job in sp.jobs:
        if job.id == wanted and (job.visible_from is None or job.visible_from <= now):
            return sp, job
    raise no_such_job(wanted)


def _is_guid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
