"""
Schemathesis against the OpenAPI document and the functions, in this process.

tests/functional/test_fuzz_api.py does it over HTTP, through the genuine worker, with far fewer
cases. Here each case is answered in a millisecond, and variants of it are tried as well: to draw
one takes Schemathesis ten times as long.
"""

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from random import Random
from typing import Any

import azure.functions as func
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

import function_app
from tests.support.calls import principal
from tests.support.described import DOCUMENT, check
from tests.support.fuzz import CASES
from tests.support.host import resets
from tests.support.mutants import EACH, mutant, text_mutant
from tests.support.soak import at_length, progress
from tests.support.world import ENVIRON, SP, World
from tests.support.wsgi import KEY, wsgi_app

OPERATIONS = sum(len(item.keys() - {"parameters"}) for item in DOCUMENT["paths"].values())
EXAMPLES = at_length(4, -(-CASES // OPERATIONS // EACH // 2))
"""Of each operation, for somebody signed in and for a key alike."""

VARIANTS = at_length(2, EACH - 1)
LONG = bool(at_length(0, 1))

SEED = int(os.environ.get("FUZZ_SEED", "1"))

# One that the document's examples name, and two that a generator easily comes upon.
TARGETS = {
    alias: {"servicePrincipalId": f"{SP[:-1]}{n}"}
    for n, alias in enumerate(["salesforce-prod", "0", "a"])
}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of refusals are no news."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def configuration() -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"x-functions-key": KEY},
            "continue-on-failure": True,
            "generation": {"max-examples": EXAMPLES, "database": "none"},
            # Coverage alone has some 500 cases.
            "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": LONG}},
            "checks": {
                # The schema cannot say which targets are listed.
                "positive_data_acceptance": {"enabled": False},
                # Schemathesis asks a WSGI application with an argument of its HTTP client.
                "ignored_auth": {"enabled": False},
            },
        }
    )


class Functions:
    """Calls the functions of function_app.py, with each request and with variants of it."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.random = Random(SEED)

    def __call__(self, name: str, request: func.HttpRequest) -> func.HttpResponse:
        for _ in range(VARIANTS):
            self._one(name, self._varied(request))
        return self._one(name, request)

    def _one(self, name: str, request: func.HttpRequest) -> func.HttpResponse:
        progress.case("requests made of the OpenAPI document")
        reply: func.HttpResponse = self.runner.run(getattr(function_app, name)(request))
        told = {**reply.headers, "content-type": reply.mimetype}
        check(request.method, request.url, reply.status_code, told, reply.get_body())
        assert reply.status_code < 500, (name, request.get_body(), request.params)
        return reply

    def _varied(self, request: func.HttpRequest) -> func.HttpRequest:
        """Change the body, a value of the query or a value of the path."""
        query, path, body = dict(request.params), dict(request.route_params), request.get_body()
        part: dict[str, str] = self.random.choice(
            [found for found in (query, path) if found] or [{}]
        )
        if body and self.random.choice([True, not part]):
            body = mutant(body, self.random)
        elif part:
            changed = self.random.choice(sorted(part))
            part[changed] = text_mutant(part[changed], self.random)
        return func.HttpRequest(
            method=request.method,
            url=request.url,
            headers=request.headers,
            params=query,
            route_params=path,
            body=body,
        )


@pytest.mark.soak
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "with a key"])
def test_what_is_made_of_the_document_is_answered_as_it_says_and_leaves_only_requests(
    monkeypatch: pytest.MonkeyPatch, *, signed_in: bool
) -> None:
    # Switched off: what is taken in waits.
    environ = {**ENVIRON, "RESETS_ENABLED": "no", "RESET_TARGETS": json.dumps(TARGETS)}
    world = World(environ={**environ, "WEBSITE_AUTH_ENABLED": str(signed_in)})
    monkeypatch.setattr(function_app, "application", lambda: world.app)
    platform = {"x_ms_client_principal": principal()} if signed_in else {}
    with asyncio.Runner() as runner:
        app = wsgi_app(Functions(runner), **platform)
        schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app, config=configuration())
        found = list(_failures(schema))

    assert found == []
    # Some of it was taken in, all of that for a listed target; and nothing else was written.
    assert resets(world)
    assert {x.via for x in resets(world)} == {"api"}
    assert {x.target for x in resets(world)} <= set(TARGETS)
    assert {partition for partition, _ in world.storage.resets.cells} <= {
        *TARGETS,
        "targets",
        "keys",
    }
    assert not world.graph.restarts


def _failures(schema: Any) -> Iterator[str]:
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            yield str(event)
        elif isinstance(event, events.EngineFinished):
            yield from (
                f"{each.operation}: {each.title}: {each.message}" for each in event.failures
            )
