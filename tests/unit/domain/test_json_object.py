"""JSON is read strictly: what two readers could understand differently is refused."""

import gzip

import pytest

from shared.domain.errors import InvalidRequest
from shared.domain.json_object import decode_object


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "not valid JSON in UTF-8"),
        (b"[1]", "must be a JSON object, not a list"),
        (b'"text"', "must be a JSON object, not a string"),
        (b"null", "must be a JSON object, not null"),
        (b"7", "must be a JSON object, not a number"),
        (b"true", "must be a JSON object, not true or false"),
        (b'{"a": 1, "a": 1}', "a name is given twice"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "a name is given twice"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": -Infinity}', "not valid JSON"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"\\uDFFF": 1}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": 1} {"b": 2}', "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not valid JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    ],
)
def test_anything_but_one_plain_object_is_refused(raw: bytes, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^body: {complaint}"):
        decode_object(raw, name="body")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a": "x "quoted" y"}', "character 11: a quotation mark in a text must be escaped"),
        (b'{"a": "one\ntwo"}', "character 11: a line break or tab in a text must be escaped"),
        (b'{"a": "\t"}', "character 8: a line break or tab in a text must be escaped"),
        (b"{'a': 1}", "character 2: names and texts stand in double quotation marks"),
        (b"{\"a\": 'x'}", "character 7: names and texts stand in double quotation marks"),
        (b'{"a": True}', "character 7"),
        (b'{"a": 1,}', "character"),
        (gzip.compress(b"{}", mtime=0), "this is compressed: gzip"),
        ('{"a": 1}'.encode("utf-16"), "this is UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "this is UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "this is UTF-16"),
    ],
)
def test_a_refusal_says_where_and_names_the_usual_cause(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^body: not valid JSON in UTF-8") as caught:
        decode_object(raw, name="body")

    assert f"({why}" in str(caught.value)


def test_at_no_depth_is_a_name_given_twice_let_through() -> None:
    for depth in (1, 10, 100, 900, 990, 1_000, 5_000, 9_990, 9_991, 9_992, 20_000):
        raw = b'{"x":' * depth + b'{"a": 1, "a": 2}' + b"}" * depth
        with pytest.raises(InvalidRequest, match=r"given twice|nested too deeply"):
            decode_object(raw, name="body")


def test_a_surrogate_pair_is_one_character() -> None:
    assert decode_object(b'{"a": "\\ud83d\\ude00"}', name="body") == {"a": "\U0001f600"}
