"""Who may send webhooks, and what each may reach: WEBHOOK_SENDERS and WEBHOOK_SECRETS. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from shared.domain.errors import SettingsError
from shared.domain.requests import Alias
from shared.domain.setting_json import decode_entries
from shared.webhooks.json_pointer import check_pointer
from shared.webhooks.signatures import SCHEMES, SchemeName, check_secret, is_public, key_forms

PLATFORM_HEADERS: Final = "x-ms-client-principal"
"""Set by the platform's authentication, which also strips what a caller sends under the name."""

_OTHERWISE_USED: Final = frozenset(
    {
        *("content-type", "content-length", "host", "x-forwarded-for", "x-functions-key"),
        *("webhook-id", "idempotency-key", "ce-id", "ce-source"),
    }
)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")

Words = str | int | bool
"""What a body's value is compared with."""


class FormatName(StrEnum):
    RELINK = "relink"
    CLOUD_EVENTS = "cloudevents"
    AZURE_MONITOR = "azure-monitor"
    GITHUB = "github"


class TicketMap(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    system: str
    id: str
    url: str = ""


class FieldMap(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """
    A request's fields, each a JSON Pointer into the body (it starts with `/`) or a constant.

    An event is a request only where each pointer of `when` finds one of the constants there.
    """

    target: str
    when: dict[str, Words | tuple[Words, ...]] = {}
    request_id: str = ""
    reason: str = ""
    requested_by: str = ""
    ticket: TicketMap | None = None
    subjects: str | tuple[str, ...] = ()
    not_before: str = ""
    dry_run: str | bool = False

    def values(self) -> list[str]:
        """Every text that may be a pointer."""
        ticket = self.ticket
        found = [self.target, self.request_id, self.reason, self.requested_by, self.not_before]
        found += [ticket.system, ticket.id, ticket.url] if ticket is not None else []
        found += [v for v in (self.subjects, self.dry_run) if isinstance(v, str)]
        return found


class SenderEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """
    One entry of WEBHOOK_SENDERS; `header` belongs to the schemes that leave its name open.

    `notifiers` are those that it may write to; left out, the one of its own name.
    """

    scheme: SchemeName
    format: FormatName | FieldMap = FormatName.RELINK
    header: str = ""
    targets: Annotated[tuple[Alias, ...], Meta(max_length=1000)] = ()
    notifiers: Annotated[tuple[str, ...], Meta(max_length=1000)] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """A sender with its secrets, any of which is good: one can be replaced without a gap."""

    name: str
    entry: SenderEntry
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def notifiers(self) -> tuple[str, ...]:
        """Who may hear of what it asks for, beside the target's own."""
        return (self.name,) if self.entry.notifiers is None else self.entry.notifiers


Senders = Mapping[str, Sender]


def parse_senders(
    entries: str, secrets: str, *, signed_in_front: bool, local: bool = False
) -> Senders:
    """
    Raise SettingsError naming the entry and the remedy, never a secret.

    *signed_in_front*: the platform's authentication is switched on, so that its headers can be
    believed. *local*: Graph is the emulator, and the secrets of the examples may be used.
    """
    found = _entries("WEBHOOK_SENDERS", entries, SenderEntry, _ENTRY)
    known = _entries("WEBHOOK_SECRETS", secrets, tuple[str, ...], _SECRETS)
    for name, entry in found.items():
        _check_entry(name, entry, signed_in_front)
        _check_secrets(name, entry.scheme, known.get(name, ()), local=local)
    if set(known) - set(found):
        # Not by name: where name and secret are swapped, the name is the secret.
        raise SettingsError(
            "WEBHOOK_SECRETS: has secrets of a sender that WEBHOOK_SENDERS does not list; its "
            f"senders are: {', '.join(sorted(found)) or 'none'}"
        )
    _refuse_shared_secrets(known)
    return {
        name: Sender(name=name, entry=_lower(entry), secrets=known[name])
        for name, entry in found.items()
    }


_ENTRY: Final = '{"name": {"scheme": "github", "format": "github", "targets": ["alias"]}}'
_SECRETS: Final = '{"name": ["secret"]}'


def _entries[T](setting: str, text: str, kind: type[T], example: str) -> dict[str, T]:
    secret = setting == "WEBHOOK_SECRETS"
    return decode_entries(setting, text, kind, example=example, secret=secret) if text else {}


def _check_entry(name: str, entry: SenderEntry, signed_in_front: bool) -> None:
    free = entry.scheme in {SchemeName.HEADER, SchemeName.SERVICENOW_HMAC}
    if entry.header and not free:
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.header: scheme {entry.scheme} has a header of its own "
            f"({SCHEMES[entry.scheme].header}); remove it"
        )
    needed = entry.scheme is SchemeName.HEADER or entry.header
    if needed and not _HEADER_NAME.fullmatch(entry.header):
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.header: missing or not a header's name; give the one that "
            "carries the secret, like x-relink-secret"
        )
    header = entry.header.lower()
    if header in _OTHERWISE_USED or (
        header.startswith("x-ms-") and not header.startswith(PLATFORM_HEADERS)
    ):
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.header: that header means something else; choose another"
        )
    if header.startswith(PLATFORM_HEADERS) and not signed_in_front:
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.header: {PLATFORM_HEADERS}… is believed only behind the "
            "platform's authentication (WEBSITE_AUTH_ENABLED); switch that on, or choose another"
        )
    if isinstance(entry.format, FieldMap):
        _check_map(name, entry.format, entry.targets)


