"""Each scheme against the published vectors, and against every way in which one can be wrong."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from shared.domain.errors import BadSignature, SettingsError
from shared.webhooks.signatures import TOLERANCE, SchemeName, check_secret, delivery_key, verify
from tests.support import webhooks

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A delivery that is good at `at`, as somebody published it."""

    scheme: SchemeName
    secret: str
    headers: Mapping[str, str]
    raw: bytes
    at: datetime = NOW
    carrier: str = ""

    def check(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        secrets: tuple[str, ...] | None = None,
        at: datetime | None = None,
    ) -> None:
        verify(
            self.scheme,
            (self.secret,) if secrets is None else secrets,
            self.headers if headers is None else headers,
            self.raw if raw is None else raw,
            header=self.carrier,
            now=at or self.at,
        )

    @property
    def signature(self) -> str:
        return next(name for name in self.headers if "sig" in name or name == self.carrier)


STANDARD = Vector(
    # https://github.com/standard-webhooks/standard-webhooks, tests of the Python library
    scheme=SchemeName.STANDARD_WEBHOOKS,
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    headers={
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    raw=b'{"test": 2432232314}',
    at=datetime.fromtimestamp(1614265330, UTC),
)
GITHUB = Vector(
    # https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
    scheme=SchemeName.GITHUB,
    secret="It's a Secret to Everybody",
    headers={
        "x-hub-signature-256": (
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        )
    },
    raw=b"Hello, World!",
)
ZENDESK = Vector(
    # Zendesk's static test secret, used verbatim
    scheme=SchemeName.ZENDESK,
    secret="dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
    headers={
        "x-zendesk-webhook-signature": "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=",
        "x-zendesk-webhook-signature-timestamp": "2021-03-25T05:09:27Z",
    },
    raw=b'{"event":"ticket.updated","id":123}',
    at=datetime(2021, 3, 25, 5, 9, 27, tzinfo=UTC),
)


def made(scheme: SchemeName, name: str, sign: Callable[[bytes], Mapping[str, str]]) -> Vector:
    """For the schemes of which nobody published a vector: signed by tests/support/webhooks.py."""
    raw = webhooks.body({"target": "salesforce-prod", "reason": "Zoë"})
    headers = {key.lower(): value for key, value in sign(raw).items()}
    return Vector(scheme=scheme, secret=webhooks.SECRETS[name], headers=headers, raw=raw)


VECTORS = {
    "standard-webhooks": STANDARD,
    "github": GITHUB,
    "zendesk": ZENDESK,
    "jira": made(SchemeName.JIRA, "jira", webhooks.jira),
    "pagerduty": made(SchemeName.PAGERDUTY, "pagerduty", webhooks.pagerduty),
    "servicenow-hmac": made(
        SchemeName.SERVICENOW_HMAC, "servicenow-hmac", webhooks.servicenow_hmac
    ),
    "header": Vector(
        scheme=SchemeName.HEADER,
        secret=webhooks.SECRETS["servicenow"],
        headers={"x-relink-secret": webhooks.SECRETS["servicenow"]},
        raw=b"{}",
        carrier="x-relink-secret",
    ),
}
SIGNING = {name: vector for name, vector in VECTORS.items() if name != "header"}
TIMED = {name: SIGNING[name] for name in ("standard-webhooks", "zendesk")}

every = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
every_signing = pytest.mark.parametrize("vector", SIGNING.values(), ids=SIGNING)
every_timed = pytest.mark.parametrize("vector", TIMED.values(), ids=TIMED)


def test_every_scheme_has_a_vector() -> None:
    assert set(VECTORS) == set(SchemeName)


@every
def test_a_good_delivery_is_its_senders(vector: Vector) -> None:
    vector.check()


@every_signing
def test_one_bit_off_in_the_body_is_refused(vector: Vector) -> None:
    for at in range(len(vector.raw)):
        raw = bytearray(vector.raw)
        raw[at] ^= 1
        with pytest.raises(BadSignature, match="does not fit the body"):
            vector.check(raw=bytes(raw))


@every
def test_one_character_off_in_what_is_signed_or_signs_is_refused(vector: Vector) -> None:
    for name, value in vector.headers.items():
        for at, character in enumerate(value):
            other = chr(ord(character) ^ 1)
            changed = {**vector.headers, name: value[:at] + other + value[at + 1 :]}
            with pytest.raises(BadSignature):
                vector.check(headers=changed)


def test_base64_that_decodes_to_the_same_bytes_is_not_the_same_signature() -> None:
    # Published as one that must fail; and one whose last bits, which carry nothing, differ.
    for broken in ("OA=", "OF="):
        signature = STANDARD.headers["webhook-signature"].removesuffix("OE=") + broken
        with pytest.raises(BadSignature):
            STANDARD.check(headers={**STANDARD.headers, "webhook-signature": signature})


def test_of_several_signatures_one_must_fit() -> None:
    good = STANDARD.headers["webhook-signature"]
    others = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/W"
    STANDARD.check(headers={**STANDARD.headers, "webhook-signature": f"{others} {good}"})
    STANDARD.check(headers={**STANDARD.headers, "webhook-signature": f"{others}  {good}"})
    with pytest.raises(BadSignature):
        STANDARD.check(headers={**STANDARD.headers, "webhook-signature": others})

    pager = VECTORS["pagerduty"]
    name, value = next(iter(pager.headers.items()))
    pager.check(headers={name: f"v1={'0' * 64},{value}"})
    pager.check(headers={name: f"v1={'0' * 64}, {value}"})


@pytest.mark.parametrize("version", ["v1a,", "v2,", "", "V1,"])
def test_only_the_first_version_of_the_standard_is_read(version: str) -> None:
    digest = STANDARD.headers["webhook-signature"].removeprefix("v1,")
    with pytest.raises(BadSignature):
        STANDARD.check(headers={**STANDARD.headers, "webhook-signature": version + digest})


@every
def test_a_wrong_secret_is_refused_and_any_of_several_is_good(vector: Vector) -> None:
    wrong = "whsec_" + base64.b64encode(b"x" * 24).decode()
    with pytest.raises(BadSignature):
        vector.check(secrets=(wrong,))
    with pytest.raises(BadSignature):
        vector.check(secrets=())
    vector.check(secrets=(wrong, vector.secret))


@every
def test_a_missing_or_empty_header_is_named(vector: Vector) -> None:
    for name in vector.headers:
        without = {k: v for k, v in vector.headers.items() if k != name}
        for headers in (without, {**without, name: ""}):
            with pytest.raises(BadSignature, match=f"^{name}: missing") as caught:
                vector.check(headers=headers)
            assert caught.value.why == "header"


@every
@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: f" {v}",
        lambda v: v.replace("=", "= ", 1) if "=" in v else f"{v} x",
        lambda v: f"{v},{v}x",
        lambda v: f"{v}é",
        lambda v: v.encode().hex(),
        lambda v: v[:-1],
        lambda v: v.swapcase(),
        lambda _: "v1,",
        lambda _: "\udcff",
        lambda _: "sha256=",
    ],
    ids=[
        "space",
        "inner-space",
        "twice",
        "not-ascii",
        "hex",
        "short",
        "case",
        "v1",
        "surrogate",
        "empty",
    ],
)
def test_a_spoilt_signature_is_refused(vector: Vector, spoil: Callable[[str], str]) -> None:
    name = vector.signature
    spoilt = spoil(vector.headers[name])
    separator = {SchemeName.PAGERDUTY: ",", SchemeName.STANDARD_WEBHOOKS: " "}.get(vector.scheme)
    parts = [part.strip() for part in spoilt.split(separator)] if separator else []
    if vector.headers[name] in parts:
        # A list with a good one in it is none that is spoilt.
        vector.check(headers={**vector.headers, name: spoilt})
        return
    with pytest.raises(BadSignature):
        vector.check(headers={**vector.headers, name: spoilt})


