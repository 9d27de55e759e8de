"""
Microsoft Graph through msgraph-sdk; with graph_values and graph_errors all that knows it.

Importing this module imports the SDK; the composition root does so on first use only, because a
webhook needs none of it and a cold instance pays seconds for it.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import httpx
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.middleware import HeadersInspectionHandler, ParametersNameDecodingHandler
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph.generated.audit_logs.directory_audits.directory_audits_request_builder import (
    DirectoryAuditsRequestBuilder,
)
from msgraph.generated.audit_logs.provisioning.provisioning_request_builder import (
    ProvisioningRequestBuilder,
)
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (  # noqa: E501 -- generated path
    RestartPostRequestBody,
)
from msgraph.generated.service_principals.service_principals_request_builder import (
    ServicePrincipalsRequestBuilder,
)
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from shared.adapters.graph.errors import plain, translated, words
from shared.adapters.graph.values import (
    LogPage,
    criteria_of,
    job_of,
    log_page,
    newest_are_stale,
    only_job,
)
from shared.domain.errors import FateUnknown, GraphError, NotSent, Rejected
from shared.domain.reset import Scope
from shared.domain.sync_job import (
    AuditTrail,
    JobsFound,
    RestartSeen,
    ServicePrincipalJobs,
    StaleLinks,
    SyncJob,
)

READ_TAKES_AT_MOST: Final = timedelta(seconds=30)
RESTART_TAKES_AT_MOST: Final = timedelta(seconds=30)
TOKEN_TAKES_AT_MOST: Final = timedelta(seconds=20)
LOG_PAGE: Final = 500
# Both logs give an app 5 requests in 10 s, of which one target must not take all.
LOG_PAGES: Final = 4
PRINCIPALS_PAGE: Final = 999
PRINCIPALS_PAGES: Final = 100
AT_ONCE: Final = 8

RESTART_ACTIVITY: Final = "Enable/restart provisioning configuration"
"""https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities"""

_READING_LOGS: Final = "ProvisioningLog.Read.All"
_READING_PRINCIPALS: Final = "Application.Read.All"


class Credential(Protocol):
    """What azure-identity's asynchronous credentials offer."""

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any: ...


