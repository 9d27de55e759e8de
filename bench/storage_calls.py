"""
`python -m bench.storage_calls`: what a storage call costs, in processor time, ours and the SDK's.

Both take turns in one process, so that what else the machine does affects both.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from azure.data.tables.aio import TableClient

from bench.floor import recorded
from bench.lab import lab
from shared.adapters import table_client
from shared.adapters.queue_send import PlainSend, send_by_sdk
from shared.adapters.table_calls import Calls, PlainCalls, SdkCalls
from shared.names import FOLLOW_UPS_QUEUE, RESETS_TABLE

ROUNDS: Final = 60
AT_ONCE: Final = 4
EACH: Final = 5
QUERY: Final = "PartitionKey eq @target and RowKey gt @after and RowKey lt @before"
NOTHING: Final = {"target": "target-0", "after": "behind:", "before": "due:"}
MESSAGE: Final = '{"id": "r", "target": "target-0", "key": "reset:1:r"}'

type Call = Callable[[], Awaitable[object]]


async def main() -> None:
    async with lab() as it:
        table = it.table_client.get_table_client(RESETS_TABLE)
        queue = it.queue_client.get_queue_client(FOLLOW_UPS_QUEUE)
        rows = [table_client.put(operation[1]) for operation in (await recorded())[0]]
        send = PlainSend(it.queue_client)
        ours = _calls(PlainCalls(it.table_client), table, rows)
        theirs = _calls(SdkCalls(), table, rows)
        ours["a message sent"] = lambda: send(queue, MESSAGE)
        theirs["a message sent"] = lambda: send_by_sdk(queue, MESSAGE)
        for name, mine in ours.items():
            await _compare(name, mine, theirs[name])


def _calls(calls: Calls, table: TableClient, rows: list[Any]) -> dict[str, Call]:
    """The transaction comes first: it writes what the others read."""
    row: Mapping[str, Any] = rows[0][1]
    return {
        f"a transaction of {len(rows)} rows": lambda: calls.transact(table, rows),
        "a reset read": lambda: calls.entity(table, row["PartitionKey"], row["RowKey"]),
        "a range read, nothing there": lambda: calls.find(
            table, QUERY, NOTHING, most=32, select=["PartitionKey", "RowKey", "Sent"]
        ),
        "a row written": lambda: calls.write(table, rows[1]),
    }


async def _compare(name: str, mine: Call, theirs: Call) -> None:
    taken: list[tuple[float, float]] = [
        (await _processor(mine), await _processor(theirs)) for _ in range(ROUNDS)
    ]
    ours, sdks = (statistics.median(each) for each in zip(*taken[1:], strict=True))
    ratio = statistics.median(a / b for a, b in taken[1:])
    print(f"{name:28} {ours:6.2f} ms, by the SDK {sdks:6.2f} ms, ratio {ratio:.2f}")


async def _processor(call: Call) -> float:
    """Processor milliseconds of one call."""

    async def line() -> None:
        for _ in range(EACH):
            await call()

    began = time.process_time()
    async with asyncio.TaskGroup() as lines:
        for _ in range(AT_ONCE):
            lines.create_task(line())
    return (time.process_time() - began) / (AT_ONCE * EACH) * 1000


if __name__ == "__main__":
    asyncio.run(main())
