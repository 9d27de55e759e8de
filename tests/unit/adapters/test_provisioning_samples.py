"""What is read of each sample row and result, and of rows like them that are odd in one member."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.graph.provisioning import read_entry, read_on_demand
from shared.domain.links import ProvisioningEntry, judge_link, link_before

DATA = Path(__file__).parents[2] / "data" / "graph"
USER = "cea097b7-2680-50c3-84bf-94c9323d3363"
RESTART = datetime(2026, 11, 24, 9, tzinfo=UTC)

READ = """
12 | no | 5e6c9fae | ffabc1d2efghij | other | skipped | | ffabc1d2efghij | 2026-07-17 12:31
13 | no | 5e6c9fae | | Create | failure | BoxEntryConflict | | 2019-06-24 20:53
15 | no | 60a7a801 | 6aa35b93 | create | success | | 6aa35b93 | 2019-05-04 03:00
16 | yes | 62cf7b7a | 52507a19 | Other | Skipped | RedundantExport | 52507a19 | 2020-06-26 13:58
18 | no | | | | | | | never
"""


def entries_of(number: str) -> list[ProvisioningEntry]:
    (path,) = DATA.glob(f"{number}-*.json")
    body = json.loads(path.read_bytes())
    if "key" in body:
        return list(read_on_demand(path.read_bytes()))
    found = map(read_entry, body.get("value", [body]))
    return [each for each in found if each is not None]


@pytest.mark.parametrize("line", READ.strip().splitlines())
def test_each_sample_is_read_right(line: str) -> None:
    number, user, source, target, action, status, error, stored, at = (
        cell.strip() for cell in line.split("|")
    )
    (row,) = entries_of(number)

    assert row.is_user is (user == "yes")
    assert (row.source_id[:8], row.source_id == "") == (source, not source)
    assert row.target_id.startswith(target)
    assert (row.target_id == "") is (not target)
    assert (row.action, row.status, row.error_code) == (action, status, error)
    assert row.stored_target.startswith(stored)
    assert row.matched_target == ""
    assert (f"{row.at:%Y-%m-%d %H:%M}" if row.at else "never") == at


def test_no_sample_of_another_kind_is_the_link_of_a_user() -> None:
    for number in ("12", "13", "15"):
        (row,) = entries_of(number)
        assert link_before([row], row.source_id) is None


def row(**members: Any) -> dict[str, Any]:
    return {
        "activityDateTime": "2026-11-24T09:30:00Z",
        "provisioningAction": "other",
        "provisioningStatusInfo": {"status": "success"},
        "sourceIdentity": {"id": USER, "identityType": "User"},
        "targetIdentity": {"id": "0051NEW", "identityType": "User"},
        "provisioningSteps": [],
        **members,
    }


STEPS = [
    {"name": "ENTRYIMPORT", "provisioningStepType": "Matching", "details": {"id": "0051OLD"}},
    {"name": "entryImportByMatchingProperty", "type": "matching", "details": {"id": 701984}},
    {"name": "EntryNobodyKnows", "provisioningStepType": 7, "details": None},
    {"name": None, "details": "text"},
    None,
    "step",
]
DN = "CN=Vance\\, Adele,OU=People,DC=contoso,DC=com"


@pytest.mark.parametrize(
    ("members", "verdict", "after"),
    [
        pytest.param({}, "relinked", "0051NEW", id="as it should be"),
        pytest.param({"targetIdentity": {"id": DN}}, "relinked", DN, id="distinguished name"),
        pytest.param({"targetIdentity": [{"id": 7}]}, "relinked", "7", id="a list, a number"),
        pytest.param({"sourceIdentity": {"id": USER}}, "relinked", "0051NEW", id="no kind"),
        pytest.param(
            {"sourceIdentity": {"id": USER.upper(), "identityType": "USER"}},
            "relinked",
            "0051NEW",
            id="upper case",
        ),
        pytest.param(
            {"provisioningAction": "CREATE", "provisioningStatusInfo": {"status": "Success"}},
            "created",
            "0051NEW",
            id="words in another case",
        ),
        pytest.param(
            {"provisioningAction": None, "action": "Create", "statusInfo": {"status": "success"}},
            "created",
            "0051NEW",
            id="the forms of beta",
        ),
        pytest.param(
            {"provisioningAction": "teleport", "provisioningStatusInfo": {"status": "odd"}},
            "relinked",
            "0051NEW",
            id="words that nobody knows",
        ),
        pytest.param(
            {"provisioningStatusInfo": None, "provisioningAction": 3},
            "relinked",
            "0051NEW",
            id="no status",
        ),
        pytest.param({"provisioningSteps": STEPS}, "relinked", "0051NEW", id="odd steps"),
        pytest.param({"provisioningSteps": STEPS[0]}, "relinked", "0051NEW", id="a single step"),
        pytest.param(
            {"activityDateTime": "2026-11-24T12:30:00.1234567+03:00"},
            "relinked",
            "0051NEW",
            id="seven digits and an offset",
        ),
        pytest.param({"activityDateTime": "2026-11-24T08:59:59Z"}, "not_seen", "", id="older"),
        pytest.param({"activityDateTime": "2026-11-24T09:00:00Z"}, "not_seen", "", id="the moment"),
        pytest.param({"activityDateTime": "0001-01-01T00:00:00Z"}, "not_seen", "", id="year 1"),
        pytest.param({"activityDateTime": None}, "not_seen", "", id="no time"),
        pytest.param({"activityDateTime": 1764000000}, "not_seen", "", id="a number as time"),
        pytest.param(
            {"sourceIdentity": {"id": USER, "identityType": "Group"}}, "not_seen", "", id="group"
        ),
        pytest.param(
            {"sourceIdentity": {"id": USER, "identityType": "Application"}},
            "not_seen",
            "",
            id="application",
        ),
        pytest.param({"sourceIdentity": None}, "not_seen", "", id="nobody"),
        pytest.param({"sourceIdentity": {"id": {"id": USER}}}, "not_seen", "", id="no text as id"),
        pytest.param({"targetIdentity": {"id": ""}}, "unknown", "", id="no target"),
        pytest.param({"targetIdentity": None}, "unknown", "", id="target null"),
        pytest.param({"targetIdentity": {"id": "0051OLD"}}, "still_linked", "0051OLD", id="old"),
        pytest.param(
            {
                "targetIdentity": {"id": ""},
                "provisioningStatusInfo": {"status": "SKIPPED", "errorInformation": []},
            },
            "not_seen",
            "",
            id="skipped in capitals",
        ),
    ],
)
def test_a_row_that_is_odd_in_one_member(members: dict[str, Any], verdict: str, after: str) -> None:
    old = read_entry(row(activityDateTime="2026-11-20T00:00:00Z", targetIdentity={"id": "0051OLD"}))
    new = read_entry(row(**members))
    assert old is not None
    assert new is not None

    found = judge_link(link_before([old], USER), [old, new], USER, restarted_at=RESTART)

    assert (str(found.verdict), found.before, found.after) == (verdict, "0051OLD", after)


def test_both_steps_are_read_in_any_case_with_an_id_of_any_type() -> None:
    found = read_entry(row(provisioningSteps=STEPS))

    assert found is not None
    assert (found.stored_target, found.matched_target) == ("0051OLD", "701984")
    assert len(found.steps) == 4


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("as_text", [False, True])
def test_json_within_json_is_read_as_a_text_and_as_itself(as_list: bool, as_text: bool) -> None:
    content: Any = [row()] if as_list else row()
    value = json.dumps(content) if as_text else content

    (found,) = read_on_demand(json.dumps({"key": None, "value": value}).encode())

    assert (found.source_id, found.target_id) == (USER, "0051NEW")


@pytest.mark.parametrize("members", [{"key": 3}, {"key": []}, {"key": "{"}, {"key": "[1]"}, {}])
def test_a_key_that_is_no_result_takes_nothing_away(members: dict[str, Any]) -> None:
    (found,) = read_on_demand(json.dumps({"value": json.dumps(row()), **members}).encode())

    assert found.status == "success"
