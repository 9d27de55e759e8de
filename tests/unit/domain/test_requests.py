"""What a request may say, and what it is told when it says something else."""

import base64
import gzip
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.documents import SCHEMA, schema
from shared.domain.errors import InvalidRequest
from shared.domain.messages import read_message
from shared.domain.requests import (
    LONGEST_REQUEST,
    ResetRequest,
    content_hash,
    derived_id,
    issued_id,
    json_schema,
    parse_request,
    reserved_form,
)
from shared.domain.reset import Scope

REQUEST = {
    "requestId": "INC-1",
    "target": "salesforce-prod",
    "scope": "full",
    "reason": "Fédération",
    "requestedBy": "a@b",
    "ticket": {"system": "servicenow", "id": "INC0012345", "url": "https://x/1"},
    "subjects": ["a@b"],
    "notBefore": "2026-12-01T20:00:00Z",
    "dryRun": True,
}


def body(**changes: Any) -> bytes:
    return json.dumps({"target": "t"} | changes).encode()


def test_only_the_target_is_required() -> None:
    request = parse_request(b'{"target": "salesforce-prod"}')

    assert request == ResetRequest(target="salesforce-prod", scope=Scope.FULL)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"{}", "target: missing; it is required"),
        (body(target=1), "target: must be a string, not a number; put it between quotation marks"),
        (body(target="Sales"), "target: use an alias of the catalogue"),
        (body(target="a" * 64), "target: too long; at most 63 characters"),
        (body(target="a\n"), "target: ends with a newline"),
        (body(jobId="x"), r"jobId: unknown property; remove it, known are target, requestId"),
        (
            body(ticket={"system": "a", "id": "1", "key": "x"}),
            "ticket.key: unknown property; remove it, known are system, id, url",
        ),
        (body(ticket={"system": "a"}), "ticket.id: missing; it is required"),
        (body(ticket={"system": "a", "id": "x" * 129}), "ticket.id: too long; at most 128"),
        (body(ticket="INC1"), "ticket: must be a JSON object, not a string"),
        (body(reason="x" * 1001), "reason: too long; at most 1,000 characters"),
        (body(requestedBy="x" * 257), "requestedBy: too long; at most 256 characters"),
        (body(requestId="a b"), "requestId: use 1 to 128 of"),
        (body(requestId="-a"), "requestId: use 1 to 128 of"),
        (body(requestId=""), "requestId: use 1 to 128 of"),
        (body(subjects=["x"] * 101), "subjects: too long; at most 100 entries"),
        (body(subjects=["x" * 257]), r"subjects\[0\]: too long; at most 256 characters"),
        (body(subjects=["a\nb"]), "subjects: one of them contains a newline"),
        (body(subjects="a"), "subjects: must be a list of strings, not a string"),
        (body(scope="all"), "scope: must be `full`"),
        (body(scope=["full"]), "scope: must be a string, not a list"),
        (body(scope="subjects"), "scope: `subjects` is not supported; send `full`"),
        (body(dryRun="yes"), "dryRun: must be true or false, not a string; write it without"),
        (body(notBefore="2026-12-01T20:00:00"), "notBefore: must be a date and time with"),
        (
            body(notBefore="0001-01-01T00:00:00+14:00"),
            "notBefore: year 1 cannot be a change window",
        ),
        (b"[]", "request: must be a JSON object, not a list"),
        (b'{"target": "t"', "request: not valid JSON in UTF-8"),
        (b'{"target": "\xff"}', "request: not valid JSON in UTF-8"),
        (b" " * (LONGEST_REQUEST + 1), "request: 49,153 bytes, at most 49,152"),
    ],
)
def test_a_bad_request_names_the_field_and_the_remedy(raw: bytes, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match="^" + complaint):
        parse_request(raw)


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda raw: raw.decode(), id="plain"),
        pytest.param(lambda raw: "  \n" + raw.decode(), id="leading-space"),
        pytest.param(lambda raw: "\ufeff" + raw.decode(), id="byte-order-mark"),
        pytest.param(lambda raw: base64.b64encode(raw).decode(), id="base64"),
        pytest.param(lambda raw: base64.encodebytes(raw).decode(), id="base64-with-newlines"),
    ],
)
def test_plain_and_base64_messages_are_read_alike(wrap: Any) -> None:
    received = read_message(wrap(json.dumps(REQUEST).encode()).encode(), message_id="m")

    assert received.id == "INC-1"
    assert received.request.reason == "Fédération"


