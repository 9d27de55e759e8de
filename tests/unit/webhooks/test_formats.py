"""What each format's bodies ask for, what they do not, and what is not a body at all."""

import json
from copy import replace
from typing import Any

import msgspec
import pytest

from local.processes import ROOT
from shared.domain.catalogue import Catalogue, parse_catalogue
from shared.domain.errors import InvalidRequest
from shared.domain.requests import ResetRequest, Ticket
from shared.webhooks.formats import read_payload
from shared.webhooks.json_pointer import check_pointer, look_up
from shared.webhooks.parsed import AsksNothing, ParsedRequest
from shared.webhooks.senders import FormatName, Sender, parse_senders
from tests.support import webhooks
from tests.support.world import SP

TARGET = "salesforce-prod"
OTHER = "22222222-2222-3333-4444-555555555555"
CATALOGUE: Catalogue = parse_catalogue(
    json.dumps(
        {
            TARGET: {"servicePrincipalId": SP, "jobId": "job-1"},
            "aws": {"servicePrincipalId": OTHER, "jobId": "job-a"},
            "aws-groups": {"servicePrincipalId": OTHER, "jobId": "job-b"},
            "servicenow": {"servicePrincipalId": "33333333-2222-3333-4444-555555555555"},
        }
    )
)
SENDERS = parse_senders(
    (ROOT / "docs" / "use" / "senders.example.json").read_text(encoding="utf-8"),
    json.dumps({name: [secret] for name, secret in webhooks.SECRETS.items()}),
    signed_in_front=False,
)


def read(sender: str | Sender, event: Any) -> ParsedRequest | AsksNothing:
    found = SENDERS[sender] if isinstance(sender, str) else sender
    return read_payload(found, webhooks.body(event), CATALOGUE)


def asked(sender: str | Sender, event: Any) -> ResetRequest:
    found = read(sender, event)
    assert isinstance(found, ParsedRequest), found
    return found.request


def nothing(sender: str | Sender, event: Any) -> str:
    found = read(sender, event)
    assert isinstance(found, AsksNothing), found
    return found.reason


def declared(**layout: Any) -> Sender:
    entry = {"scheme": "github", "format": layout, "targets": [TARGET]}
    senders = parse_senders(
        json.dumps({"s": entry}), json.dumps({"s": ["a-secret-of-length"]}), signed_in_front=False
    )
    return senders["s"]


# Declared maps


JIRA = {
    "timestamp": 1764000000000,
    "webhookEvent": "jira:issue_created",
    "user": {"accountId": "5b10a2844c20165700ede21g"},
    "issue": {
        "key": "IT-42",
        "fields": {"summary": "Adele has the old account", "customfield_10100": {"value": TARGET}},
    },
}


def test_each_field_is_found_where_its_pointer_points() -> None:
    assert asked("jira", JIRA) == ResetRequest(
        target=TARGET,
        reason="Adele has the old account",
        requested_by="5b10a2844c20165700ede21g",
        ticket=Ticket(system="jira", id="IT-42"),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"webhookEvent": "jira:issue_updated"},
        {"webhookEvent": "comment_created"},
        {"webhookEvent": None},
        {"webhookEvent": ["jira:issue_created"]},
        {"issue": {"key": "IT-42", "fields": {"customfield_10100": None}}},
        {"issue": {"key": "IT-42", "fields": {"customfield_10100": {"value": ""}}}},
        {"issue": "IT-42"},
        {"issue": []},
    ],
)
def test_an_event_without_what_is_wanted_asks_for_nothing(change: dict[str, Any]) -> None:
    assert nothing("jira", {**JIRA, **change}).startswith(("/webhookEvent", "there is no target"))


def test_a_constant_stands_for_itself_and_a_number_becomes_text() -> None:
    sender = declared(
        target=TARGET,
        reason="fixed",
        ticket={"system": "s", "id": "/id"},
        subjects=["a@x", "b@x"],
        dryRun=True,
        requestId="/rid",
        notBefore="/when",
    )
    found = asked(sender, {"id": 17, "rid": "r-1", "when": "2026-12-01T20:00:00Z"})

    assert (found.reason, found.ticket) == ("fixed", Ticket(system="s", id="17"))
    assert (found.subjects, found.dry_run, found.request_id) == (("a@x", "b@x"), True, "r-1")
    assert found.not_before is not None