@every_signing
def test_an_empty_body_and_one_in_another_encoding_are_refused(vector: Vector) -> None:
    for raw in (b"", vector.raw.decode().encode("utf-16"), b" " + vector.raw, vector.raw + b"\n"):
        with pytest.raises(BadSignature):
            vector.check(raw=raw)


@every_timed
def test_the_signed_time_must_be_near_ours_either_way(vector: Vector) -> None:
    second = timedelta(seconds=1)
    for at in (vector.at - TOLERANCE, vector.at + TOLERANCE):
        vector.check(at=at)
    for at in (vector.at - TOLERANCE - second, vector.at + TOLERANCE + second):
        with pytest.raises(BadSignature, match="more than 5 minutes") as caught:
            vector.check(at=at)
        assert caught.value.why == "time"


@every_timed
def test_the_time_is_judged_only_after_the_signature(vector: Vector) -> None:
    with pytest.raises(BadSignature) as caught:
        vector.check(raw=b"other", at=NOW)
    assert caught.value.why == "signature"


@pytest.mark.parametrize(
    "text", ["1614265330.5", "-1", "1e9", "٤", "99999999999999999", "", "now", "2021-03-25"]
)
def test_a_time_that_is_none_is_refused_even_when_signed(text: str) -> None:
    raw, key = b"{}", base64.b64decode(STANDARD.secret.removeprefix("whsec_"))
    digest = webhooks._hmac(key, f"m.{text}.".encode() + raw)
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": text,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    with pytest.raises(BadSignature):
        STANDARD.check(headers=headers, raw=raw)


@pytest.mark.parametrize("text", ["2021-03-25T05:09:27", "yesterday", "0000-00-00T00:00:00Z"])
def test_zendesks_time_needs_a_date_and_an_offset(text: str) -> None:
    digest = webhooks._hmac(ZENDESK.secret.encode(), text.encode() + ZENDESK.raw)
    name = ZENDESK.signature
    headers = {
        **ZENDESK.headers,
        "x-zendesk-webhook-signature-timestamp": text,
        name: base64.b64encode(digest).decode(),
    }
    with pytest.raises(BadSignature) as caught:
        ZENDESK.check(headers=headers)
    assert caught.value.why == "time"


