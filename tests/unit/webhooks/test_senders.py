"""WEBHOOK_SENDERS and WEBHOOK_SECRETS: what a bad one is told, never with a secret in it."""

import base64
import json
from typing import Any

import pytest

from shared.config import Settings
from shared.domain.errors import SettingsError
from shared.webhooks.senders import FormatName, parse_senders
from tests.unit.test_settings import settings

SECRET = "a-secret-of-length"
GOOD = {"scheme": "github", "format": "github", "targets": ["salesforce-prod"]}


def parsed(entry: dict[str, Any], secrets: Any = (SECRET,), *, front: bool = False) -> Any:
    found = parse_senders(
        json.dumps({"desk": entry}), json.dumps({"desk": secrets}), signed_in_front=front
    )
    return found["desk"]


def test_a_good_sender_has_its_secrets_and_shows_none() -> None:
    sender = parsed(GOOD, (SECRET, "another-secret-of-length"))

    assert sender.entry.targets == ("salesforce-prod",)
    assert sender.secrets == (SECRET, "another-secret-of-length")
    assert SECRET not in repr(sender)


def test_none_is_needed_and_none_reaches_anything_unless_listed() -> None:
    assert settings().senders == {}
    assert parsed({"scheme": "jira"}).entry.targets == ()
    assert parsed({"scheme": "jira"}).entry.format is FormatName.RELINK


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({}, "missing required field `scheme`"),
        ({"scheme": "basic"}, "Invalid enum value 'basic'"),
        ({**GOOD, "format": "jira"}, "format"),
        ({**GOOD, "taget": []}, "unknown field `taget`"),
        ({**GOOD, "targets": ["Sales"]}, "targets"),
        ({**GOOD, "targets": "salesforce-prod"}, "targets"),
        ({**GOOD, "header": "x-own"}, r"has a header of its own \(x-hub-signature-256\)"),
        ({"scheme": "servicenow-hmac", "header": "bad header"}, "not a header's name"),
        ({"scheme": "header", "header": "Webhook-Id"}, "means something else"),
        ({"scheme": "header", "header": "x-ms-token-aad-id-token"}, "means something else"),
        ({"scheme": "header"}, "header: missing or not a header's name"),
        ({"scheme": "header", "header": "x secret"}, "not a header's name"),
        (
            {"scheme": "header", "header": "x-MS-Client-Principal-Id"},
            "believed only behind the platform's authentication",
        ),
        ({"scheme": "jira", "format": {"target": ""}}, "format.target: empty"),
        ({"scheme": "jira", "format": {"target": "/a\nb"}}, "cannot be printed"),
        ({"scheme": "jira", "format": {"target": "aws"}}, "not among the sender's targets"),
        (
            {"scheme": "jira", "format": {"target": "/a", "notBefore": "never"}},
            "notBefore: must be a JSON Pointer",
        ),
        ({"scheme": "jira", "format": {"reason": "x"}}, "missing required field `target`"),
        ({"scheme": "jira", "format": {"target": "/a~x"}}, "neither ~0 .* nor ~1"),
        ({"scheme": "jira", "format": {"target": "/a", "when": {"b": 1}}}, "not a JSON Pointer"),
        ({"scheme": "jira", "format": {"target": "/a", "when": {"/b": {}}}}, "when"),
        ({"scheme": "jira", "format": {"target": "/a", "dryRun": "yes"}}, "dryRun: must be true"),
        ({"scheme": "jira", "format": {"target": "/a", "script": "x"}}, "unknown field `script`"),
    ],
)
def test_a_bad_entry_is_named(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        parsed(entry)


@pytest.mark.parametrize(
    ("secrets", "complaint"),
    [
        ([], "WEBHOOK_SECRETS: no secret for sender desk"),
        (["short-secret"], "WEBHOOK_SECRETS: desk: a secret must have at least 16"),
        ([SECRET, ""], "WEBHOOK_SECRETS: desk: a secret must have at least 16"),
        (SECRET, "WEBHOOK_SECRETS: Expected `array`, got .* in entry 1"),
        ([{"value": SECRET}], "WEBHOOK_SECRETS: Expected `str`, got .* in entry 1"),
        (["@Microsoft.KeyVault(SecretUri=https://v)"], "inside JSON is never resolved"),
    ],
)
def test_bad_secrets_are_named_and_never_shown(secrets: Any, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        parsed(GOOD, secrets)
    assert SECRET not in str(caught.value)
    assert "short-secret" not in str(caught.value)


def test_behind_the_platforms_authentication_its_headers_may_carry_the_secret() -> None:
    entry = {"scheme": "header", "header": "X-MS-Client-Principal-Id"}
    assert parsed(entry, front=True).entry.header == "x-ms-client-principal-id"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"WEBHOOK_SENDERS": "{"}, "WEBHOOK_SENDERS: not valid JSON"),
        (
            {"WEBHOOK_SENDERS": "@absent.json"},
            "WEBHOOK_SENDERS: the file that it names cannot be read",
        ),
        (
            {"WEBHOOK_SENDERS": '{"A b": {"scheme": "jira"}}'},
            "WEBHOOK_SENDERS: the name of entry 1 is not allowed",
        ),
        ({"WEBHOOK_SECRETS": "nonsense"}, "WEBHOOK_SECRETS: not valid JSON"),
        ({"WEBHOOK_SECRETS": '{"desk": []}'}, "WEBHOOK_SECRETS: has secrets of a sender that"),
        (
            {"WEBHOOK_SECRETS": "@Microsoft.KeyVault(SecretUri=https://v/s)"},
            "WEBHOOK_SECRETS: the Key Vault reference is not resolved",
        ),
    ],
)
def test_a_bad_setting_is_a_problem_and_no_exception(
    changes: dict[str, str], complaint: str
) -> None:
    found: Settings = settings(**changes)
    assert not [p for p in found.problems if "desk" in p]

    assert found.senders == {}
    assert [p for p in found.problems if p.startswith(complaint)], found.problems


