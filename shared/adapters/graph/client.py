"""
Sends one request to Graph through the SDK's own pipeline, and returns the answer as bytes.

msgraph-sdk builds the requests, authenticates and carries them. Its models of what Graph answers
are not used: they lose what they do not know, and give up a whole answer for one odd member.
"""

import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol, runtime_checkable

import httpx
import msgspec
from kiota_abstractions.api_client_builder import register_default_serializer
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.middleware import ParametersNameDecodingHandler
from kiota_http.middleware.options import ResponseHandlerOption
from kiota_serialization_json.json_serialization_writer_factory import (
    JsonSerializationWriterFactory,
)
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph_core import GraphClientFactory

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.audit import ANONYMOUS
from shared.adapters.graph.errors import translated
from shared.adapters.graph.words import of_exception
from shared.domain.errors import FateUnknown, NotSent

READ_TAKES_AT_MOST: Final = timedelta(seconds=30)
TOKEN_TAKES_AT_MOST: Final = timedelta(seconds=20)

_OWN_CLAIMS: Final = ("oid", "appid", "azp")


class Credential(Protocol):
    """What azure-identity's asynchronous credentials offer."""

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any: ...


@runtime_checkable
class Renewable(Protocol):
    """A credential that can forget the tokens that it keeps."""

    async def renew(self) -> None: ...


class GraphClient:
    """
    One pipeline for one event loop.

    Without a credential (the emulator on loopback) no Authorization header is ever sent.
    """

    def __init__(self, endpoint: str, credential: Credential | None) -> None:
        self.endpoint = endpoint
        self._credential = credential
        self._scope = f"{endpoint}/.default"
        self._refused = False
        self.own_ids = ANONYMOUS if credential is None else frozenset[str]()
        """The ids, in lower case, that Graph's logs name as the initiator of what we do."""
        # Ours, because closing the SDK's client does not close the pool beneath it.
        self._transport = httpx.AsyncHTTPTransport(
            http2=False, verify=ssl.create_default_context(), retries=0
        )
        client = GraphClientFactory.create_with_custom_middleware(
            # Neither the retry nor the redirect handler: both would repeat a POST.
            middleware=[ParametersNameDecodingHandler()],
            client=httpx.AsyncClient(
                transport=self._transport,
                timeout=httpx.Timeout(READ_TAKES_AT_MOST.total_seconds(), connect=10),
                trust_env=False,
            ),
        )
        provider = (
            AnonymousAuthenticationProvider()
            if credential is None
            else AzureIdentityAuthenticationProvider(
                credential,  # type: ignore[arg-type]  # typed for synchronous ones, awaits both
                scopes=[self._scope],
                allowed_hosts=[httpx.URL(endpoint).host],
            )
        )
        register_default_serializer(JsonSerializationWriterFactory)
        self.adapter = GraphRequestAdapter(provider, client=client)
        self.adapter.base_url = f"{endpoint}/v1.0"

    async def close(self) -> None:
        await self._transport.aclose()

    async def fetch_token(self) -> None:
        """Have a token at hand: another one where Graph has refused the last; or raise NotSent."""
        if self._credential is None:
            return
        with_words = "no token for Microsoft Graph"
        try:
            async with translated(TOKEN_TAKES_AT_MOST):
                if self._refused and isinstance(self._credential, Renewable):
                    await self._credential.renew()
                self._refused = False
                token = await self._credential.get_token(self._scope)
        except Exception as error:
            # In every case (no identity, endpoint busy, timeout) nothing was sent.
            cause = error.__cause__ or error
            raise NotSent(f"{with_words}: {of_exception(cause)}") from error
        self.own_ids = _own_ids(token) or self.own_ids

    def token_was_refused(self) -> None:
        """The next token is fetched past the credential's own cache."""
        self._refused = True

    async def send(
        self, request: RequestInformation, *, within: timedelta = READ_TAKES_AT_MOST
    ) -> Answer:
        """Send it once; raise NotSent or FateUnknown where no answer comes, whatever its status."""
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        async with translated(within):
            found: Any = await self.adapter.send_primitive_async(request, "bytes", {})
            return Answer(
                status=found.status_code,
                headers={name.lower(): value for name, value in found.headers.items()},
                body=found.content,
            )

    async def get(self, template: str, /, **parameters: Any) -> Answer:
        """
        Read what the URL template says, with a token fetched once more where Graph refuses it.

        A parameter `_filter` fills `{?%24filter}`, which becomes `?$filter=`.
        """
        return await self._read(lambda: _request(template, parameters))

    async def post(self, template: str, body: object, /, **parameters: Any) -> Answer:
        """Send JSON once, with a token at hand; never for a restart, whose body the SDK writes."""
        await self.fetch_token()
        request = _request(template, parameters, Method.POST)
        request.set_stream_content(msgspec.json.encode(body), "application/json")
        return await self.send(request)

    async def get_page(self, link: str) -> Answer:
        """Read a further page of a list: only ever from Graph itself, with the token."""
        if not link.startswith(f"{self.endpoint}/"):
            raise FateUnknown("the next page of Microsoft Graph's answer lies somewhere else")
        request = RequestInformation(Method.GET)
        request.url = link
        return await self._read(lambda: request)

    async def _read(self, request: Callable[[], RequestInformation]) -> Answer:
        await self.fetch_token()
        answer = await self.send(request())
        if answer.status != HTTPStatus.UNAUTHORIZED or self._credential is None:
            return answer
        self.token_was_refused()
        await self.fetch_token()
        return await self.send(request())


def _request(
    template: str, parameters: Mapping[str, Any], method: Method = Method.GET
) -> RequestInformation:
    request = RequestInformation(method, template, dict[str, Any]())
    for name, value in parameters.items():
        if name.startswith("_"):
            request.query_parameters[f"%24{name[1:]}"] = value
        else:
            request.path_parameters[name] = value
    request.headers.try_add("Accept", "application/json")
    return request


def _own_ids(token: Any) -> frozenset[str]:
    """
    Object id and application id out of an access token.

    The token is ours and is not verified here: what it says only has to match Graph's logs.
    """
    parts = str(getattr(token, "token", "")).split(".")
    try:
        claims = read.members(
            read.decoded(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        )
    except (IndexError, ValueError, binascii.Error):
        return frozenset()
    found = (read.text(claims.get(name)).casefold() for name in _OWN_CLAIMS)
    return frozenset(filter(None, found))
