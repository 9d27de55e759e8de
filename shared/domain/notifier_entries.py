"""
Whom to tell, and how: read NOTIFIERS and NOTIFIER_SECRETS. Pure.

Addresses come from here, never from a request; secrets stand in NOTIFIER_SECRETS alone.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from shared.domain.errors import SettingsError
from shared.domain.notifications import USUAL_MOMENTS, Listener
from shared.domain.notifier_kinds import (
    KINDS,
    SLACK_HOSTS,
    TEAMS_HOSTS,
    Auth,
    Needs,
    NotifierKind,
    Way,
)
from shared.domain.pace import Terms
from shared.domain.reset import NotificationKind
from shared.domain.setting_json import decode_entries

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
WHSEC: Final = "whsec_"
_SIGNING_BYTES: Final = range(24, 65)


class NotifierEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """
    One entry of NOTIFIERS.

    `ticket` is where it writes what has no ticket of its own; `per_minute` replaces the kind's
    pace.
    """

    kind: NotifierKind
    url: str = ""
    on: tuple[NotificationKind, ...] = USUAL_MOMENTS
    user: str = ""
    sender: str = msgspec.field(default="", name="from")
    client_id: str = ""
    app_id: str = ""
    installation_id: str = ""
    repositories: tuple[str, ...] = ()
    ticket: str = ""
    per_minute: Annotated[int, Meta(ge=1, le=6000)] | None = None


class NotifierSecrets(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"
):
    """One entry of NOTIFIER_SECRETS; which of them a kind takes stands in KINDS."""

    password: str = ""
    token: str = ""
    client_secret: str = ""
    private_key: str = ""
    url: str = ""
    signing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "NotifierSecrets(…)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredNotifier:
    """An entry with its secrets, and the way in that both make."""

    name: str
    entry: NotifierEntry
    secrets: NotifierSecrets = field(repr=False)
    auth: Auth

    @property
    def url(self) -> str:
        found = self.secrets.url or self.entry.url or KINDS[self.entry.kind].url
        return found.rstrip("/") if self.needs_ticket else found

    @property
    def needs_ticket(self) -> bool:
        return KINDS[self.entry.kind].ticket is not None

    @property
    def per_minute(self) -> int:
        return self.entry.per_minute or KINDS[self.entry.kind].per_minute

    @property
    def terms(self) -> Terms:
        """What the pace of its turns must know."""
        return Terms(per_minute=self.per_minute, address=self.address_digest)

    @property
    def listener(self) -> Listener:
        return Listener(
            on=frozenset(self.entry.on), needs_ticket=self.needs_ticket, ticket=self.entry.ticket
        )

    @property
    def address_digest(self) -> str:
        """Tells one address from another, and shows neither."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


Notifiers = Mapping[str, ConfiguredNotifier]


def parse_notifiers(entries: str, secrets: str) -> Notifiers:
    """Raise SettingsError naming the entry, the field and the remedy, never a secret."""
    found = _entries("NOTIFIERS", entries, NotifierEntry, _ENTRY)
    known = _entries("NOTIFIER_SECRETS", secrets, NotifierSecrets, _SECRETS)
    if set(known) - set(found):
        # Not by name: where name and secret are swapped, the name is the secret.
        raise SettingsError(
            "NOTIFIER_SECRETS: has secrets of a notifier that NOTIFIERS does not list; its "
            f"notifiers are: {', '.join(sorted(found)) or 'none'}"
        )
    return {
        name: _configured(name, entry, known.get(name, NotifierSecrets()))
        for name, entry in found.items()
    }


_ENTRY: Final = '{"name": {"kind": "servicenow", "url": "https://…", "user": "…"}}'
_SECRETS: Final = '{"name": {"password": "…"}}'
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}", re.ASCII)


def _entries[T](setting: str, text: str, kind: type[T], example: str) -> dict[str, T]:
    secret = kind is NotifierSecrets
    return decode_entries(setting, text, kind, example=example, secret=secret) if text else {}


def _configured(name: str, entry: NotifierEntry, secrets: NotifierSecrets) -> ConfiguredNotifier:
    needs = KINDS[entry.kind]
    for each in needs.always:
        if not getattr(entry, each) and not (each == "url" and needs.url):
            raise SettingsError(
                f"NOTIFIERS: {name}.{_camel(each)} is missing; kind {entry.kind} needs it"
            )
    configured = ConfiguredNotifier(
        name=name, entry=entry, secrets=secrets, auth=_way(name, entry, secrets, needs).auth
    )
    _check_address(configured)
    _check_ticket(name, entry, needs)
    _check_signing(name, secrets)
    return configured


def _way(name: str, entry: NotifierEntry, secrets: NotifierSecrets, needs: Needs) -> Way:
    """The one way whose every field is given, and no field of another."""
    plain = {n for way in needs.ways for n in way.fields} | set(needs.always)
    given = {n for n in _OF_ENTRY if getattr(entry, n)}
    for each in sorted(given - plain):
        if each == "url":
            raise SettingsError(
                f"NOTIFIERS: {name}.url: the address of kind {entry.kind} is a secret; move it to "
                f'NOTIFIER_SECRETS, {{"{name}": {{"url": "…"}}}}'
            )
        raise SettingsError(
            f"NOTIFIERS: {name}.{_camel(each)} has no meaning for kind {entry.kind}; remove it"
        )
    hidden = {n for n in _OF_SECRETS if getattr(secrets, n)}
    for way in needs.ways:
        if set(way.fields) == given - (set(needs.always) - set(way.fields)) and hidden == set(
            way.secrets
        ):
            return way
    offered = "; or ".join(_described(name, way) for way in needs.ways)
    raise SettingsError(
        f"NOTIFIERS: {name}: kind {entry.kind} takes {offered}; give one of these, whole"
    )


