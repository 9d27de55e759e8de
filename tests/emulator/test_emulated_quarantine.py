"""Into quarantine, its slower rhythm, out of it, and the end after four weeks."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from local.emulator.quarantine import too_many_failures
from local.emulator.scopes import FULL, PORTAL, ResetScope
from local.emulator.values import Job, JobError, Quarantine, QuarantineRules
from tests.emulator.emulator_support import START, Story, tenant

HOUR = 3600
DAY = 24 * HOUR
CYCLE = 31
SIGN_IN = JobError(code="SalesforceInvalidCredentials", message="Your credentials are invalid.")
ONE_IS_TOO_MANY = {"least": 1, "proportion": 0.3}


def quarantine_of(story: Story) -> Quarantine:
    assert story.status.quarantine is not None
    return story.status.quarantine


def failing(**rules: Any) -> Story:
    """Ann fails and has been in quarantine for it since the end of the first cycle."""
    story = Story(tenant(quarantineRules=ONE_IS_TOO_MANY | rules))
    ann = story.directory.state.users[0]
    ann.fails, ann.modified = True, START
    story.advance(20 * 60 + 10)
    return story


def tries(story: Story) -> list[timedelta]:
    """When it was tried again, since the quarantine was first imposed."""
    events = story.directory.state.events
    began = next(event.at for event in events if event.name == "JobQuarantined")
    return [e.at - began for e in events if e.name == "CycleBegan" and e.at > began]


@pytest.mark.parametrize(
    ("failures", "successes", "reason"),
    [
        pytest.param(4_999, 0, None, id="under-5000-nothing-is-judged"),
        pytest.param(5_000, 7_500, None, id="exactly-40-percent"),
        pytest.param(5_000, 7_499, "EncounteredEscrowProportionThreshold", id="over-40-percent"),
        pytest.param(30_000, 5_000, "EncounteredEscrowProportionThreshold", id="docs-30000-5000"),
        pytest.param(20_000, 100_000, None, id="docs-20000-100000"),
        pytest.param(40_000, 100_000, None, id="exactly-40000"),
        pytest.param(45_000, 900_000, "EncounteredBaseEscrowThreshold", id="docs-45000"),
        pytest.param(60_000, 900_000, "EncounteredBaseEscrowThreshold", id="exactly-60000"),
        pytest.param(60_001, 900_000, "EncounteredTotalEscrowThreshold", id="over-60000"),
    ],
)
def test_the_documented_thresholds(failures: int, successes: int, reason: str | None) -> None:
    job = Job(
        id="j",
        escrows={f"f{n}": "InvalidProperty" for n in range(failures)},
        links={f"s{n}": "t" for n in range(successes)},
    )

    assert too_many_failures(job) == reason


def test_too_many_failures_in_an_incremental_cycle_put_the_job_into_quarantine() -> None:
    story = failing()

    assert story.status.code == "Quarantine"
    assert quarantine_of(story).reason == "EncounteredEscrowProportionThreshold"
    assert quarantine_of(story).series_count == 1
    assert quarantine_of(story).current_began == START + timedelta(minutes=20, seconds=10)
    assert story.happened("JobQuarantined") == [{"reason": "EncounteredEscrowProportionThreshold"}]


def test_in_quarantine_it_is_tried_again_after_5_minutes_6_12_and_24_hours_and_then_daily() -> None:
    story = failing()

    story.advance(3 * DAY + HOUR)

    hours = [timedelta(hours=hours) for hours in (6, 12, 24, 48, 72)]
    assert tries(story) == [timedelta(minutes=5), *hours]
    assert story.status.code == "Quarantine"


def test_each_try_that_fails_moves_the_current_quarantine_but_not_its_series() -> None:
    story = failing()
    first = quarantine_of(story)

    story.advance(7 * HOUR)

    again = quarantine_of(story)
    imposed = START + timedelta(minutes=20, seconds=10)
    assert (first.series_began, first.current_began, first.series_count) == (imposed, imposed, 1)
    assert again.series_began == imposed
    assert again.series_count == 3
    assert again.current_began == imposed + timedelta(hours=6, seconds=10)
    assert again.next_attempt == imposed + timedelta(hours=12)


@pytest.mark.parametrize(
    ("rule", "moved"),
    [
        ("moves", [True, True, True]),
        ("stays", [False, False, False]),
        ("alternates", [True, False, True]),
    ],
)
def test_whether_an_imposition_moves_the_current_quarantine_is_a_rule(
    rule: str, moved: list[bool]
) -> None:
    story = failing(currentBegan=rule)
    seen = [quarantine_of(story).current_began]
    for seconds in (6 * 60, 6 * HOUR, 6 * HOUR):
        story.advance(seconds)
        seen.append(quarantine_of(story).current_began)

    assert [new != old for old, new in pairwise(seen)] == moved
    assert quarantine_of(story).series_count == 4


def test_a_try_that_succeeds_lifts_the_quarantine_and_the_usual_rhythm_returns() -> None:
    story = failing()
    story.directory.state.users[0].fails = False

    story.advance(6 * HOUR + 11)

    assert (story.status.code, story.status.quarantine) == ("Active", None)
    assert story.happened("QuarantineLifted") == [{}]
    assert story.job.next_cycle_at is not None
    assert story.job.next_cycle_at - story.now < timedelta(minutes=40)


def test_after_four_weeks_the_job_is_disabled_and_its_failures_forgotten() -> None:
    story = failing()

    story.advance(28 * DAY - HOUR)
    assert (story.job.schedule_state, story.job.escrows) == ("Active", {"ann": "InvalidProperty"})

    story.advance(2 * HOUR)
    assert (story.job.schedule_state, story.job.escrows) == ("Disabled", {})
    assert story.status.code == "Quarantine"
    cycles = len(story.happened("CycleBegan"))
    story.advance(7 * DAY)
    assert len(story.happened("CycleBegan")) == cycles
    assert story.happened("JobDisabled") == [{}]


def test_the_code_of_a_disabled_job_and_the_rhythm_are_switches() -> None:
    story = failing(
        retryHours=[1, 2], thenEveryHours=2, disabledAfterDays=0.25, disabledCode="Paused"
    )

    story.advance(7 * HOUR)

    assert tries(story) == [timedelta(hours=hours) for hours in (1, 2, 4)]
    assert (story.job.schedule_state, story.status.code) == ("Disabled", "Paused")


def test_an_initial_cycle_with_too_many_failures_prunes_them_and_pauses() -> None:
    story = Story(tenant(quarantineRules=ONE_IS_TOO_MANY))
    story.directory.state.users[0].fails = True

    story.restart(PORTAL)
    story.advance(CYCLE)

    assert (story.status.code, story.status.escrows_pruned) == ("Paused", True)
    assert story.job.escrows == {}
    assert story.status.quarantine is None


def test_an_initial_cycle_can_be_switched_to_end_in_quarantine_like_any_other() -> None:
    story = Story(tenant(quarantineRules=ONE_IS_TOO_MANY | {"initialCycle": "quarantines"}))
    story.directory.state.users[0].fails = True

    story.restart(PORTAL)
    story.advance(CYCLE)

    assert story.status.code == "Quarantine"


def test_refused_credentials_quarantine_the_job_at_once_and_nobody_is_evaluated() -> None:
    story = Story()
    story.job.sign_in_fails = SIGN_IN

    story.advance(21 * 60)

    assert story.status.code == "Quarantine"
    assert quarantine_of(story).reason == "EncounteredQuarantineException"
    assert quarantine_of(story).error == SIGN_IN
    assert story.status.complete_failures == 1
    assert story.status.last_execution is not None
    assert story.status.last_execution.state == "Failed"
    assert story.happened("EntryEvaluated") == []


@pytest.mark.parametrize("flags", [FULL, PORTAL, ResetScope.QUARANTINE_STATE])
def test_no_restart_helps_against_refused_credentials(flags: ResetScope) -> None:
    story = Story()
    story.job.sign_in_fails = SIGN_IN
    story.advance(21 * 60)

    story.restart(flags)
    assert story.status.quarantine is None
    story.advance(1)

    assert quarantine_of(story).reason == "EncounteredQuarantineException"
    assert quarantine_of(story).series_began == START + timedelta(minutes=21)


def test_mended_credentials_lift_the_quarantine_at_the_next_try() -> None:
    story = Story()
    story.job.sign_in_fails = SIGN_IN
    story.advance(26 * 60)
    story.job.sign_in_fails = None

    story.advance(5 * HOUR)
    assert story.status.code == "Quarantine"
    story.advance(HOUR)

    assert (story.status.code, story.status.complete_failures) == ("Active", 0)


@pytest.mark.parametrize(
    "reason",
    [
        "EncounteredBaseEscrowThreshold",
        "EncounteredTotalEscrowThreshold",
        "EncounteredEscrowProportionThreshold",
        "EncounteredQuarantineException",
        "Unknown",
        "QuarantinedOnDemand",
        "TooManyDeletes",
        "IngestionInterrupted",
        "NotInventedYet",
    ],
)
def test_every_reason_can_be_set_and_stays_until_it_is_lifted(reason: str) -> None:
    status = {"code": "Quarantine", "quarantine": {"reason": reason}}
    story = Story(tenant(status=status))

    story.advance(40 * DAY)
    assert (story.status.code, quarantine_of(story).reason) == ("Quarantine", reason)
    assert story.happened("CycleBegan") == []

    story.restart(PORTAL)
    story.advance(CYCLE)
    assert (story.status.code, story.status.quarantine) == ("Active", None)


def held() -> Story:
    story = Story(tenant(heldDeletes=["ann"]))
    story.advance(21 * 60)
    return story


def test_held_deletes_quarantine_the_job_at_the_end_of_a_cycle() -> None:
    story = held()

    assert quarantine_of(story).reason == "TooManyDeletes"
    assert [(e["user"], e["target"]) for e in story.happened("EntryHeld")] == [("ann", "005-ann")]


def test_a_portal_restart_finds_the_held_deletes_again() -> None:
    story = held()

    story.restart(PORTAL)
    story.advance(CYCLE)

    assert quarantine_of(story).reason == "TooManyDeletes"
    assert story.job.held_deletes == ["ann"]
    assert story.sp.target_accounts[0].active


def test_a_full_restart_forgets_the_held_deletes_and_the_account_stays() -> None:
    story = held()

    story.restart(FULL)
    story.advance(CYCLE)

    assert (story.status.code, story.job.held_deletes) == ("Active", [])
    assert story.sp.target_accounts[0].active


@pytest.mark.parametrize(
    ("flags", "switch"),
    [
        pytest.param(ResetScope.FORCE_DELETES | PORTAL, "forgotten", id="forced"),
        pytest.param(FULL, "carriedOut", id="switched-so-that-full-lets-them-go"),
    ],
)
def test_held_deletes_can_be_carried_out(flags: ResetScope, switch: str) -> None:
    story = Story(tenant(heldDeletes=["ann"], clearedStoreAndHeldDeletes=switch, scope=["bob"]))
    story.advance(21 * 60)

    story.restart(flags)
    story.advance(CYCLE)

    assert not story.sp.target_accounts[0].active
    assert story.happened("EntryDisabled") == [{"user": "ann", "target": "005-ann"}]
    assert (story.status.code, story.job.held_deletes) == ("Active", [])


def test_a_quarantine_lifted_on_a_disabled_job_that_stays_disabled_leaves_it_paused() -> None:
    status = {"code": "Quarantine", "quarantine": {"reason": "Unknown"}}
    story = Story(tenant(status=status, scheduleState="Disabled", restartEnables=False))

    story.restart(PORTAL)

    assert (story.status.code, story.status.quarantine) == ("Paused", None)


@pytest.mark.parametrize(
    "rules", [{"retry_hours": [12, 6]}, {"retry_hours": [0]}, {"then_every_hours": 0}]
)
def test_a_rhythm_that_makes_no_sense_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Hours must"):
        QuarantineRules(**rules)


def test_one_long_step_and_many_short_ones_quarantine_alike() -> None:
    moments: list[datetime] = [START + timedelta(hours=hours) for hours in range(24, 30 * 24, 7)]
    long, short = failing(), failing()

    long.directory.advance_to(moments[-1])
    for moment in moments:
        short.directory.advance_to(moment)

    assert long.directory.state == short.directory.state
    assert long.job.schedule_state == "Disabled"
