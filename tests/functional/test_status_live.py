"""The status address as Logic Apps, Power Automate and Durable Functions poll it."""

import asyncio
import json
from typing import Any

import aiohttp

from local import processes
from tests.functional.stack import storage_and_graph
from tests.support.patience import PATIENCE

KEY = {"x-functions-key": "local"}


async def send_as_logic_apps(
    url: str, body: dict[str, object], headers: dict[str, str]
) -> tuple[list[int], dict[str, Any]]:
    """
    Send, and follow `Location` while the answer is 202; the last answer is the action's.

    The headers of the first call are not sent again: what the address itself carries must do.
    """
    statuses = list[int]()
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=body, headers=headers) as answer:
            last, where, pause = await answer.json(), answer.headers, answer.headers
            statuses.append(answer.status)
        while statuses[-1] == 202 and "Location" in where:
            await asyncio.sleep(float(pause.get("Retry-After", "20")))
            async with session.get(where["Location"]) as answer:
                last, pause = await answer.json(), answer.headers
                where = answer.headers if "Location" in answer.headers else where
                statuses.append(answer.status)
    return statuses, last


async def test_a_poller_without_a_key_waits_for_the_end() -> None:
    async with (
        asyncio.timeout(PATIENCE),
        storage_and_graph() as stack,
        processes.host(stack.environ) as (_, url),
    ):
        done, failed = await asyncio.gather(
            send_as_logic_apps(f"{url}/api/resets", {"target": "salesforce-prod"}, KEY),
            send_as_logic_apps(f"{url}/api/resets", {"target": "aws", "scope": "subjects"}, KEY),
        )
        preview = {"target": "servicenow", "dryRun": True}
        dry, _ = await send_as_logic_apps(f"{url}/api/resets", preview, KEY)

    statuses, last = done
    assert (statuses[:2], statuses[-1]) == ([202, 202], 200)
    assert set(statuses) == {200, 202}
    assert last == {"state": "completed", "outcome": "completed"}
    assert failed[0] == [400]
    assert (dry[0], dry[-1]) == (202, 200)


async def test_a_sender_of_webhooks_is_not_led_to_where_it_cannot_read() -> None:
    sender = {"scheme": "header", "header": "x-desk", "format": "relink", "targets": ["aws"]}
    changes = {
        "WEBHOOK_SENDERS": json.dumps({"desk": sender}),
        "WEBHOOK_SECRETS": json.dumps({"desk": ["a secret of sixteen bytes or more"]}),
    }
    async with (
        asyncio.timeout(PATIENCE),
        storage_and_graph() as stack,
        processes.host({**stack.environ, **changes}) as (_, url),
    ):
        statuses, last = await send_as_logic_apps(
            f"{url}/api/webhooks/desk",
            {"target": "aws"},
            {"x-desk": "a secret of sixteen bytes or more"},
        )

    assert statuses == [202]
    assert last["state"] == "accepted"
