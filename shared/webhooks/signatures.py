"""
Who sent a webhook: the signature schemes of ticket and alert systems, a row each. Pure.

What each system signs, and how, is documented at https://www.standardwebhooks.com,
https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries,
https://developer.atlassian.com/cloud/jira/platform/webhooks,
https://developer.zendesk.com/documentation/webhooks/verifying and, for PagerDuty, shown by its own
Go client. Signatures are compared as text: decoded, base64 has several spellings of one value.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.domain.errors import BadSignature, SettingsError

TOLERANCE: Final = timedelta(minutes=5)
"""How far a signed time may lie from ours, either way."""

SHORTEST_SECRET: Final = 16
FEWEST_DIFFERENT: Final = 6
"""Characters of a secret: sixteen random hex digits have fewer once in ten thousand times."""

WITHOUT_ID: Final = timedelta(minutes=10)
"""Where a sender names no delivery, the same body within such a slot is the same request."""

DOES_NOT_FIT: Final = (
    "the signature or secret does not fit the body and this sender's secrets, or there is no such "
    "sender; compare WEBHOOK_SENDERS and WEBHOOK_SECRETS with what is set at the sender"
)
"""One text for all of these: a stranger is not told which senders there are."""

DELIVERY: Final = "webhook-id"
_WHSEC: Final = "whsec_"


class SchemeName(StrEnum):
    STANDARD_WEBHOOKS = "standard-webhooks"
    GITHUB = "github"
    JIRA = "jira"
    ZENDESK = "zendesk"
    PAGERDUTY = "pagerduty"
    HEADER = "header"
    SERVICENOW_HMAC = "servicenow-hmac"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _plain_key(secret: str) -> bytes:
    return secret.encode()


def _standard_key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_WHSEC), validate=True)


def _unix_time(text: str) -> datetime:
    if not (text.isascii() and text.isdigit() and len(text) <= len("9999999999")):
        raise ValueError("no count of seconds")
    return datetime.fromtimestamp(int(text), UTC)


def _rfc3339_time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("no offset")
    return found


class Scheme(Struct, frozen=True, kw_only=True):
    """
    HMAC-SHA256 over the headers of `signs`, each followed by `joiner`, and the raw body.

    `header` carries the signature after `prefix`; with a `separator` it may carry several, of
    which one must fit. `time` names the signed header with the time, `delivery` the one that names
    the delivery, `hint` says more where the signature is missing.
    """

    header: str
    prefix: str = ""
    separator: str = ""
    encode: Callable[[bytes], str] = bytes.hex
    key: Callable[[str], bytes] = _plain_key
    signs: tuple[str, ...] = ()
    joiner: str = ""
    time: str = ""
    read_time: Callable[[str], datetime] = _unix_time
    delivery: str = ""
    hint: str = ""


SCHEMES: Final[Mapping[SchemeName, Scheme]] = {
    SchemeName.STANDARD_WEBHOOKS: Scheme(
        header="webhook-signature",
        prefix="v1,",
        separator=" ",
        encode=_base64,
        key=_standard_key,
        signs=(DELIVERY, "webhook-timestamp"),
        joiner=".",
        time="webhook-timestamp",
        delivery=DELIVERY,
    ),
    SchemeName.GITHUB: Scheme(header="x-hub-signature-256", prefix="sha256="),
    # Jira's own header has no -256, and yet the digest is SHA-256.
    SchemeName.JIRA: Scheme(header="x-hub-signature", prefix="sha256="),
    SchemeName.ZENDESK: Scheme(
        header="x-zendesk-webhook-signature",
        encode=_base64,
        signs=("x-zendesk-webhook-signature-timestamp",),
        time="x-zendesk-webhook-signature-timestamp",
        read_time=_rfc3339_time,
        delivery="x-zendesk-webhook-invocation-id",
    ),
    SchemeName.PAGERDUTY: Scheme(
        header="x-pagerduty-signature",
        prefix="v1=",
        separator=",",
        hint=" (PagerDuty signs webhooks V3 alone: make the V2 extension a V3 subscription)",
    ),
    # generateMac takes the key as base64 and decodes it: what is shared is the text before that.
    SchemeName.SERVICENOW_HMAC: Scheme(header="x-hmac-signature", encode=_base64),
}
"""Every scheme that signs; `header` carries the secret itself."""


SHORTEST_KEYS: Final[Mapping[SchemeName, int]] = {SchemeName.STANDARD_WEBHOOKS: 24}
"""Bytes of a key, where the scheme asks for more: Standard Webhooks says 24 to 64."""


def check_secret(name: SchemeName, secret: str) -> None:
    """Raise SettingsError, which never holds the secret, where it cannot be a good one."""
    if secret.startswith("@Microsoft.KeyVault("):
        raise SettingsError(
            "a Key Vault reference inside JSON is never resolved; make the whole "
            "of WEBHOOK_SECRETS one reference"
        )
    if len(secret) < SHORTEST_SECRET or not secret.isprintable() or secret != secret.strip():
        raise SettingsError(
            f"a secret must have at least {SHORTEST_SECRET} printable characters, without spaces "
            "around them"
        )
    if _PLACEHOLDER.search(secret):
        raise SettingsError("a placeholder stands where a secret belongs; make a random one")
    scheme = SCHEMES.get(name)
    if scheme is None and not secret.isascii():
        raise SettingsError("a secret in a header must be ASCII")
    try:
        key = scheme.key(secret) if scheme is not None else secret.encode()
    except (binascii.Error, ValueError) as error:
        raise SettingsError(
            f"a secret of {name} must be base64, after whsec_ if that is there"
        ) from error
    shortest = SHORTEST_KEYS.get(name, SHORTEST_SECRET)
    if len(key) < shortest:
        raise SettingsError(f"a secret of {name} must hold at least {shortest} bytes")
    if min(len(set(secret)), len(set(key))) < FEWEST_DIFFERENT:
        raise SettingsError("a secret must be random; it repeats a few characters")


# What templates leave behind, and what people mean to replace later.
_PLACEHOLDER: Final = re.compile(
    r"^(?:<.*>|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|%.*%|__.*__)$"
    r"|change[-_ ]?me|replace[-_ ]?(?:me|with|this)"
    r"|your[-_ ](?:\w+[-_ ])?(?:secret|key|token)|placeholder",
    re.IGNORECASE,
)


def secret_bytes(secret: str) -> bytes:
    """What a secret is worth, whatever it is written as: base64 and `whsec_` may be left away."""
    try:
        return _standard_key(secret)
    except (binascii.Error, ValueError):
        return secret.encode()


def key_forms(secret: str) -> frozenset[bytes]:
    """
    The keys that HMAC may make of a secret, whatever the scheme: its text, and what it decodes to.

    HMAC fills a key up with zeros, and hashes one that is longer than a block: such keys are alike.
    """
    found = (secret.encode(), secret_bytes(secret))
    return frozenset(
        (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).rstrip(b"\x00")
        for key in found
    )


_BLOCK: Final = hashlib.sha256().block_size

_PUBLIC: Final = frozenset(
    {
        "It's a Secret to Everybody",
        "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    }
)
_EXAMPLE: Final = b"local-secret-"


def is_public(secret: str) -> bool:
    """True for a secret that stands in documentation, this app's or a system's."""
    value = secret_bytes(secret)
    return (
        _EXAMPLE in value
        or secret.encode().startswith(_EXAMPLE)
        or value in {secret_bytes(each) for each in _PUBLIC}
    )


def verify(
    name: SchemeName,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    raw: bytes,
    *,
    header: str = "",
    now: datetime,
) -> None:
    """
    Raise BadSignature unless one of *secrets* signed exactly these bytes, just now.

    *headers* have lower-case names; *header* replaces the scheme's own, where that is the
    sender's choice. Schemes that sign no time say nothing of when.
    """
    scheme = SCHEMES.get(name)
    carrier = header or (scheme.header if scheme is not None else "")
    given = _given(headers, carrier, scheme.hint if scheme is not None else "")
    if scheme is None:
        found = [_same(secret, given) for secret in secrets]
        if not any(found):
            raise BadSignature(DOES_NOT_FIT, why="signature")
        return
    parts = [_given(headers, each) for each in scheme.signs]
    content = b"".join(f"{part}{scheme.joiner}".encode(*_HEADERS) for part in parts) + raw
    expected = [
        scheme.prefix + scheme.encode(hmac.digest(scheme.key(secret), content, "sha256"))
        for secret in secrets
    ]
    split = given.split(scheme.separator) if scheme.separator else []
    offered = [part.strip() for part in split] or [given]
    # All of them are compared, so that the time does not tell which fits.
    found = [_same(mine, theirs) for mine in expected for theirs in offered]
    if not any(found):
        raise BadSignature(DOES_NOT_FIT, why="signature")
    if scheme.time:
        _check_time(scheme, _given(headers, scheme.time), now)


def delivery_key(
    name: SchemeName, headers: Mapping[str, str], raw: bytes, *, named: str = "", now: datetime
) -> tuple[str, ...]:
    """
    What makes a delivery the same when it comes again.

    The delivery id counts only where the scheme signs a time, because a replay is then refused
    after five minutes. Under other schemes it lies outside the signature, so the body hash counts.
    Zendesk signs the time but not the id: within those minutes an attacker who has seen a delivery
    can make it another one, but nothing else tells its retries. A secret in a header signs
    nothing: the sender's own id counts (`webhook-id`, `Idempotency-Key`, the attributes of a
    CloudEvent in binary mode, or *named* by the body), else the hash and a slot of ten minutes.
    """
    scheme, digest = SCHEMES.get(name), hashlib.sha256(raw).hexdigest()
    if scheme is None:
        event = [headers.get(each, "") for each in ("ce-source", "ce-id")]
        own = headers.get(DELIVERY, "") or headers.get("idempotency-key", "") or named
        if given := own or ("\n".join(event) if all(event) else ""):
            return ("delivery", given)
        return ("body", digest, str(int(now.timestamp() // WITHOUT_ID.total_seconds())))
    if not scheme.time:
        return ("body", digest)
    if given := headers.get(scheme.delivery, ""):
        return ("delivery", given)
    return ("body", digest, headers.get(scheme.time, ""))


_HEADERS: Final = ("utf-8", "surrogatepass")


def _given(headers: Mapping[str, str], name: str, hint: str = "") -> str:
    value = headers.get(name, "")
    if not value:
        raise BadSignature(f"{name}: missing; this sender must send it{hint}", why="header")
    return value


def _same(one: str, other: str) -> bool:
    # Digests, because compare_digest tells lengths apart and refuses text that is not ASCII.
    digests = (hashlib.sha256(text.encode(*_HEADERS)).digest() for text in (one, other))
    return hmac.compare_digest(*digests)


def _check_time(scheme: Scheme, text: str, now: datetime) -> None:
    """Only after the signature: before it, the time is anybody's."""
    try:
        sent = scheme.read_time(text)
    except (ValueError, OverflowError) as error:
        raise BadSignature(f"{scheme.time}: is not a time of this scheme", why="time") from error
    if abs(now - sent) > TOLERANCE:
        minutes = int(TOLERANCE.total_seconds() // 60)
        raise BadSignature(
            f"{scheme.time}: is more than {minutes} minutes from now; check the clocks, and send "
            "each delivery again",
            why="time",
        )
