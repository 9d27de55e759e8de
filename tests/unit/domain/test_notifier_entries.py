"""NOTIFIERS and NOTIFIER_SECRETS: what is taken, and what each mistake is told."""

import json
from typing import Any

import pytest

from shared.domain.errors import SettingsError
from shared.domain.notifications import USUAL_MOMENTS
from shared.domain.notifier_entries import ConfiguredNotifier, parse_notifiers
from shared.domain.notifier_kinds import KINDS, Auth, NotifierKind, ticket_pattern
from shared.domain.reset import NotificationKind

SN = {"kind": "servicenow", "url": "https://acme.service-now.com"}
JIRA = {"kind": "jira", "url": "https://acme.atlassian.net"}
GATEWAY = {"kind": "jira", "url": "https://api.atlassian.com/ex/jira/0-1"}
ZENDESK = {"kind": "zendesk", "url": "https://acme.zendesk.com"}
GITHUB = {"kind": "github", "repositories": ["octo/identity"]}
PAGERDUTY = {"kind": "pagerduty", "from": "relink@contoso.com"}
FRESH = {"kind": "freshservice", "url": "https://acme.freshservice.com"}
HOOK = {"kind": "webhook", "url": "https://desk.example/hook"}
APP = {"appId": "1", "installationId": "2"}
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FLOW = "https://default0.11.environment.api.powerplatform.com/powerautomate/x?sig=hush"
SLACK_URL = "https://hooks.slack.com/services/T/B/x"


def parsed(entry: dict[str, Any], secrets: dict[str, Any] | None = None) -> ConfiguredNotifier:
    found = parse_notifiers(
        json.dumps({"desk": entry}), json.dumps({"desk": secrets}) if secrets else ""
    )
    return found["desk"]


@pytest.mark.parametrize(
    ("entry", "secrets", "auth"),
    [
        ({**SN, "user": "relink"}, {"password": "hush"}, Auth.BASIC),
        (SN, {"token": "hush"}, Auth.TOKEN),
        ({**SN, "clientId": "c"}, {"clientSecret": "hush"}, Auth.CLIENT_CREDENTIALS),
        ({**JIRA, "user": "r@contoso.com"}, {"token": "hush"}, Auth.BASIC),
        ({**GATEWAY, "clientId": "c"}, {"clientSecret": "hush"}, Auth.CLIENT_CREDENTIALS),
        ({**JIRA, "kind": "jsm", "user": "r@contoso.com"}, {"token": "hush"}, Auth.BASIC),
        ({**ZENDESK, "user": "r@contoso.com"}, {"token": "hush"}, Auth.BASIC),
        ({**ZENDESK, "clientId": "c"}, {"clientSecret": "hush"}, Auth.CLIENT_CREDENTIALS),
        (GITHUB, {"token": "hush"}, Auth.TOKEN),
        ({**GITHUB, **APP}, {"privateKey": "-----BEGIN"}, Auth.GITHUB_APP),
        ({**GITHUB, "url": "https://ghe.example/api/v3"}, {"token": "hush"}, Auth.TOKEN),
        (PAGERDUTY, {"token": "hush"}, Auth.TOKEN),
        ({**PAGERDUTY, "url": "https://api.eu.pagerduty.com"}, {"token": "hush"}, Auth.TOKEN),
        (FRESH, {"token": "hush"}, Auth.TOKEN),
        ({"kind": "teams"}, {"url": FLOW}, Auth.ADDRESS),
        ({"kind": "slack"}, {"url": SLACK_URL}, Auth.ADDRESS),
        (HOOK, {"signing": [SIGNING, SIGNING[:-1] + "x"]}, Auth.SIGNED),
        ({"kind": "webhook"}, {"url": "https://l.logic.azure.com/?sig=h"}, Auth.UNSIGNED),
        ({"kind": "webhook"}, {"url": "https://d/?sig=h", "signing": [SIGNING]}, Auth.SIGNED),
        (HOOK, None, Auth.UNSIGNED),
        ({**HOOK, "url": "http://127.0.0.1:8080/hook"}, None, Auth.UNSIGNED),
    ],
)
def test_each_documented_way_in_is_taken(
    entry: dict[str, Any], secrets: dict[str, Any] | None, auth: Auth
) -> None:
    found = parsed(entry, secrets)

    assert found.auth is auth
    assert "hush" not in repr(found)