def test_zendesks_old_order_of_body_and_time_is_refused() -> None:
    time = ZENDESK.headers["x-zendesk-webhook-signature-timestamp"]
    digest = webhooks._hmac(ZENDESK.secret.encode(), ZENDESK.raw + time.encode())
    with pytest.raises(BadSignature):
        ZENDESK.check(
            headers={**ZENDESK.headers, ZENDESK.signature: base64.b64encode(digest).decode()}
        )


def test_jiras_digest_is_not_taken_from_githubs_header() -> None:
    jira = VECTORS["jira"]
    (value,) = jira.headers.values()
    with pytest.raises(BadSignature, match="x-hub-signature: missing"):
        jira.check(headers={"x-hub-signature-256": value})


@given(raw=st.binary(max_size=300), shift=st.integers(-600, 600), delivery=st.uuids())
def test_the_standards_own_library_agrees(raw: bytes, shift: int, delivery: object) -> None:
    """Its tolerance is five minutes by its own clock: only the signature is compared here."""
    at = NOW + timedelta(seconds=shift)
    hook = Webhook(STANDARD.secret)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    theirs = hook.sign(str(delivery), at, text)
    headers = {
        "webhook-id": str(delivery),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": theirs,
    }
    ours = webhooks.standard(raw, at, secret=STANDARD.secret, delivery=str(delivery))
    assert ours == headers
    if abs(shift) <= TOLERANCE.total_seconds():
        STANDARD.check(headers=headers, raw=raw, at=NOW)
    else:
        with pytest.raises(BadSignature):
            STANDARD.check(headers=headers, raw=raw, at=NOW)


@pytest.mark.parametrize(
    ("scheme", "secret", "complaint"),
    [
        (SchemeName.GITHUB, "", "at least 16"),
        (SchemeName.GITHUB, "fifteen-chars-x", "at least 16"),
        (SchemeName.GITHUB, " " * 20, "without spaces"),
        (SchemeName.GITHUB, "with a newline in it\n", "without spaces"),
        (SchemeName.GITHUB, "@Microsoft.KeyVault(SecretUri=https://v/s)", "never resolved"),
        (SchemeName.STANDARD_WEBHOOKS, "whsec_this is no base64!", "must be base64"),
        (SchemeName.STANDARD_WEBHOOKS, "whsec_c2hvcnQxMjM=", "at least 24 bytes"),
        (SchemeName.HEADER, "gehéim-gehéim-gehéim", "must be ASCII"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_showing_it(
    scheme: SchemeName, secret: str, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        check_secret(scheme, secret)
    assert not secret.strip() or secret not in str(caught.value)


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_secrets_are_good_ones(name: str) -> None:
    check_secret(SchemeName(name), VECTORS[name].secret)


def test_a_delivery_id_counts_only_where_a_time_is_signed() -> None:
    raw = b"{}"

    def key(scheme: SchemeName, now: datetime = NOW, **headers: str) -> tuple[str, ...]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return delivery_key(scheme, names, raw, now=now)

    zendesk = SchemeName.ZENDESK
    assert key(SchemeName.STANDARD_WEBHOOKS, webhook_id="m1") == ("delivery", "m1")
    assert key(zendesk, x_zendesk_webhook_invocation_id="z") == ("delivery", "z")
    time = "x-zendesk-webhook-signature-timestamp"
    named = [delivery_key(zendesk, {time: at}, raw, now=NOW) for at in ("1", "1", "2")]
    assert named[0] == named[1] != named[2]
    assert key(SchemeName.GITHUB, x_github_delivery="1") == key(
        SchemeName.GITHUB, x_github_delivery="2"
    )
    assert key(SchemeName.PAGERDUTY, webhook_id="1") == key(SchemeName.PAGERDUTY)


def test_under_a_header_secret_the_delivery_id_or_a_ten_minute_slot_identifies_a_webhook() -> None:
    header, raw = SchemeName.HEADER, json.dumps({"target": "a"}).encode()
    early, late, next_slot = (NOW + timedelta(minutes=m) for m in (0, 9, 10))

    by_slot = [delivery_key(header, {}, raw, now=at) for at in (early, late, next_slot)]
    assert by_slot[0] == by_slot[1] != by_slot[2]
    assert delivery_key(header, {"webhook-id": "d"}, raw, now=early) == ("delivery", "d")
    assert delivery_key(header, {}, raw, named="alert 7", now=early) == ("delivery", "alert 7")
    assert delivery_key(header, {}, b"other", now=early) != by_slot[0]


def test_under_a_header_secret_a_service_may_name_its_delivery_as_services_do() -> None:
    def key(**headers: str) -> tuple[str, ...]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return delivery_key(SchemeName.HEADER, given, b"{}", now=NOW)

    assert key(idempotency_key="k") == ("delivery", "k")
    assert key(ce_id="1", ce_source="/desk") == ("delivery", "/desk\n1")
    assert key(ce_id="1", ce_source="/desk") != key(ce_id="1", ce_source="/other")
    assert key(ce_id="1") == key() != key(ce_id="2", ce_source="/desk")
    assert key(webhook_id="w", idempotency_key="k", ce_id="1", ce_source="/d") == ("delivery", "w")
