"""Pace: turns in their order, a burst after quiet, and what holds them all back."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.pace import (
    LONGEST_PAUSE,
    TURN_LASTS,
    Pace,
    Terms,
    after_failure,
    after_success,
    has_turn,
    take_turn,
)

NOW = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
TERMS = Terms(per_minute=60)


def turns(pace: Pace, count: int, *, now: datetime = NOW, terms: Terms = TERMS) -> list[datetime]:
    found = []
    for _ in range(count):
        pace, turn = take_turn(pace, terms, now=now)
        found.append(turn)
    return found


def test_after_a_quiet_time_a_burst_goes_at_once_and_the_rest_one_after_the_other() -> None:
    found = turns(Pace(notifier="desk"), 18)

    assert found[:15] == [NOW] * 15
    assert found[15:] == [NOW + timedelta(seconds=n) for n in (1, 2, 3)]


@pytest.mark.parametrize("per_minute", [1, 4, 60, 240, 1200, 6000])
def test_in_no_minute_go_more_than_the_pace_and_a_burst(per_minute: int) -> None:
    terms = Terms(per_minute=per_minute)
    found = turns(Pace(notifier="desk"), 3 * per_minute + terms.burst, terms=terms)
    minute = timedelta(minutes=1)

    assert found == sorted(found)
    for start in range(4):
        begin = NOW + start * minute
        inside = [turn for turn in found if begin <= turn < begin + minute]
        assert len(inside) <= per_minute + terms.burst


def test_a_turn_comes_and_goes_by() -> None:
    pace = Pace(notifier="desk")

    assert not has_turn(pace, None, now=NOW)
    assert not has_turn(pace, NOW + timedelta(seconds=1), now=NOW)
    assert has_turn(pace, NOW, now=NOW)
    assert not has_turn(pace, NOW - TURN_LASTS, now=NOW)


def test_retry_after_holds_every_turn_back() -> None:
    held = after_failure(Pace(notifier="desk"), now=NOW, retry_after=timedelta(seconds=90))
    until = NOW + timedelta(seconds=90)

    assert not has_turn(held, NOW, now=NOW)
    assert has_turn(held, until, now=until)
    assert turns(held, 1) == [until]


def test_a_system_that_fails_again_and_again_is_left_alone_for_longer_each_time() -> None:
    pace, waits = Pace(notifier="desk"), []
    for _ in range(12):
        pace = after_failure(pace, now=NOW, retry_after=None)
        waits.append((pace.held_until or NOW) - NOW)

    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert minutes[:6] == [0, 0, 1, 2, 4, 8]
    assert waits[-1] == LONGEST_PAUSE
    assert after_success(pace) == Pace(notifier="desk")


def test_a_shorter_hint_takes_no_longer_hold_away() -> None:
    held = after_failure(Pace(notifier="desk"), now=NOW, retry_after=timedelta(hours=1))
    again = after_failure(held, now=NOW, retry_after=timedelta(seconds=1))

    assert again.held_until == held.held_until
