"""Rows on screens of every width: nothing too wide, no id cut."""

import re
from typing import Any

import pytest

from local.commands import list_resets, show
from local.folding import fold_after
from local.follow import Lines, link_line
from local.plan import HEADER
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


ALIAS = "successfactors-to-active-directory-users-emea-2"
REMEDIATED = f"remediate.{ALIAS}.2026-11-26"
TICKET = "servicenow-production.RITM0012345678901234567890123456789012345678-1"
ROW: dict[str, Any] = {
    "id": TICKET,
    "state": "waiting",
    "target": ALIAS,
    "requestedAt": "2026-11-26T18:00:00Z",
    "requestedBy": "somebody.with.a.very.long.name.indeed@subsidiary.contoso.com",
    "detail": f"waits behind {REMEDIATED}; one restart of {JOB} will do for both",
    "behind": REMEDIATED,
    "events": [
        {
            "at": "2026-11-26T18:00:00Z",
            "state": "awaiting_approval",
            "detail": f"asked for already, as {REMEDIATED}",
            "by": "relink",
        }
    ],
    "subjects": [
        {
            "subject": "somebody.with.a.very.long.name.indeed@subsidiary.contoso.com",
            "verdict": "still_linked",
            "before": "0055e000001aOLDAA2-0055e000001aOLDAA2-0055e000001aOLDAA2",
            "after": "0055e000001aOLDAA2-0055e000001aOLDAA2-0055e000001aOLDAA2",
        }
    ],
}
PLAN = Records(
    header=HEADER,
    rows=[
        (ALIAS, "Active", "52", "a request", "wait", f"{REMEDIATED} is under way on {JOB}"),
        ("", "", "", "the timer", "ask for nothing", f"was asked for already, as {REMEDIATED}"),
        ("b", "cannot be read", "", "a request", "be refused", f"no job {JOB}"),
    ],
    states=frozenset({"JOB", "WOULD"}),
)


@pytest.mark.parametrize("width", [80, 100, 119, 120, 139, 160, 200, 240])
@pytest.mark.parametrize(
    ("command", "ids"),
    [
        ("plan", [ALIAS, REMEDIATED, JOB]),
        ("list", [TICKET, ALIAS, REMEDIATED, JOB]),
        ("show", [TICKET, ALIAS, REMEDIATED, JOB, str(ROW["subjects"][0]["before"])]),
        ("a note", [REMEDIATED, JOB]),
    ],
)
def test_an_id_in_a_sentence_stays_whole(command: str, ids: list[str], width: int) -> None:
    screen = Screen(width=width)
    match command:
        case "plan":
            shown = PLAN.shown(screen)
        case "list":
            shown = list_resets._records([ROW]).shown(screen)
        case "show":
            shown = "\n".join(show._lines(ROW, screen))
        case _:
            shown = fold_after("", ROW["detail"], width)

    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    for each in ids:
        assert any(each in line for line in lines), each
    assert lines == [line.rstrip() for line in lines]


def test_a_word_that_is_longer_than_the_terminal_is_folded_and_loses_nothing() -> None:
    shown = fold_after("18:00:00 failed ", f"as {JOB} says", 60).splitlines()

    assert shown[0] == "18:00:00 failed as"
    assert "".join(shown[1:3]) == JOB
    assert shown[3] == f"{'':16}says"


def test_a_colour_before_the_text_takes_no_room() -> None:
    folded = fold_after("18:00 \x1b[31mfailed\x1b[0m ", "one two three", 21).splitlines()

    assert folded == ["18:00 \x1b[31mfailed\x1b[0m one two", f"{'':13}three"]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"verdict": "relinked", "before": "a1", "after": "b2"}, "ann relinked: a1 -> b2"),
        ({"verdict": "created", "after": "b2"}, "ann created: ? -> b2"),
        ({"verdict": "unknown", "problem": "no user is so"}, "ann unknown: no user is so"),
        ({"verdict": "not_seen", "evidence": "no row"}, "ann not_seen: no row"),
        ({}, "ann not looked up"),
    ],
)
def test_a_link_says_its_ids_or_why_there_are_none(link: dict[str, str], words: str) -> None:
    assert link_line({"subject": "ann", **link}, None) == f"link     {words}"


@pytest.mark.parametrize(("state", "shown"), [("restarted", True), ("completed", False)])
def test_how_far_a_cycle_was_is_shown_while_it_runs(state: str, shown: bool) -> None:
    lines = show._lines({**ROW, "state": state, "progress": "38 of 52"}, Screen(width=80))

    assert any("38 of 52" in line for line in lines) is shown


def test_what_is_indented_stays_indented() -> None:
    assert fold_after("", "  one two three", 10) == "  one two\n  three"


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
