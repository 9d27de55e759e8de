"""
Microsoft Graph through msgraph-sdk: the only module that knows it.

Importing this module imports the SDK; the composition root does so on first use only, because a
webhook needs none of it and a cold instance pays seconds for it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import httpx
from kiota_abstractions.api_error import APIError
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.middleware import HeadersInspectionHandler, ParametersNameDecodingHandler
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph.generated.audit_logs.directory_audits.directory_audits_request_builder import (
    DirectoryAuditsRequestBuilder,
)
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.synchronization_job import SynchronizationJob
from msgraph.generated.models.synchronization_job_restart_criteria import (
    SynchronizationJobRestartCriteria,
)
from msgraph.generated.models.synchronization_job_restart_scope import (
    SynchronizationJobRestartScope,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (  # noqa: E501 -- generated path
    RestartPostRequestBody,
)
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from shared.errors import FateUnknown, NotSent, Rejected
from shared.models import (
    AuditTrail,
    Execution,
    Quarantine,
    RestartSeen,
    Scope,
    SyncJob,
)

READ_TAKES_AT_MOST: Final = timedelta(seconds=30)
RESTART_TAKES_AT_MOST: Final = timedelta(seconds=30)
TOKEN_TAKES_AT_MOST: Final = timedelta(seconds=20)
LONGEST_WORDS: Final = 500
LONGEST_RETRY_AFTER: Final = timedelta(days=1)

RESTART_ACTIVITY: Final = "Enable/restart provisioning configuration"
"""https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities"""

_NEVER: Final = 1
_THROTTLED: Final = 429
_TIMED_OUT: Final = 408


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
        adapter = GraphRequestAdapter(provider, client=client)
        adapter.base_url = f"{endpoint}/v1.0"
        self._client = GraphServiceClient(request_adapter=adapter)

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
            raise NotSent(f"no token for Microsoft Graph: {_words(error)}") from error

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        await self.fetch_token()
        jobs = self._jobs(service_principal_id)
        seen = HeadersInspectionHandlerOption(inspect_request_headers=False)
        asked = RequestConfiguration[Any](options=[seen])
        async with _translated(READ_TAKES_AT_MOST):
            if job_id:
                job = await jobs.by_synchronization_job_id(job_id).get(asked)
            else:
                listed = await jobs.get(asked)
                job = _only(service_principal_id, (listed.value if listed else None) or [])
        return _job(job, read_at=_date(seen))

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
        body = RestartPostRequestBody(criteria=_criteria(scope))
        seen = HeadersInspectionHandlerOption(inspect_request_headers=False)
        asked = RequestConfiguration[Any](options=[seen])
        asked.headers.add("client-request-id", client_request_id)
        job = self._jobs(service_principal_id).by_synchronization_job_id(job_id)
        # A token refused here, after the one at hand, means as well that nothing was sent.
        await self.fetch_token()
        if not may_begin():
            raise NotSent("too late to begin: it is decided anew")
        async with _translated(RESTART_TAKES_AT_MOST):
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
            async with _translated(READ_TAKES_AT_MOST):
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

    def _jobs(self, service_principal_id: str) -> Any:
        item = self._client.service_principals.by_service_principal_id(service_principal_id)
        return item.synchronization.jobs


def _criteria(scope: Scope) -> SynchronizationJobRestartCriteria:
    """
    Only an enum member reaches the wire: the SDK drops a string or a list without a word, and an
    empty criteria is the portal's restart, which breaks no link.
    """
    if scope is Scope.FULL:
        return SynchronizationJobRestartCriteria(reset_scope=SynchronizationJobRestartScope.Full)
    if scope is Scope.QUARANTINE:
        # Flags cannot be combined in the SDK's enum.
        return SynchronizationJobRestartCriteria(
            additional_data={"resetScope": "Watermark, Escrows, QuarantineState"}
        )
    raise ValueError(f"scope {scope!r} is never sent")


@asynccontextmanager
async def _translated(limit: timedelta) -> AsyncIterator[None]:
    """Every vendor error becomes NotSent, FateUnknown or Rejected; nothing else gets through."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (NotSent, FateUnknown, Rejected):
        raise
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NotSent(f"no connection to Microsoft Graph: {_words(error)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise FateUnknown(f"the answer of Microsoft Graph was lost: {_words(error)}") from error
    except APIError as error:
        raise _by_status(error) from error
    except Exception as error:
        # The SDK could not read what came (garbage in the body): it may have happened.
        raise FateUnknown(
            f"the answer of Microsoft Graph is unreadable: {_words(error)}"
        ) from error


def _by_status(error: APIError) -> NotSent | FateUnknown | Rejected:
    status = error.response_status_code or 0
    headers = {k.lower(): v for k, v in (error.response_headers or {}).items()}
    code, message = "", ""
    if isinstance(error, ODataError) and error.error is not None:
        code, message = error.error.code or "", error.error.message or ""
    said = f"Microsoft Graph answered {status}" + (f" {code}" if code else "")
    if status == _THROTTLED:
        return NotSent(f"{said} (throttled)", retry_after=_retry_after(headers))
    if status == _TIMED_OUT or not 400 <= status < 500:
        return FateUnknown(said, retry_after=_retry_after(headers))
    remedy = _REMEDIES.get(status, "")
    words = f"{said}{': ' if message else ''}{message[:LONGEST_WORDS]}{remedy}"
    return Rejected(words, status=status, code=code, request_id=_plain(headers.get("request-id")))


_PERMISSION: Final = (
    "; the app's identity needs Synchronization.ReadWrite.All on Microsoft Graph "
    "(a permission granted just now shows only with the next token)"
)
_REMEDIES: Final[Mapping[int, str]] = {
    401: _PERMISSION,
    403: _PERMISSION,
    404: "; check servicePrincipalId (the object id of the enterprise application, not its "
    "application id) and jobId in RESET_TARGETS",
}


def _retry_after(headers: Mapping[str, Any]) -> timedelta | None:
    """Seconds or an HTTP date, as RFC 9110 allows; anything else is no hint."""
    value = _plain(headers.get("retry-after")).strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), LONGEST_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(_plain(headers.get("date")))
    except (ValueError, TypeError):
        # TypeError: one of the two says that its zone is unknown (-0000).
        return None
    return min(max(timedelta(0), wait), LONGEST_RETRY_AFTER)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else next(iter(value), "")


