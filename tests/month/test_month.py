"""The simulated month, short; `make month` lives a whole one of fifty targets."""

import asyncio
import itertools
import logging
import os
from collections import defaultdict
from datetime import datetime

import pytest

from shared.domain.policy import fleet_stopped
from shared.domain.quarantine import RESTART_HELPS
from shared.domain.reset import State
from shared.names import REMEDIATE
from tests.month.month import (
    BUDGET,
    COOLDOWN,
    STEP,
    STORM,
    Month,
    effective,
    report,
)
from tests.support.host import resets
from tests.support.soak import progress

TARGETS = int(os.environ.get("MONTH_TARGETS", "12"))
DAYS = int(os.environ.get("MONTH_DAYS", "5"))
SEED = int(os.environ.get("MONTH_SEED", "1"))


@pytest.fixture(scope="module")
def month() -> Month:
    logging.disable(logging.CRITICAL)
    lived = Month(targets=TARGETS, days=DAYS, seed=SEED)
    asyncio.run(lived.run())
    logging.disable(logging.NOTSET)
    return lived


def test_the_month_ends_and_reports(month: Month) -> None:
    progress.say(f"\n{report(month)}")

    assert effective(month)
    assert {x.via for x in resets(month.world)} == {"queue", REMEDIATE}
    for name, queue in month.world.storage.queues.items():
        assert queue.messages == {}, name


def test_the_budget_held_on_every_day(month: Month) -> None:
    days: dict[str, set[str]] = defaultdict(set)
    for each in month.sent:
        days[f"{each.at:%Y-%m-%d}"].add(each.reset)

    assert all(len(spent) <= BUDGET for spent in days.values()), days


def test_the_cooldown_held_for_every_job(month: Month) -> None:
    for alias in month.aliases:
        times = [each.at for each in effective(month) if each.target == alias]
        for one, other in itertools.pairwise(times):
            assert other - one >= COOLDOWN, alias


def test_no_machine_touched_what_it_must_not(month: Month) -> None:
    for each in month.sent:
        assert each.reason not in {"EncounteredQuarantineException", "TooManyDeletes"}, each
        assert not each.automatic or each.reason in {"", *RESTART_HELPS}, each


def within(span: tuple[datetime, datetime], at: datetime) -> bool:
    return span[0] + STEP <= at < span[1]


def test_a_fault_of_the_whole_fleet_stopped_every_machine(month: Month) -> None:
    during = [each for each in month.sent if within(month.fleet_fault, each.at)]
    by_id = {x.id: x for x in resets(month.world)}

    assert fleet_stopped(month.at_worst)
    assert [each for each in during if each.automatic] == []
    assert all(by_id[each.reset].approved for each in during)


def test_nothing_was_sent_while_the_kill_switch_was_thrown(month: Month) -> None:
    assert [each for each in month.sent if within(month.switched_off, each.at)] == []


def test_a_storm_of_tickets_was_two_restarts_at_most(month: Month) -> None:
    found = resets(month.world)
    by_id = {x.id: x for x in found}
    joined = [x for x in found if x.state is State.JOINED]

    assert len(joined) >= STORM - 2
    assert {by_id[x.leader].state for x in joined} <= {State.COMPLETED, State.FAILED}
    for storm in month.storms:
        # The first may go at once; all that came after it share one more, after the cooldown.
        restarts = {by_id[x].leader or x for x in storm if by_id[x].leader or by_id[x].sent_at}
        assert len(restarts) <= 2, restarts
