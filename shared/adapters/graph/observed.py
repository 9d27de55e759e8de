"""Notes how Graph was when it was last called, beside the resets, for the health report."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shared.domain.errors import GraphError, RefusedForNow, Rejected, StorageUnavailable, Throttled
from shared.domain.evidence_permissions import EVIDENCE
from shared.domain.ports import Clock, Store
from shared.domain.sync_job import GraphObservation, GraphStatus
from shared.telemetry import emit

OnCall = Callable[[GraphStatus, str, str], None]
"""Hears of every call: how Graph was met, the call's name, and why where it did not succeed."""

AGAIN_AFTER: Final = timedelta(minutes=5)


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
        self._evidence: dict[str, GraphStatus] = {}
        self._mood: GraphStatus | None = None
        self._told: GraphStatus | None = None
        self._told_at: datetime | None = None

    def saw(self, mood: GraphStatus, call: str, why: str) -> None:
        """Hear of one call: what a gateway takes as `on_call`."""
        self._seen[mood] = GraphObservation(mood=mood, at=self._clock(), call=call, why=why)
        # What is read beside the job comes with each step: only where it changes is it news.
        if mood not in EVIDENCE or self._evidence.get(call) is not mood:
            self._mood = mood
        if mood in EVIDENCE:
            self._evidence[call] = mood

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


def status_of(error: GraphError) -> GraphStatus:
    """How Graph was met, by what a call to it raised."""
    match error:
        case Throttled():
            return GraphStatus.THROTTLED
        case RefusedForNow(permission=True):
            return GraphStatus.REFUSED
        case RefusedForNow(status=409 | 423) | Rejected():
            # A job that is being changed, or is not there, is not a matter of permission.
            return GraphStatus.ANSWERED
        case _:
            return GraphStatus.FAILED