class GraphGateway:
    """
    The `Graph` over one client, for one event loop.

    Without a credential (the emulator on loopback) no Authorization header is ever sent.
    """

    def __init__(self, endpoint: str, credential: Credential | None) -> None:
        self._credential = credential
        self._scope = f"{endpoint}/.default"
        # Ours, because closing the SDK's client does not close the pool beneath it.
        self._transport = httpx.AsyncHTTPTransport(
            http2=False, verify=ssl.create_default_context(), retries=0
        )
        client = GraphClientFactory.create_with_custom_middleware(
            # Neither the retry nor the redirect handler: both would repeat a POST.
            middleware=[ParametersNameDecodingHandler(), HeadersInspectionHandler()],
            client=httpx.AsyncClient(
                transport=self._transport,
                timeout=httpx.Timeout(READ_TAKES_AT_MOST.total_seconds(), connect=10),
                trust_env=False,
            ),
        )
        provider = (
            AnonymousAuthenticationProvider()
            if credential is None
            else AzureIdentityAuthenticationProvider(
                credential,  # type: ignore[arg-type]  # typed for synchronous ones, awaits both
                scopes=[self._scope],
                allowed_hosts=[httpx.URL(endpoint).host],
            )
        )
        self._adapter = GraphRequestAdapter(provider, client=client)
        self._adapter.base_url = f"{endpoint}/v1.0"
        self._client = GraphServiceClient(request_adapter=self._adapter)

    async def close(self) -> None:
        await self._transport.aclose()

    async def fetch_token(self) -> None:
        if self._credential is None:
            return
        try:
            async with asyncio.timeout(TOKEN_TAKES_AT_MOST.total_seconds()):
                await self._credential.get_token(self._scope)
        except Exception as error:
            # Whatever it was (no identity, endpoint busy, timeout): nothing was sent.
            raise NotSent(f"no token for Microsoft Graph: {words(error)}") from error

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        await self.fetch_token()
        jobs = self._jobs(service_principal_id)
        seen = HeadersInspectionHandlerOption(inspect_request_headers=False)
        asked = RequestConfiguration[Any](options=[seen])
        async with translated(READ_TAKES_AT_MOST):
            if job_id:
                job = await jobs.by_synchronization_job_id(job_id).get(asked)
            else:
                listed = await jobs.get(asked)
                job = only_job(service_principal_id, (listed.value if listed else None) or [])
        return job_of(job, read_at=_date(seen))

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool],
    ) -> str:
        """https://learn.microsoft.com/graph/api/synchronization-synchronizationjob-restart."""
        body = RestartPostRequestBody(criteria=criteria_of(scope))
        seen = HeadersInspectionHandlerOption(inspect_request_headers=False)
        asked = RequestConfiguration[Any](options=[seen])
        asked.headers.add("client-request-id", client_request_id)
        job = self._jobs(service_principal_id).by_synchronization_job_id(job_id)
        # A token refused here, after the one at hand, means as well that nothing was sent.
        await self.fetch_token()
        if not may_begin():
            raise NotSent("too late to begin: it is decided anew")
        async with translated(RESTART_TAKES_AT_MOST):
            await job.restart.post(body, asked)
        return _header(seen, "request-id")

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        """https://learn.microsoft.com/graph/api/directoryaudit-list (AuditLog.Read.All)."""
        query = DirectoryAuditsRequestBuilder.DirectoryAuditsRequestBuilderGetQueryParameters(
            filter=f"activityDisplayName eq '{RESTART_ACTIVITY}' and "
            f"activityDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            top=200,
        )
        await self.fetch_token()
        try:
            async with translated(READ_TAKES_AT_MOST):
                found = await self._client.audit_logs.directory_audits.get(
                    RequestConfiguration(query_parameters=query)
                )
        except Rejected:
            return AuditTrail(readable=False)
        # A full page may hide ours behind other applications' restarts: then the log shows nothing
        # either way.
        rows = (found.value if found else None) or []
        whole = found is not None and not found.odata_next_link
        ours = tuple(
            RestartSeen(at=row.activity_date_time)
            for row in rows
            if row.activity_date_time is not None
            and any(
                (resource.id or "").lower() == service_principal_id.lower()
                for resource in row.target_resources or []
            )
        )
        return AuditTrail(readable=whole or bool(ours), restarts=ours)

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        """https://learn.microsoft.com/graph/api/provisioningobjectsummary-list."""
        del service_principal_id  # A job id is the tenant's only one.
        if not job_id:
            raise ValueError("the provisioning logs are asked for the job's own id")
        quoted = job_id.replace("'", "''")
        since = since.astimezone(UTC)
        # Neither the error nor its code can stand in a filter, and only gt is there, no ge.
        query = ProvisioningRequestBuilder.ProvisioningRequestBuilderGetQueryParameters(
            filter=f"jobId eq '{quoted}' and activityDateTime gt {since:%Y-%m-%dT%H:%M:%SZ}",
            orderby=["activityDateTime desc"],
            top=LOG_PAGE,
        )
        await self.fetch_token()
        log = self._client.audit_logs.provisioning
        try:
            page = await self._log_page(
                log.to_get_request_information(RequestConfiguration(query_parameters=query))
            )
        except Rejected:
            return StaleLinks(readable=False)
        rows, more = page.value, page.next_link
        for _ in range(LOG_PAGES - 1):
            if not more:
                break
            try:
                page = await self._log_page(log.with_url(more).to_get_request_information())
            except GraphError:
                # What has been read stands: the rows come newest first.
                break
            rows, more = rows + page.value, page.next_link
        return StaleLinks(readable=True, links=newest_are_stale(rows, since=since), whole=not more)

    async def _log_page(self, asked: RequestInformation) -> LogPage:
        """
        As bytes, decoded by msgspec: the SDK takes seconds of a processor for one page of these
        rows, during which nothing else of the app would run.
        """
        async with translated(READ_TAKES_AT_MOST, needs=_READING_LOGS):
            body = await self._adapter.send_primitive_async(asked, "bytes", {"XXX": ODataError})
            return log_page(body if isinstance(body, bytes) else b"")

    async def service_principals_with_jobs(
        self, *, progress: Callable[[int, int], None]
    ) -> JobsFound:
        """https://learn.microsoft.com/graph/api/synchronization-synchronization-list-jobs."""
        await self.fetch_token()
        principals, problem = await self._principals()
        places = asyncio.Semaphore(AT_ONCE)
        done = 0
        progress(done, len(principals))

        async def look(principal: ServicePrincipal) -> ServicePrincipalJobs:
            nonlocal done
            async with places:
                found = await self._jobs_found(principal)
            done += 1
            progress(done, len(principals))
            return found

        looked = await asyncio.gather(*map(look, principals))
        found = sorted(
            (sp for sp in looked if sp.jobs or sp.problem), key=lambda sp: (sp.name, sp.id)
        )
        return JobsFound(
            service_principals=tuple(found), looked_at=len(principals), problem=problem
        )

    async def _principals(self) -> tuple[list[ServicePrincipal], str]:
        """Every service principal, or those up to the page that failed and why it did."""
        query = ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetQueryParameters(
            select=["id", "appId", "displayName"], top=PRINCIPALS_PAGE
        )
        listed = self._client.service_principals
        async with translated(READ_TAKES_AT_MOST, needs=_READING_PRINCIPALS):
            page = await listed.get(RequestConfiguration(query_parameters=query))
        found: list[ServicePrincipal] = list((page.value if page else None) or [])
        for _ in range(PRINCIPALS_PAGES):
            more = page.odata_next_link if page else None
            if not more:
                return found, ""
            try:
                async with translated(READ_TAKES_AT_MOST, needs=_READING_PRINCIPALS):
                    page = await listed.with_url(more).get()
            except GraphError as error:
                return found, f"the list of service principals broke off: {error.reason}"
            found += (page.value if page else None) or []
        return found, f"only the first {len(found)} service principals were looked at"

    async def _jobs_found(self, principal: ServicePrincipal) -> ServicePrincipalJobs:
        empty = ServicePrincipalJobs(
            id=principal.id or "", app_id=principal.app_id or "", name=principal.display_name or ""
        )
        seen = HeadersInspectionHandlerOption(inspect_request_headers=False)
        try:
            async with translated(READ_TAKES_AT_MOST):
                listed = await self._jobs(empty.id).get(RequestConfiguration[Any](options=[seen]))
            read_at = _date(seen)
            jobs = (listed.value if listed else None) or []
            return replace(empty, jobs=tuple(job_of(job, read_at=read_at) for job in jobs))
        except GraphError as error:
            if isinstance(error, Rejected) and error.status == 404:
                # It has no synchronization at all, or has been deleted meanwhile.
                return empty
            return replace(empty, problem=error.reason)

    def _jobs(self, service_principal_id: str) -> Any:
        item = self._client.service_principals.by_service_principal_id(service_principal_id)
        return item.synchronization.jobs


def _header(seen: HeadersInspectionHandlerOption, name: str) -> str:
    return plain(seen.response_headers.get(name))


def _date(seen: HeadersInspectionHandlerOption) -> datetime:
    """Graph's own clock. An answer without it is none of Graph's."""
    try:
        return parsedate_to_datetime(_header(seen, "date")).astimezone(UTC)
    except ValueError as error:
        raise FateUnknown("the answer of Microsoft Graph has no Date header") from error
