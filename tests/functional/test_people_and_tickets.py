"""Approval over HTTP, answers to a real receiver, and what the worker itself refuses."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from local import processes
from shared.domain.reset import State
from tests.functional.stack import SALESFORCE, eventually, storage_and_graph
from tests.support.described import described_client

KEY = {"x-functions-key": "local"}


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A ticket system that keeps what it hears."""
    heard: list[dict[str, Any]] = []

    async def comment(request: web.Request) -> web.Response:
        body = await request.json()
        heard.append(
            {**body["data"], "type": body["type"], "webhook-id": request.headers["webhook-id"]}
        )
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/comments", comment)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/comments", heard
    await runner.cleanup()


async def test_an_approval_over_http_sends_the_restart_and_the_ticket_hears_it_all() -> None:
    entry = {"servicePrincipalId": SALESFORCE, "approval": "always"}
    async with desk() as (url, heard), storage_and_graph() as stack:
        environ = {
            **stack.environ,
            "RESET_TARGETS": json.dumps({"salesforce-prod": entry}),
            "NOTIFIERS": json.dumps({"servicenow": {"kind": "webhook", "url": url}}),
        }
        async with processes.host(environ) as (_, host_url), described_client(host_url) as client:
            decision = "/api/resets/r1/decision"
            ticket = {"system": "servicenow", "id": "INC1"}
            await stack.ask("r1", requestedBy="ann", ticket=ticket)
            await stack.reached("r1", State.AWAITING_APPROVAL)

            body = {"decision": "approve", "by": "boss"}
            no_key = await client.post(decision, json=body)
            own = await client.post(decision, json={**body, "by": "Ann"}, headers=KEY)
            odd = await client.post(decision, json={"decision": "maybe"}, headers=KEY)
            other = await client.post(decision.replace("r1", "r2"), json=body, headers=KEY)
            approved = await client.post(decision, json=body, headers=KEY)
            ended = await stack.ended("r1")
            again = await client.post(decision, json=body, headers=KEY)

            async def heard_the_end() -> bool | None:
                return any(h["kind"] == "end" for h in heard) or None

            await eventually(heard_the_end)

    codes = [r.status for r in (no_key, own, odd, other, approved, again)]
    assert codes == [401, 403, 400, 404, 200, 409]
    assert odd.headers["content-type"].startswith("application/problem+json")
    assert (ended.state, ended.approved_by) == (State.COMPLETED, "boss")
    assert [(h["kind"], h["state"]) for h in heard] == [
        ("awaiting_approval", "awaiting_approval"),
        ("restarted", "restarted"),
        ("end", "completed"),
    ]
    assert len({h["webhook-id"] for h in heard}) == 3
    assert heard[-1]["ticket"] == {"system": "servicenow", "id": "INC1", "url": ""}
    assert heard[-1]["type"] == "reset.completed"
    assert "(reset r1, message " in heard[-1]["text"]


async def test_what_the_worker_itself_refuses_is_recorded_from_the_poison_queue() -> None:
    # The host lets the body's property overwrite the message's own metadata, and the worker
    # cannot decode it: no code of ours ever sees this message.
    text = json.dumps({"target": "salesforce-prod", "dequeueCount": "many"})
    async with storage_and_graph() as stack:
        quick = {"AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00"}
        async with processes.host({**stack.environ, **quick}):
            await stack.send(text)

            async def kept() -> dict[str, Any] | None:
                return next(iter(await stack.unreadable()), None)

            row = await eventually(kept)

            async def emptied() -> bool | None:
                return await stack.messages("provisioning-resets-poison") == 0 or None

            await eventually(emptied)

    assert row["Body"] == text.encode()
    assert row["Queue"] == "provisioning-resets-poison"
    assert "dequeueCount: unknown property" in row["Reason"]
