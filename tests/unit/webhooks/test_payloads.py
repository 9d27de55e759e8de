"""What each system really sends, and what becomes of it: one line a payload."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.domain.catalogue import parse_catalogue
from shared.domain.errors import InvalidRequest
from shared.domain.messages import read_message
from shared.webhooks.formats import read_payload
from shared.webhooks.parsed import AsksNothing, ParsedRequest
from shared.webhooks.senders import Sender, parse_senders
from tests.support.world import SP

PAYLOADS = Path(__file__).parents[2] / "data" / "webhooks"
ALIASES = ("salesforce-prod", "value1", "a", "1", "23", "some-value", "44545556", "incident")
CATALOGUE = parse_catalogue(
    json.dumps(
        {
            alias: {"servicePrincipalId": SP if n == 0 else f"{n:08d}{SP[8:]}"}
            for n, alias in enumerate(ALIASES)
        }
    )
)
FIELDS = "/issue/fields/"


def sender(layout: Any, *, name: str = "desk") -> Sender:
    entry = {"scheme": "jira", "format": layout, "targets": ALIASES}
    found = parse_senders(
        json.dumps({name: entry}), json.dumps({name: ["a-secret-of-length"]}), signed_in_front=False
    )
    return found[name]


def payload(number: str) -> Any:
    (path,) = PAYLOADS.glob(f"{number}-*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def read(layout: Any, body: Any) -> ParsedRequest | AsksNothing:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_payload(sender(layout), raw, CATALOGUE)


def mapped(target: str, **more: Any) -> dict[str, Any]:
    return {"target": target, **more}


@pytest.mark.parametrize(
    ("number", "layout", "reason"),
    [
        ("06", "github", "a ping"),
        ("01", "github", "the label does not begin with reset:"),
        ("03", "github", "no section `Target`"),
        ("05", "github", "only `opened` and `labeled`"),
        ("15", mapped("salesforce-prod"), "PagerDuty's test"),
        ("13", mapped("a", when={"/event/event_type": "incident.triggered"}), "/event/event_type"),
        ("14", mapped("a", when={"/event/event_type": "incident.triggered"}), "/event/event_type"),
        ("16", "azure-monitor", "only an alert that has fired"),
        ("11", mapped(f"{FIELDS}customfield_10100/value"), "there is no target at"),
        ("12", mapped("a", when={"/webhookEvent": "jira:issue_created"}), "/webhookEvent"),
        ("20", mapped("a", when={"/detail/status": "open"}), "capital letters only"),
    ],
)
def test_it_asks_for_nothing_and_says_why(number: str, layout: Any, reason: str) -> None:
    found = read(layout, payload(number))

    assert isinstance(found, AsksNothing)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("number", "layout", "expected"),
    [
        ("07", mapped(f"{FIELDS}customfield_10073/value"), "1"),
        ("07", mapped(f"{FIELDS}customfield_10073"), "1"),
        ("07", mapped(f"{FIELDS}customfield_10071/0"), "value1"),
        ("07", mapped(f"{FIELDS}customfield_10075/0/value"), "1"),
        ("07", mapped(f"{FIELDS}customfield_10072"), "23"),
        ("12", mapped(f"{FIELDS}customfield_10000"), "44545556"),
    ],
)
def test_jiras_fields_name_a_target(number: str, layout: Any, expected: str) -> None:
    found = read(layout, payload(number))

    assert isinstance(found, ParsedRequest)
    assert found.request.target == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a", "1"], "target: must be a string, and /f holds a list of 2; point to one of them"),
        ({"value": "A", "child": {"value": "a"}}, "cascading choice; point to /f/value or to"),
        ({"name": "a"}, "target: must be a string, and /f holds an object; point to a text in it"),
        (True, "target: must be a string, and /f holds true or false"),
        (1.5, "target: use an alias of the catalogue"),
    ],
)
def test_a_field_that_could_mean_two_things_is_refused_by_its_pointer(
    value: Any, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(mapped("/f"), {"f": value})

    assert words in str(caught.value)


@pytest.mark.parametrize("value", [23, 23.0, "23"])
def test_a_number_is_the_same_id_in_each_spelling(value: Any) -> None:
    ticket = {"system": "desk", "id": "/f"}
    found = read(mapped("a", requestId="/f", ticket=ticket), {"f": value})

    assert isinstance(found, ParsedRequest)
    assert found.request.ticket is not None
    assert (found.request.request_id, found.request.ticket.id) == ("23", "23")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@x,b@x", ("a@x", "b@x")),
        ("a@x; b@x;", ("a@x", "b@x")),
        ("a@x\r\nb@x\n", ("a@x", "b@x")),
        (["a@x, b@x", None, "c@x"], ("a@x", "b@x", "c@x")),
        ([7, 8], ("7", "8")),
        (7, ("7",)),
        ([""], ()),
        (None, ()),
    ],
)
def test_users_stand_in_a_list_or_in_a_text(value: Any, expected: tuple[str, ...]) -> None:
    found = read(mapped("a", subjects="/f"), {"f": value})

    assert isinstance(found, ParsedRequest)
    assert found.request.subjects == expected


@pytest.mark.parametrize("value", [{"accountId": "a"}, [{"emailAddress": "a@x"}], True, [["a"]]])
def test_a_user_that_is_no_text_is_refused_by_its_pointer(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"subjects: must be a list .*, and /f holds"):
        read(mapped("a", subjects="/f"), {"f": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", True),
        ("TRUE", True),
        ({"value": "True"}, True),
        ([{"value": "true"}], True),
        ([True], True),
        (True, True),
        ("false", False),
        (" False ", False),
        ("", False),
        (None, False),
        ([], False),
    ],
)
def test_a_dry_run_is_a_word_or_a_choice_where_a_system_has_no_true(
    value: Any, *, expected: bool
) -> None:
    found = read(mapped("a", dryRun="/f"), {"f": value})

    assert isinstance(found, ParsedRequest)
    assert found.request.dry_run is expected


@pytest.mark.parametrize("value", ["maybe", "yes", "0", 1, {"value": "Dry run"}, ["true", "false"]])
def test_what_is_neither_yes_nor_no_is_never_a_restart(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^dryRun: "):
        read(mapped("a", dryRun="/f"), {"f": value})


@pytest.mark.parametrize("number", [35436, 35436.0, "35436"])
def test_a_body_that_is_a_request_may_have_a_number_for_an_id(number: Any) -> None:
    ticket = {"system": "desk", "id": number}
    found = read("relink", {"target": "a", "requestId": number, "ticket": ticket})

    assert isinstance(found, ParsedRequest)
    assert found.request.ticket is not None
    assert (found.request.request_id, found.request.ticket.id) == ("35436", "35436")


@pytest.mark.parametrize("heading", ["Target", "Users", "Dry run", "Reason"])
def test_a_dropdown_that_was_left_alone_says_nothing(heading: str) -> None:
    form = {"Target": "salesforce-prod", "Users": "ann@x", "Dry run": "yes", "Reason": "r"}
    form[heading] = "None"
    body = "".join(f"### {name}\n\n{text}\n\n" for name, text in form.items())
    found = read("github", issue("opened", body=body))

    if heading == "Target":
        assert isinstance(found, AsksNothing)
        return
    assert isinstance(found, ParsedRequest)
    assert found.request.dry_run is (heading != "Dry run")
    assert found.request.subjects == (() if heading == "Users" else ("ann@x",))
    assert found.request.reason != "None"


def test_a_name_stands_where_jiras_server_has_no_account_ids() -> None:
    found = read(mapped("a", requestedBy="/user/accountId"), payload("12"))
    cloud = read(mapped("a", requestedBy="/user/accountId"), payload("07"))

    assert isinstance(found, ParsedRequest)
    assert isinstance(cloud, ParsedRequest)
    assert found.request.requested_by == "test"
    assert cloud.request.requested_by == "5b10a2844c20165700ede21f"


def test_freshdesks_wrapped_body_is_read_by_pointers() -> None:
    ticket = {"system": "freshdesk", "id": "/freshdesk_webhook/ticket_id"}
    found = read(mapped("a", ticket=ticket), payload("19"))

    assert isinstance(found, ParsedRequest)
    assert found.request.ticket is not None
    assert found.request.ticket.id == "11"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (payload("21"), "`Issue data`; choose `Custom data`"),
        (payload("19"), "freshdesk_webhook: the whole body stands inside"),
        (b'{"target": ""salesforce-prod""}', "leave out the outer ones"),
        (b'{"target": "a", "subjects": [""a@x""]}', "leave out the outer ones"),
        (b'{"target": "a", "reason": "a "quoted" text"}', "quotation mark in a text must be esc"),
        (b'{"target": "a", "reason": "one\ntwo"}', "a line break or tab in a text must be escaped"),
        (b"payload=%7B%22action%22%7D", "this is a form"),
        (b"<ticket/>", "this is XML or HTML"),
        (b"", "it is empty"),
        (b'{"target": salesforce-prod}', "a text stands between quotation marks"),
        ({"target": "A"}, "did you mean a?"),
        ({"target": " Salesforce_Prod "}, "did you mean salesforce-prod?"),
        ({"target": "`a`"}, "did you mean a?"),
        ({"target": "{{ticket.target}}"}, "use an alias of the catalogue"),
        (payload("20"), "type: unknown property"),
    ],
)
def test_a_body_of_the_wrong_kind_is_refused_in_words_to_act_on(body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read("relink", body)

    assert words in str(caught.value)


def test_an_id_without_quotation_marks_is_as_good() -> None:
    ticket = {"system": "zendesk", "id": 35436}
    found = read("relink", {"target": "a", "requestId": 7, "ticket": ticket})

    assert isinstance(found, ParsedRequest)
    assert found.request.ticket is not None
    assert (found.request.request_id, found.request.ticket.id) == ("7", "35436")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("str(bytes) of base64", "the text of Python bytes"),
        ("base64 twice", "base64 twice"),
        ("JSON in quotation marks", "JSON inside a JSON string"),
        ("UTF-16 base64 (PowerShell)", "UTF-16"),
    ],
)
def test_a_text_on_the_queue_that_was_packed_wrongly_is_named_and_never_guessed_right(
    mistake: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^message: .*{words}"):
        read_message(payload("36")[mistake].encode(), message_id="m1")


def classic(*dimensions: tuple[str, str]) -> dict[str, Any]:
    """A classic log alert in the common schema."""
    context = payload("18")["alertContext"]
    context["Dimensions"] = [{"name": name, "value": value} for name, value in dimensions]
    essentials = {**payload("16")["data"]["essentials"], "monitorCondition": "Fired"}
    essentials["alertId"] = "/subscriptions/22222222-0000-0000-0000-000000000000/alerts/1"
    data = {"essentials": essentials, "alertContext": context}
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": data}


def test_a_classic_log_alert_is_understood_or_told_what_it_is() -> None:
    found = read("azure-monitor", classic(("ServicePrincipalId", SP)))

    assert isinstance(found, ParsedRequest)
    assert found.request.target == "salesforce-prod"
    with pytest.raises(InvalidRequest, match="classic log alert: make the rule a Log Alerts V2"):
        read("azure-monitor", classic(("Computer", "INC-Gen2Alert")))


def test_a_classic_log_alert_counts_where_it_names_a_target_of_the_sender() -> None:
    body = payload("45")
    found = read("azure-monitor", body)
    body["data"]["alertContext"]["Dimensions"][0]["name"] = "Computer"
    body["data"]["essentials"]["alertId"] = "/subscriptions/22222222-0000-0000-0000-000000000000/1"

    assert isinstance(found, ParsedRequest)
    assert found.request.target == "salesforce-prod"
    with pytest.raises(InvalidRequest, match="classic log alert: make the rule a Log Alerts V2"):
        read("azure-monitor", body)


@pytest.mark.parametrize(("job", "fits"), [("JOB.1", True), ("job.1", True), ("job.2", False)])
def test_a_jobs_id_in_an_alert_may_be_in_another_case(job: str, *, fits: bool) -> None:
    catalogue = parse_catalogue(json.dumps({"a": {"servicePrincipalId": SP, "jobId": "Job.1"}}))
    body = classic(("ServicePrincipalId", SP.upper()), ("JobId", job))
    raw, desk = json.dumps(body).encode(), sender("azure-monitor")

    if fits:
        found = read_payload(desk, raw, catalogue)
        assert isinstance(found, ParsedRequest)
        assert found.request.target == "a"
    else:
        with pytest.raises(InvalidRequest, match="no target that this sender reaches"):
            read_payload(desk, raw, catalogue)


def test_the_sample_of_an_action_groups_test_asks_for_nothing() -> None:
    sample = payload("16")
    sample["data"]["essentials"]["monitorCondition"] = "Fired"

    assert isinstance(read("azure-monitor", sample), AsksNothing)
    for properties in ({"target": "payroll"}, {"ServicePrincipalId": SP[:-1] + "9"}):
        sample["data"]["customProperties"] = properties
        assert isinstance(read("azure-monitor", sample), AsksNothing)


def issue(action: str, **changes: Any) -> dict[str, Any]:
    """An issue of a member, with a form, that was created with a label."""
    event: dict[str, Any] = payload("01")
    event["action"] = action
    event["label"] = {"name": "reset:salesforce-prod"}
    event["issue"] |= {"body": "### Target\n\nsalesforce-prod\n", **changes}
    return event


@pytest.mark.parametrize("heading", ["Target", "target", "Dry run", "Reason", "Users"])
def test_a_section_that_stands_twice_is_refused(heading: str) -> None:
    body = f"### Target\n\nsalesforce-prod\n\n### Reason\n\nr\n\n### {heading}\n\na\n"
    twice = {"Target", "target", "Reason"}
    event = issue("opened", body=body if heading in twice else f"{body}\n### {heading}\n\nno\n")

    with pytest.raises(InvalidRequest, match="has this section twice"):
        read("github", event)


def test_opened_and_labeled_of_a_new_issue_are_one_request() -> None:
    opened, labeled = read("github", issue("opened")), read("github", issue("labeled"))
    later = read("github", issue("labeled", updated_at="2019-05-16T15:20:18Z"))

    assert isinstance(opened, ParsedRequest)
    assert isinstance(labeled, ParsedRequest)
    assert isinstance(later, ParsedRequest)
    assert opened.once == labeled.once != ""
    assert opened.request == labeled.request
    assert later.once == ""
