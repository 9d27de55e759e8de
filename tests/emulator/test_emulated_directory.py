from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins

from local.emulator import read_seed
from local.emulator.scopes import FULL, PORTAL, ResetScope
from local.emulator.values import Account, Quarantine, Status, User
from tests.emulator.emulator_support import START, Story, tenant

CDS = ResetScope.CONNECTOR_DATA_STORE
CYCLE = 31  # three users of ten seconds, and one second more


def test_a_portal_restart_evaluates_everyone_and_keeps_the_link_to_the_old_account() -> None:
    story = Story()

    story.restart(PORTAL)
    story.advance(CYCLE)

    assert [entry["found"] for entry in story.happened("EntryEvaluated")] == ["linked"] * 3
    assert story.job.links["cid"] == "005-cid-OLD"


def test_a_full_restart_matches_everyone_again() -> None:
    story = Story()

    story.restart(FULL)
    story.advance(CYCLE)

    assert [entry["found"] for entry in story.happened("EntryEvaluated")] == ["matched"] * 3
    assert story.job.links == {"ann": "005-ann", "bob": "005-bob", "cid": "005-cid-NEW"}


def test_a_full_restart_finds_the_old_account_again_while_it_still_carries_the_name() -> None:
    story = Story()
    old, new = story.sp.target_accounts[2:]
    old.attributes, new.attributes = new.attributes, old.attributes

    story.restart(FULL)
    story.advance(CYCLE)

    assert story.job.links["cid"] == "005-cid-OLD"


def test_links_are_gone_until_the_new_cycle_comes_to_the_user() -> None:
    story = Story()

    story.restart(FULL)
    assert story.job.links == {}

    story.advance(11)
    assert story.job.links == {"ann": "005-ann"}
    assert story.job.cycle is not None
    assert (story.job.cycle.done, len(story.job.cycle.users)) == (1, 3)


def test_clearing_the_store_alone_leaves_links_empty_until_a_user_changes() -> None:
    story = Story()

    story.restart(CDS)
    story.advance(3600)
    assert story.job.links == {}
    assert story.status.code == "Active"

    story.directory.state.users[1].modified = story.now
    story.advance(3600)
    assert story.job.links == {"bob": "005-bob"}


def test_the_watermark_alone_starts_an_initial_cycle_that_clears_nothing() -> None:
    story = Story()
    story.job.escrows = {"ann": "InvalidProperty"}

    story.restart(ResetScope.WATERMARK)

    assert story.job.escrows == {"ann": "InvalidProperty"}
    assert story.status.code == "NotRun"


def test_a_restart_shows_a_job_that_never_ran_until_its_initial_cycle_ended() -> None:
    story = Story()
    story.restart(FULL)

    story.advance(29)
    assert story.status == Status(code="NotRun")

    story.advance(2)
    ended = START + timedelta(seconds=30)
    assert story.status.code == "Active"
    assert story.status.steady_state_first_achieved == ended
    assert story.status.steady_state_last_achieved == ended
    assert story.status.last_execution is not None
    assert story.status.last_execution.began == START
    assert story.status.last_execution.state == "Succeeded"
    assert story.status.entries == 3


def test_incremental_cycles_follow_on_schedule() -> None:
    story = Story()
    story.restart(FULL)
    story.advance(CYCLE)
    first = story.status.steady_state_first_achieved

    story.advance(40 * 60)

    assert story.status.steady_state_first_achieved == first
    assert story.status.last_execution is not None
    assert story.status.last_execution.began == START + timedelta(minutes=40)
    assert story.status.last_execution.imported == 0


def test_users_who_fail_make_entry_level_errors_which_are_no_successful_execution() -> None:
    story = Story()
    story.directory.state.users[0].fails = True

    story.restart(FULL)
    story.advance(CYCLE)

    assert story.status.code == "Active"
    assert story.status.last_execution is not None
    assert story.status.last_execution.state == "EntryLevelErrors"
    assert story.status.last_successful_execution is None
    assert story.job.escrows == {"ann": "InvalidProperty"}


def test_entry_level_errors_leave_the_last_successful_execution_where_it_was() -> None:
    story = Story()
    successful = story.status.last_successful_execution
    ann = story.directory.state.users[0]
    ann.fails, ann.modified = True, story.now

    story.advance(3600)

    assert story.status.last_execution is not None
    assert story.status.last_execution.state == "EntryLevelErrors"
    assert story.status.last_successful_execution == successful


