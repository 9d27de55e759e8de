"""Rows on screens of every width: nothing too wide, no id cut."""

import re

import pytest

from local.follow import Lines
from local.screen import Records, Screen

JOB = "salesforce.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.3ab45132-d533-54b9-a3e3-5e6c34b7bd5f"
LONG = f"SystemForCrossDomainIdentityManagement.{JOB}"
WHY = "the daily budget of 10 restarts is spent; it starts again at 2026-11-27 00:00 UTC, " * 3
RECORDS = Records(
    header=("NAME", "JOB ID", "STATE", "WHY"),
    rows=[("Salesforce", JOB, "Active", WHY), ("", "", "Quarantine", "then"), ("B", LONG, "", "")],
    ids=frozenset({"JOB ID"}),
    states=frozenset({"STATE"}),
)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 119, 120, 140, 200, 300])
@pytest.mark.parametrize("colour", [False, True])
def test_nothing_is_wider_than_the_terminal_and_all_of_it_is_there(
    width: int, colour: bool
) -> None:
    shown = RECORDS.shown(Screen(width=width, colour=colour))

    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= width
    squeezed = re.sub(r"\s", "", plain)
    assert all(id_ in squeezed for id_ in ("Salesforce", "Quarantine", "then"))
    if width < 120:
        assert JOB in squeezed
        assert LONG in squeezed
        assert re.sub(r"\s", "", WHY) in squeezed
    assert ("\x1b[" in shown) is colour


@pytest.mark.parametrize("width", [80, 100, 200])
def test_an_id_that_fits_the_terminal_stands_on_one_line(width: int) -> None:
    assert JOB in RECORDS.shown(Screen(width=width))


@pytest.mark.parametrize("screen", [Screen(width=None), Screen(width=80, wide=True)])
def test_a_pipe_and_wide_have_one_line_a_row(screen: Screen) -> None:
    shown = RECORDS.shown(screen).splitlines()

    assert len(shown) == 1 + len(RECORDS.rows)
    assert shown[0].split() == ["NAME", "JOB", "ID", "STATE", "WHY"]
    assert WHY.strip() in shown[1]


def test_the_bar_stays_within_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reset = {"state": "restarted", "events": [], "progress": "12 of 52 (23 %)"}

    Lines(screen=Screen(width=40)).show(reset)
    Lines(screen=Screen(width=None)).show(reset)

    shown = capsys.readouterr().out
    moving, plain = shown.removeprefix("\r\x1b[K").split("        ", 2)[1:]
    assert len(f"        {moving}") < 40
    assert "12 of 52 (23 %)" in plain


def test_the_state_is_a_word_and_a_colour_beside_it() -> None:
    event = {"at": "2026-11-26T18:00:00Z", "state": "completed", "detail": "done", "by": "relink"}

    assert Lines(screen=Screen(width=80)).text_of(event) == "18:00:00 completed         done"
    assert "\x1b[32mcompleted\x1b[0m" in Lines(screen=Screen(width=80, colour=True)).text_of(event)
