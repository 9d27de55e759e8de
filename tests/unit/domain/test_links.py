"""What the evidence says about one user's link, before a restart and after it."""

from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from shared.domain.links import (
    LinkSource,
    LinkVerdict,
    MatchingAttribute,
    ProvisioningEntry,
    ProvisioningStep,
    StoredLink,
    judge_link,
    link_before,
    matched_differently,
)

USER = "cea097b7-2680-50c3-84bf-94c9323d3363"
OLD, NEW = "0051OLD", "0051NEW"
RESTART = datetime(2026, 11, 24, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROW = ProvisioningEntry(
    source_id=USER, source_type="User", target_id=OLD, at=RESTART - MINUTE, status="success"
)
BEFORE = StoredLink(
    source_id=USER, target_id=OLD, at=RESTART - MINUTE, origin=LinkSource.PROVISIONING_LOG
)
BY_NAME = MatchingAttribute(
    priority=1, source="userPrincipalName", target="Username", value="adele@contoso.com"
)


def after(**changes: object) -> ProvisioningEntry:
    return replace(ROW, **{"at": RESTART + MINUTE, **changes})  # type: ignore[arg-type]


def step(name: str, target: str) -> ProvisioningStep:
    return ProvisioningStep(name=name, kind="matching", status="success", target_id=target)


def test_the_newest_row_of_the_user_names_the_stored_link_in_whatever_order_they_come() -> None:
    oldest = replace(ROW, target_id="0051OLDEST", at=RESTART - timedelta(days=3))
    undated = replace(ROW, target_id="undated", at=None)
    other = replace(ROW, source_id="another", target_id="other", at=RESTART)
    group = replace(ROW, source_type="Group", target_id="group", at=RESTART)
    failed = replace(ROW, target_id="", at=RESTART, status="failure")

    found = {
        link.target_id if (link := link_before(rows, USER)) else ""
        for rows in permutations([oldest, undated, other, group, failed, ROW])
    }

    assert found == {OLD}


def test_rows_of_the_same_time_give_the_same_link_in_either_order() -> None:
    rows = [ROW, replace(ROW, target_id="0051ANOTHER")]

    assert link_before(rows, USER) == link_before(rows[::-1], USER)


def test_a_user_is_found_by_an_object_id_in_any_case() -> None:
    assert link_before([replace(ROW, source_id=USER.upper())], USER) is not None


def test_no_row_is_no_link() -> None:
    assert link_before([], USER) is None


def test_a_row_with_both_steps_says_what_a_full_restart_would_change() -> None:
    both = replace(ROW, steps=(step("EntryImport", OLD), step("EntryImportByJoiningProperty", NEW)))

    assert f"a full restart would link to {NEW}" in matched_differently([both], USER)
    assert matched_differently([ROW], USER) == ""
    assert matched_differently([replace(both, source_type="Group")], USER) == ""


@pytest.mark.parametrize(
    ("row", "verdict", "new"),
    [
        pytest.param(after(target_id=NEW), LinkVerdict.RELINKED, NEW, id="another account"),
        pytest.param(after(), LinkVerdict.STILL_LINKED, OLD, id="the same account"),
        pytest.param(
            after(status="skipped", error_code="RedundantExport"),
            LinkVerdict.STILL_LINKED,
            OLD,
            id="nothing to change proves the match",
        ),
        pytest.param(
            after(target_id=NEW, action="Create"), LinkVerdict.CREATED, NEW, id="a new account"
        ),
        pytest.param(
            after(target_id="", status="skipped", reason="NotEffectivelyEntitled"),
            LinkVerdict.NOT_SEEN,
            "",
            id="not assigned",
        ),
        pytest.param(
            after(target_id="", status="failure", error_code="DuplicateUser"),
            LinkVerdict.UNKNOWN,
            "",
            id="failed before a match",
        ),
        pytest.param(ROW, LinkVerdict.NOT_SEEN, "", id="only rows from before the restart"),
        pytest.param(
            after(target_id=NEW, source_type="Group"), LinkVerdict.NOT_SEEN, "", id="a group"
        ),
        pytest.param(
            after(target_id=NEW, source_id="another"), LinkVerdict.NOT_SEEN, "", id="another user"
        ),
    ],
)
def test_the_verdict_on_a_user(row: ProvisioningEntry, verdict: LinkVerdict, new: str) -> None:
    found = judge_link(BEFORE, [row], USER, restarted_at=RESTART)

    assert (found.verdict, found.before, found.after) == (verdict, OLD, new)
    assert found.evidence


def test_the_newest_row_after_the_restart_decides() -> None:
    rows = [after(at=RESTART + 2 * MINUTE, target_id=NEW), after()]

    for order in (rows, rows[::-1]):
        found = judge_link(BEFORE, order, USER, restarted_at=RESTART)
        assert found.verdict is LinkVerdict.RELINKED


def test_still_linked_names_the_attribute_that_explains_it_and_the_remedy() -> None:
    found = judge_link(BEFORE, [after()], USER, restarted_at=RESTART, matching=[BY_NAME])

    assert "because userPrincipalName (adele@contoso.com) equals its Username" in found.evidence
    assert found.remedy == (
        f"change Username of account {OLD} in the application first, then ask again"
    )


def test_a_stored_link_that_the_attributes_contradict_is_not_blamed_on_them() -> None:
    row = after(
        steps=(step("EntryImport", OLD), step("EntryImportByJoiningProperty", NEW)),
    )

    found = judge_link(BEFORE, [row], USER, restarted_at=RESTART, matching=[BY_NAME])

    assert found.verdict is LinkVerdict.STILL_LINKED
    assert f"the matching attributes find {NEW}" in found.evidence
    assert "equals" not in found.evidence
    assert "in full" in found.remedy


BY_MAIL = replace(BY_NAME, priority=2, source="mail", target="Email", value="a@contoso.com")


@pytest.mark.parametrize(
    ("said", "why", "rename"),
    [
        pytest.param(
            "matched with the source entry by matching attribute name: Email",
            "because mail (a@contoso.com) equals its Email",
            "change Email of account",
            id="the step names the second attribute",
        ),
        pytest.param(
            "matched",
            "because userPrincipalName (adele@contoso.com) equals its Username, or mail "
            "(a@contoso.com) equals its Email",
            "change Username and Email of account",
            id="the step names none",
        ),
    ],
)
def test_of_several_attributes_the_one_that_the_step_names_is_the_cause(
    said: str, why: str, rename: str
) -> None:
    matched = replace(step("EntryImportByMatchingProperty", OLD), description=said)

    found = judge_link(
        BEFORE,
        [after(steps=(matched,))],
        USER,
        restarted_at=RESTART,
        matching=[BY_NAME, BY_MAIL],
    )

    assert why in found.evidence
    assert found.remedy.startswith(rename)


def test_without_a_link_before_nothing_is_claimed_to_have_changed() -> None:
    found = judge_link(None, [after(target_id=NEW)], USER, restarted_at=RESTART)

    assert (found.verdict, found.after) == (LinkVerdict.UNKNOWN, NEW)


def test_a_link_read_directly_wins_over_the_logs() -> None:
    direct = replace(BEFORE, target_id=NEW, origin=LinkSource.OBJECT_CONNECTION)

    found = judge_link(BEFORE, [after()], USER, restarted_at=RESTART, after=direct)

    assert (found.verdict, found.after) == (LinkVerdict.RELINKED, NEW)
