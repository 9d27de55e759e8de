"""
Settings, from a mapping. Nothing here raises on a bad value: it is kept as a problem.

A setting that stops the functions from being indexed shows in Azure as "0 functions found" and
gives webhooks a 404; so a bad one only stops restarts, and says so (docs/use/settings.md).
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct, field

from shared.domain.catalogue import Catalogue, parse_catalogue
from shared.domain.errors import SettingsError
from shared.domain.ncrontab import parse_cron
from shared.domain.notifier_entries import Notifiers, parse_notifiers
from shared.domain.policy import Rules
from shared.names import CONNECTION
from shared.webhooks.senders import Senders, parse_senders

GRAPH_HOSTS: Final = frozenset(
    {
        "graph.microsoft.com",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "microsoftgraph.chinacloudapi.cn",
    }
)
"""https://learn.microsoft.com/graph/deployments#microsoft-graph-and-graph-explorer-service-root-endpoints"""

GRAPH_DEFAULT: Final = "https://graph.microsoft.com"

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

# The account that Azurite documents for everybody; `UseDevelopmentStorage=true` stands for it.
_AZURITE: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)

DEFAULT_SWEEP: Final = "0 * * * * *"
DEFAULT_REMEDIATION: Final = "0 */15 * * * *"

_A_YEAR: Final = timedelta(days=366)

_LONGEST_NUMBER: Final = 12

SIGN_IN: Final = "WEBSITE_AUTH_ENABLED"


class Storage(Struct, frozen=True, kw_only=True):
    """Either a connection string, or service URIs with an identity (client_id may be empty)."""

    connection_string: str = ""
    queue_uri: str = ""
    table_uri: str = ""
    client_id: str = ""


class Settings(Struct, frozen=True, kw_only=True):
    """What the app was told. `problems` are one line each: setting, what is wrong, remedy."""

    storage: Storage | None = None
    graph_endpoint: str = GRAPH_DEFAULT
    managed_identity: bool = False
    client_id: str = ""
    catalogue: Catalogue | None = None
    enabled: bool = False
    daily_budget: int = 10
    max_open: int = 20_000
    max_age: timedelta = timedelta(days=3)
    approval_expiry: timedelta = timedelta(days=1)
    approval_valid: timedelta = timedelta(hours=4)
    follow_up_interval: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=400)
    sweep_schedule: str = DEFAULT_SWEEP
    remediation_schedule: str = DEFAULT_REMEDIATION
    public_url: str = ""
    notifiers: Notifiers | None = field(default_factory=dict)
    senders: Senders = field(default_factory=dict)
    health_key: str = ""
    sign_in: bool = False
    problems: tuple[str, ...] = field(default=())

    @property
    def rules(self) -> Rules:
        """What the policy must know of the settings."""
        return Rules(
            catalogue=self.catalogue,
            enabled=self.enabled,
            daily_budget=self.daily_budget,
            problem=next(iter(self.problems), ""),
            sign_in=self.sign_in,
            approval_valid=self.approval_valid,
        )

    @property
    def graph_is_local(self) -> bool:
        """The emulator on loopback: no Authorization header is ever sent to it."""
        return urlsplit(self.graph_endpoint).hostname in LOOPBACK

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, app_dir: Path) -> "Settings":
        """Read every setting; a bad one keeps its default and is named in `problems`."""
        problems: list[str] = []

        def read[T](parse: Callable[[], T], default: T) -> T:
            try:
                return parse()
            except SettingsError as error:
                problems.append(str(error))
                return default

        def span(name: str, default: timedelta, least: timedelta) -> timedelta:
            return read(lambda: _duration(environ, name, default, least), default)

        def text(name: str, default: str = "") -> str:
            return read(lambda: _text(environ, name, default), default)

        return cls(
            storage=read(lambda: _storage(environ), None),
            graph_endpoint=read(lambda: _graph_endpoint(environ), GRAPH_DEFAULT),
            managed_identity=bool(environ.get("IDENTITY_ENDPOINT")),
            sign_in=_sign_in(environ),
            client_id=text("AZURE_CLIENT_ID"),
            catalogue=read(lambda: _catalogue(environ, app_dir), None),
            enabled=read(lambda: _switch(environ, "RESETS_ENABLED"), False),
            daily_budget=read(lambda: _number(environ, "RESET_DAILY_BUDGET", 10, most=1000), 0),
            max_open=read(
                lambda: _number(environ, "RESET_MAX_OPEN", 20_000, most=1_000_000), 20_000
            ),
            max_age=span("RESET_MAX_AGE", timedelta(days=3), timedelta(minutes=1)),
            approval_expiry=span("APPROVAL_EXPIRY", timedelta(days=1), timedelta(minutes=1)),
            approval_valid=span("APPROVAL_VALID", timedelta(hours=4), timedelta(minutes=1)),
            follow_up_interval=span(
                "FOLLOW_UP_INTERVAL", timedelta(minutes=5), timedelta(milliseconds=100)
            ),
            retention=span("RESET_RETENTION", timedelta(days=400), timedelta(days=1)),
            sweep_schedule=read(
                lambda: _schedule(environ, "SWEEP_SCHEDULE", DEFAULT_SWEEP), DEFAULT_SWEEP
            ),
            remediation_schedule=read(
                lambda: _schedule(environ, "REMEDIATION_SCHEDULE", DEFAULT_REMEDIATION),
                DEFAULT_REMEDIATION,
            ),
            public_url=read(lambda: _public_url(environ), ""),
            senders=read(lambda: _senders(environ, app_dir), {}),
            notifiers=read(lambda: _notifiers(environ), None),
            health_key=text("HEALTH_KEY") or text("LOCAL_FUNCTION_KEY"),
            problems=tuple(problems),
        )


