"""The timer in the genuine worker, against the Graph emulator: a quarantine found and cleared."""

import json
from typing import Any

from local import processes
from local.http_client import http_client
from shared.domain.reset import State
from shared.names import REMEDIATE, RESETS_TABLE
from tests.functional.stack import SALESFORCE, Stack, eventually, storage_and_graph

TARGET = "salesforce-prod"
KEY = {"x-functions-key": "local"}


def environ(stack: Stack, **remediate: Any) -> dict[str, str]:
    entry = {"servicePrincipalId": SALESFORCE, "remediate": {"after": "PT0S", **remediate}}
    return {
        **stack.environ,
        "RESET_TARGETS": json.dumps({TARGET: entry}),
        "REMEDIATION_SCHEDULE": "* * * * * *",
    }


async def salesforce(stack: Stack) -> dict[str, Any]:
    state = (await stack.graph.get("/_emulator/state")).json()
    (found,) = (sp for sp in state["servicePrincipals"] if sp["id"] == SALESFORCE)
    return dict(found["jobs"][0])


async def quarantine(stack: Stack, reason: str) -> None:
    job = await salesforce(stack)
    clock = (await stack.graph.get("/_emulator/state")).json()["clock"]["now"]
    shown = {"code": "Quarantine", "quarantine": {"reason": reason, "currentBegan": clock}}
    # The cycle that runs would lift it at its end.
    put = {"id": job["id"], "cycle": None, "status": shown}
    change = {"servicePrincipals": [{"id": SALESFORCE, "jobs": [put]}]}
    (await stack.graph.put("/_emulator/state", json=change)).raise_for_status()


async def made_by_the_timer(stack: Stack) -> str | None:
    table = stack.tables.get_table_client(RESETS_TABLE)
    found = table.query_entities(
        "PartitionKey eq @target and RowKey ge 'reset:' and RowKey lt 'reset;'",
        parameters={"target": TARGET},
    )
    ids = [str(row["RequestId"]) async for row in found if row["Via"] == REMEDIATE]
    assert len(ids) <= 1
    return ids[0] if ids else None


async def test_a_quarantine_is_cleared_by_the_timer_and_every_link_survives() -> None:
    async with storage_and_graph() as stack:
        links = (await salesforce(stack))["links"]
        await quarantine(stack, "EncounteredEscrowProportionThreshold")
        async with processes.host(environ(stack)):
            ended = await stack.ended(await eventually(lambda: made_by_the_timer(stack)))
        job, restarts = await salesforce(stack), await stack.restarts()

    assert (ended.state, ended.id.split("-")[0]) == (State.COMPLETED, "quarantine")
    assert [r["body"] for r in restarts] == [
        {"criteria": {"resetScope": "Watermark, Escrows, QuarantineState"}}
    ]
    assert job["status"]["quarantine"] is None
    assert links.items() <= job["links"].items()


async def test_a_mass_deletion_is_left_alone_and_health_shows_what_the_timer_saw() -> None:
    async with storage_and_graph() as stack:
        await quarantine(stack, "TooManyDeletes")
        async with (
            processes.host(environ(stack)) as (_, url),
            http_client(url, headers=KEY) as client,
        ):

            async def seen() -> dict[str, Any] | None:
                body = (await client.get("/api/health")).json()
                ran = body["timers"]["remediate"]["lastRun"] and body["fleet"]["quarantined"]
                return dict(body) if ran else None

            health = await eventually(seen)
            watch = (await stack.store.read_observation(TARGET)).row
            made, restarts = await made_by_the_timer(stack), await stack.restarts()

    assert not health["timers"]["remediate"]["late"]
    assert (watch.quarantined, watch.reason) == (True, "TooManyDeletes")
    assert (made, restarts) == (None, [])
