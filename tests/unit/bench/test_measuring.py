"""A bench takes minutes: what fails in it is named, and costs nothing that was measured."""

import json
from pathlib import Path

import pytest

from bench.__main__ import Measure, main
from bench.cost import Figures
from bench.lab import NothingMeasured, in_words


async def weighed() -> Figures:
    return {"zipped": 13.0, "unpacked": 37.0}


async def failing() -> Figures:
    raise ExceptionGroup("senders", [NothingMeasured("a webhook was answered 503"), OSError()])


PACKAGE = Measure(name="package", run=weighed)
MEMORY = Measure(name="memory", run=failing)


async def test_one_that_fails_is_named_and_the_others_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"

    assert await main({"ROUNDS": "2", "OUT": str(out)}, [MEMORY, PACKAGE]) == 1

    said = capsys.readouterr()
    assert "not measured: memory: a webhook was answered 503" in said.out
    assert "2 reached" in said.out
    assert said.err.count("memory failed") == 1
    assert len(json.loads(out.read_text())["measures"]["package"]) == 2


async def test_it_ends_with_0_where_all_were_measured(tmp_path: Path) -> None:
    assert await main({"ROUNDS": "1", "OUT": str(tmp_path / "bench.json")}, [PACKAGE]) == 0


def test_an_error_without_words_has_its_kind() -> None:
    assert in_words(TimeoutError()) == "TimeoutError"
    assert in_words(NothingMeasured("why")) == "why"
