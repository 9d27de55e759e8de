"""
Ask Graph what shows a user's link: user, schema, provisioning log, object connection, on demand.

A permission that is missing is an answer here, not an error: the evidence it would give is left
out, and the words name it.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.client import GraphClient
from shared.adapters.graph.errors import READING_LOGS, RESTARTING, fault
from shared.adapters.graph.provisioning import (
    read_connection,
    read_entry,
    read_matching,
    read_on_demand,
    read_user_rule,
)
from shared.domain.errors import FateUnknown
from shared.domain.links import (
    ConnectionRead,
    EntriesRead,
    MappingsRead,
    ProvisioningEntry,
    Subject,
)

PAGE: Final = 500

READING_USERS: Final = "User.Read.All"
READING_CONNECTIONS: Final = "SynchronizationMetadata.Read.All"

READABLE_ATTRIBUTES: Final = frozenset(
    {
        "businessPhones",
        "city",
        "companyName",
        "country",
        "department",
        "displayName",
        "employeeId",
        "employeeType",
        "givenName",
        "jobTitle",
        "mail",
        "mailNickname",
        "mobilePhone",
        "officeLocation",
        "onPremisesImmutableId",
        "onPremisesSamAccountName",
        "onPremisesUserPrincipalName",
        "postalCode",
        "preferredLanguage",
        "state",
        "streetAddress",
        "surname",
        "usageLocation",
        "userPrincipalName",
    }
)
"""
Attributes of a mapping that a user has in Graph under the same name; another name in `$select`
would be a 400. https://learn.microsoft.com/graph/api/resources/user
"""

_USER: Final = "{+baseurl}/users/{user}{?%24select}"
_JOB: Final = "{+baseurl}/servicePrincipals/{service_principal}/synchronization/jobs/{job}"
_SCHEMA: Final = f"{_JOB}/schema"
_LOG: Final = "{+baseurl}/auditLogs/provisioning{?%24filter,%24orderby,%24top}"
_CONNECTION: Final = (
    "{+endpoint}/beta/servicePrincipals/{service_principal}/synchronization/jobs/{job}"
    "/objectConnections('{object}')"
)
_ON_DEMAND: Final = f"{_JOB}/provisionOnDemand"

_REFUSED: Final = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


class GraphLinks:
    """The port `LinkGraph` over one client."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    async def find_user(self, asked: str, attributes: Collection[str]) -> Subject:
        """https://learn.microsoft.com/graph/api/user-get (User.Read.All)."""
        wanted = ["id", *sorted(READABLE_ATTRIBUTES & set(attributes))]
        answer = await self._client.get(_USER, user=asked, _select=",".join(wanted))
        if answer.status in _REFUSED:
            return Subject(asked=asked, problem=_needs(READING_USERS, "a user's name and values"))
        if answer.status == httpx.codes.NOT_FOUND:
            return Subject(asked=asked, problem="Entra has no user of this name or id")
        user = read.members(_json(answer, READING_USERS))
        found = {name: read.text(user.get(name)) for name in wanted}
        return Subject(asked=asked, object_id=found.pop("id"), attributes=found)

    async def mappings(self, service_principal_id: str, job_id: str) -> MappingsRead:
        """https://learn.microsoft.com/graph/api/synchronization-synchronizationschema-get."""
        answer = await self._client.get(_SCHEMA, service_principal=service_principal_id, job=job_id)
        if answer.status in _REFUSED:
            return MappingsRead(problem=_needs(RESTARTING, "the attribute mappings"))
        _json(answer, RESTARTING)
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
        to it, the page is asked for by job alone.
        """
        answer = (
            await self._client.get_page(link)
            if link
            else await self._first_page(job_id, since=since, user_id=user_id)
        )
        if answer.status == httpx.codes.BAD_REQUEST and user_id and not link:
            answer = await self._first_page(job_id, since=since, user_id="")
        if answer.status in _REFUSED:
            return EntriesRead(problem=_needs(READING_LOGS, "the provisioning logs"))
        page = read.members(_json(answer, READING_LOGS))
        rows = read.items(page.get("value"))
        if rows is None:
            raise FateUnknown("the answer of Microsoft Graph is not a list")
        return EntriesRead(entries=_entries(rows), next_link=read.text(page.get("@odata.nextLink")))

    async def _first_page(self, job_id: str, *, since: datetime, user_id: str) -> Answer:
        quoted, user = job_id.replace("'", "''"), user_id.replace("'", "''")
        of_user = f" and sourceIdentity/id eq '{user}'" if user else ""
        return await self._client.get(
            _LOG,
            _filter=f"jobId eq '{quoted}' and activityDateTime gt "
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
        if answer.status in _REFUSED:
            return ConnectionRead(problem=_needs(READING_CONNECTIONS, "object connections"))
        if answer.status == httpx.codes.NOT_FOUND:
            return ConnectionRead(
                problem="there is no object connection, or the preview does not offer them here"
            )
        _json(answer, READING_CONNECTIONS)
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
        if answer.status in _REFUSED:
            return EntriesRead(problem=_needs(RESTARTING, "provision on demand"))
        _json(answer, RESTARTING)
        try:
            return EntriesRead(entries=read_on_demand(answer.body))
        except msgspec.DecodeError as error:
            raise FateUnknown("the result of provision on demand is unreadable") from error


def _entries(rows: Collection[Any]) -> tuple[ProvisioningEntry, ...]:
    return tuple(entry for entry in map(read_entry, rows) if entry is not None)


def _json(answer: Answer, needs: str) -> object:
    if not answer.succeeded:
        raise fault(answer, needs=needs)
    try:
        return read.decoded(answer.body)
    except ValueError as error:
        raise FateUnknown("the answer of Microsoft Graph is unreadable: not JSON") from error


def _needs(permission: str, what: str) -> str:
    return f"{what} cannot be read: grant {permission} to the app's identity"
