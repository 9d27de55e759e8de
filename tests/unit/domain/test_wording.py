"""What msgspec refuses is told as field, fault and remedy, and near misses get a suggestion."""

from typing import Any

import msgspec
import pytest

from shared.domain.errors import InvalidRequest
from shared.domain.requests import WORDING, to_request


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"Target": "aws"}, "Target: unknown property; did you mean target?"),
        ({"target": "aws", "dryrun": True}, "dryrun: unknown property; did you mean dryRun?"),
        ({"target": "aws", "dry_run": True}, "dry_run: unknown property; did you mean dryRun?"),
        ({"target": "aws", "RequestedBy": "a"}, "did you mean requestedBy?"),
        ({"target": "aws", "reasn": "a"}, "reasn: unknown property; did you mean reason?"),
        ({"target": "aws", "ticket": {"Id": "1"}}, "ticket.Id: unknown property; did you mean "),
        ({"target": "aws", "colour": 1}, "colour: unknown property; remove it, known are target,"),
        ({"target": "aws", "dryRun": "true"}, "not a string; write it without quotation marks"),
        ({"target": 7}, "target: must be a string, not a number; put it between quotation marks"),
        ({"target": "aws", "subjects": [True]}, "subjects[0]: must be a string, not true or false"),
        ({"target": "aws", "notBefore": "tomorrow"}, "notBefore: must be a date and time with an"),
        ({"target": "aws", "notBefore": 7}, "notBefore: must be a date and time with an offset"),
        ({}, "target: missing; it is required"),
    ],
)
def test_the_words_name_the_field_and_the_remedy(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_request(fields)

    assert words in str(caught.value)


def test_null_is_as_left_out_wherever_a_property_is_optional() -> None:
    nothing = dict.fromkeys(WORDING.names[""])
    ticket = {"system": "desk", "id": "1", "url": None}

    assert to_request(nothing | {"target": "aws"}) == to_request({"target": "aws"})
    assert to_request({"target": "aws", "ticket": ticket}).ticket is not None
    with pytest.raises(InvalidRequest, match="target: missing"):
        to_request(nothing)
    with pytest.raises(InvalidRequest, match="colour: unknown"):
        to_request({"target": "aws", "colour": None})


def test_what_a_later_msgspec_says_in_other_words_is_passed_on() -> None:
    assert WORDING.describe("Something new - at `$.ticket.id`") == "ticket.id: Something new"


def test_these_are_the_words_of_the_msgspec_in_use() -> None:
    """Fails where msgspec rewords: then the patterns of `wording` are to be mended."""
    with pytest.raises(msgspec.ValidationError, match="Object contains unknown field `a`"):
        msgspec.convert({"target": "t", "a": 1}, _Message)
    with pytest.raises(
        msgspec.ValidationError, match=r"^Expected `str`, got `int` - at `\$.target`$"
    ):
        msgspec.convert({"target": 1}, _Message)


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    target: str