def senders(secrets: dict[str, list[str]], *, scheme: str = "github", local: bool = False) -> Any:
    entries = {name: {"scheme": scheme} for name in secrets}
    return parse_senders(
        json.dumps(entries), json.dumps(secrets), signed_in_front=False, local=local
    )


def test_two_senders_never_share_a_secret() -> None:
    with pytest.raises(SettingsError, match="a and b have a secret in common") as caught:
        senders({"a": [SECRET], "b": ["another-secret-of-length", SECRET]})
    assert SECRET not in str(caught.value)
    assert set(senders({"a": [SECRET, SECRET], "b": ["another-secret-of-length"]})) == {"a", "b"}


def test_a_secret_is_the_same_with_and_without_its_prefix() -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    with pytest.raises(SettingsError, match="in common"):
        senders({"a": [key], "b": [f"whsec_{key}"]}, scheme="standard-webhooks")


@pytest.mark.parametrize("end", [b"", bytes(3)])
def test_a_secret_is_the_same_key_in_whatever_way_it_is_written(end: bytes) -> None:
    """HMAC fills a key up with zeros."""
    text = "a-secret-of-24-bytes-...abcdefgh"
    secrets = {"a": [text], "b": ["whsec_" + base64.b64encode(text.encode() + end).decode()]}
    entries = {"a": {"scheme": "github"}, "b": {"scheme": "standard-webhooks"}}

    with pytest.raises(SettingsError, match="a and b have a secret in common"):
        parse_senders(json.dumps(entries), json.dumps(secrets), signed_in_front=False)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [(["one-secret-of-mine", "{}"], ["{}"]), (["{}"], ["old-secret-x12345", "{}"])],
)
def test_a_secret_in_common_is_found_anywhere_in_the_lists_of_a_rotation(
    mine: list[str], theirs: list[str]
) -> None:
    lists = {"a": [each.format(SECRET) for each in mine], "b": [e.format(SECRET) for e in theirs]}
    with pytest.raises(SettingsError, match="in common"):
        senders(lists)


@pytest.mark.parametrize("secret", [f" {SECRET}", f"{SECRET}\n", f"{SECRET}\u00a0", f"\t{SECRET}"])
def test_a_secret_with_blanks_around_it_is_refused(secret: str) -> None:
    with pytest.raises(SettingsError, match="without spaces around them") as caught:
        senders({"desk": [secret]})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("whsec_" + base64.b64encode(b"x" * 24).decode(), "must be random"),
        ("whsec_" + base64.b64encode(bytes(range(18))).decode(), "at least 24 bytes"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "published"),
        ("whsec_" + base64.b64encode(b"local-secret-for-services").decode(), "published"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(secret: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        senders({"desk": [secret]}, scheme="standard-webhooks")
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "left",
    [
        "<your-secret-here>",
        "${WEBHOOK_SECRET}",
        "$(webhook-secret)",
        "{{ webhook.secret }}",
        "%WEBHOOK_SECRET%",
        "__WEBHOOK_SECRET__",
        "changeme-changeme",
        "CHANGE_ME_PLEASE_1234",
        "replace-with-a-random-one",
        "your-webhook-secret",
    ],
)
def test_a_placeholder_is_no_secret(left: str) -> None:
    with pytest.raises(SettingsError, match="a placeholder stands where a secret") as caught:
        senders({"a": [left]})

    assert left not in str(caught.value)


@pytest.mark.parametrize("secret", ["local-secret-of-github", "It's a Secret to Everybody"])
def test_the_secrets_of_the_examples_are_good_beside_the_emulator_only(secret: str) -> None:
    assert senders({"desk": [secret]}, local=True)
    with pytest.raises(SettingsError, match="published"):
        senders({"desk": [secret]})