def in_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def envelope(**changes: Any) -> str:
    event = {"specversion": "1.0", "id": "e-1", "source": "/sn", "type": "reset"}
    return json.dumps(event | {"data": {"target": "t"}} | changes)


def test_the_data_of_a_cloudevents_envelope_is_the_request() -> None:
    plain = read_message(envelope().encode(), message_id="m")
    coded = base64.b64encode(b'{"target": "t"}').decode()
    binary = json.loads(envelope(data_base64=coded))
    del binary["data"]
    other = read_message(json.dumps(binary).encode(), message_id="m2")

    assert plain.request == other.request == ResetRequest(target="t")
    assert plain.id == other.id == derived_id("cloudevents", "/sn", "e-1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (envelope(specversion="0.3"), "specversion: only CloudEvents 1.0"),
        (envelope(id=""), "id: missing or no string"),
        (envelope(source=3), "source: missing or no string"),
        (envelope(data="text"), "data: missing or no JSON object"),
        (envelope(data_base64="eyJ9"), "data: given twice"),
        (envelope(datacontenttype="text/xml"), "datacontenttype: only JSON data"),
        (envelope(data={"target": "t", "x": 1}), "x: unknown property"),
        (envelope(target="aws"), "target: stands beside specversion"),
        (envelope(Reason="x"), "Reason: stands beside specversion"),
        (envelope(requestedby="x"), "requestedby: stands beside specversion"),
        (
            json.dumps(
                {
                    **json.loads(envelope()),
                    "data": None,
                    "data_base64": base64.b64encode(b'{"target": "t", "target": "u"}').decode(),
                }
            ),
            "data_base64: a name is given twice",
        ),
        ("", "message: neither a JSON object nor base64"),
        ("hello", "message: neither a JSON object nor base64"),
        ("dGVzdA==", "message: neither a JSON object nor base64"),
        ("gICA", "message: neither a JSON object nor base64"),
        ("[1, 2]", "message: a list; send one message for each request"),
        ("b'{}'", "message: the text of Python bytes"),
        ("b'eyJ0YXJnZXQiOiAidCJ9'", "message: the text of Python bytes"),
        (json.dumps('{"target": "t"}'), "message: JSON inside a JSON string"),
        ("eyJ0YXJnZXQiOiAidCIsICJyZWFzb24iOiAi_-8ifQ==", "message: base64 in the alphabet for"),
        (in_base64(in_base64(b'{"target": "t"}').encode()), "message: base64 twice"),
        (
            in_base64(in_base64(in_base64(b'{"target": "t"}').encode()).encode()),
            "message: base64 twice",
        ),
        (
            in_base64(gzip.compress(b'{"target": "t"}', mtime=0)),
            "message: base64 of .*: compressed",
        ),
        (in_base64('{"target": "t"}'.encode("utf-16-be")), "message: base64 of .*: UTF-16"),
        (in_base64('{"target": "t"}'.encode("utf-16")), "message: base64 of .*: UTF-16"),
        (in_base64('{"target": "t"}'.encode("utf-16-le")), "message: base64 of .*: UTF-16"),
        (in_base64(b"b'{}'"), "message: base64 of something else: the text of Python bytes"),
        ('{"target": "t"}'.encode("utf-16-le").decode("latin-1"), "message: UTF-16"),
        ("eyJ0YXJnZXQiOiAidCIgfQ", "message: base64 without its padding"),
        ("eyJ0YXJnZXQiOiAidCIsICJyZWFzb24iOiAi_-8ifQ", "message: base64 in the alphabet for"),
        ("%7B%22target%22%3A%22t%22%7D", "message: percent-encoded"),
        ("target=t&reason=r", "message: a form"),
        ("[object Object]", "message: the text of a JavaScript object"),
        ("bytearray(b'{}')", "message: the text of Python bytes"),
        ('{"target": "t"}\n{"target": "t"}', "message: not valid JSON .*more follows the object"),
        ('{"target": "T"}', r"target: .*did you mean t\?"),
        ("<request><target>t</target></request>", "message: XML or HTML"),
        ("data:application/json;base64,e30=", "message: a data: address"),
        (in_base64(b"%7B%22target%22%3A%22t%22%7D"), "message: base64 of .*: percent-encoded"),
        ("{'target': 't'}", r"message: not valid JSON .*character 2: .*Python's str\(\)"),
        (
            json.dumps({"eventType": "x", "subject": "y", "data": {}, "dataVersion": ""}),
            "eventType: this is an event in Event Grid's own schema",
        ),
        (json.dumps({"$content-type": "x", "$content": "e30="}), r"\$content: Logic Apps wraps"),
        (json.dumps({"ContentData": "e30=", "ContentType": "x"}), "ContentData: a connector has"),
        ('{"a":' * 5000, "message: not valid JSON"),
        ('{"a":' * 50_000, "message: nested too deeply"),
    ],
)
def test_a_message_that_is_no_request_says_why(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match="^" + complaint):
        read_message(text.encode("utf-8", "surrogatepass"), message_id="m")


