"""
Our timer takes the decisions that the genuine one was recorded to take.

On a clock of the test's own: waiting and running only move its hands. Left out: t14, a bad
expression, which is among the recorded schedules.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.host.schedule_status import ScheduleStatus
from local.host.schedules import parse_schedule
from local.host.timers import TimerListener
from tests.host.replay import RECORDINGS

SCENARIOS: dict[str, dict[str, Any]] = {
    found["scenario"]: found
    for found in json.loads((RECORDINGS / "timers.json").read_text())["scenarios"]
}
PLAYED = [name for name in SCENARIOS if not name.startswith("t14-")]
TOLERANCE = timedelta(seconds=0.3)
MOMENTS = ("Last", "Next", "LastUpdated")


class Stage:
    """A clock, a stored status and a function, all writing down what is asked of them."""

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        self.settings = scenario["settings"]
        self.now = wall(scenario["events"][0])
        self.end = next(wall(e) for e in scenario["events"] if e["ev"] == "stopping")
        stored = self.settings.get("stored")
        self.stored = None if stored is None else ScheduleStatus.from_json(stored)
        self.runs = 0
        self.events: list[dict[str, Any]] = []
        schedule = parse_schedule(self.settings["schedule"])
        self.timer = TimerListener(
            "Plain",
            schedule,
            self.run,
            store=self if schedule.may_be_monitored else None,
            run_on_startup=self.settings.get("runOnStartup", False),
            now=lambda: self.now,
            sleep=self.sleep,
        )

    async def read(self, timer: str) -> ScheduleStatus | None:
        assert timer == "Plain"
        self.events.append({"ev": "getStatus", "status": shown(self.stored)})
        return self.stored

    async def write(self, _timer: str, status: ScheduleStatus) -> None:
        self.stored = status
        self.events.append({"ev": "updateStatus", "status": shown(status)})

    async def run(self, info: dict[str, Any]) -> None:
        self.runs += 1
        self.events.append({"ev": "begin", "timerInfo": info, "at": self.now})
        self.pass_time(self.settings.get("sleep", 0))
        threw = self.runs <= self.settings.get("throws", 0)
        self.events.append({"ev": "end", "threw": threw})

    async def sleep(self, seconds: float) -> None:
        if self.pass_time(seconds):
            await asyncio.sleep(3600)  # the stop ends this wait

    def pass_time(self, seconds: float) -> bool:
        """True when the host was stopped meanwhile."""
        self.now += timedelta(seconds=min(seconds, 10**6))
        if self.now >= self.end:
            self.timer.stop()
        return self.now >= self.end


@pytest.mark.parametrize("name", PLAYED)
async def test_a_timer_does_what_was_recorded(name: str) -> None:
    stage = Stage(SCENARIOS[name])
    await stage.timer.run()
    recorded = [
        event
        for event in SCENARIOS[name]["events"]
        if event["ev"] in {"getStatus", "updateStatus", "begin", "end"}
    ]

    assert [event["ev"] for event in stage.events] == [event["ev"] for event in recorded]
    for ours, theirs in zip(stage.events, recorded, strict=True):
        match theirs["ev"]:
            case "begin":
                assert abs(ours["at"] - wall(theirs)) < TOLERANCE
                assert same_info(ours["timerInfo"], theirs["timerInfo"])
            case "end":
                assert ours["threw"] == theirs["threw"]
            case _:
                assert same_status(ours["status"], theirs["status"])


def wall(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{event['wall']}+00:00")


def shown(status: ScheduleStatus | None) -> dict[str, str] | None:
    return None if status is None else status.to_json()


def same_info(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    rest = ("Schedule", "IsPastDue")
    return (
        ours.keys() == theirs.keys()
        and [ours[name] for name in rest] == [theirs[name] for name in rest]
        and same_status(ours["ScheduleStatus"], theirs["ScheduleStatus"])
    )


def same_status(ours: Mapping[str, str] | None, theirs: Mapping[str, str] | None) -> bool:
    """Whole seconds exactly; a run's own time, which has decimals, within the tolerance."""
    if ours is None or theirs is None:
        return ours is theirs
    return all(
        ours[name] == theirs[name]
        or (
            "." in theirs[name]
            and abs(datetime.fromisoformat(ours[name]) - datetime.fromisoformat(theirs[name]))
            < TOLERANCE
        )
        for name in MOMENTS
    )
