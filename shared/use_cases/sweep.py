"""The only clock: send a message for every due row whose time has come."""

from datetime import datetime, timedelta
from typing import Final

from shared.domain.errors import NewerRow
from shared.domain.ports import Clock, Queues, Store
from shared.domain.reset import DueRow
from shared.telemetry import emit

SENT_LATELY: Final = timedelta(minutes=5)
MOST_A_TARGET: Final = 2_000

HEARTBEAT: Final = "sweep"


class Sweep:
    """The use case `sweep`: harmless when it runs late, twice, or next to another one."""

    def __init__(self, *, store: Store, queues: Queues, clock: Clock) -> None:
        self._store = store
        self._queues = queues
        self._clock = clock

    async def sweep(self) -> int:
        """
        Return how many messages were sent.

        One target that cannot be swept holds up no other; its failure is raised in the end, and
        then there is no heartbeat.
        """
        sent, failures = 0, []
        for target in await self._store.targets():
            try:
                sent += await self._sweep_target(target)
            except Exception as error:  # noqa: BLE001 -- one bad row must not stop the clock
                emit("sweep.failed", target=target, why=f"{type(error).__name__}: {error}")
                failures.append(error)
        emit("sweep.done", sent=sent)
        if failures:
            raise failures[0]
        await self._store.beat(HEARTBEAT, at=self._clock())
        return sent

    async def _sweep_target(self, target: str) -> int:
        try:
            head = (await self._store.read_job(target)).row.head
        except NewerRow as error:
            emit("reset.newer_row", target=target, why=str(error))
            return 0
        sent = 0
        async for row in self._store.due(target):
            now = self._clock()
            if not should_send(row, head, now=now):
                continue
            if row.n is None:
                await self._queues.follow_up(row.id)
            else:
                await self._queues.notification(row.target, row.id, row.n)
            # After the send: a crash in between sends it twice, which is harmless.
            await self._store.mark_sent(row, at=now)
            sent += 1
            if sent >= MOST_A_TARGET:
                break
        return sent


def should_send(row: DueRow, head: str, *, now: datetime) -> bool:
    """Due, or waiting behind a Head that is Head no more; and not sent within five minutes."""
    if row.sent is not None and now - row.sent < SENT_LATELY:
        return False
    return row.due_at <= now or bool(row.behind and row.behind != head)