def _header(seen: HeadersInspectionHandlerOption, name: str) -> str:
    return _plain(seen.response_headers.get(name))


def _date(seen: HeadersInspectionHandlerOption) -> datetime:
    """Graph's own clock. An answer without it is none of Graph's."""
    try:
        return parsedate_to_datetime(_header(seen, "date")).astimezone(UTC)
    except ValueError as error:
        raise FateUnknown("the answer of Microsoft Graph has no Date header") from error


def _only(service_principal_id: str, jobs: list[SynchronizationJob]) -> SynchronizationJob:
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        raise Rejected(
            f"service principal {service_principal_id} has no provisioning job", status=404
        )
    ids = ", ".join(job.id or "?" for job in jobs)
    raise Rejected(
        f"service principal {service_principal_id} has {len(jobs)} provisioning jobs; set jobId "
        f"in RESET_TARGETS to one of: {ids}",
        status=409,
    )


def _job(job: SynchronizationJob | None, *, read_at: datetime) -> SyncJob:
    if job is None or not job.id or job.status is None:
        raise FateUnknown("the answer of Microsoft Graph is no synchronization job")
    status, schedule = job.status, job.schedule
    last, quarantine = status.last_execution, status.quarantine
    step = next(iter(status.progress or []), None)
    return SyncJob(
        id=job.id,
        read_at=read_at,
        template_id=job.template_id or "",
        code=_text(status.code),
        schedule_state=_text(schedule.state if schedule else None),
        interval=schedule.interval if schedule else None,
        steady_state_first=_time(status.steady_state_first_achieved_time),
        steady_state_last=_time(status.steady_state_last_achieved_time),
        last_execution=Execution(
            state=_text(last.state) if last else "",
            began=_time(last.time_began) if last else None,
            ended=_time(last.time_ended) if last else None,
            error=_error(last.error) if last else "",
        ),
        escrows_pruned=bool(status.escrows_pruned),
        quarantine=None
        if quarantine is None
        else Quarantine(
            reason=_text(quarantine.reason),
            began=_time(quarantine.current_began),
            error=_error(quarantine.error),
        ),
        counts={
            count.key or "": count.value or 0
            for count in status.synchronized_entry_count_by_type or []
        },
        completed_units=step.completed_units if step else None,
        total_units=step.total_units if step else None,
    )


def _text(value: Any) -> str:
    """The enum's text; empty where the SDK met a value that it does not know and gave None."""
    return "" if value is None else str(value.value)


def _time(value: datetime | None) -> datetime | None:
    """Year 1 means never; arithmetic on it overflows, so that it goes no further than here."""
    if value is None or value.year <= _NEVER:
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _error(error: Any) -> str:
    if error is None or not error.code or error.code == "None":
        return ""
    return f"{error.code}: {error.message or ''}"[:LONGEST_WORDS]


def _words(error: BaseException) -> str:
    return (
        f"{type(error).__name__}: {error}"[:LONGEST_WORDS] if str(error) else type(error).__name__
    )