def problem(environ: Mapping[str, str], *, app_dir: Path | None = None) -> str | None:
    """One line on the first bad setting, or None: what a start or a deployment stops with."""
    here = app_dir or Path(__file__).resolve().parent.parent
    problems = Settings.from_environ(environ, app_dir=here).problems
    if not problems:
        return None
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return problems[0].replace("\n", " ") + more


def _text(environ: Mapping[str, str], name: str, default: str = "") -> str:
    value = environ.get(name, "").strip()
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(f"{name}: is not text in UTF-8; set it again") from error
    if value.startswith("@Microsoft.KeyVault("):
        raise SettingsError(
            f"{name}: the Key Vault reference is not resolved; check that the secret exists and "
            "that the app's identity may read it (Key Vault Secrets User)"
        )
    return value or default


def _switch(environ: Mapping[str, str], name: str) -> bool:
    """On by exactly `true`; what cannot be read is off, and reported."""
    _text(environ, name)
    return environ.get(name) == "true"


def _duration(
    environ: Mapping[str, str], name: str, default: timedelta, least: timedelta
) -> timedelta:
    value = _text(environ, name)
    if not value:
        return default
    try:
        found = msgspec.convert(value, timedelta, strict=True)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{name}: is not an ISO 8601 duration; give one like PT5M or P3D"
        ) from error
    if found < least:
        raise SettingsError(f"{name}: is too short; the least is {least}")
    return found


