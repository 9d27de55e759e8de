"""What Graph tells of users' links, scripted: the port `LinkGraph` without a network."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.errors import GraphError
from shared.domain.links import (
    ConnectionRead,
    EntriesRead,
    MappingsRead,
    MatchingAttribute,
    ProvisioningEntry,
    Subject,
)
from tests.support.faults import Faults
from tests.support.graph import broken

MATCHING = (MatchingAttribute(priority=1, source="userPrincipalName", target="Username"),)


@dataclass
class FakeLinkGraph:
    """`users` by UPN and by object id; `failures` are raised, in order, by the calls they name."""

    users: dict[str, Subject] = field(default_factory=dict)
    entries: list[ProvisioningEntry] = field(default_factory=list)
    connections: dict[str, ConnectionRead] = field(default_factory=dict)
    on_demand: list[ProvisioningEntry] = field(default_factory=list)
    grown: Callable[[], list[ProvisioningEntry]] = list
    """Rows that come in the course of a life, beside `entries`."""

    page_size: int = 500
    users_refused: str = ""
    logs_refused: str = ""
    failures: dict[str, list[GraphError]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    generation: int = 0

    def add(self, upn: str, object_id: str) -> None:
        subject = Subject(asked=upn, object_id=object_id, attributes={"userPrincipalName": upn})
        self.users |= {upn: subject, object_id: subject}

    async def find_user(self, asked: str, attributes: Collection[str]) -> Subject:
        del attributes
        self._call("find_user")
        if self.users_refused:
            return Subject(asked=asked, problem=self.users_refused)
        return self.users.get(asked) or Subject(asked=asked, problem="Entra has no such user")

    async def mappings(self, service_principal_id: str, job_id: str) -> MappingsRead:
        del service_principal_id, job_id
        self._call("mappings")
        return MappingsRead(schema=b'{"id": "schema"}', matching=MATCHING, user_rule="rule-1")

    async def provisioning_page(
        self, job_id: str, *, since: datetime, user_id: str = "", link: str = ""
    ) -> EntriesRead:
        del job_id
        self._call("provisioning_page")
        if self.logs_refused:
            return EntriesRead(problem=self.logs_refused)
        generation, _, page_start = link.partition("-")
        if link and int(generation) != self.generation:
            return EntriesRead(expired=True)
        found = [
            e
            for e in [*self.entries, *self.grown()]
            if (e.at is None or e.at > since) and user_id in {"", e.source_id}
        ]
        start = int(page_start or 0)
        page = found[start : start + self.page_size]
        more = start + self.page_size < len(found)
        return EntriesRead(
            entries=tuple(page),
            next_link=f"{self.generation}-{start + self.page_size}" if more else "",
        )

    async def object_connection(
        self, service_principal_id: str, job_id: str, object_id: str
    ) -> ConnectionRead:
        del service_principal_id, job_id
        self._call("object_connection")
        return self.connections.get(object_id, ConnectionRead(problem="there is none"))

    async def provision_on_demand(
        self, service_principal_id: str, job_id: str, *, rule_id: str, user_id: str
    ) -> EntriesRead:
        del service_principal_id, job_id, rule_id
        self._call("provision_on_demand")
        return EntriesRead(entries=tuple(e for e in self.on_demand if e.source_id == user_id))

    def expire_links(self) -> None:
        """Forget every page that was led to so far."""
        self.generation += 1

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        self.faults.meet(f"graph {name}", _nothing, broken)


_nothing: Callable[[], None] = lambda: None  # noqa: E731 -- a value to call
