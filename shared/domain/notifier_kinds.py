"""
One table of what each kind of notifier needs: ways to sign in, ids of tickets, address, pace. Pure.

A kind's module in shared/adapters/notifiers speaks to the system; nothing of that is known here.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct


class NotifierKind(StrEnum):
    SERVICENOW = "servicenow"
    JIRA = "jira"
    JSM = "jsm"
    ZENDESK = "zendesk"
    GITHUB = "github"
    PAGERDUTY = "pagerduty"
    FRESHSERVICE = "freshservice"
    TEAMS = "teams"
    SLACK = "slack"
    WEBHOOK = "webhook"


class Auth(StrEnum):
    """How a kind shows who it is."""

    BASIC = "basic"
    TOKEN = "token"  # noqa: S105 -- the name of a way in, and no secret
    CLIENT_CREDENTIALS = "client credentials"
    GITHUB_APP = "GitHub App"
    ADDRESS = "address"
    SIGNED = "signed"
    UNSIGNED = "unsigned"


class Way(Struct, frozen=True, kw_only=True):
    """One way to sign in: what of the entry and what of the secrets it takes."""

    auth: Auth
    fields: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Needs(Struct, frozen=True, kw_only=True):
    """
    What a kind needs, and what it may be asked in a minute.

    `ticket` is the pattern of its tickets' ids, None where it writes to a channel. `per_minute` is
    a cautious default of ours; `perMinute` of the entry changes it.
    """

    ways: tuple[Way, ...]
    per_minute: int
    ticket: str | None = None
    example: str = ""
    always: tuple[str, ...] = ()
    url: str = ""
    optional: tuple[str, ...] = ()


_URL: Final = ("url",)
_CLIENT: Final = Way(
    auth=Auth.CLIENT_CREDENTIALS, fields=("client_id",), secrets=("client_secret",)
)
_USER_AND_TOKEN: Final = Way(auth=Auth.BASIC, fields=("user",), secrets=("token",))
_TOKEN: Final = Way(auth=Auth.TOKEN, secrets=("token",))
_ADDRESS: Final = Way(auth=Auth.ADDRESS, secrets=("url",))
_JIRA_KEY: Final = r"[A-Z][A-Z0-9_]{1,31}-[1-9][0-9]{0,17}"
_NUMBER: Final = r"[1-9][0-9]{0,17}"

KINDS: Final[Mapping[NotifierKind, Needs]] = {
    NotifierKind.SERVICENOW: Needs(
        ways=(
            Way(auth=Auth.BASIC, fields=("user",), secrets=("password",)),
            _TOKEN,
            _CLIENT,
        ),
        per_minute=60,
        ticket=r"(?:INC|RITM|CHG|REQ|SCTASK)[0-9]{1,20}",
        example="INC0012345",
        always=_URL,
    ),
    NotifierKind.JIRA: Needs(
        ways=(_USER_AND_TOKEN, _CLIENT),
        per_minute=60,
        ticket=_JIRA_KEY,
        example="IT-42",
        always=_URL,
    ),
    NotifierKind.JSM: Needs(
        ways=(_USER_AND_TOKEN, _CLIENT),
        per_minute=60,
        ticket=_JIRA_KEY,
        example="HELP-42",
        always=_URL,
    ),
    NotifierKind.ZENDESK: Needs(
        ways=(_USER_AND_TOKEN, _CLIENT),
        per_minute=50,
        ticket=_NUMBER,
        example="35436",
        always=_URL,
    ),
    NotifierKind.GITHUB: Needs(
        ways=(
            _TOKEN,
            Way(
                auth=Auth.GITHUB_APP,
                fields=("app_id", "installation_id"),
                secrets=("private_key",),
            ),
        ),
        # 80 comments a minute and 500 an hour: the hour decides.
        per_minute=4,
        ticket=rf"(?:[A-Za-z0-9-]{{1,39}}/[A-Za-z0-9._-]{{1,100}})?#?{_NUMBER}",
        example="octo/identity#42",
        always=("url", "repositories"),
        url="https://api.github.com",
    ),
    NotifierKind.PAGERDUTY: Needs(
        ways=(_TOKEN,),
        per_minute=240,
        ticket=r"[A-Z0-9]{6,20}",
        example="PT4KHLK",
        always=("url", "sender"),
        url="https://api.pagerduty.com",
    ),
    NotifierKind.FRESHSERVICE: Needs(
        ways=(_TOKEN,),
        per_minute=40,
        ticket=rf"(?:(?:INC|SR)-)?{_NUMBER}",
        example="INC-264",
        always=_URL,
    ),
    NotifierKind.TEAMS: Needs(ways=(_ADDRESS,), per_minute=60),
    NotifierKind.SLACK: Needs(ways=(_ADDRESS,), per_minute=30),
    NotifierKind.WEBHOOK: Needs(
        ways=(
            Way(auth=Auth.SIGNED, fields=("url",), secrets=("signing",)),
            Way(auth=Auth.SIGNED, secrets=("url", "signing")),
            Way(auth=Auth.UNSIGNED, fields=("url",)),
            Way(auth=Auth.UNSIGNED, secrets=("url",)),
        ),
        per_minute=1200,
    ),
}
"""docs/use/notifiers.md shows it for people."""

TEAMS_HOSTS: Final = (
    "api.powerplatform.com",
    "api.powerplatform.us",
    "api.gov.powerplatform.microsoft.us",
    "api.high.powerplatform.microsoft.us",
    "api.appsplatform.us",
    "api.powerplatform.partner.microsoftonline.cn",
    "api.powerautomate.com",
    "webhook.office.com",
    "outlook.office.com",
    "outlook.office365.com",
)
SLACK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")


def ticket_pattern(kind: NotifierKind) -> re.Pattern[str] | None:
    pattern = KINDS[kind].ticket
    return re.compile(pattern, re.ASCII) if pattern is not None else None