def readable(text: str) -> bool:
    """Read, or refused with a field and a reason; any other exception fails the test."""
    try:
        return read_message(text.encode("utf-8", "surrogatepass"), message_id="m") is not None
    except InvalidRequest as error:
        return bool(re.match(r"[^:]+: .", str(error), re.DOTALL))


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_text_is_a_request_or_is_refused(text: str) -> None:
    assert readable(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*REQUEST, "specversion", "id", "data", "other"]), _json, max_size=6
    )
)
def test_any_object_is_a_request_or_is_refused(found: dict[str, Any]) -> None:
    assert readable(json.dumps(found))


def test_an_id_is_the_requests_own_or_comes_from_the_queue_message() -> None:
    mine = read_message(b'{"target": "t", "requestId": "a.b"}', message_id="m")
    other = read_message(b'{"target": "t"}', message_id="m")

    assert mine.id == "a.b"
    assert other.id == derived_id("queue", "m")
    assert len(other.id) == 34


def test_derived_ids_keep_their_parts_apart() -> None:
    assert derived_id("a", "bc") != derived_id("ab", "c")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"requestedBy": "ann@contoso.com\u200b"}, "requestedBy: .* remove U\\+200B"),
        ({"requestedBy": "ann\u202egro.evil"}, "requestedBy: .* remove U\\+202E"),
        ({"requestedBy": "ann\x00"}, "requestedBy: .* remove U\\+0000"),
        ({"reason": "\ufffe"}, "reason: .* remove U\\+FFFE"),
        ({"reason": "\uffff"}, "reason: .* remove U\\+FFFF"),
        ({"reason": "a\x1bb"}, "reason: .* remove U\\+001B"),
        ({"reason": "a\u2028b"}, "reason: .* remove U\\+2028"),
        ({"subjects": ["a", "b\ufeff"]}, r"subjects\[1\]: .* remove U\+FEFF"),
        ({"ticket": {"system": "a\n", "id": "1"}}, r"ticket.system: .* remove U\+000A"),
        ({"ticket": {"system": "a", "id": "1\u00ad"}}, r"ticket.id: .* remove U\+00AD"),
        (
            {"ticket": {"system": "a", "id": "1", "url": "https://x/\u2066"}},
            r"ticket.url: .* remove U\+2066",
        ),
        ({"requestedBy": "relink"}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": " Remediate "}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": "\uff52\uff45\uff4c\uff49\uff4e\uff4b"}, "requestedBy: is a name of the"),
        ({"requestedBy": "\u00a0RELINK\u3000"}, "requestedBy: is a name of the app itself"),
        # Letters of other scripts, accents, and signs between: a reader takes it for the app.
        ({"requestedBy": "r\u0435l\u0456nk"}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": "\u0433\u0435\u04cfi\u0578\u043a"}, "requestedBy: is a name of the app"),
        ({"requestedBy": "R\u00e9link"}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": "Re-Link."}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": "re1ink"}, "requestedBy: is a name of the app itself"),
        ({"requestedBy": "rem\u0435di\u0430te"}, "requestedBy: is a name of the app itself"),
        # Without a shape, though Unicode calls them letters, marks or symbols.
        ({"requestedBy": "ann@contoso.com\u3164"}, r"requestedBy: .* remove U\+3164"),
        ({"requestedBy": "ann@contoso.com\ufe0f"}, r"requestedBy: .* remove U\+FE0F"),
        ({"requestedBy": "ann\u034f@contoso.com"}, r"requestedBy: .* remove U\+034F"),
        ({"requestedBy": "ann\U000e0101"}, r"requestedBy: .* remove U\+E0101"),
        ({"subjects": ["ann\u115f"]}, r"subjects\[0\]: .* remove U\+115F"),
        ({"reason": "\u2800"}, r"reason: .* remove U\+2800"),
        ({"ticket": {"system": "desk", "id": "7\uffa0"}}, r"ticket.id: .* remove U\+FFA0"),
    ],
)
def test_text_shows_what_it_holds(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match="^" + field):
        parse_request(json.dumps({"target": "t"} | changes).encode())


