"""Which permission for evidence is missing, by what Graph answered last."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.domain.evidence_permissions import PERMISSIONS, Grant, granted, how_to_grant
from shared.domain.sync_job import GraphObservation, GraphStatus

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
READ, REFUSED = GraphStatus.USERS_READ, GraphStatus.USERS_UNREADABLE


def seen(mood: GraphStatus, minutes: int) -> GraphObservation:
    return GraphObservation(mood=mood, at=NOW + timedelta(minutes=minutes), call="find_user")


@pytest.mark.parametrize(
    ("answers", "grant"),
    [
        pytest.param([], Grant.NOT_SEEN, id="never asked"),
        pytest.param([seen(READ, 0)], Grant.GRANTED, id="read"),
        pytest.param([seen(REFUSED, 0)], Grant.MISSING, id="refused"),
        pytest.param([seen(REFUSED, 0), seen(READ, 1)], Grant.GRANTED, id="granted later"),
        pytest.param([seen(READ, 0), seen(REFUSED, 1)], Grant.MISSING, id="taken away later"),
    ],
)
def test_the_later_answer_decides(answers: list[GraphObservation], grant: Grant) -> None:
    found = {each.permission.name: each.grant for each in granted(answers)}

    assert found.pop("User.Read.All") is grant
    assert set(found.values()) == {Grant.NOT_SEEN}


def test_what_is_missing_is_said_with_what_it_buys_and_how_to_get_it() -> None:
    (users,) = (
        each for each in granted([seen(REFUSED, 0)]) if each.permission.name == "User.Read.All"
    )

    assert "User.Read.All is missing; it would show users named by UPN" in str(users)
    assert "readUsers" in str(users)
    assert "readUsers" in how_to_grant("User.Read.All")
    assert "infra" not in how_to_grant("Synchronization.ReadWrite.All")


def test_each_parameter_is_one_of_the_template_and_off_by_default() -> None:
    template = Path(__file__).parents[3] / "infra" / "graph" / "main.bicep"
    text = template.read_text(encoding="utf-8")
    for each in PERMISSIONS:
        assert f"param {each.parameter} bool = false" in text
        assert f"{each.parameter} ? ['{each.name}']" in text