def test_fields_that_find_nothing_are_left_out() -> None:
    sender = declared(
        target="/t",
        reason="/r",
        requestedBy="/b",
        subjects="/s",
        dryRun="/d",
        ticket={"system": "desk", "id": "/n"},
    )
    assert asked(sender, {"t": TARGET, "r": None, "b": "", "s": []}) == ResetRequest(target=TARGET)


def test_one_subject_or_a_list_of_them() -> None:
    sender = declared(target=TARGET, subjects="/s")

    assert asked(sender, {"s": "a@x"}).subjects == ("a@x",)
    assert asked(sender, {"s": ["a@x", "b@x"]}).subjects == ("a@x", "b@x")


def test_a_tickets_prose_is_cut_to_a_reason() -> None:
    found = asked(declared(target=TARGET, reason="/r"), {"r": "ä" * 5000})

    assert len(found.reason) == 1000
    assert found.reason.endswith("ä…")


@pytest.mark.parametrize(
    ("layout", "event", "complaint"),
    [
        ({"target": "/t"}, {"t": {"a": 1}}, "target: must be a string"),
        ({"target": "/t"}, {"t": "Sales Force"}, "target: use an alias"),
        ({"target": "/t"}, {"t": True}, "target: must be a string"),
        ({"target": TARGET, "dryRun": "/d"}, {"d": "yes"}, "dryRun: must be true or false"),
        ({"target": TARGET, "subjects": "/s"}, {"s": {"a": 1}}, "subjects: must be a list"),
        ({"target": TARGET, "requestId": "/i"}, {"i": "a/b"}, "requestId: "),
        ({"target": TARGET, "notBefore": "/n"}, {"n": "tomorrow"}, "notBefore: must be a date"),
        (
            {"target": TARGET, "ticket": {"system": "/s", "id": "/i"}},
            {"i": "1"},
            "ticket.system: missing",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(
    layout: dict[str, Any], event: Any, complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read(declared(**layout), event)


def test_when_compares_as_json_does() -> None:
    sender = declared(target=TARGET, when={"/a": [1, "x"], "/b": True})

    assert isinstance(read(sender, {"a": 1, "b": True}), ParsedRequest)
    assert isinstance(read(sender, {"a": "x", "b": True}), ParsedRequest)
    for event in ({"a": True, "b": True}, {"a": 1, "b": 1}, {"a": "1", "b": True}, {"a": 1}):
        assert nothing(sender, event)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a/b", 1),
        ("/c/0", 2),
        ("/c/1/d", 3),
        ("/e~1f", 4),
        ("/g~0h", 5),
        ("/", 6),
        ("/ ", 7),
        ("/c/-", None),
        ("/c/00", None),
        ("/c/2", None),
        ("/c/-1", None),
        ("/a/b/x", None),
        ("/no", None),
        ("/c/0/0", None),
        ("/c/\u0660", None),
        ("/~01", 8),
    ],
)
def test_json_pointers(pointer: str, value: Any) -> None:
    document = {
        "a": {"b": 1},
        "c": [2, {"d": 3}],
        "e/f": 4,
        "g~h": 5,
        "": 6,
        " ": 7,
        "~1": 8,
    }
    assert check_pointer(pointer) == ""
    assert look_up(document, pointer) == value


@pytest.mark.parametrize("pointer", ["", "a", "/~", "/~2", "/a~"])
def test_what_is_no_json_pointer(pointer: str) -> None:
    assert check_pointer(pointer)


# GitHub


def issue(action: str, **changes: Any) -> dict[str, Any]:
    return {
        "action": action,
        "issue": {
            "number": 7,
            "title": "Adele has the old account",
            "html_url": "https://github.com/contoso/it/issues/7",
            "body": "",
            "author_association": "NONE",
            **changes.pop("issue", {}),
        },
        "repository": {"full_name": "contoso/it"},
        "sender": {"login": "ann"},
        **changes,
    }


FORM = """### Target

salesforce-prod

### Reason

Adele's user was replaced

### Users

adele.vance@contoso.com
lee.gu@contoso.com, 11111111-2222-3333-4444-555555555555

### Dry run

- [X] Yes
"""


def test_a_label_asks_for_its_target() -> None:
    assert asked("github", issue("labeled", label={"name": "reset:salesforce-prod"})) == (
        ResetRequest(
            target=TARGET,
            reason="Adele has the old account",
            requested_by="ann",
            ticket=Ticket(
                system="github",
                id="contoso/it#7",
                url="https://github.com/contoso/it/issues/7",
            ),
        )
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_issue_form_of_a_member_asks(newline: str) -> None:
    form = {"body": FORM.replace("\n", newline), "author_association": "MEMBER"}
    found = asked("github", issue("opened", issue=form))

    assert (found.target, found.reason) == (TARGET, "Adele's user was replaced")
    assert found.subjects == (
        "adele.vance@contoso.com",
        "lee.gu@contoso.com",
        "11111111-2222-3333-4444-555555555555",
    )
    assert found.dry_run


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (issue("opened", issue={"body": FORM}), "not a member"),
        (
            issue("opened", issue={"body": FORM, "author_association": "FIRST_TIME_CONTRIBUTOR"}),
            "not a member",
        ),
        (issue("opened", issue={"author_association": "OWNER", "body": None}), "no section"),
        (
            issue(
                "opened",
                issue={
                    "body": "### Target\n\n_No response_\n",
                    "author_association": "OWNER",
                },
            ),
            "no section",
        ),
        (issue("labeled", label={"name": "bug"}), "label"),
        (issue("labeled"), "label"),
        (issue("closed", issue={"body": FORM, "author_association": "OWNER"}), "only `opened`"),
        (issue("reopened", issue={"body": FORM, "author_association": "OWNER"}), "only `opened`"),
        (issue("edited", issue={"body": FORM, "author_association": "OWNER"}), "only `opened`"),
        (issue("created", comment={"body": FORM}), "only events of issues"),
        (issue("labeled", label={"name": "reset:aws"}, comment={}), "only events of issues"),
        (
            issue("labeled", label={"name": "reset:aws"}, issue={"pull_request": {}}),
            "only events of issues",
        ),
        ({"zen": "Keep it logically awesome.", "hook_id": 1}, "only events of issues"),
    ],
)
def test_other_events_of_github_ask_for_nothing(event: dict[str, Any], why: str) -> None:
    assert why in nothing("github", event)


@pytest.mark.parametrize(
    ("answer", "dry_run"),
    [
        ("- [X] Yes", True),
        ("- [x] Only tell me what would happen", True),
        ("yes", True),
        ("- [ ] a\n- [x] b", True),
        ("- [ ] Yes", False),
        ("No", False),
        ("_No response_", False),
    ],
)
def test_a_box_that_is_ticked_is_a_dry_run(answer: str, dry_run: bool) -> None:
    body = f"### Target\n\n{TARGET}\n\n### Dry run\n\n{answer}\n"
    event = issue("opened", issue={"body": body, "author_association": "OWNER"})
    assert asked("github", event).dry_run is dry_run


@pytest.mark.parametrize("answer", ["Yes, dry run", "ja", "x", "- [x] yes\nplease"])
def test_a_dry_run_that_is_not_understood_is_no_real_one(answer: str) -> None:
    body = f"### Target\n\n{TARGET}\n\n### Dry run\n\n{answer}\n"
    event = issue("opened", issue={"body": body, "author_association": "OWNER"})
    with pytest.raises(InvalidRequest, match="Dry run: neither yes nor no"):
        read("github", event)


def test_a_label_that_a_template_gives_a_stranger_asks_for_nothing() -> None:
    label = {"name": f"reset:{TARGET}"}
    stranger, member = (
        issue("labeled", label=label, issue={"user": {"login": "ann"}, "author_association": a})
        for a in ("NONE", "MEMBER")
    )
    assert "not a member" in nothing("github", stranger)
    assert asked("github", member).target == TARGET


def test_what_a_stranger_wrote_is_not_what_the_one_with_the_label_wants() -> None:
    label = {"name": f"reset:{TARGET}"}
    theirs = issue("labeled", label=label, issue={"body": FORM, "user": {"login": "eve"}})
    assert (asked("github", theirs).subjects, asked("github", theirs).dry_run) == ((), False)
    ours = issue(
        "labeled",
        label=label,
        issue={"body": FORM, "user": {"login": "bob"}, "author_association": "OWNER"},
    )
    assert len(asked("github", ours).subjects) == 3


def test_a_label_without_an_alias_is_no_request() -> None:
    with pytest.raises(InvalidRequest, match="target: "):
        read("github", issue("labeled", label={"name": "reset:Sales Force"}))


def test_a_repository_with_the_longest_name_still_has_a_ticket() -> None:
    found = asked(
        "github",
        issue("labeled", label={"name": f"reset:{TARGET}"}, repository={"full_name": "r" * 140}),
    )
    assert found.ticket is not None
    assert found.ticket.id == "#7"


# Azure Monitor


def alert(*dimensions: tuple[str, str], **changes: Any) -> dict[str, Any]:
    where = [{"name": name, "value": value} for name, value in dimensions]
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": "/subscriptions/s/providers/Microsoft.AlertsManagement/alerts/a-1",
                "originAlertId": "o-1",
                "alertRule": "Links that lead nowhere",
                "description": "InvalidAnchor in the provisioning logs",
                "monitorCondition": "Fired",
                "firedDateTime": "2026-11-24T08:59:00Z",
                **changes.pop("essentials", {}),
            },
            "alertContext": {
                "properties": changes.pop("properties", None),
                "condition": {"allOf": [{"dimensions": where}]},
            },
            **changes,
        },
    }