def test_a_reason_may_have_lines_and_any_script() -> None:
    reason = "Première ligne\r\n\t給与\u3000\u00a0é 😀 \u26a0\ufe0f"

    assert parse_request(body(reason=reason)).reason == reason


def test_an_id_that_the_app_gave_out_is_told_from_a_derived_one() -> None:
    issued = issued_id("0123456789abcdef" * 2)

    assert re.fullmatch("h-[0-9a-f]{32}", issued)
    assert not reserved_form(issued, ())
    assert reserved_form(derived_id("queue", "m"), ())
    assert reserved_form("h-" + "a" * 32, ())
    assert reserved_form("desk.INC1", {"desk"})
    assert not reserved_form("desk.INC1", {"other"})


def test_a_window_belongs_to_the_content_of_a_request() -> None:
    def digest(moment: str | None) -> str:
        return content_hash(parse_request(body(notBefore=moment)))

    assert digest("2026-12-01T20:00:00Z") == digest("2026-12-01T21:00:00+01:00")
    assert len({digest(None), digest("2026-12-01T20:00:00Z"), digest("2026-12-02T20:00:00Z")}) == 3


def test_the_content_is_target_scope_dry_run_and_sorted_subjects() -> None:
    def digest(**fields: Any) -> str:
        return content_hash(ResetRequest(**({"target": "t"} | fields)))

    assert digest(subjects=("a", "b")) == digest(subjects=("b", "a"), reason="other")
    assert len({digest(), digest(target="u"), digest(dry_run=True), digest(subjects=("a",))}) == 4


def test_the_published_schema_is_the_definition_that_validates() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema()
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())

    assert validator.is_valid(REQUEST)
    assert not validator.is_valid(REQUEST | {"jobId": "x"})
    assert not validator.is_valid({})
    assert not validator.is_valid({"target": "t", "subjects": ["x"] * 101})


def test_what_the_timer_asks_for_in_its_own_name_is_read_from_the_queue() -> None:
    own = {
        "target": "salesforce-prod",
        "requestId": f"quarantine-{'0' * 32}",
        "scope": "quarantine",
        "requestedBy": "remediate",
    }

    assert parse_request(json.dumps(own).encode()).requested_by == "remediate"
    with pytest.raises(InvalidRequest, match="requestedBy: is a name of the app itself"):
        parse_request(json.dumps({**own, "requestId": "r1"}).encode())