_OF_ENTRY: Final = (
    "url",
    "user",
    "sender",
    "client_id",
    "app_id",
    "installation_id",
    "repositories",
)
_OF_SECRETS: Final = ("password", "token", "client_secret", "private_key", "url", "signing")


def _described(name: str, way: Way) -> str:
    fields = [f"{name}.{_camel(each)}" for each in way.fields]
    hidden = [f"NOTIFIER_SECRETS {name}.{_camel(each)}" for each in way.secrets]
    return f"{way.auth} ({', '.join((*fields, *hidden))})"


def _check_address(found: ConfiguredNotifier) -> None:
    name, kind = found.name, found.entry.kind
    where = "NOTIFIER_SECRETS" if found.secrets.url else "NOTIFIERS"
    try:
        parts = urlsplit(found.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SettingsError(f"{where}: {name}.url is not an address; correct it") from error
    local = parts.scheme == "http" and host in LOOPBACK
    plain = not (parts.username or parts.password or parts.fragment)
    if not host or not plain or not (parts.scheme == "https" or local):
        raise SettingsError(
            f"{where}: {name}.url must be https (http on loopback), without user or #; correct it"
        )
    if parts.query and (found.needs_ticket or not found.secrets.url) and _has_key(parts.query):
        raise SettingsError(
            f"NOTIFIERS: {name}.url has a key in it; move the whole address to NOTIFIER_SECRETS, "
            f'{{"{name}": {{"url": "…"}}}}'
        )
    if found.needs_ticket and parts.query:
        raise SettingsError(f"NOTIFIERS: {name}.url has a query; give the address without it")
    if found.auth is Auth.CLIENT_CREDENTIALS and kind in _ATLASSIAN and not _is_gateway(parts.path):
        raise SettingsError(
            f"NOTIFIERS: {name}.url: with client credentials Atlassian answers at "
            "https://api.atlassian.com/ex/jira/CLOUD-ID only; give that"
        )
    if kind is NotifierKind.WEBHOOK:
        _check_no_better_kind(where, name, host)


_ATLASSIAN: Final = frozenset({NotifierKind.JIRA, NotifierKind.JSM})


def _is_gateway(path: str) -> bool:
    return path.startswith("/ex/jira/")


def _has_key(query: str) -> bool:
    """Logic Apps, Functions and the like put a key into the address."""
    names = {part.partition("=")[0].lower() for part in query.split("&")}
    return bool(names & {"sig", "code", "key", "token", "secret", "access_token", "api_key"})


def _check_no_better_kind(where: str, name: str, host: str) -> None:
    """Such a host answers 2xx to a body that it shows to nobody."""
    for kind, hosts in ((NotifierKind.TEAMS, TEAMS_HOSTS), (NotifierKind.SLACK, SLACK_HOSTS)):
        if any(host == each or host.endswith(f".{each}") for each in hosts):
            raise SettingsError(
                f"{where}: {name}.url is an address of {kind.title()}, which takes what kind "
                f"webhook sends and shows nothing; make it kind {kind}, with the address in "
                "NOTIFIER_SECRETS"
            )


def _check_ticket(name: str, entry: NotifierEntry, needs: Needs) -> None:
    for each in entry.repositories:
        if not _REPOSITORY.fullmatch(each):
            raise SettingsError(
                f"NOTIFIERS: {name}.repositories: {each[:64]!r} is not owner/name; correct it"
            )
    if not entry.ticket:
        return
    if needs.ticket is None:
        raise SettingsError(
            f"NOTIFIERS: {name}.ticket has no meaning for kind {entry.kind}; remove it"
        )
    if not re.fullmatch(needs.ticket, entry.ticket, re.ASCII):
        raise SettingsError(
            f"NOTIFIERS: {name}.ticket: {entry.ticket[:64]!r} is not a ticket of {entry.kind}; "
            f"give one like {needs.example}"
        )


def _check_signing(name: str, secrets: NotifierSecrets) -> None:
    for secret in secrets.signing:
        if len(signing_key(secret)) not in _SIGNING_BYTES:
            raise SettingsError(
                f"NOTIFIER_SECRETS: {name}.signing must be {WHSEC} and 24 to 64 bytes as base64; "
                "make new ones"
            )
    for each in _OF_SECRETS:
        value = getattr(secrets, each)
        if isinstance(value, str) and value.startswith("@Microsoft.KeyVault("):
            raise SettingsError(
                f"NOTIFIER_SECRETS: {name}.{_camel(each)}: a Key Vault reference inside JSON is "
                "never resolved; make the whole of NOTIFIER_SECRETS one reference"
            )


def signing_key(secret: str) -> bytes:
    """The bytes of a Standard Webhooks secret; none where it is not base64."""
    try:
        return base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _named(fields: Iterable[str]) -> str:
    return ", ".join(map(_camel, fields))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return {"sender": "from"}.get(name, head + "".join(part.title() for part in rest))
