"""
Two real processes of the app on one storage, one of them killed again and again.

The app's clock is stretched (fast_function_app.py), so that the minutes after which a dead sender
is overtaken, and its restart shown to have happened or not, are seconds. Everything else is real.
"""

import asyncio
import json
import random
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import processes
from shared.adapters.table_rows import reset_from
from shared.domain.reset import ENDED, Reset, State
from shared.names import QUEUES, RESETS_TABLE, TABLES
from tests.functional.stack import Stack, eventually, storage_and_graph
from tests.support.patience import PATIENCE
from tests.support.soak import at_length, progress

TARGETS = at_length(10, 20)
REQUESTS = at_length(150, 300)
KILLS = 5
SPEED = 30.0
HERE = Path(__file__).parent


def guid(n: int) -> str:
    return str(uuid.UUID(int=n + 1))


def seed() -> dict[str, Any]:
    users = [{"id": guid(1000 + n), "userPrincipalName": f"u{n}@contoso.com"} for n in range(3)]
    links = {user["id"]: f"005-{user['id']}" for user in users}
    accounts = [
        {"id": links[user["id"]], "attributes": {"Username": user["userPrincipalName"]}}
        for user in users
    ]
    principals = [
        {
            "id": guid(n),
            "appId": guid(500 + n),
            "displayName": f"App {n}",
            "targetAccounts": accounts,
            "jobs": [{"id": f"job{n}", "templateId": "scim", "secondsPerUser": 20, "links": links}],
        }
        for n in range(TARGETS)
    ]
    return {"users": users, "servicePrincipals": principals}


def catalogue() -> str:
    return json.dumps(
        {f"app-{n}": {"servicePrincipalId": guid(n), "cooldown": "PT5M"} for n in range(TARGETS)}
    )


@asynccontextmanager
async def killed_again_and_again(environ: Mapping[str, str]) -> AsyncIterator[None]:
    """A host that is killed and started again KILLS times, and then lives on."""
    dice = random.Random(1)

    async def kill(stack: AsyncExitStack) -> None:
        for _ in range(KILLS):
            async with processes.host(environ) as (host, _):
                await asyncio.sleep(1 + 2 * dice.random())
                await host.kill()
        await stack.enter_async_context(processes.host(environ))

    async with AsyncExitStack() as stack:
        killing = asyncio.create_task(kill(stack))
        yield
        await killing


async def all_resets(stack: Stack) -> list[Reset]:
    table = stack.tables.get_table_client(RESETS_TABLE)
    return [
        reset_from(entity)
        async for entity in table.list_entities()
        if entity["RowKey"].startswith("reset:")
    ]


async def ask(stack: Stack) -> set[str]:
    dice = random.Random(2)
    ids: list[str] = []
    for n in range(REQUESTS):
        request_id = dice.choice(ids) if ids and dice.random() < 0.1 else f"r{n:03d}"
        if request_id not in ids:
            ids.append(request_id)
        target = f"app-{int(request_id[1:]) % TARGETS}"
        await stack.ask(request_id, target)
        await asyncio.sleep(0.02)
    return set(ids)


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    shutil.copy(HERE / "fast_function_app.py", tmp_path / "function_app.py")
    shutil.copy(processes.ROOT / "host.json", tmp_path / "host.json")
    return tmp_path


@pytest.mark.soak
async def test_nothing_is_sent_twice_or_lost_although_a_process_is_killed_repeatedly(
    app_dir: Path,
) -> None:
    (app_dir / "seed.json").write_text(json.dumps(seed()), encoding="utf-8")
    async with storage_and_graph(SPEED, seed=app_dir / "seed.json") as stack:
        for name in TABLES:
            await stack.tables.create_table(name)
        environ = {
            **stack.environ,
            "APP_DIR": str(app_dir),
            "FAST_APP_ROOT": str(processes.ROOT),
            "FAST_APP_SPEED": str(SPEED),
            "FAST_APP_EPOCH": datetime.now(UTC).isoformat(),
            "RESET_TARGETS": catalogue(),
            "RESET_DAILY_BUDGET": "1000",
            "FOLLOW_UP_INTERVAL": "PT20S",
            "LOCAL_LEASE_SECONDS": "3",
        }
        async with processes.host(environ), killed_again_and_again(environ):
            ids = await ask(stack)

            async def all_ended() -> list[Reset] | None:
                found = await all_resets(stack)
                done = len(found) == len(ids) and all(x.state in ENDED for x in found)
                # A slow machine may leave a restart unproved, which is then a person's to judge.
                asked = [x for x in found if x.operator_asked]
                assert not asked, asked
                return found if done else None

            resets = await eventually(all_ended, within=2 * PATIENCE, every=1)

            async def quiet() -> bool | None:
                return not any([await stack.messages(queue) for queue in QUEUES]) or None

            await eventually(quiet, every=1)
        await check(stack, resets, ids)
        states = Counter(str(x.state) for x in resets)
        sent = len(await stack.restarts())
        progress.say(
            f"\n{len(ids)} requests, {TARGETS} jobs, {KILLS} kills: {sent} POSTs, {states}"
        )


async def check(stack: Stack, resets: list[Reset], ids: set[str]) -> None:
    assert {x.id for x in resets} == ids
    by_id = {x.id: x for x in resets}
    assert {x.state for x in resets} <= {State.COMPLETED, State.JOINED}
    for x in resets:
        events = await stack.store.events(x)
        assert [e.sequence for e in events] == list(range(1, x.sequence + 1))
        assert events[-1].state is x.state
        if x.state is State.JOINED:
            leader = by_id[x.leader]
            assert leader.state is State.COMPLETED
            assert leader.number is not None
            assert x.seen_number is not None
            assert leader.number > x.seen_number
    received = await stack.restarts()
    assert {json.dumps(r["body"]) for r in received} == {'{"criteria": {"resetScope": "Full"}}'}
    effective = Counter(r["path"].split("/")[3] for r in received if r["effective"])
    accounted = Counter(x.service_principal_id for x in resets if x.state is State.COMPLETED)
    assert effective == accounted, "each restart that took effect is one reset's"
    for n in range(TARGETS):
        assert await stack.store.open_resets(f"app-{n}", after="", most=9) == []
        job = (await stack.store.read_job(f"app-{n}")).row
        assert job.head == ""
        assert job.number >= effective[guid(n)]
    assert await stack.unreadable() == []
