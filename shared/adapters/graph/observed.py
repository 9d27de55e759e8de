"""How Graph was, as last seen: noted beside the resets, for the health report."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from shared.domain.errors import GraphError, Rejected, StorageUnavailable, Throttled
from shared.domain.ports import Clock, Graph, Store
from shared.domain.reset import Scope
from shared.domain.sync_job import (
    AuditTrail,
    GraphObservation,
    GraphStatus,
    JobsFound,
    StaleLinks,
    SyncJob,
)
from shared.telemetry import emit

AGAIN_AFTER: Final = timedelta(minutes=5)
_FORBIDDEN: Final = frozenset({401, 403})


class GraphObserver:
    """
    What this process has seen of Graph and not written yet.

    Written when its work on a message is done, never in between, and seldom: where the mood has
    changed, else once in five minutes. A write that fails is given up: no reset depends on it.
    """

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[GraphStatus, GraphObservation] = {}
        self._mood: GraphStatus | None = None
        self._told: GraphStatus | None = None
        self._told_at: datetime | None = None

    def saw(self, mood: GraphStatus, call: str, why: str = "") -> None:
        self._seen[mood] = GraphObservation(mood=mood, at=self._clock(), call=call, why=why)
        self._mood = mood

    async def write(self) -> None:
        now = self._clock()
        lately = self._told_at is not None and now - self._told_at < AGAIN_AFTER
        if not self._seen or (lately and self._mood is self._told):
            return
        try:
            await self._store.note_graph(list(self._seen.values()))
        except StorageUnavailable as error:
            emit("storage.failed", what="sightings", why=str(error))
            return
        self._seen, self._told, self._told_at = {}, self._mood, now

    def watching(self, graph: Callable[[], Awaitable[Graph]]) -> Callable[[], Awaitable[Graph]]:
        """The same Graph, watched."""

        async def opened() -> Graph:
            return ObservedGraph(await graph(), self)

        return opened


class ObservedGraph:
    """A `Graph` that changes nothing of what it watches."""

    def __init__(self, graph: Graph, sightings: GraphObserver) -> None:
        self._graph = graph
        self._sightings = sightings

    async def fetch_token(self) -> None:
        try:
            await self._graph.fetch_token()
        except GraphError as error:
            self._sightings.saw(GraphStatus.FAILED, "fetch_token", error.reason)
            raise

    async def read_job(self, service_principal_id: str, job_id: str) -> SyncJob:
        async with self._watched("read_job"):
            return await self._graph.read_job(service_principal_id, job_id)

    async def restart(
        self,
        service_principal_id: str,
        job_id: str,
        scope: Scope,
        *,
        client_request_id: str,
        may_begin: Callable[[], bool],
    ) -> str:
        async with self._watched("restart"):
            return await self._graph.restart(
                service_principal_id,
                job_id,
                scope,
                client_request_id=client_request_id,
                may_begin=may_begin,
            )

    async def audit_trail(self, service_principal_id: str, *, since: datetime) -> AuditTrail:
        async with self._watched("audit_trail"):
            trail = await self._graph.audit_trail(service_principal_id, since=since)
        if not trail.readable:
            why = "the directory audit log cannot be read, or not to its end"
            self._sightings.saw(GraphStatus.AUDIT_LOG_UNREADABLE, "audit_trail", why)
        return trail

    async def stale_links(
        self, service_principal_id: str, job_id: str, *, since: datetime
    ) -> StaleLinks:
        async with self._watched("stale_links"):
            links = await self._graph.stale_links(service_principal_id, job_id, since=since)
        if not links.readable:
            why = "the provisioning logs cannot be read: ProvisioningLog.Read.All is not granted"
            self._sightings.saw(GraphStatus.PROVISIONING_LOG_UNREADABLE, "stale_links", why)
        return links

    async def service_principals_with_jobs(
        self, *, progress: Callable[[int, int], None]
    ) -> JobsFound:
        async with self._watched("service_principals_with_jobs"):
            return await self._graph.service_principals_with_jobs(progress=progress)

    @asynccontextmanager
    async def _watched(self, call: str) -> AsyncIterator[None]:
        try:
            yield
        except GraphError as error:
            self._sightings.saw(_mood(error), call, error.reason)
            raise
        self._sightings.saw(GraphStatus.ANSWERED, call)


def _mood(error: GraphError) -> GraphStatus:
    if isinstance(error, Throttled):
        return GraphStatus.THROTTLED
    if isinstance(error, Rejected):
        # A job that is not there is no matter of permission: Graph answered.
        return GraphStatus.REFUSED if error.status in _FORBIDDEN else GraphStatus.ANSWERED
    return GraphStatus.FAILED
