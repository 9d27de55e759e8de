"""Each kind of notifier against a stand-in of its system, well and badly behaved: one table."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from standardwebhooks import Webhook

from shared.adapters.notifiers.channel import delivery_id
from shared.adapters.notifiers.credentials import signed_jwt
from shared.adapters.notifiers.exchange import READ_AT_MOST, retry_after
from shared.adapters.notifiers.registry import CHANNELS, TICKETS, make_notifier
from shared.domain import ticket_facts
from shared.domain.errors import NotDelivered, ReceiverGone, Undeliverable
from shared.domain.notifier_entries import parse_notifiers
from shared.domain.notifier_kinds import KINDS, NotifierKind
from shared.domain.ports import Notifier
from shared.domain.reset import Notification, NotificationKind, Reset, State
from shared.domain.ticket_facts import take_facts
from shared.domain.ticket_words import compose
from tests.support.ticket_apis import APIS, RECORDS, SYS_ID
from tests.support.ticket_systems import FLOOD, StandIn

NOW = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWER = "whsec_" + "A" * 40
EVIL = "x <b>&\"' `@all` [l](http://e) {code} *b* _i_ <!channel>"

ENTRIES: dict[NotifierKind, dict[str, Any]] = {
    NotifierKind.SERVICENOW: {"user": "relink"},
    NotifierKind.JIRA: {"user": "relink@contoso.com"},
    NotifierKind.JSM: {"user": "relink@contoso.com"},
    NotifierKind.ZENDESK: {"user": "relink"},
    NotifierKind.GITHUB: {"repositories": ["octo/identity"]},
    NotifierKind.PAGERDUTY: {"from": "relink@contoso.com"},
    NotifierKind.FRESHSERVICE: {},
    NotifierKind.TEAMS: {},
    NotifierKind.SLACK: {},
    NotifierKind.WEBHOOK: {},
}


def entry_of(kind: NotifierKind, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    address = f"{url}{APIS[kind].write[1]}"
    match kind:
        case NotifierKind.SERVICENOW:
            return {"url": url, **ENTRIES[kind]}, {"password": "hush"}
        case NotifierKind.TEAMS | NotifierKind.SLACK:
            return ENTRIES[kind], {"url": address}
        case NotifierKind.WEBHOOK:
            return {"url": address}, {"signing": [SIGNING]}
        case _:
            return {"url": url, **ENTRIES[kind]}, {"token": "hush"}


def notifier_of(
    kind: NotifierKind, url: str, entry: dict[str, Any] | None = None, **secrets: Any
) -> Notifier:
    fields, usual = entry_of(kind, url)
    found = parse_notifiers(
        json.dumps({"desk": {"kind": kind, **(fields if entry is None else entry)}}),
        json.dumps({"desk": secrets or usual}),
    )
    return make_notifier(found["desk"], clock=lambda: NOW)


def answer(kind: NotifierKind, ticket: str | None = None, **changes: Any) -> Notification:
    reset = Reset(
        id="desk.INC1-1",
        target="salesforce-prod",
        requested_at=NOW,
        state=State.COMPLETED,
        requested_by=EVIL,
        reason=EVIL,
        sequence=3,
        finished_at=NOW,
        restarted_at=NOW - timedelta(minutes=3),
        detail=EVIL,
    )
    facts = take_facts(
        reset,
        NotificationKind.END,
        at=NOW,
        public_url="https://relink.example",
        sign_in=True,
    )
    tickets = APIS[kind].tickets
    return Notification(
        **{
            "id": reset.id,
            "target": reset.target,
            "n": 3,
            "kind": NotificationKind.END,
            "notifier": "desk",
            "ticket_id": ticket if ticket is not None else (tickets[0] if tickets else ""),
            "ticket_url": "",
            "state": reset.state,
            "text": compose(facts).text,
            "facts": ticket_facts.dump(facts),
            "at": NOW,
            "due_at": NOW,
            **changes,
        }
    )


@asynccontextmanager
async def desk(kind: NotifierKind) -> AsyncIterator[tuple[StandIn, Notifier]]:
    stand_in = StandIn(kind)
    async with stand_in.listening():
        notifier = notifier_of(kind, stand_in.url)
        try:
            yield stand_in, notifier
        finally:
            await close(notifier)


async def close(notifier: Any) -> None:
    await notifier.close()


async def end_of(notifier: Notifier, told: Notification, *, again: bool = False) -> str:
    try:
        await notifier.deliver(told, again=again)
    except NotDelivered as error:
        wait = error.retry_after
        return f"put off{f' {wait.total_seconds():.0f} s' if wait is not None else ''}"
    except ReceiverGone:
        return "ended"
    except Undeliverable:
        return "given up"
    return "delivered"


def test_every_kind_has_a_module_a_stand_in_and_a_row() -> None:
    assert set(NotifierKind) == set(KINDS) == set(APIS) == set(ENTRIES) == {*TICKETS, *CHANNELS}


TICKETED = sorted(TICKETS)
EVERY = sorted(NotifierKind)

# What the system does at the first try: what becomes of the answer at a ticket, at a channel.
ENDS = {
    "": ("delivered", "delivered"),
    "401": ("put off", "put off"),
    "403": ("put off", "put off"),
    "404": ("given up", "put off"),
    "400": ("given up", "given up"),
    "410": ("given up", "ended"),
    "422": ("given up", "given up"),
    "408": ("put off", "put off"),
    "409": ("put off", "put off"),
    "429": ("put off", "put off"),
    "429:7": ("put off 7 s", "put off 7 s"),
    "429:1.2": ("put off 2 s", "put off 2 s"),
    "429:Thu, 26 Nov 2026 15:49:00 GMT": ("put off", "put off"),
    "429:soon": ("put off", "put off"),
    "500": ("put off", "put off"),
    "503:60": ("put off 60 s", "put off 60 s"),
    "nothing": ("put off", "put off"),
    "silence": ("put off", "put off"),
    "away": ("put off", "put off"),
    "flood": ("delivered", "delivered"),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("fault", ENDS)
async def test_what_becomes_of_an_answer(kind: NotifierKind, fault: str) -> None:
    async with desk(kind) as (stand_in, notifier), StandIn(kind).listening() as other:
        stand_in.elsewhere = other.url
        stand_in.faults = deque([fault] if fault else [])

        found = await end_of(notifier, answer(kind))

        wanted = ENDS[fault][0 if kind in TICKETS else 1]
        # A date is turned into seconds by the answer's own Date, which is this machine's clock.
        assert found == wanted or (fault.startswith("429:Thu") and found.startswith(wanted))
        taken = fault in {"", "silence", "flood"}
        assert len(stand_in.comments) == (1 if taken else 0)
        assert stand_in.objections == []
        assert other.calls == []


@pytest.mark.parametrize("kind", EVERY)
async def test_after_a_lost_answer_no_second_comment_is_written(kind: NotifierKind) -> None:
    async with desk(kind) as (stand_in, notifier):
        stand_in.faults = deque(["silence"])
        first = await end_of(notifier, answer(kind))

        second = await end_of(notifier, answer(kind), again=True)

        assert (first, second) == ("put off", "delivered")
        assert stand_in.objections == []
        if kind in TICKETS:
            assert len(stand_in.comments) == 1
        else:
            # It cannot be asked: the same webhook-id comes again, by which a receiver drops it.
            assert stand_in.deliveries == [delivery_id(answer(kind))] * 2


@pytest.mark.parametrize("kind", TICKETED)
async def test_after_a_try_that_wrote_nothing_the_comment_is_written(kind: NotifierKind) -> None:
    async with desk(kind) as (stand_in, notifier):
        stand_in.faults = deque(["nothing"])
        # Another message of the same reset, whose number begins alike, is not this one.
        stand_in.comments.append("Reference (reset desk.INC1-1, message 31)")
        await end_of(notifier, answer(kind))

        assert await end_of(notifier, answer(kind), again=True) == "delivered"
        assert len(stand_in.comments) == 2


@pytest.mark.parametrize("kind", TICKETED)
@pytest.mark.parametrize("fault", ["401", "403", "503", "nothing"])
async def test_while_the_look_up_fails_nothing_is_written(kind: NotifierKind, fault: str) -> None:
    async with desk(kind) as (stand_in, notifier):
        stand_in.reads = deque([fault])

        assert await end_of(notifier, answer(kind), again=True) == "put off"
        assert stand_in.comments == []


@pytest.mark.parametrize("kind", TICKETED)
async def test_among_many_comments_the_one_that_was_written_is_found(kind: NotifierKind) -> None:
    """However the system orders its list, and however few it gives at once."""
    async with desk(kind) as (stand_in, notifier):
        stand_in.comments += [f"an older comment, number {n}" for n in range(120)]
        stand_in.faults = deque(["silence"])
        await end_of(notifier, answer(kind))

        assert await end_of(notifier, answer(kind), again=True) == "delivered"
        assert len(stand_in.comments) == 121
        assert stand_in.objections == []


@pytest.mark.parametrize(("number", "table"), RECORDS.items())
async def test_each_kind_of_record_is_written_to_in_its_own_table(number: str, table: str) -> None:
    async with desk(NotifierKind.SERVICENOW) as (stand_in, notifier):
        assert await end_of(notifier, answer(stand_in.kind, number)) == "delivered"

        assert [call.partition("?")[0] for call in stand_in.calls] == [
            f"GET /api/now/table/{table}",
            f"PATCH /api/now/table/{table}/{SYS_ID}",
        ]
        assert stand_in.objections == []


@pytest.mark.parametrize("kind", sorted(set(TICKETED) - {NotifierKind.SERVICENOW}))
async def test_a_stand_in_turns_away_whoever_does_not_show_who_it_is(kind: NotifierKind) -> None:
    async with StandIn(kind).listening() as stand_in:
        fields, secrets = entry_of(kind, stand_in.url)
        notifier = notifier_of(kind, stand_in.url, fields, **dict.fromkeys(secrets, "wrong"))

        assert await end_of(notifier, answer(kind)) == "put off"
        await close(notifier)
        assert stand_in.comments == []
        assert "authentication" in stand_in.objections[0]


OLDEST_FIRST = {NotifierKind.GITHUB, NotifierKind.PAGERDUTY, NotifierKind.FRESHSERVICE}


@pytest.mark.parametrize("kind", sorted(OLDEST_FIRST))
async def test_a_list_that_cannot_be_looked_through_is_no_proof_of_absence(
    kind: NotifierKind,
) -> None:
    async with desk(kind) as (stand_in, notifier):
        stand_in.reads = deque(["flood"])

        assert await end_of(notifier, answer(kind), again=True) == "put off"
        assert stand_in.comments == []


HOSTILE = [
    "INC0012345^ORnumber=INC1",
    "INC0012345/../../sys_user",
    "..",
    "../IT-42",
    "IT-42/comment",
    "IT-42%2fcomment",
    "%2e%2e",
    "IT-42?x=1",
    "IT-42#x",
    "IT-42 ",
    "IT-42\n",
    "ＩＴ-４２",  # noqa: RUF001
    "١٢٣",
    "35436.json",
    "0",
    "octo/other#42",
    "octo/../identity#42",
    "octo/identity#42/..",
    "evil.example/octo/identity#42",
    "INC-264&x",
    "x" * 128,
    "\u202e35436",
]


@pytest.mark.parametrize("kind", TICKETED)
@pytest.mark.parametrize("ticket", HOSTILE)
async def test_a_hostile_ticket_reaches_no_system(kind: NotifierKind, ticket: str) -> None:
    async with desk(kind) as (stand_in, notifier):
        assert await end_of(notifier, answer(kind, ticket)) == "given up"
        assert stand_in.calls == []


@pytest.mark.parametrize("kind", sorted(CHANNELS))
@pytest.mark.parametrize("ticket", HOSTILE)
async def test_a_channel_takes_no_address_from_a_ticket(kind: NotifierKind, ticket: str) -> None:
    async with desk(kind) as (stand_in, notifier):
        assert await end_of(notifier, answer(kind, ticket)) == "delivered"
        assert stand_in.calls == [f"POST {APIS[kind].write[1]}"]


@pytest.mark.parametrize("kind", TICKETED)
async def test_without_a_ticket_the_entrys_own_is_written_to(kind: NotifierKind) -> None:
    async with StandIn(kind).listening() as stand_in:
        fields, secrets = entry_of(kind, stand_in.url)
        own = {**fields, "ticket": APIS[kind].tickets[0]}
        with_own = notifier_of(kind, stand_in.url, own, **secrets)
        without = notifier_of(kind, stand_in.url)

        assert await end_of(without, answer(kind, "")) == "given up"
        assert await end_of(with_own, answer(kind, "")) == "delivered"
        await close(with_own)
        await close(without)


@pytest.mark.parametrize("kind", EVERY)
async def test_of_ten_megabytes_little_more_than_the_limit_is_read(kind: NotifierKind) -> None:
    async with desk(kind) as (stand_in, notifier):
        stand_in.faults = deque(["flood"])
        await notifier.deliver(answer(kind), again=False)

        # What the kernel buffers on its way is the sender's, and no answer is 10 MB.
        assert READ_AT_MOST <= stand_in.sent < FLOOD


@pytest.mark.parametrize("kind", EVERY)
async def test_a_strangers_words_and_graphs_are_text_in_every_system(kind: NotifierKind) -> None:
    async with desk(kind) as (stand_in, notifier):
        await notifier.deliver(answer(kind), again=False)
        (_, raw), *_ = stand_in.received
        text = raw.decode()

        match kind:
            case NotifierKind.FRESHSERVICE:
                assert "<b>" not in text
            case NotifierKind.SLACK:
                assert '"type": "mrkdwn", "text": "<https://relink.example' in text
                assert text.count("mrkdwn") == 1
            case NotifierKind.GITHUB:
                fence = json.loads(text)["body"].split("\n\n")[-1]
                assert fence.startswith("```text\n")
                assert fence.endswith("\n```")
            case NotifierKind.JSM:
                assert "\\\\{code\\\\}" in text


async def test_a_webhook_is_verified_by_the_reference_library_with_either_secret() -> None:
    kind = NotifierKind.WEBHOOK
    async with StandIn(kind).listening() as stand_in:
        told = answer(kind)
        # The library looks at this machine's clock.
        notifier = make_notifier(
            parse_notifiers(
                json.dumps({"desk": {"kind": "webhook", "url": f"{stand_in.url}/hook"}}),
                json.dumps({"desk": {"signing": [NEWER, SIGNING]}}),
            )["desk"],
            clock=lambda: datetime.now(UTC),
        )
        await notifier.deliver(told, again=False)
        await close(notifier)
        (headers, raw), *_ = stand_in.received

    lower = {name.lower(): value for name, value in headers.items()}
    for secret in (SIGNING, NEWER):
        event = Webhook(secret).verify(raw, lower)
        assert event["type"] == "reset.completed"
        assert event["timestamp"] == NOW.isoformat()
        assert event["data"]["quoted"]["reason"] == EVIL
        assert event["data"]["ticket"]["system"] == "desk"
    assert "." not in lower["webhook-id"]


@pytest.mark.parametrize(
    ("kind", "entry", "secrets", "header", "token"),
    [
        (
            NotifierKind.SERVICENOW,
            {"clientId": "c"},
            {"clientSecret": "s"},
            ("Authorization", "Bearer given"),
            "/oauth_token.do",
        ),
        (NotifierKind.SERVICENOW, {}, {"token": "k"}, ("x-sn-apikey", "k"), ""),
        (
            NotifierKind.ZENDESK,
            {"clientId": "c"},
            {"clientSecret": "s"},
            ("Authorization", "Bearer given"),
            "/oauth/tokens",
        ),
        (
            NotifierKind.PAGERDUTY,
            {"from": "relink@contoso.com"},
            {"token": "k"},
            ("Authorization", "Token token=k"),
            "",
        ),
        (
            NotifierKind.GITHUB,
            {"repositories": ["octo/identity"]},
            {"token": "k"},
            ("Authorization", "Bearer k"),
            "",
        ),
    ],
)
async def test_each_way_in_is_as_documented(
    kind: NotifierKind,
    entry: dict[str, Any],
    secrets: dict[str, str],
    header: tuple[str, str],
    token: str,
) -> None:
    async with StandIn(kind).listening() as stand_in:
        notifier = notifier_of(kind, stand_in.url, {"url": stand_in.url, **entry}, **secrets)
        await end_of(notifier, answer(kind))
        await end_of(notifier, answer(kind))
        await close(notifier)

        assert stand_in.objections == []
        assert stand_in.received[0][0].get(header[0]) == header[1]
        asked = [call for call in stand_in.calls if token and call == f"POST {token}"]
        # Asked for once, and kept.
        assert len(asked) == (1 if token else 0)
        if token:
            assert stand_in.tokens[0]["grant_type"] == "client_credentials"


async def test_a_token_that_was_refused_is_asked_for_again() -> None:
    kind = NotifierKind.SERVICENOW
    async with StandIn(kind).listening() as stand_in:
        entry = {"url": stand_in.url, "clientId": "c"}
        notifier = notifier_of(kind, stand_in.url, entry, clientSecret="s")
        stand_in.reads = deque(["401"])
        await end_of(notifier, answer(kind))
        await end_of(notifier, answer(kind))
        await close(notifier)

        assert len(stand_in.tokens) == 2


@pytest.mark.parametrize("kind", [NotifierKind.JIRA, NotifierKind.JSM])
async def test_atlassian_gives_tokens_to_a_service_account_behind_its_gateway(
    kind: NotifierKind,
) -> None:
    async with StandIn(kind).listening() as stand_in:
        entry = {"url": f"{stand_in.url}/ex/jira/cloud", "clientId": "c"}
        notifier = notifier_of(kind, stand_in.url, entry, clientSecret="s")
        await end_of(notifier, answer(kind))
        await close(notifier)

        assert stand_in.tokens == [
            {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s"}
        ]
        assert stand_in.calls[1].startswith("POST /ex/jira/cloud/rest/")


async def test_a_github_app_signs_with_its_key_and_writes_with_the_installations_token() -> None:
    kind = NotifierKind.GITHUB
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    async with StandIn(kind).listening() as stand_in:
        entry = {
            "url": stand_in.url,
            "repositories": ["octo/identity"],
            "appId": "12",
            "installationId": "34",
        }
        notifier = notifier_of(kind, stand_in.url, entry, privateKey=pem)
        assert await end_of(notifier, answer(kind, "#42")) == "delivered"
        await close(notifier)

        assert stand_in.calls[0] == "POST /app/installations/34/access_tokens"
        assert stand_in.received[0][0]["Authorization"] == "Bearer given"

    claims = {"iss": "12", "iat": 1, "exp": 2}
    options: Any = {"verify_exp": False}
    decoded = jwt.decode(signed_jwt(claims, pem), key.public_key(), ["RS256"], options=options)
    assert decoded == claims


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "1.5"}, 2),
        ({"Retry-After": " 30 "}, 30),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1."}, None),
        ({"Retry-After": ".5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "١٢"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "99999999"}, 86_400),
        ({"Retry-After": "Thu, 26 Nov 2026 15:49:00 GMT"}, 60),
        (
            {
                "Retry-After": "Thu, 26 Nov 2026 10:01:00 GMT",
                "Date": "Thu, 26 Nov 2026 10:00:00 GMT",
            },
            60,
        ),
        ({"Retry-After": "Thu, 26 Nov 2026 15:00:00 GMT"}, 0),
        ({"Retry-After": "Thu, 26 Nov 2026 15:49:00 -0000"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{int(NOW.timestamp()) + 9}"}, 9),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": f"{int(NOW.timestamp()) + 9}"}, None),
        ({"ratelimit-reset": "12"}, 12),
        ({}, None),
    ],
)
def test_retry_after_is_kept_whole_broken_or_as_a_date(
    headers: dict[str, str], wait: int | None
) -> None:
    found = retry_after(headers, clock=lambda: NOW)

    assert (None if found is None else found.total_seconds()) == wait
