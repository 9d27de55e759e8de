"""Where a person would be asked and could not approve, plan, check and health say so."""

import json

import pytest

from shared.domain.approvability import gaps
from shared.domain.catalogue import parse_catalogue

ID = "11111111-2222-3333-4444-555555555555"


def found(entry: dict[str, object], *, sign_in: bool) -> list[tuple[str, bool, str]]:
    catalogue = parse_catalogue(json.dumps({"aws": {"servicePrincipalId": ID, **entry}}))
    return [(gap.alias, gap.certain, gap.words) for gap in gaps(catalogue, sign_in=sign_in)]


@pytest.mark.parametrize(
    "entry", [{}, {"approval": "always", "notify": "desk"}, {"approvers": 2, "notify": "desk"}]
)
def test_where_people_sign_in_and_hear_of_it_nothing_stands_against_an_approval(
    entry: dict[str, object],
) -> None:
    assert found(entry, sign_in=True) == []


def test_where_nobody_can_sign_in_a_mass_deletion_could_not_be_approved() -> None:
    ((alias, certain, words),) = found({}, sign_in=False)

    assert (alias, certain) == ("", False)
    assert "too many deletes" in words
    assert "no approval" in words


def test_two_approvers_without_sign_in_is_certain_to_fail_and_comes_first() -> None:
    first, *others = found({"approvers": 2}, sign_in=False)

    assert first[:2] == ("aws", True)
    assert "set `approvers` to 1" in first[2]
    assert [each[1] for each in others] == [False]


@pytest.mark.parametrize(
    "entry", [{"approval": "always"}, {"approval": "automatic"}, {"approveAbove": 10}]
)
def test_a_question_that_a_key_alone_answers_or_nobody_hears_is_named(
    entry: dict[str, object],
) -> None:
    words = [each[2] for each in found(entry, sign_in=False) if each[0] == "aws"]

    assert len(words) == 2
    assert "function key alone" in words[0]
    assert "heard by nobody" in words[1]


def test_an_empty_catalogue_has_nothing_to_approve() -> None:
    assert gaps({}, sign_in=False) == ()