@pytest.mark.parametrize(
    ("entry", "secrets", "complaint"),
    [
        ({"kind": "email"}, None, "NOTIFIERS: Invalid enum value 'email'"),
        ({**SN, "users": "x"}, None, "NOTIFIERS: Object contains unknown field `users`"),
        ({"kind": "servicenow"}, {"token": "h"}, "NOTIFIERS: desk.url is missing; kind servicenow"),
        (SN, None, "NOTIFIERS: desk: kind servicenow takes basic (desk.user, NOTIFIER_SECRETS"),
        ({**SN, "user": "r"}, None, "NOTIFIER_SECRETS desk.password"),
        ({**SN, "user": "r"}, {"token": "h"}, "give one of these, whole"),
        ({**SN, "user": "r"}, {"password": "h", "token": "h"}, "give one of these, whole"),
        ({**SN, "appId": "1"}, {"token": "h"}, "desk.appId has no meaning for kind servicenow"),
        ({"kind": "github"}, {"token": "h"}, "desk.repositories is missing; kind github needs it"),
        ({"kind": "github", "repositories": ["octo"]}, {"token": "h"}, "'octo' is not owner/name"),
        ({"kind": "pagerduty"}, {"token": "h"}, "desk.from is missing; kind pagerduty needs it"),
        ({"kind": "teams", "url": FLOW}, None, "is a secret; move it to NOTIFIER_SECRETS"),
        ({"kind": "teams"}, None, "kind teams takes address (NOTIFIER_SECRETS desk.url)"),
        (
            {**HOOK, "url": FLOW.partition("?")[0]},
            None,
            "make it kind teams, with the address in",
        ),
        ({**HOOK, "url": "https://webhook.office.com/x"}, None, "make it kind teams"),
        ({**HOOK, "url": "https://a.webhook.office.com/x"}, None, "make it kind teams"),
        ({"kind": "webhook"}, {"url": FLOW}, "NOTIFIER_SECRETS: desk.url is an address of Teams"),
        ({**HOOK, "url": "https://hooks.slack.com/services/x"}, None, "make it kind slack"),
        ({**HOOK, "url": "https://desk.example/?sig=hush"}, None, "desk.url has a key in it"),
        ({**HOOK, "url": "https://desk.example/?CODE=hush"}, None, "desk.url has a key in it"),
        ({**HOOK, "url": "http://desk.example"}, None, "must be https (http on loopback)"),
        ({**HOOK, "url": "https://u:hush@desk.example"}, None, "without user or #"),
        ({**HOOK, "url": "https://desk.example/#x"}, None, "without user or #"),
        ({**HOOK, "url": "https://["}, None, "desk.url is not an address"),
        ({**HOOK, "url": "https://desk.example:x/"}, None, "desk.url is not an address"),
        ({**SN, "url": "https://a?b=c", "user": "r"}, {"password": "h"}, "has a query"),
        (
            {**JIRA, "clientId": "c"},
            {"clientSecret": "h"},
            "https://api.atlassian.com/ex/jira/CLOUD-ID",
        ),
        ({**HOOK, "ticket": "1"}, None, "desk.ticket has no meaning for kind webhook"),
        ({**FRESH, "ticket": "x/y"}, {"token": "h"}, "'x/y' is not a ticket of freshservice"),
        ({**HOOK, "perMinute": 0}, None, "NOTIFIERS: Expected `int` >= 1"),
        ({**HOOK, "on": ["done"]}, None, "NOTIFIERS: Invalid enum value 'done'"),
        (HOOK, {"signing": ["whsec_aHVzaA=="]}, "desk.signing must be whsec_ and 24 to 64 bytes"),
        (HOOK, {"signing": ["not base64!"]}, "desk.signing must be whsec_"),
        (HOOK, {"hush": "x"}, "an entry may hold password, token, clientSecret, privateKey, url"),
        (
            {**SN, "user": "r"},
            {"password": "@Microsoft.KeyVault(SecretUri=x)"},
            "make the whole of NOTIFIER_SECRETS one reference",
        ),
    ],
)
def test_a_mistake_is_named_with_its_remedy_and_no_secret(
    entry: dict[str, Any], secrets: dict[str, Any] | None, complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(entry, secrets)

    said = str(caught.value)
    assert complaint in said
    assert "hush" not in said
    assert said.startswith(("NOTIFIERS: ", "NOTIFIER_SECRETS: "))


@pytest.mark.parametrize(
    ("entries", "secrets", "complaint"),
    [
        ("{", "", "NOTIFIERS: not valid JSON"),
        ("[]", "", "NOTIFIERS: must be a JSON object"),
        ('{"a": {}, "a": {}}', "", "NOTIFIERS: a name is given twice"),
        ("{}", '{"x": {}, "x": {}}', "NOTIFIER_SECRETS: a name is given twice"),
        ("{}", '{"hush": {}}', "NOTIFIER_SECRETS: has secrets of a notifier that NOTIFIERS does"),
        ('{"Desk": {"kind": "slack"}}', "", "NOTIFIERS: the name of entry 1 is not allowed"),
        ('{"a/b": {"kind": "slack"}}', "", "NOTIFIERS: the name of entry 1 is not allowed"),
    ],
)
def test_the_two_settings_as_a_whole(entries: str, secrets: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_notifiers(entries, secrets)

    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)


def test_nothing_configured_is_nobody() -> None:
    assert parse_notifiers("", "") == {}


def test_a_channel_hears_without_a_ticket_and_a_ticket_system_does_not() -> None:
    channel = parsed({"kind": "slack", "on": ["end"]}, {"url": SLACK_URL})
    system = parsed({**SN, "user": "r", "ticket": "INC1"}, {"password": "h"})

    assert not channel.listener.needs_ticket
    assert channel.listener.on == {NotificationKind.END}
    assert system.listener.needs_ticket
    assert system.listener.ticket == "INC1"
    assert system.listener.on == set(USUAL_MOMENTS)


def test_the_default_moments_are_all_but_the_acceptance() -> None:
    assert set(USUAL_MOMENTS) == set(NotificationKind) - {NotificationKind.ACCEPTED}


def test_a_pace_can_be_set_and_has_a_default() -> None:
    assert parsed(HOOK).per_minute == KINDS[NotifierKind.WEBHOOK].per_minute
    assert parsed({**HOOK, "perMinute": 7}).per_minute == 7


@pytest.mark.parametrize("kind", [kind for kind in NotifierKind if KINDS[kind].ticket])
def test_the_example_of_each_kind_is_one_of_its_tickets(kind: NotifierKind) -> None:
    pattern = ticket_pattern(kind)

    assert pattern is not None
    assert pattern.fullmatch(KINDS[kind].example)


def test_the_digest_of_an_address_tells_it_from_another_and_does_not_show_it() -> None:
    one, other = parsed(HOOK), parsed({**HOOK, "url": "https://desk.example/other"})

    assert one.address_digest != other.address_digest
    assert "desk" not in one.address_digest