def _number(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    value = _text(environ, name)
    if not value:
        return default
    # By its length first: Python reads no number of thousands of digits.
    digits = value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
    if not digits or int(value) > most:
        raise SettingsError(f"{name}: is not a number; give one from 0 to {most}")
    return int(value)


def _schedule(environ: Mapping[str, str], name: str, default: str) -> str:
    """A schedule that the host refuses would keep all functions of the app from starting."""
    value = _text(environ, name, default)
    example = f"give one like {default!r} (seconds first)"
    if len([field for field in value.split(" ") if field]) != 6:
        raise SettingsError(f"{name}: is not a six-field NCRONTAB schedule; {example}")
    try:
        gap = parse_cron(value).longest_gap
    except ValueError as error:
        raise SettingsError(f"{name}: is not an NCRONTAB schedule: {error}; {example}") from error
    if gap is None or gap > _A_YEAR:
        raise SettingsError(f"{name}: does not fire within a year; {example}")
    return value


def _storage(environ: Mapping[str, str]) -> Storage:
    connection = _text(environ, CONNECTION)
    queue = _text(environ, f"{CONNECTION}__queueServiceUri")
    table = _text(environ, f"{CONNECTION}__tableServiceUri")
    if connection and (queue or table):
        raise SettingsError(
            f"{CONNECTION}: given both as a connection string and as {CONNECTION}__…ServiceUri; "
            "remove the connection string (it would win and switch the identity off)"
        )
    if connection:
        full = development_storage(connection)
        _check_connection_string(full)
        return Storage(connection_string=full)
    if not queue and not table:
        raise SettingsError(
            f"{CONNECTION}: missing; give a connection string (UseDevelopmentStorage=true for "
            f"Azurite) or {CONNECTION}__queueServiceUri and {CONNECTION}__tableServiceUri"
        )
    for name, uri in (("queueServiceUri", queue), ("tableServiceUri", table)):
        parts = _address(f"{CONNECTION}__{name}", uri)
        if parts.scheme != "https" or not parts.hostname:
            raise SettingsError(
                f"{CONNECTION}__{name}: missing or no https address; "
                "give https://ACCOUNT.…core.windows.net"
            )
    return Storage(
        queue_uri=queue,
        table_uri=table,
        client_id=_text(environ, f"{CONNECTION}__clientId") or _text(environ, "AZURE_CLIENT_ID"),
    )


def _check_connection_string(text: str) -> None:
    """What the clients would refuse only when they are built or first asked."""
    parts = dict(part.partition("=")[::2] for part in text.strip(";").split(";"))
    try:
        key = base64.b64decode(parts.get("AccountKey", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (parts.get("AccountName") and key) and not parts.get("SharedAccessSignature"):
        raise SettingsError(
            f"{CONNECTION}: is not a connection string; give AccountName=…;AccountKey=…, "
            "UseDevelopmentStorage=true for Azurite, or addresses and an identity"
        )


def development_storage(connection: str) -> str:
    """Expand the shorthand, which the Python clients do not know."""
    short = connection.strip().rstrip(";").lower() == "usedevelopmentstorage=true"
    return _AZURITE if short else connection


def _address(name: str, value: str) -> SplitResult:
    """Split an address; reading it later raises nothing."""
    try:
        parts = urlsplit(value)
        _ = parts.hostname, parts.port
    except ValueError as error:
        # Not chained: its text may quote the address.
        why = "has no valid port" if "port" in str(error).lower() else "is not an address"
        raise SettingsError(f"{name}: {why}; correct it") from None
    return parts


def _is_loopback(address: str) -> bool:
    try:
        return urlsplit(address).hostname in LOOPBACK
    except ValueError:
        return False


def _graph_endpoint(environ: Mapping[str, str]) -> str:
    value = _text(environ, "GRAPH_ENDPOINT", GRAPH_DEFAULT).rstrip("/")
    parts = _address("GRAPH_ENDPOINT", value)
    plain = not (parts.path or parts.query or parts.fragment or parts.username)
    real = parts.scheme == "https" and parts.hostname in GRAPH_HOSTS and parts.port in {None, 443}
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not plain or not (real or local):
        raise SettingsError(
            "GRAPH_ENDPOINT: that address is not allowed; give the https address of a "
            "Microsoft Graph cloud without version, or http on loopback for the emulator"
        )
    return value


def _catalogue(environ: Mapping[str, str], app_dir: Path) -> Catalogue:
    value = _text(environ, "RESET_TARGETS")
    if not value:
        raise SettingsError(
            'RESET_TARGETS: missing; list what may be reset, {"alias": {"servicePrincipalId": "…"}}'
        )
    return parse_catalogue(_content("RESET_TARGETS", value, app_dir))


def _content(name: str, value: str, app_dir: Path) -> str:
    """What stands in the file that `@file.json` names, or the value itself."""
    if not value.startswith("@"):
        return value
    try:
        return (app_dir / value[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{name}: the file that it names cannot be read beside host.json; deploy it"
        ) from error


def _sign_in(environ: Mapping[str, str]) -> bool:
    """
    Return whether the platform's authentication is switched on.

    The Functions host reads the setting as .NET reads a bool, whatever its case; a setting of that
    name also wins over what the platform would put there.
    """
    return environ.get(SIGN_IN, "").strip().lower() == "true"


def _senders(environ: Mapping[str, str], app_dir: Path) -> Senders:
    return parse_senders(
        _content("WEBHOOK_SENDERS", _text(environ, "WEBHOOK_SENDERS"), app_dir),
        _text(environ, "WEBHOOK_SECRETS"),
        signed_in_front=_sign_in(environ),
        local=_is_loopback(environ.get("GRAPH_ENDPOINT", "")),
    )


def _public_url(environ: Mapping[str, str]) -> str:
    value = _text(environ, "PUBLIC_URL").rstrip("/")
    if not value:
        return ""
    parts = _address("PUBLIC_URL", value)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    plain = not (parts.query or parts.fragment or parts.username)
    if not plain or not parts.hostname or not (parts.scheme == "https" or local):
        raise SettingsError(
            "PUBLIC_URL: is not the https address of the app alone; give "
            "https://APP.azurewebsites.net (http on loopback), without query"
        )
    return value


def _notifiers(environ: Mapping[str, str]) -> Notifiers:
    return parse_notifiers(_text(environ, "NOTIFIERS"), _text(environ, "NOTIFIER_SECRETS"))