@pytest.mark.parametrize(
    "event",
    [
        alert(("ServicePrincipalId", SP)),
        alert(("serviceprincipalid", SP.upper()), ("JobId", "job-1")),
        alert(properties={"ServicePrincipalId": SP}),
        alert(properties={"target": TARGET}),
        alert(customProperties={"Target": TARGET}),
        alert(("ServicePrincipalId", SP), properties={"ServicePrincipalId": SP, "x": 1}),
    ],
)
def test_an_alert_names_its_target_by_alias_or_by_ids(event: dict[str, Any]) -> None:
    found = read("azure-monitor", event)

    assert isinstance(found, ParsedRequest)
    assert found.request.target == TARGET
    assert found.request.requested_by == "Azure Monitor"
    assert found.request.reason == (
        "alert: Links that lead nowhere: InvalidAnchor in the provisioning logs"
    )
    assert found.delivery == "o-1\n2026-11-24T08:59:00Z"


@pytest.mark.parametrize("condition", ["Resolved", "Acknowledged", "", None])
def test_only_an_alert_that_has_fired_asks(condition: str | None) -> None:
    event = alert(("ServicePrincipalId", SP), essentials={"monitorCondition": condition})
    assert "fired" in nothing("azure-monitor", event)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({"schemaId": "AzureMonitorMetricAlert", "data": {}}, "enable the common alert schema"),
        ({"schemaId": "azureMonitorCommonAlertSchema", "data": []}, "data.essentials: missing"),
        (alert(), "neither target nor ServicePrincipalId"),
        (alert(("ServicePrincipalId", OTHER)), "no target that this sender reaches"),
        (alert(("ServicePrincipalId", SP), ("JobId", "job-9")), "no target that this sender"),
        (alert(("ServicePrincipalId", SP), ("ServicePrincipalId", OTHER)), "two values"),
    ],
)
def test_an_alert_that_names_no_target_of_this_senders_is_told_what_to_do(
    event: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read("azure-monitor", event)


def test_of_two_jobs_of_one_service_principal_the_alert_must_name_one() -> None:
    entry = {
        "scheme": "header",
        "header": "x-s",
        "format": "azure-monitor",
        "targets": ["aws", "aws-groups", "servicenow"],
    }
    sender = parse_senders(
        json.dumps({"s": entry}), json.dumps({"s": ["a-secret-of-length"]}), signed_in_front=False
    )["s"]

    with pytest.raises(InvalidRequest, match="several targets; give JobId too"):
        read(sender, alert(("ServicePrincipalId", OTHER)))
    both = alert(("ServicePrincipalId", OTHER), ("JobId", "job-b"))
    assert asked(sender, both).target == "aws-groups"
    # Where the catalogue leaves the job out there is only one.
    only = alert(("ServicePrincipalId", "33333333-2222-3333-4444-555555555555"), ("JobId", "any"))
    assert asked(sender, only).target == "servicenow"


# Any of them


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"[]",
        b'"text"',
        b"17",
        b"null",
        b"{",
        b"\xff\xfe",
        b"{}\x00",
        json.dumps({"target": TARGET}).encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_object_in_utf_8_is_refused(sender: str, raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_payload(SENDERS[sender], raw, CATALOGUE)


def test_a_byte_order_mark_does_no_harm_to_a_native_body() -> None:
    raw = b"\xef\xbb\xbf" + webhooks.body(JIRA)
    assert isinstance(read_payload(SENDERS["jira"], raw, CATALOGUE), ParsedRequest)


@pytest.mark.parametrize("sender", ["services", "jira", "github"])
def test_a_name_given_twice_is_refused(sender: str) -> None:
    raw = b'{"target": "salesforce-prod", "by": {"a": 1, "a": 2}, "target": "aws"}'
    for twice in (raw, raw.replace(b', "target": "aws"', b"")):
        with pytest.raises(InvalidRequest, match="given twice"):
            read_payload(SENDERS[sender], twice, CATALOGUE)


ENVELOPE = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/hr",
    "type": "x",
    "data": {"target": TARGET},
}
EVENTS = replace(
    SENDERS["services"],
    entry=msgspec.structs.replace(SENDERS["services"].entry, format=FormatName.CLOUD_EVENTS),
)


def test_the_cloudevents_format_takes_an_envelope_and_its_id() -> None:
    found = read_payload(EVENTS, webhooks.body(ENVELOPE), CATALOGUE)

    assert isinstance(found, ParsedRequest)
    assert (found.request, found.delivery) == (ResetRequest(target=TARGET), "/hr\ne-1")


def test_an_envelope_is_opened_only_where_the_senders_entry_says_so() -> None:
    with pytest.raises(InvalidRequest, match=r'specversion: .* "format": "cloudevents"'):
        read("services", ENVELOPE)
    with pytest.raises(InvalidRequest, match=r'specversion: missing; .* "format": "relink"'):
        read_payload(EVENTS, webhooks.body({"target": TARGET}), CATALOGUE)


TEMPLATE = (
    '{"target": "salesforce-prod", "requestedBy": "%s", '
    '"ticket": {"system": "freshservice", "id": "7"}}'
)


@pytest.mark.parametrize(
    "text",
    [
        'x","specversion":"1.0","type":"t","source":"s","id":"1","data":{"target":"aws"},"z":"',
        'x","target":"aws","z":"',
        'x","Target":"aws","z":"',
        'x","specversion":"1.0","z":"',
        'x"},"data":{"target":"aws"},"z":{"a":"',
    ],
)
@pytest.mark.parametrize("sender", [SENDERS["freshservice"], EVENTS], ids=["relink", "cloudevents"])
def test_text_in_a_template_cannot_change_what_is_asked(sender: Sender, text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_payload(sender, (TEMPLATE % text).encode(), CATALOGUE)


def test_prose_of_other_systems_loses_what_cannot_be_seen() -> None:
    title = {"title": "fix\u200b it\u202e\x00 \ufffe"}
    event = issue("labeled", issue=title, label={"name": f"reset:{TARGET}"})
    found = read("github", event)

    assert isinstance(found, ParsedRequest)
    assert found.request.reason == "fix it "


def test_there_is_an_example_of_each_sender() -> None:
    assert set(SENDERS) == set(webhooks.SECRETS)
