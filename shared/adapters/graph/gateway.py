"""
Microsoft Graph through msgraph-sdk, behind the `Graph` port.

Importing this module imports the SDK; the composition root does so on first use only, because a
webhook needs none of it and a cold instance pays for it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.synchronization_job_restart_criteria import (
    SynchronizationJobRestartCriteria,
)
from msgraph.generated.models.synchronization_job_restart_scope import (
    SynchronizationJobRestartScope,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (  # noqa: E501 -- generated path
    RestartPostRequestBody,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_request_builder import (  # noqa: E501 -- generated path
    RestartRequestBuilder,
)
from msgspec import Struct

from shared.adapters.graph.answers import Answer
from shared.adapters.graph.audit import RESTART_ACTIVITY, restarts_of
from shared.adapters.graph.client import Credential, GraphClient
from shared.adapters.graph.errors import READING_AUDITS, READING_LOGS, RESTARTING, fault
from shared.adapters.graph.jobs import job_of, only_job
from shared.adapters.graph.link_evidence import GraphLinks
from shared.adapters.graph.observed import OnCall, status_of
from shared.adapters.graph.provisioning_log import newest_are_stale
from shared.adapters.graph.reading import json_of, page_of
from shared.domain.errors import FateUnknown, GraphError, NotSent, RefusedForNow, Rejected
from shared.domain.reset import Scope
from shared.domain.sync_job import (
    AuditTrail,
    GraphStatus,
    StaleLinks,
    SyncJob,
)

RESTART_TAKES_AT_MOST: Final = timedelta(seconds=30)
LOG_PAGE: Final = 500
# Both logs give an app 5 requests in 10 s, of which one target must not take all.
LOG_PAGES: Final = 4
AUDIT_PAGE: Final = 200
AUDIT_PAGES: Final = 4
JOBS_PAGES: Final = 20


_JOBS: Final = "{+baseurl}/servicePrincipals/{service_principal}/synchronization/jobs"
_JOB: Final = f"{_JOBS}/{{job}}"
_AUDITS: Final = "{+baseurl}/auditLogs/directoryAudits{?%24filter,%24top}"
_PROVISIONING: Final = "{+baseurl}/auditLogs/provisioning{?%24filter,%24orderby,%24top}"


def criteria_of(scope: Scope) -> SynchronizationJobRestartCriteria:
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


class GraphGateway:
    """
    The `Graph` over one client, for one event loop.

    Without a credential (the emulator on loopback) no Authorization header is ever sent.
    """

    def __init__(
        self, endpoint: str, credential: Credential | None, *, on_call: OnCall | None = None
    ) -> None:
        self._client = GraphClient(endpoint, credential)
        self._on_call = on_call

    async def close(self) -> None:
        await self._client.close()

    def links(self) -> GraphLinks:
        """What Graph tells of users' links, over the same client."""
        return GraphLinks(self._client, on_call=self._on_call)

    async def fetch_token(self) -> None:
        try:
            await self._client.fetch_token()
        except NotSent as error:
            self._tell(GraphStatus.FAILED, "fetch_token", error.reason)
            raise

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        async with self._told("read_job"):
            if job_id:
                answer = await self._client.get(
                    _JOB, service_principal=service_principal_id, job=job_id
                )
                return job_of(json_of(answer, needs=RESTARTING), read_at=date_of(answer))
            jobs, answer = await self._all_jobs(service_principal_id)
            return job_of(only_job(service_principal_id, jobs), read_at=date_of(answer))

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
        asked = RequestConfiguration[Any]()
        asked.headers.add("client-request-id", client_request_id)
        ids = {"servicePrincipal%2Did": service_principal_id, "synchronizationJob%2Did": job_id}
        builder = RestartRequestBuilder(self._client.adapter, ids)
        async with self._told("restart"):
            # A token refused here, after the one at hand, means as well that nothing was sent.
            await self._client.fetch_token()
            if not may_begin():
                raise NotSent("too late to begin: it is decided again")
            answer = await self._client.send(
                builder.to_post_request_information(body, asked), within=RESTART_TAKES_AT_MOST
            )
            if answer.status == HTTPStatus.UNAUTHORIZED:
                # Not here: of one intent there is one POST.
                self._client.token_was_refused()
            if not answer.succeeded:
                raise fault(answer)
        return answer.request_id

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        """https://learn.microsoft.com/graph/api/directoryaudit-list (AuditLog.Read.All)."""
        log = await self._log(
            "audit_trail",
            _AUDITS,
            most=AUDIT_PAGES,
            needs=READING_AUDITS,
            _filter=f"activityDisplayName eq '{RESTART_ACTIVITY}' and "
            f"activityDateTime ge {_z(since)}",
            _top=AUDIT_PAGE,
        )
        restarts, unplaced = restarts_of(
            log.rows, service_principal_id, since=since, own_ids=self._client.own_ids
        )
        if log.problem:
            # A part of the log is not silent, whatever stands in it.
            self._tell(GraphStatus.AUDIT_LOG_UNREADABLE, "audit_trail", log.problem)
        else:
            self._tell(GraphStatus.AUDIT_LOG_READ, "audit_trail", "")
        return AuditTrail(
            readable=not log.refused,
            restarts=tuple(restarts),
            unplaced=unplaced,
            whole=not log.problem,
            why=log.problem,
        )

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        """https://learn.microsoft.com/graph/api/provisioningobjectsummary-list."""
        del service_principal_id  # A job id is the tenant's only one.
        if not job_id:
            raise ValueError("the provisioning logs are asked for the job's own id")
        quoted = job_id.replace("'", "''")
        log = await self._log(
            "stale_links",
            _PROVISIONING,
            most=LOG_PAGES,
            needs=READING_LOGS,
            # Neither the error nor its code can stand in a filter, and only gt is there, no ge.
            _filter=f"jobId eq '{quoted}' and activityDateTime gt {_z(since)}",
            _orderby="activityDateTime desc",
            _top=LOG_PAGE,
        )
        if log.refused:
            self._tell(GraphStatus.PROVISIONING_LOG_UNREADABLE, "stale_links", log.problem)
            return StaleLinks(readable=False, why=log.problem)
        self._tell(GraphStatus.PROVISIONING_LOG_READ, "stale_links", "")
        links = newest_are_stale(log.rows, since=since.astimezone(UTC))
        return StaleLinks(readable=True, links=links, whole=not log.problem)

    async def _log(
        self, call: str, template: str, *, most: int, needs: str, **query: Any
    ) -> "_Listed":
        """Read a log that the app need not be allowed to read: a refusal is an answer here."""
        async with self._told(call):
            try:
                answer = await self._client.get(template, **query)
                return await self._pages(answer, most=most, needs=needs)
            except (RefusedForNow, Rejected) as error:
                if error.status in {HTTPStatus.CONFLICT, HTTPStatus.LOCKED}:
                    raise
                return _Listed(problem=error.reason, refused=True)

    async def _all_jobs(self, service_principal_id: str) -> tuple[Sequence[object], Answer]:
        """Every job; a list that is not read to its end does not say which is the only one."""
        answer = await self._client.get(_JOBS, service_principal=service_principal_id)
        listed = await self._pages(answer, most=JOBS_PAGES, needs=RESTARTING)
        if listed.problem:
            raise FateUnknown(f"the list of provisioning jobs broke off: {listed.problem}")
        return listed.rows, answer

    async def _pages(self, answer: Answer, *, most: int, needs: str) -> "_Listed":
        """Read a list to its end, or to a bound: then, and where a page fails, it says so."""
        page = page_of(answer, needs=needs)
        rows = list(page.rows)
        for number in range(2, most + 1):
            if not page.next_link:
                break
            try:
                page = page_of(await self._client.get_page(page.next_link), needs=needs)
            except GraphError as error:
                return _Listed(rows=rows, problem=f"page {number}: {error.reason}")
            rows += page.rows
        more = f"only the first {most} pages were read" if page.next_link else ""
        return _Listed(rows=rows, problem=more)

    @asynccontextmanager
    async def _told(self, call: str) -> AsyncIterator[None]:
        try:
            yield
        except GraphError as error:
            self._tell(status_of(error), call, error.reason)
            raise
        self._tell(GraphStatus.ANSWERED, call, "")

    def _tell(self, status: GraphStatus, call: str, why: str) -> None:
        if self._on_call is not None:
            self._on_call(status, call, why)


class _Listed(Struct, frozen=True, kw_only=True):
    """The rows of a list; `problem` says why they are not all, or why there are none."""

    rows: Sequence[object] = ()
    problem: str = ""
    refused: bool = False


def date_of(answer: Answer) -> datetime:
    """Graph's own clock. An answer without it does not come from Graph."""
    if answer.date is None:
        raise FateUnknown("the answer of Microsoft Graph has no Date header")
    return answer.date


def _z(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