def test_a_new_anchor_looks_like_the_ones_that_are_there() -> None:
    story = Story(read_seed())
    story.directory.state.users.append(User(id="dan", user_principal_name="dan@contoso.com"))

    story.restart(PORTAL)
    story.advance(600)

    created = story.sp.target_accounts[-1]
    assert created.id == story.job.links["dan"]
    assert created.id.startswith("005")
    assert len(created.id) == 18


def test_an_escrowed_user_is_tried_again_in_each_incremental_cycle() -> None:
    story = Story()
    ann = story.directory.state.users[0]
    ann.fails = True
    story.restart(FULL)
    story.advance(CYCLE)
    ann.fails = False

    story.advance(45 * 60)

    assert story.job.escrows == {}
    assert story.job.links["ann"] == "005-ann"
    assert story.status.last_successful_execution is not None


def test_an_account_that_no_longer_exists_fails_until_the_link_is_broken() -> None:
    story = Story()
    story.delete_account("005-cid-OLD")

    story.restart(PORTAL)
    story.advance(CYCLE)
    assert story.job.escrows == {"cid": "InvalidAnchor"}

    story.restart(FULL)
    story.advance(CYCLE)
    assert story.job.links["cid"] == "005-cid-NEW"


def test_a_user_without_a_match_gets_an_account() -> None:
    story = Story()
    story.directory.state.users.append(
        User(id="dan", user_principal_name="dan@contoso.com", modified=START),
    )

    story.advance(3600)

    created = story.sp.target_accounts[-1]
    assert story.job.links["dan"] == created.id
    assert created.attributes == {"userName": "dan@contoso.com"}
    assert len(created.id) == 32
    assert story.status.last_successful_execution_with_exports is not None
    assert story.status.last_successful_execution_with_exports.exported == 1


def test_several_active_accounts_with_the_name_fail_and_an_inactive_one_does_not_count() -> None:
    story = Story()
    twin = Account(id="005-ann-2", attributes={"userName": "ann@contoso.com"})
    story.sp.target_accounts.append(twin)

    story.restart(FULL)
    story.advance(CYCLE)
    assert story.job.escrows == {"ann": "DuplicateTargetEntries"}

    twin.active = False
    story.restart(FULL)
    story.advance(CYCLE)
    assert story.job.links["ann"] == "005-ann"


def test_matching_attributes_are_tried_in_their_order() -> None:
    matching = [{"source": "employeeId", "target": "number"}, {"target": "userName"}]
    story = Story(tenant(matching=matching))
    story.directory.state.users[0].employee_id = "7"
    story.sp.target_accounts.append(Account(id="005-seven", attributes={"number": "7"}))

    story.restart(FULL)
    story.advance(CYCLE)

    assert story.job.links["ann"] == "005-seven"
    assert story.job.links["bob"] == "005-bob"


def test_a_restart_in_the_middle_of_a_cycle_begins_at_once() -> None:
    story = Story()
    story.restart(PORTAL)
    story.advance(15)

    story.restart(FULL)
    story.advance(29)
    assert story.status.code == "NotRun"
    story.advance(2)

    assert story.status.last_execution is not None
    assert story.status.last_execution.began == START + timedelta(seconds=15)


def test_an_old_cycle_can_end_after_the_restart_and_is_not_the_new_one() -> None:
    story = Story(tenant(oldCycleEndsAfterRestart=True))
    story.restart(PORTAL)
    story.advance(15)

    story.restart(FULL)
    story.advance(16)
    assert story.status.code == "Active"
    assert story.status.steady_state_last_achieved == START + timedelta(seconds=30)
    assert story.status.last_execution is not None
    assert story.status.last_execution.began == START

    story.advance(30)
    assert story.status.last_execution.began == START + timedelta(seconds=30)
    assert story.job.links["cid"] == "005-cid-NEW"


@pytest.mark.parametrize("flags", [FULL, PORTAL, ResetScope.QUARANTINE_STATE, ResetScope.NONE])
def test_a_quarantine_is_lifted(flags: ResetScope) -> None:
    story = Story()
    story.job.status = Status(code="Quarantine", quarantine=Quarantine())

    story.restart(flags)

    assert story.status.quarantine is None
    assert story.status.code == "NotRun"


def test_a_quarantine_stays_without_its_flag() -> None:
    story = Story()
    story.job.status = Status(code="Quarantine", quarantine=Quarantine())

    story.restart(ResetScope.WATERMARK)
    story.advance(3600)

    assert story.status.code == "Quarantine"
    assert story.status.quarantine == Quarantine(reason="Unknown")


