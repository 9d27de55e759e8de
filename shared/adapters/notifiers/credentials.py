"""Show who we are, as each ticket system documents it: basic, token, client credentials, an app."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from shared.adapters.notifiers.exchange import Exchange
from shared.domain.errors import NotDelivered
from shared.domain.notifier_entries import LOOPBACK, ConfiguredNotifier
from shared.domain.notifier_kinds import Auth, NotifierKind

ATLASSIAN_TOKENS: Final = "https://auth.atlassian.com/oauth/token"
"""https://support.atlassian.com/user-management/docs/create-oauth-2-0-credential-for-service-accounts"""

EXPIRES_EARLY: Final = timedelta(minutes=1)
_SHORTEST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(hours=1)


class Credentials(Protocol):
    """What goes into the headers of each call."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers; raise NotDelivered where no token is given."""

    def forget(self) -> None:
        """Drop a token that was refused; the next call asks for another one."""


class Fixed:
    """The same headers each time."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    def forget(self) -> None:
        """A fixed secret is never renewed."""


class Fetched:
    """A bearer token that is asked for, and kept until shortly before it ends."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._token = ""
        self._until: datetime | None = None

    async def headers(self) -> Mapping[str, str]:
        now = self._exchange.clock()
        if self._until is None or now >= self._until:
            self._token, lasts = await self._fetch()
            self._until = now + min(max(lasts - EXPIRES_EARLY, _SHORTEST), _LONGEST)
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        self._until = None

    async def _fetch(self) -> tuple[str, timedelta]:
        raise NotImplementedError


class ClientCredentials(Fetched):
    """OAuth 2.0, RFC 6749 section 4.4; *as_json* where the system documents a JSON body."""

    def __init__(
        self, exchange: Exchange, url: str, *, client_id: str, client_secret: str, as_json: bool
    ) -> None:
        super().__init__(exchange)
        self._url = url
        self._as_json = as_json
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }

    async def _fetch(self) -> tuple[str, timedelta]:
        reply = await self._exchange.ask(
            "POST",
            self._url,
            headers={},
            payload=self._form if self._as_json else None,
            form=None if self._as_json else self._form,
        )
        found = reply.json()
        return _token(found, "access_token"), _lasts(found)


class GitHubApp(Fetched):
    """
    An installation's token, asked for with a JWT that the app's own key has signed.

    https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
    """

    def __init__(
        self, exchange: Exchange, url: str, *, app_id: str, installation_id: str, private_key: str
    ) -> None:
        super().__init__(exchange)
        self._url = f"{url}/app/installations/{installation_id}/access_tokens"
        self._app_id = app_id
        self._private_key = private_key

    async def _fetch(self) -> tuple[str, timedelta]:
        now = self._exchange.clock()
        claims = {
            # A minute back, because clocks drift; at most ten minutes are allowed.
            "iat": int((now - timedelta(minutes=1)).timestamp()),
            "exp": int((now + timedelta(minutes=9)).timestamp()),
            "iss": self._app_id,
        }
        reply = await self._exchange.ask(
            "POST",
            self._url,
            headers={"Authorization": f"Bearer {signed_jwt(claims, self._private_key)}"},
        )
        return _token(reply.json(), "token"), _LONGEST


def signed_jwt(claims: Mapping[str, object], private_key: str) -> str:
    """RS256, RFC 7515. `cryptography` comes with azure-identity; it is loaded at the first use."""
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    hashes = import_module("cryptography.hazmat.primitives.hashes")
    padding = import_module("cryptography.hazmat.primitives.asymmetric.padding")
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
        parts = [_segment({"alg": "RS256", "typ": "JWT"}), _segment(claims)]
        signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, TypeError, AttributeError) as error:
        raise NotDelivered(
            "the app's private key cannot be read; give the PEM that GitHub made, with its lines"
        ) from error
    return ".".join((*parts, _base64url(signature)))


def _segment(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _token(found: Any, name: str) -> str:
    token = found.get(name) if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise NotDelivered("the token's answer holds no token")
    return token


def _lasts(found: Any) -> timedelta:
    seconds = found.get("expires_in")
    return timedelta(seconds=seconds) if isinstance(seconds, int) and seconds < 10**6 else _SHORTEST


def credentials_of(found: ConfiguredNotifier, exchange: Exchange) -> Credentials:
    """What the entry and its secrets make, in the form that its kind documents."""
    entry, secrets = found.entry, found.secrets
    match found.auth:
        case Auth.BASIC:
            user = f"{entry.user}/token" if entry.kind is NotifierKind.ZENDESK else entry.user
            return Fixed(_basic(user, secrets.password or secrets.token))
        case Auth.TOKEN:
            return Fixed(_with_token(entry.kind, secrets.token))
        case Auth.CLIENT_CREDENTIALS:
            return ClientCredentials(
                exchange,
                _token_address(found),
                client_id=entry.client_id,
                client_secret=secrets.client_secret,
                as_json=entry.kind is not NotifierKind.SERVICENOW,
            )
        case Auth.GITHUB_APP:
            return GitHubApp(
                exchange,
                found.url,
                app_id=entry.app_id,
                installation_id=entry.installation_id,
                private_key=secrets.private_key,
            )
        case Auth.ADDRESS | Auth.SIGNED | Auth.UNSIGNED:
            return Fixed({})


def _basic(user: str, password: str) -> Mapping[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _with_token(kind: NotifierKind, token: str) -> Mapping[str, str]:
    match kind:
        case NotifierKind.SERVICENOW:
            return {"x-sn-apikey": token}
        case NotifierKind.PAGERDUTY:
            return {"Authorization": f"Token token={token}"}
        case NotifierKind.FRESHSERVICE:
            return _basic(token, "X")
        case _:
            return {"Authorization": f"Bearer {token}"}


def _token_address(found: ConfiguredNotifier) -> str:
    match found.entry.kind:
        case NotifierKind.SERVICENOW:
            return f"{found.url}/oauth_token.do"
        case NotifierKind.ZENDESK:
            return f"{found.url}/oauth/tokens"
        case _:
            parts = urlsplit(found.url)
            # On loopback a stand-in plays the gateway and the token's address alike.
            local = parts.hostname in LOOPBACK
            return f"{parts.scheme}://{parts.netloc}/oauth/token" if local else ATLASSIAN_TOKENS
