"""The directory's Graph in memory is asked as the one over HTTP is."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from local.deployment.directory import Graph
from local.http_client import Answer, http_client
from local.listening import serving

from .graph_port import AnsweredGraph, Asked, reply

JSON = {"appRoleId": "r-1", "weight": 1.5, "nothing": None}


def told(asked: Asked) -> Answer:
    """Say what arrived; of the headers only what the directory sets."""
    sent = {name: value for name, value in asked.headers.items() if name == "Prefer"}
    return reply(200, dataclasses.asdict(asked) | {"headers": sent})


async def _over_http(request: web.Request) -> web.Response:
    asked = Asked(
        method=request.method,
        path=request.path.removeprefix("/v1.0/"),
        query=dict(request.query),
        headers=dict(request.headers),
        body=await request.json() if request.can_read_body else None,
    )
    return web.Response(body=told(asked).body)


@asynccontextmanager
async def over_http() -> AsyncIterator[Graph]:
    app = web.Application()
    app.router.add_route("*", "/v1.0/{rest:.*}", _over_http)
    async with serving(app) as address, http_client(f"{address}/v1.0/") as graph:
        yield graph


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "servicePrincipals(appId='00000003-0000')?$select=id,appRoles", {}),
        ("GET", "servicePrincipals/1/owners?$skiptoken=a%2Bb%3D%3D&$top=5", {}),
        ("POST", "servicePrincipals/1/owners/$ref", {"json": JSON}),
        (
            "PATCH",
            "applications(uniqueName='relink-test')",
            {"json": JSON, "headers": {"Prefer": "create-if-missing"}},
        ),
    ],
)
@pytest.mark.parametrize("whole", [False, True], ids=["below", "whole"])
async def test_both_are_asked_alike(
    method: str, path: str, more: dict[str, Any], whole: bool
) -> None:
    memory = AnsweredGraph(answer=told)
    async with over_http() as wire:
        answers = [
            await graph.ask(method, f"{graph.base}{path}" if whole else path, **more)
            for graph in (memory, wire)
        ]

    assert answers[0].json() == answers[1].json()
    assert [answer.status for answer in answers] == [200, 200]