def test_a_paused_job_ends_its_cycle_and_begins_no_other() -> None:
    story = Story()
    story.restart(FULL)
    story.advance(15)

    story.directory.pause(story.sp, story.job)
    story.advance(7200)

    assert story.status.code == "Paused"
    assert len(story.job.links) == 3
    assert len(story.happened("CycleEnded")) == 1


def test_starting_a_paused_job_goes_on_where_it_was() -> None:
    story = Story()
    story.directory.pause(story.sp, story.job)
    story.advance(7200)

    story.directory.start(story.sp, story.job)
    story.advance(11)

    assert story.status.code == "Active"
    assert story.happened("CycleBegan") == [{"kind": "incremental"}]


@pytest.mark.parametrize(
    ("enables", "code"), [pytest.param(True, "NotRun"), pytest.param(False, "Paused")]
)
def test_whether_a_restart_sets_a_disabled_job_going_is_a_switch(enables: bool, code: str) -> None:
    story = Story(tenant(scheduleState="Disabled", restartEnables=enables))
    assert story.status.code == "Paused"

    story.restart(FULL)

    assert story.status.code == code


def test_a_job_without_configuration_never_runs() -> None:
    story = Story(tenant(status={"code": "NotConfigured"}))

    story.restart(FULL)
    story.advance(7200)

    assert story.status.code == "NotConfigured"
    assert story.happened("CycleBegan") == []


def test_an_initial_cycle_can_end_in_a_pause_with_escrows_pruned() -> None:
    story = Story(tenant(pauseAfterCycle=True))
    story.directory.state.users[0].fails = True

    story.restart(FULL)
    story.advance(CYCLE)

    assert (story.status.code, story.status.escrows_pruned) == ("Paused", True)
    assert story.job.escrows == {}


def test_jobs_of_one_application_share_its_accounts() -> None:
    story = Story(tenant(links={}, scope=["ann"], status={"code": "NotRun"}))
    story.sp.jobs.append(
        tenant(id="second", links={}, status={"code": "NotRun"}).service_principals[0].jobs[0]
    )
    story.sp.target_accounts.clear()

    story.advance(60)

    first, second = story.sp.jobs
    assert list(first.links) == ["ann"]
    assert second.links["ann"] == first.links["ann"]


_scopes_without_store = st.integers(0, 63).map(lambda bits: ResetScope(bits & ~1 & 47))
_steps = st.lists(
    st.one_of(
        st.floats(0.1, 4000),
        _scopes_without_store,
        st.sampled_from(["pause", "start", "rename", "deactivate", "fail", "recover"]),
    ),
    max_size=12,
)


def _take(story: Story, step: float | ResetScope | str) -> None:
    users, accounts = story.directory.state.users, story.sp.target_accounts
    match step:
        case ResetScope():
            story.restart(step)
        case float():
            story.advance(step)
        case "pause":
            story.directory.pause(story.sp, story.job)
        case "start":
            story.directory.start(story.sp, story.job)
        case "rename":
            accounts[0].attributes, accounts[3].attributes = (
                accounts[3].attributes,
                accounts[0].attributes,
            )
            users[0].modified = story.now
        case "deactivate":
            accounts[0].active = not accounts[0].active
        case "fail" | "recover":
            users[1].fails = step == "fail"


@settings(deadline=None)
@given(_steps, st.booleans())
def test_without_the_store_flag_no_existing_link_ever_changes(
    steps: list[float | ResetScope | str], old_cycle_ends: bool
) -> None:
    story = Story(tenant(oldCycleEndsAfterRestart=old_cycle_ends))
    before = dict(story.job.links)

    for step in steps:
        _take(story, step)

    assert {user: story.job.links.get(user) for user in before} == before


@settings(deadline=None)
@given(_steps, st.integers(0, 63), st.lists(st.floats(0.1, 900), min_size=1, max_size=8))
def test_one_long_step_and_many_short_ones_end_alike(
    steps: list[float | ResetScope | str], bits: int, waits: list[float]
) -> None:
    long, short = Story(), Story()
    for step in [*steps, ResetScope(bits & 47)]:
        _take(long, step)
        _take(short, step)
    moments: list[datetime] = []
    for wait in waits:
        moments.append((moments[-1] if moments else long.now) + timedelta(seconds=wait))

    long.directory.advance_to(moments[-1])
    for moment in moments:
        short.directory.advance_to(moment)

    assert to_builtins(long.directory.state) == to_builtins(short.directory.state)
