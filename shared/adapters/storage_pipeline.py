"""
Send requests of our own to Azure Storage, through the policies that a client of the SDK has.

Policies that do nothing for these requests are left out, because each costs time in every call:
no proxy is set, storage redirects nowhere, the libraries' log lines are off, a secondary is never
read, and answers are read here. What signs, retries and names a request stays the SDK's, and what
traces it where tracing is set up.
The request is azure-core's plain one: the newer kind costs more than signing it does.
"""

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from azure.core.pipeline import AsyncPipeline, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    AsyncHTTPPolicy,
    AsyncRedirectPolicy,
    ContentDecodePolicy,
    CustomHookPolicy,
    DistributedTracingPolicy,
    HttpLoggingPolicy,
    NetworkTraceLoggingPolicy,
    ProxyPolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import AsyncHttpResponse, HttpRequest
from azure.core.settings import settings
from multidict import CIMultiDict

_IDLE: Final = (
    AsyncRedirectPolicy,
    ContentDecodePolicy,
    CustomHookPolicy,
    HttpLoggingPolicy,
    NetworkTraceLoggingPolicy,
    ProxyPolicy,
)


class Requests:
    """Requests by the connections and the policies of a client, which closes them."""

    def __init__(self, transport: Any, policies: Iterable[Any], *, idle: Sequence[type]) -> None:
        """*idle*: policies of the client's own kind that do nothing here."""
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = AsyncPipeline(
            transport, needed(policies, idle=idle)
        )

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        **options: Any,
    ) -> AsyncHttpResponse:
        """Return the answer, whatever its status; its body is read. *options* are the policies'."""
        request = HttpRequest(method, url, data=body)
        # As aiohttp has it; azure-core's own is slow to read, and every policy reads it.
        request.headers = CIMultiDict(headers)
        return (await self._pipeline.run(request, **options)).http_response


def new_request_id() -> str:
    """Return what names a request; the SDK would ask the operating system for one by the clock."""
    return str(uuid4())


class Steps(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """
    Policies that only look at a request and its answer, in one step.

    azure-core wraps each of them into one of its own, which costs more than most of them do.
    """

    def __init__(self, policies: Sequence[Any]) -> None:
        super().__init__()
        self._before = [each.on_request for each in policies]
        backwards = policies[::-1]
        self._after = [p.on_response for p in backwards if _has(p, "on_response")]
        self._failed = [p.on_exception for p in backwards if _has(p, "on_exception")]

    async def send(
        self, request: PipelineRequest[HttpRequest]
    ) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        try:
            for before in self._before:
                if (wait := before(request)) is not None:
                    await wait
            response = await self.next.send(request)
        except Exception:
            for failed in self._failed:
                failed(request)
            raise
        for after in self._after:
            if (wait := after(request, response)) is not None:
                await wait
        return response


def needed(policies: Iterable[Any], *, idle: Sequence[type]) -> list[Any]:
    """Return what a request of our own needs of a client's policies, in their order."""
    # OpenTelemetry is set up before the app is built; else each call would look for it again.
    tracing = () if settings.tracing_enabled() else (DistributedTracingPolicy,)
    left = (*_IDLE, *idle, *tracing)
    # As copies: a policy knows the next one, so that one object serves one pipeline.
    kept = [copy.copy(each) for each in policies if not isinstance(each, left)]
    found: list[Any] = []
    for plain, group in itertools.groupby(kept, lambda each: isinstance(each, SansIOHTTPPolicy)):
        steps = list(group)
        found += [Steps(steps)] if plain else steps
    return found


def _has(policy: Any, hook: str) -> bool:
    return getattr(type(policy), hook) is not getattr(SansIOHTTPPolicy, hook)
