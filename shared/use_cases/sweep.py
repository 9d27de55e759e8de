"""Send a message for every due row whose time has come: the only clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.errors import NewerRow
from shared.domain.ports import Clock, Heartbeats, Queues, Schedule
from shared.domain.reset import DueRow
from shared.telemetry import emit

RESEND_AFTER: Final = timedelta(minutes=5)
MAX_SENT_A_TARGET: Final = 2_000

HEARTBEAT: Final = "sweep"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The use case `sweep`: harmless when it runs late, twice, or next to another one."""

    schedule: Schedule
    heartbeats: Heartbeats
    queues: Queues
    clock: Clock

    async def sweep(self) -> int:
        """
        Return how many messages were sent.

        One target that cannot be swept holds up no other. All failures are raised together in the
        end, and then there is no heartbeat.
        """
        sent, failures = await self._send_due()
        emit("sweep.done", sent=sent)
        if failures:
            raise ExceptionGroup("some targets could not be swept", failures)
        await self.heartbeats.beat(HEARTBEAT, at=self.clock())
        return sent

    async def stand_in(self) -> None:
        """Send what is due in the timer's place; the heartbeat and its event stay the timer's."""
        sent, _ = await self._send_due()
        emit("sweep.stood_in", sent=sent)

    async def _send_due(self) -> tuple[int, list[Exception]]:
        sent, failures = 0, list[Exception]()
        for target in await self.schedule.targets():
            try:
                sent += await self._sweep_target(target)
            except Exception as error:  # noqa: BLE001 -- one bad row must not stop the clock
                emit("sweep.failed", target=target, why=f"{type(error).__name__}: {error}")
                failures.append(error)
        return sent, failures

    async def _sweep_target(self, target: str) -> int:
        try:
            head = (await self.schedule.read_job(target)).row.head
        except NewerRow as error:
            emit("reset.newer_row", target=target, why=str(error))
            return 0
        sent = 0
        async for row in self.schedule.due(target):
            now = self.clock()
            if not should_send(row, head, now=now):
                continue
            if row.n is None:
                await self.queues.follow_up(row.id)
            else:
                await self.queues.notification(row.target, row.id, row.n)
            # After the send: a crash in between sends it twice, which is harmless.
            await self.schedule.mark_sent(row, at=now)
            sent += 1
            if sent >= MAX_SENT_A_TARGET:
                break
        return sent


def should_send(row: DueRow, head: str, *, now: datetime) -> bool:
    """True where the row is due, or its Head has gone, and it was not sent within five minutes."""
    if row.sent is not None and now - row.sent < RESEND_AFTER:
        return False
    return row.due_at <= now or bool(row.behind and row.behind != head)
