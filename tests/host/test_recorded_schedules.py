"""Schedule expressions mean what the genuine library was recorded to make of them."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.host.schedules import parse_schedule
from local.host.timespan import parse_timespan
from tests.host.replay import RECORDINGS

VECTORS: list[dict[str, Any]] = json.loads((RECORDINGS / "ncrontab.json").read_text())["vectors"]


def test_there_are_91_recorded_expressions() -> None:
    assert len(VECTORS) == 91


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["expression"]))
def test_an_expression_is_read_as_recorded(vector: dict[str, Any]) -> None:
    if vector["error"]:
        with pytest.raises(ValueError) as caught:
            parse_schedule(vector["expression"])
        assert str(caught.value) == vector["error"].removeprefix("ArgumentException: ")
        return
    schedule = parse_schedule(vector["expression"])

    assert schedule.may_be_monitored is vector["useMonitor"]
    assert schedule.adjusts_for_dst is (vector["kind"] == "cron")
    for occurrences in vector["occurrences"]:
        moment = datetime.fromisoformat(occurrences["from"])
        for expected in occurrences["next"]:
            moment = schedule.next_after(moment)
            assert moment == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:00:30", timedelta(seconds=30)),
        ("00:00:01.900", timedelta(seconds=1.9)),
        ("00:05", timedelta(minutes=5)),
        ("24:00:00", timedelta(days=24)),
        ("1.02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("1:02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("-00:05:00", timedelta(minutes=-5)),
        ("5", timedelta(days=5)),
    ],
)
def test_a_timespan_is_read_as_dotnet_reads_it(text: str, span: timedelta) -> None:
    assert parse_timespan(text) == span


@pytest.mark.parametrize("text", ["", "soon", "24:00", "00:60:00", "00:00:60", "1.24:00:00", "٣"])
def test_what_is_no_timespan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no TimeSpan"):
        parse_timespan(text)
