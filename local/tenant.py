"""Finds every service principal of the tenant that has provisioning jobs; nothing deployed does."""

import asyncio
from collections.abc import Callable
from copy import replace
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.gateway import GraphGateway, date_of
from shared.adapters.graph.jobs import job_of
from shared.domain.errors import GraphError, Rejected
from shared.domain.sync_job import SyncJob

PRINCIPALS_PAGE: Final = 999
PRINCIPALS_PAGES: Final = 100
AT_ONCE: Final = 8

_READING_PRINCIPALS: Final = "Application.Read.All"
_PRINCIPALS: Final = "{+baseurl}/servicePrincipals{?%24select,%24top}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePrincipalJobs:
    """A service principal and its jobs; `problem` says why they could not be read."""

    id: str
    app_id: str
    name: str
    jobs: tuple[SyncJob, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsFound:
    """
    The service principals that have jobs, or whose jobs could not be read, of the `looked_at`
    ones in all. `problem` says why the list of service principals broke off.
    """

    service_principals: tuple[ServicePrincipalJobs, ...]
    looked_at: int
    problem: str = ""


class Tenant(Protocol):
    """The tenant, as far as its provisioning jobs go."""

    async def service_principals_with_jobs(
        self, *, progress: Callable[[int, int], None]
    ) -> JobsFound:
        """
        Return every service principal of the tenant that has jobs, by name.

        One that cannot be read never hides the others. *progress* hears how many of how many
        known so far have been looked at.
        """


class TenantGateway(GraphGateway):
    """The gateway with the discovery that only commands need: the port `Tenant`."""

    async def service_principals_with_jobs(
        self, *, progress: Callable[[int, int], None]
    ) -> JobsFound:
        """https://learn.microsoft.com/graph/api/synchronization-synchronization-list-jobs."""
        async with self._told("service_principals_with_jobs"):
            principals = await self._pages(
                await self._client.get(
                    _PRINCIPALS, _select="id,appId,displayName", _top=PRINCIPALS_PAGE
                ),
                most=PRINCIPALS_PAGES,
                needs=_READING_PRINCIPALS,
            )
        places, done, of = asyncio.Semaphore(AT_ONCE), 0, len(principals.rows)
        progress(done, of)

        async def look(row: object) -> ServicePrincipalJobs:
            nonlocal done
            async with places:
                found = await self._jobs_found(row)
            done += 1
            progress(done, of)
            return found

        looked = await asyncio.gather(*map(look, principals.rows))
        found = sorted(
            (sp for sp in looked if sp.jobs or sp.problem), key=lambda sp: (sp.name, sp.id)
        )
        broke_off = f"the list of service principals broke off: {principals.problem}"
        return JobsFound(
            service_principals=tuple(found),
            looked_at=of,
            problem=broke_off if principals.problem else "",
        )

    async def _jobs_found(self, row: object) -> ServicePrincipalJobs:
        names = read.members(row)
        empty = ServicePrincipalJobs(
            id=read.text(names.get("id")),
            app_id=read.text(names.get("appId")),
            name=read.text(names.get("displayName")),
        )
        try:
            jobs, answer = await self._all_jobs(empty.id)
            read_at = date_of(answer)
            return replace(empty, jobs=tuple(job_of(job, read_at=read_at) for job in jobs))
        except GraphError as error:
            if isinstance(error, Rejected) and error.status == HTTPStatus.NOT_FOUND:
                # It has no synchronization at all, or has been deleted meanwhile.
                return empty
            return replace(empty, problem=error.reason)
