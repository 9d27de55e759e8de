"""The verdicts of the bench and of the faults say what was found, and their tables fit."""

from collections import Counter
from typing import Any

import pytest

from bench import faults
from bench.cold import of_starts
from bench.goals import GOALS, Found, Goal, Verdict, against_naive, judged, plain, ratio, table

MOST = Goal(name="n", needs=("m",), of=plain("v", "m"), goal=2)
LEAST = Goal(name="n", needs=("m",), of=plain("v", "m"), goal=2, least=True)


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (MOST, 2, Verdict.REACHED),
        (MOST, 2.05, Verdict.NEAR),
        (MOST, 2.2, Verdict.MISSED),
        (LEAST, 2, Verdict.REACHED),
        (LEAST, 1.95, Verdict.NEAR),
        (LEAST, 1.8, Verdict.MISSED),
    ],
)
def test_a_figure_reaches_its_goal_or_is_near_or_misses_it(
    goal: Goal, value: float, verdict: Verdict
) -> None:
    assert goal.verdict(value) is verdict


def test_ratios_are_taken_round_by_round() -> None:
    rounds = {"a": [{"v": 1.0}, {"v": 6.0}], "b": [{"v": 2.0}, {"v": 3.0}]}

    assert ratio("v", "a", "b")(rounds) == [0.5, 2.0]


def test_of_a_measure_that_had_both_apps_the_ratio_is_within_a_round() -> None:
    rounds = {"m": [{"v relink": 1.0, "v naive": 2.0}, {"v relink": 6.0, "v naive": 3.0}]}

    assert against_naive("v", "m")(rounds) == [0.5, 2.0]


def test_of_many_starts_the_least_processor_and_the_median_time_stand_for_all() -> None:
    starts = [{"seconds": took, "cpu": cpu} for took, cpu in ((9.0, 3.0), (1.0, 4.0), (2.0, 8.0))]

    assert of_starts({"a": starts, "b": starts[1:2]}) == {
        "seconds a": 2.0,
        "cpu a": 4.0,
        "least cpu a": 3.0,
        "seconds b": 1.0,
        "cpu b": 4.0,
        "least cpu b": 4.0,
    }


def test_a_goal_whose_figures_were_not_measured_is_left_out() -> None:
    assert judged({"idle": [{"calls": 506, "cpu": 0.3, "day": 0.7}]}) != []
    assert judged({"reset relink": [{"cpu": 1, "rate": 1, "peak": 1}]}) == []


def test_every_goal_stands_in_a_table_that_fits_a_terminal() -> None:
    text = table([Found(goal=goal, values=[123.4, 20_000, 9.9]) for goal in GOALS])

    assert all(goal.name in text for goal in GOALS)
    assert max(map(len, text.splitlines())) <= 80
    assert text.isprintable() or text.replace("\n", "").isprintable()


def outcome(**changes: Any) -> faults.Outcome:
    good: dict[str, Any] = {
        "name": "killed",
        "requests": 2,
        "states": Counter(restarted=2),
        "restarts": Counter(a=1, b=1),
        "seconds": 3.0,
        "rested": True,
    }
    return faults.Outcome(**good | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"states": Counter(restarted=1)},
        {"restarts": Counter(a=2, b=1)},
        {"rested": False},
        {"restarts": Counter(a=1)},
    ],
)
def test_a_request_that_is_lost_or_repeated_or_never_sent_is_told(changes: dict[str, Any]) -> None:
    assert outcome().good
    assert not outcome(**changes).good
    assert "WRONG" in faults.table([outcome(), outcome(**changes)])
