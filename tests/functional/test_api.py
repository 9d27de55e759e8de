"""The HTTP API through the genuine worker; every answer is as the OpenAPI document says."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from local import processes
from local.http_client import HttpClient, http_client
from shared.domain.reset import State
from shared.names import QUEUES
from shared.web.openapi import openapi_text
from tests.functional.stack import SALESFORCE, Stack, eventually, storage_and_graph
from tests.support.described import described_client

KEY = {"x-functions-key": "local"}


@asynccontextmanager
async def api(**changes: str) -> AsyncIterator[tuple[Stack, HttpClient]]:
    async with (
        storage_and_graph() as stack,
        processes.host({**stack.environ, **changes}) as (_, url),
        described_client(url, x_functions_key="local") as client,
    ):
        yield stack, client


async def test_a_request_goes_in_by_http_and_its_whole_life_can_be_read() -> None:
    body = {
        "target": "salesforce-prod",
        "reason": "account replaced",
        "subjects": ["adele@contoso.com"],
    }
    async with api() as (stack, client):
        taken = await client.post("/api/resets", json=body)
        where = taken.json()["location"]
        open_ones = (await client.get("/api/resets")).json()["value"]
        ended = await stack.ended(taken.json()["id"])
        read = await client.get(where)
        head = await client.ask("HEAD", where)
        of_target = (await client.get("/api/resets?target=salesforce-prod&state=completed")).json()
        none_open = (await client.get("/api/resets")).json()
        restarts = await stack.restarts()

        async def seen() -> dict[str, Any] | None:
            found: dict[str, Any] = (await client.get("/api/health")).json()
            return found if found["graph"] else None

        health = await eventually(seen)
        served = await client.get("/api/openapi.json")

    assert (taken.status, taken.json()["state"]) == (202, "accepted")
    assert [each["id"] for each in open_ones] == [ended.id]
    shown = read.json()
    assert (shown["state"], shown["via"], shown["reason"]) == (
        "completed",
        "api",
        "account replaced",
    )
    assert [e["state"] for e in shown["events"]] == [
        "accepted",
        "sending",
        "restarted",
        "completed",
    ]
    assert shown["events"][0]["detail"] == "received (api, name as claimed)"
    assert (shown["before"]["code"], shown["after"]["code"]) == ("Active", "Active")
    assert [each["subject"] for each in shown["subjects"]] == ["adele@contoso.com"]
    assert (head.status, head.body) == (200, b"")
    assert [each["id"] for each in of_target["value"]] == [ended.id]
    assert none_open == {"value": [], "nextLink": None, "continuation": None}
    assert [r["body"] for r in restarts] == [{"criteria": {"resetScope": "Full"}}]
    assert health["graph"]["answered"]["call"] in {"read_job", "restart", "audit_trail"}
    assert health["queues"] == {name: {"oldestMessageSeconds": None} for name in QUEUES}
    assert not health["timers"]["sweep"]["late"]
    assert served.text == openapi_text()
    assert served.headers["cache-control"] == "max-age=3600"


async def test_what_is_refused_over_http_leaves_no_trace() -> None:
    body = {"requestId": "r1", "target": "salesforce-prod"}
    async with api(RESETS_ENABLED="no") as (stack, client):
        async with described_client(client.base) as stranger:
            answers = [
                await stranger.post("/api/resets", json=body),
                await stranger.get("/api/resets"),
                await stranger.get("/api/resets/r1"),
                await stranger.get("/api/resets/r1/page"),
                await client.post("/api/resets", json={"target": "unlisted"}),
                await client.post("/api/resets", data=b"{}", headers={"content-type": "a/b"}),
                await client.post(
                    "/api/resets",
                    data=b" " * 1_000_000,
                    headers={"content-type": "application/json"},
                ),
                await client.get("/api/resets/r1"),
                await client.get("/api/resets?limit=0"),
            ]
        untouched = [await stack.reset("r1"), await stack.store.targets()]
        taken = [
            await client.post("/api/resets", json=body),
            await client.post("/api/resets", json=body),
            await client.post("/api/resets", json={**body, "dryRun": True}),
        ]

    codes = [answer.status for answer in answers]
    assert codes == [401, 401, 401, 403, 400, 415, 413, 404, 400]
    assert untouched == [None, []]
    assert [answer.status for answer in taken] == [202, 200, 422]


async def test_methods_and_forged_principals_get_what_one_expects() -> None:
    claims = {"claims": [{"typ": "preferred_username", "val": "boss@contoso.com"}]}
    forged = {"x-ms-client-principal": base64.b64encode(json.dumps(claims).encode()).decode()}
    async with (
        storage_and_graph() as stack,
        processes.host(stack.environ) as (_, url),
        http_client(url, headers=KEY) as client,
    ):
        wrong = [
            await client.ask("OPTIONS", "/api/resets"),
            await client.put("/api/resets", json={}),
            await client.ask("DELETE", "/api/resets/r1"),
            await client.get("/api/resets/r1/decision"),
            await client.post("/api/health"),
        ]
        nothing = await client.get("/api/nothing")
        readable = ("/api/resets", "/api/health", "/api/openapi.json")
        heads = [await client.ask("HEAD", path) for path in readable]
        await stack.ask("r1", dryRun=True)
        await stack.ended("r1")
        page = await client.get("/api/resets/r1/page", headers=forged)
        health = await client.get("/api/health", headers={**forged, "x-functions-key": "wrong"})

    assert [r.status for r in wrong] == [405] * 5
    assert [r.headers["allow"] for r in wrong] == [
        "GET, HEAD, POST",
        "GET, HEAD, POST",
        "GET, HEAD",
        "POST",
        "GET, HEAD",
    ]
    assert nothing.status == 404
    assert [(r.status, r.body) for r in heads] == [(200, b"")] * 3
    assert page.status == 403
    assert "salesforce" not in page.text
    assert set(health.json()) == {"status", "problems"}


async def test_who_asked_and_who_decided_are_recorded_as_signed_in() -> None:
    entry = {"servicePrincipalId": SALESFORCE, "approveAbove": 1}
    changes = {
        "RESET_TARGETS": json.dumps({"salesforce-prod": entry}),
        "LOCAL_PRINCIPAL": "boss@contoso.com",
    }
    async with api(**changes) as (stack, client):
        await stack.ask("r1", requestedBy="ann@contoso.com", reason="<script>alert(1)</script>")
        await stack.reached("r1", State.AWAITING_APPROVAL)
        mine = await client.post(
            "/api/resets", json={"target": "salesforce-prod", "requestedBy": "somebody else"}
        )
        decided = await client.post("/api/resets/r1/decision", json={"decision": "approve"})
        ended = await stack.ended("r1")
        events = (await client.get("/api/resets/r1")).json()["events"]
        shown = (await client.get(f"/api/resets/{mine.json()['id']}")).json()
        page = await client.get("/api/resets/r1/page")
        missing = await client.get("/api/resets/r2/page")

    assert decided.status == 200
    assert (ended.approved_by, ended.approver_signed_in) == ("boss@contoso.com", True)
    assert {"approved (signed in)"} == {
        e["detail"] for e in events if e["by"] == "boss@contoso.com"
    }
    assert shown["requestedBy"] == "boss@contoso.com"
    assert shown["events"][0]["detail"] == "received (api, signed in)"
    assert (page.status, missing.status) == (200, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "boss@contoso.com" in page.text
