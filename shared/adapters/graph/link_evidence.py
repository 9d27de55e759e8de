"""
Ask Graph what shows a user's link: user, schema, provisioning log, object connection, on demand.

A permission that is missing, and anything else that Graph refuses for good, is an answer here and
not an error: the evidence it would give is left out, and the words say why.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.client import GraphClient
from shared.adapters.graph.errors import READING_LOGS, RESTARTING
from shared.adapters.graph.observed import OnCall
from shared.adapters.graph.provisioning import (
    MAX_TEXT,
    read_connection,
    read_entry,
    read_matching,
    read_on_demand,
    read_user_rule,
)
from shared.adapters.graph.reading import json_of, page_of
from shared.adapters.graph.user_attributes import graph_names, value_of
from shared.domain.errors import FateUnknown, RefusedForNow, Rejected
from shared.domain.evidence_permissions import how_to_grant
from shared.domain.links import (
    ConnectionRead,
    EntriesRead,
    MappingsRead,
    ProvisioningEntry,
    Subject,
)
from shared.domain.sync_job import GraphStatus

PAGE: Final = 500

READING_USERS: Final = "User.Read.All"
READING_CONNECTIONS: Final = "SynchronizationMetadata.Read.All"

_USER: Final = "{+baseurl}/users/{user}{?%24select}"
_JOB: Final = "{+baseurl}/servicePrincipals/{service_principal}/synchronization/jobs/{job}"
_SCHEMA: Final = f"{_JOB}/schema"
_LOG: Final = "{+baseurl}/auditLogs/provisioning{?%24filter,%24orderby,%24top}"
_CONNECTION: Final = (
    "{+endpoint}/beta/servicePrincipals/{service_principal}/synchronization/jobs/{job}"
    "/objectConnections('{object}')"
)
_ON_DEMAND: Final = f"{_JOB}/provisionOnDemand"


class GraphLinks:
    """The port `LinkGraph` over one client; *on_call* hears which evidence may be read."""

    def __init__(self, client: GraphClient, *, on_call: OnCall | None = None) -> None:
        self._client = client
        self._on_call = on_call
        self._combines_filters = True

    async def find_user(self, asked: str, attributes: Collection[str]) -> Subject:
        """https://learn.microsoft.com/graph/api/user-get (User.Read.All)."""
        names = graph_names(attributes)
        wanted = ["id", *sorted(set(names.values()))]
        answer = await self._client.get(_USER, user=asked, _select=",".join(wanted))
        if answer.status == HTTPStatus.NOT_FOUND:
            self._tell(GraphStatus.USERS_READ, "find_user")
            return Subject(asked=asked, problem=_NOBODY)
        try:
            user = read.members(json_of(answer, needs=READING_USERS))
        except (RefusedForNow, Rejected) as error:
            what = "a user's object id and values"
            problem = self._problem(error, what, READING_USERS)
            self._tell_refused(error, GraphStatus.USERS_UNREADABLE, "find_user")
            return Subject(asked=asked, problem=problem)
        self._tell(GraphStatus.USERS_READ, "find_user")
        values = {source: value_of(user, source)[:MAX_TEXT] for source in names}
        object_id = read.text(user.get("id")).lower()
        return Subject(asked=asked, object_id=object_id, attributes=values)

    async def mappings(self, service_principal_id: str, job_id: str) -> MappingsRead:
        """https://learn.microsoft.com/graph/api/synchronization-synchronizationschema-get."""
        answer = await self._client.get(_SCHEMA, service_principal=service_principal_id, job=job_id)
        try:
            json_of(answer, needs=RESTARTING)
        except (RefusedForNow, Rejected) as error:
            return MappingsRead(problem=self._problem(error, "the attribute mappings", RESTARTING))
        return MappingsRead(
            schema=answer.body,
            matching=read_matching(answer.body),
            user_rule=read_user_rule(answer.body),
        )

    async def provisioning_page(
        self, job_id: str, *, since: datetime, user_id: str = "", link: str = ""
    ) -> EntriesRead:
        """
        https://learn.microsoft.com/graph/api/provisioningobjectsummary-list.

        That a filter by job and one by user can be combined is inferred: where Graph answers 400
        to it, pages are asked for by job alone from then on.
        """
        if link:
            answer = await self._client.get_page(link)
            if answer.status == HTTPStatus.BAD_REQUEST:
                # The token of a page does not live for ever.
                return EntriesRead(expired=True)
        else:
            answer = await self._first_page(job_id, since=since, user_id=user_id)
        try:
            page = page_of(answer, needs=READING_LOGS)
        except (RefusedForNow, Rejected) as error:
            self._tell_refused(error, GraphStatus.PROVISIONING_LOG_UNREADABLE, "provisioning_page")
            return EntriesRead(problem=self._problem(error, "the provisioning logs", READING_LOGS))
        self._tell(GraphStatus.PROVISIONING_LOG_READ, "provisioning_page")
        return EntriesRead(entries=_entries(page.rows, job_id), next_link=page.next_link)

    async def _first_page(self, job_id: str, *, since: datetime, user_id: str) -> Answer:
        of_user = f" and sourceIdentity/id eq '{_quoted(user_id)}'" if user_id else ""
        answer = await self._page(job_id, since, of_user if self._combines_filters else "")
        if answer.status == HTTPStatus.BAD_REQUEST and of_user and self._combines_filters:
            self._combines_filters = False
            answer = await self._page(job_id, since, "")
        return answer

    async def _page(self, job_id: str, since: datetime, of_user: str) -> Answer:
        return await self._client.get(
            _LOG,
            _filter=f"jobId eq '{_quoted(job_id)}' and activityDateTime gt "
            f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}{of_user}",
            _orderby="activityDateTime desc",
            _top=PAGE,
        )

    async def object_connection(
        self, service_principal_id: str, job_id: str, object_id: str
    ) -> ConnectionRead:
        """https://learn.microsoft.com/graph/api/resources/objectconnection?view=graph-rest-beta."""
        answer = await self._client.get(
            _CONNECTION,
            endpoint=self._client.endpoint,
            service_principal=service_principal_id,
            job=job_id,
            object=object_id,
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            return ConnectionRead(
                problem="there is no object connection, or the preview does not offer them here"
            )
        try:
            json_of(answer, needs=READING_CONNECTIONS)
        except (RefusedForNow, Rejected) as error:
            status = GraphStatus.OBJECT_CONNECTIONS_UNREADABLE
            self._tell_refused(error, status, "object_connection")
            problem = self._problem(error, "object connections", READING_CONNECTIONS)
            return ConnectionRead(problem=problem)
        self._tell(GraphStatus.OBJECT_CONNECTIONS_READ, "object_connection")
        return ConnectionRead(link=read_connection(answer.body))

    async def provision_on_demand(
        self, service_principal_id: str, job_id: str, *, rule_id: str, user_id: str
    ) -> EntriesRead:
        """https://learn.microsoft.com/graph/api/synchronization-synchronizationjob-provisionondemand."""
        subject = {"objectId": user_id, "objectTypeName": "User"}
        body = {"parameters": [{"ruleId": rule_id, "subjects": [subject]}]}
        answer = await self._client.post(
            _ON_DEMAND, body, service_principal=service_principal_id, job=job_id
        )
        try:
            json_of(answer, needs=RESTARTING)
            return EntriesRead(entries=read_on_demand(answer.body))
        except (RefusedForNow, Rejected) as error:
            return EntriesRead(problem=self._problem(error, "provision on demand", RESTARTING))
        except ValueError as error:
            raise FateUnknown("the result of provision on demand is unreadable") from error

    def _problem(self, error: RefusedForNow | Rejected, what: str, permission: str) -> str:
        """Say what is missing; raise what may pass by itself, to be asked again."""
        if isinstance(error, Rejected):
            return f"{what} cannot be read: {error.reason}"
        if not error.permission:
            raise error
        return f"{what} cannot be read: {how_to_grant(permission)}"

    def _tell_refused(
        self, error: RefusedForNow | Rejected, status: GraphStatus, call: str
    ) -> None:
        if isinstance(error, RefusedForNow) and self._on_call is not None:
            self._on_call(status, call, error.reason)

    def _tell(self, status: GraphStatus, call: str) -> None:
        if self._on_call is not None:
            self._on_call(status, call, "")


_NOBODY: Final = (
    "Entra has no user of this object id or user principal name (a mail address need not be one, "
    "and a deleted user is not found)"
)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _entries(rows: Collection[object], job_id: str) -> tuple[ProvisioningEntry, ...]:
    """The rows of this job: another one may provision the same user into another application."""
    entries = (entry for entry in map(read_entry, rows) if entry is not None)
    wanted = {"", job_id.casefold()}
    return tuple(entry for entry in entries if entry.job_id.casefold() in wanted)