def _check_map(name: str, fields: FieldMap, targets: tuple[str, ...]) -> None:
    for pointer in fields.when:
        if not pointer.startswith("/"):
            raise SettingsError(
                f"WEBHOOK_SENDERS: {name}.format.when: one of its names is not a JSON Pointer; "
                "start it with /"
            )
    for value in (*fields.when, *fields.values()):
        if value.startswith("/") and (why := check_pointer(value)):
            raise SettingsError(f"WEBHOOK_SENDERS: {name}.format: one of its pointers {why}")
    if isinstance(fields.dry_run, str) and not fields.dry_run.startswith("/"):
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.format.dryRun: must be true, false or a JSON Pointer"
        )
    if fields.not_before and not fields.not_before.startswith("/"):
        raise SettingsError(f"WEBHOOK_SENDERS: {name}.format.notBefore: must be a JSON Pointer")
    if fields.target and not fields.target.startswith("/") and fields.target not in targets:
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.format.target: is not among the sender's targets; list it "
            "there"
        )
    if not fields.target:
        raise SettingsError(
            f"WEBHOOK_SENDERS: {name}.format.target: empty; give a target or a JSON Pointer"
        )


def _check_secrets(name: str, scheme: SchemeName, secrets: tuple[str, ...], *, local: bool) -> None:
    if not secrets:
        raise SettingsError(
            f'WEBHOOK_SECRETS: no secret for sender {name}; give {{{name!r}: ["…"]}}'.replace(
                "'", '"'
            )
        )
    for secret in secrets:
        try:
            check_secret(scheme, secret)
        except SettingsError as error:
            raise SettingsError(f"WEBHOOK_SECRETS: {name}: {error}") from error
        if not local and is_public(secret):
            raise SettingsError(
                f"WEBHOOK_SECRETS: {name}: a secret from an example is published; make a new one"
            )


def _refuse_shared_secrets(secrets: Mapping[str, tuple[str, ...]]) -> None:
    """With one secret for two senders, a delivery signed for one of them is good at the other."""
    holders: dict[bytes, str] = {}
    for name, values in secrets.items():
        for value in {form for each in values for form in key_forms(each)}:
            other = holders.setdefault(value, name)
            if other != name:
                raise SettingsError(
                    f"WEBHOOK_SECRETS: {other} and {name} have a secret in common; give each "
                    "sender secrets of its own"
                )


def _lower(entry: SenderEntry) -> SenderEntry:
    return msgspec.structs.replace(entry, header=entry.header.lower())
