"""What is to be reached, and how a figure stands to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

NEAR: Final = 1.05

Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""Each measure's figures, one mapping for each round."""


class Verdict(StrEnum):
    REACHED = "reached"
    NEAR = "within 5 %"
    MISSED = "missed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """
    One line of the table. *of* gives a figure of each round.

    A goal is the most that is allowed, or with *least* the least.
    """

    name: str
    needs: tuple[str, ...]
    of: Callable[[Rounds], Sequence[float]]
    goal: float
    least: bool = False
    digits: int = 2
    unit: str = ""

    def verdict(self, value: float) -> Verdict:
        short = self.goal / value if self.least else value / self.goal
        if short <= 1:
            return Verdict.REACHED
        return Verdict.NEAR if short <= NEAR else Verdict.MISSED


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A goal with its figure: the median of the rounds, the lowest and the highest."""

    goal: Goal
    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> Verdict:
        return self.goal.verdict(self.median)


def ratio(figure: str, mine: str, other: str) -> Callable[[Rounds], list[float]]:
    """Round by round, because rounds meet other load."""
    return lambda rounds: [
        one[figure] / two[figure] for one, two in zip(rounds[mine], rounds[other], strict=True)
    ]


def against_naive(figure: str, measure: str) -> Callable[[Rounds], list[float]]:
    """Of a measure that had both apps in turns."""
    return lambda rounds: [
        each[f"{figure} relink"] / each[f"{figure} naive"] for each in rounds[measure]
    ]


def plain(figure: str, measure: str) -> Callable[[Rounds], list[float]]:
    return lambda rounds: [each[figure] for each in rounds[measure]]


GOALS: Final = (
    Goal(
        name="CPU a distinct reset, against naive",
        needs=("reset relink", "reset naive"),
        of=ratio("cpu", "reset relink", "reset naive"),
        goal=0.7,
    ),
    Goal(
        name="distinct resets a second, against naive",
        needs=("reset relink", "reset naive"),
        of=ratio("rate", "reset relink", "reset naive"),
        goal=1.4,
        least=True,
    ),
    Goal(
        name="remote calls a distinct reset, 24 at once",
        needs=("calls relink",),
        of=plain("calls", "calls relink"),
        goal=12,
        digits=1,
    ),
    Goal(
        name="CPU against the SDKs' floor, same writes",
        needs=("reset relink", "floor"),
        of=ratio("cpu", "reset relink", "floor"),
        goal=1.25,
    ),
    Goal(
        name="first restart, CPU, against naive",
        needs=("restart",),
        of=against_naive("least cpu", "restart"),
        goal=0.45,
    ),
    Goal(
        name="first webhook, time, against naive",
        needs=("webhook",),
        of=against_naive("milliseconds", "webhook"),
        goal=1.9,
    ),
    Goal(
        name="peak memory, against naive",
        needs=("reset relink", "reset naive"),
        of=ratio("peak", "reset relink", "reset naive"),
        goal=0.6,
    ),
    Goal(
        name="start to first webhook, CPU, to naive",
        needs=("webhook",),
        of=against_naive("least cpu", "webhook"),
        goal=0.95,
    ),
    Goal(
        name="storm: CPU a ticket",
        needs=("storm",),
        of=plain("cpu", "storm"),
        goal=18,
        digits=1,
        unit="ms",
    ),
    Goal(name="storm: Graph reads", needs=("storm",), of=plain("reads", "storm"), goal=8, digits=0),
    Goal(
        name="storm: storage calls a ticket",
        needs=("storm",),
        of=plain("calls", "storm"),
        goal=14,
        digits=1,
    ),
    Goal(
        name="other targets beside one that takes 20 s",
        needs=("slow target",),
        of=plain("seconds", "slow target"),
        goal=3,
        digits=1,
        unit="s",
    ),
    Goal(
        name="webhook, storage 2 s a call: status",
        needs=("slow storage",),
        of=plain("status", "slow storage"),
        goal=202,
        digits=0,
    ),
    Goal(
        # GitHub waits ten seconds.
        name="webhook, storage 2 s a call: time",
        needs=("slow storage",),
        of=plain("seconds", "slow storage"),
        goal=10,
        digits=1,
        unit="s",
    ),
    Goal(
        name="webhook, one dropped connection: status",
        needs=("dropped",),
        of=plain("status", "dropped"),
        goal=202,
        digits=0,
    ),
    Goal(
        name="webhook, one dropped connection: time",
        needs=("dropped",),
        of=plain("seconds", "dropped"),
        goal=4,
        digits=1,
        unit="s",
    ),
    Goal(
        name="sweep of 500 idle targets: calls",
        needs=("idle",),
        of=plain("calls", "idle"),
        goal=510,
        digits=0,
    ),
    Goal(
        name="sweep of 500 idle targets: CPU",
        needs=("idle",),
        of=plain("cpu", "idle"),
        goal=0.4,
        unit="s",
    ),
    Goal(
        name="a day of 500 idle targets: storage calls",
        needs=("idle",),
        of=plain("day", "idle"),
        goal=0.8,
        unit="M",
    ),
    Goal(
        name="sweep of 20,000 due rows: the tick takes",
        needs=("busy",),
        of=plain("seconds", "busy"),
        goal=300,
        digits=0,
        unit="s",
    ),
    Goal(
        name="GET of the 50 open: storage calls",
        needs=("reading",),
        of=plain("open many", "reading"),
        goal=52,
        digits=0,
    ),
    Goal(
        name="GET of one: storage calls, many resets",
        needs=("reading",),
        of=plain("one many", "reading"),
        goal=4,
        digits=0,
    ),
    Goal(
        name="own CPU of reading, many against few",
        needs=("reading",),
        of=plain("flat", "reading"),
        goal=1.25,
    ),
    Goal(
        name="memory, late against early",
        needs=("memory",),
        of=plain("growth", "memory"),
        goal=1.05,
    ),
    Goal(
        name="package, zipped",
        needs=("package",),
        of=plain("zipped", "package"),
        goal=15.5,
        digits=1,
        unit="MB",
    ),
    Goal(
        name="package, unpacked",
        needs=("package",),
        of=plain("unpacked", "package"),
        goal=45,
        digits=1,
        unit="MB",
    ),
)


def judged(rounds: Rounds) -> list[Found]:
    """The goals that can be judged by what was measured."""
    return [
        Found(goal=goal, values=goal.of(rounds))
        for goal in GOALS
        if all(rounds.get(measure) for measure in goal.needs)
    ]


def table(found: Sequence[Found]) -> str:
    """Eighty columns at most, nothing but text."""
    lines = [_line("", ("min", "median", "max"), "goal", "verdict"), "-" * 78]
    for each in found:
        goal = each.goal
        values = (min(each.values), each.median, max(each.values))
        low, middle, high = (f"{value:.{goal.digits}f}" for value in values)
        wanted = f"{'>=' if goal.least else '<='} {goal.goal:g}{goal.unit}"
        lines.append(_line(goal.name, (low, middle, high), wanted, str(each.verdict)))
    counts = [f"{sum(e.verdict is v for e in found)} {v}" for v in Verdict]
    return "\n".join([*lines, "-" * 78, ", ".join(counts)])


def _line(name: str, values: tuple[str, str, str], goal: str, verdict: str) -> str:
    low, middle, high = values
    return f"{name:<41}{low:>6}{middle:>7}{high:>6} {goal:<8} {verdict:<10}".rstrip()
