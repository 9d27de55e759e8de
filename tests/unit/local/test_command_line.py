"""The command line: help of each command, a failing call of each, and what make hands over."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from local.cli import COMMANDS, main
from local.commands.decide import _became
from local.errors import whole_number
from local.overrides import overrides
from local.processes import ROOT

CLEAN = {"PATH": os.environ["PATH"]}
TARGETS = '{"salesforce-prod": {"servicePrincipalId": "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"}}'
REAL = {"RESET_TARGETS": TARGETS, "GRAPH_ENDPOINT": "https://graph.microsoft.com"}
HERE = {
    "RESET_TARGETS": TARGETS,
    "GRAPH_ENDPOINT": "http://127.0.0.1:9",
    "ResetStorage": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=YQ==;"
    "BlobEndpoint=http://127.0.0.1:9/d;QueueEndpoint=http://127.0.0.1:9/d;"
    "TableEndpoint=http://127.0.0.1:9/d;",
}

type Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("RESET", "GRAPH", "Reset", "RELINK", "LOCAL", "MAKE", "MFLAGS")):
            monkeypatch.delenv(name)


def test_without_a_command_the_commands_are_listed(capsys: Capture) -> None:
    assert main([], CLEAN) == 0

    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_has_help(
    command: str, flag: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert main([command, flag], CLEAN) == 0

    shown = capsys.readouterr().out
    assert f"python -m local {command}" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_refuses_an_option_that_it_does_not_know(
    command: str, capsys: Capture
) -> None:
    assert main([command, "--bogus"], CLEAN) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "--bogus" in line
    assert COMMANDS[command].harmless in line


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("bogus", 2, "bogus: unknown command"),
        ("request", 2, "target: missing"),
        (
            "request salesforce",
            2,
            "'salesforce' is not in RESET_TARGETS; did you mean salesforce-prod?",
        ),
        ("request nowhere", 2, "'nowhere' is not in RESET_TARGETS; known are salesforce-prod"),
        ("request salesforce-prod --ticket INC1", 2, "is not SYSTEM/ID"),
        ("request salesforce-prod --id -", 2, "requestId"),
        ("request salesforce-prod --not-before tomorrow", 2, "notBefore"),
        ("request salesforce-prod", 2, "a real restart of salesforce-prod is asked back"),
        ("show", 2, "id: missing"),
        ("link", 2, "user: missing"),
        ("link adele@contoso.com", 2, "target: missing"),
        ("link adele@contoso.com nowhere", 1, "'nowhere' is not in RESET_TARGETS"),
        ("mappings", 2, "reset: missing"),
        ("decide", 2, "id: missing"),
        ("decide r1 aprove", 2, "did you mean approve?"),
        ("decide r1", 2, "decision: missing"),
    ],
)
def test_a_failing_call_is_one_line_that_names_the_remedy(
    line: str, code: int, words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)

    assert main(line.split(), CLEAN | REAL) == code

    (said,) = capsys.readouterr().err.splitlines()
    assert words in said
    if line.startswith("request"):
        assert "; nothing was sent" in said


@pytest.mark.parametrize("command", ["show r1", "list", "decide r1 approve"])
def test_an_app_that_does_not_answer_is_one_line(
    command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELINK_URL", "http://127.0.0.1:9")

    assert main(command.split(), CLEAN) == 1

    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("RELINK_URL: http://127.0.0.1:9 does not answer")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RELINK_URL", "http://relink.example", "is not https"),
        ("RELINK_URL", "https://relink.example", "RELINK_KEY: missing"),
    ],
)
def test_a_key_travels_only_where_it_is_safe(
    name: str, value: str, words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert main(["list"], CLEAN) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        # said in every way: it is a dry run, so that nobody is asked back; storage is not there
        (["--dry-run"], {}, "the queue cannot be reached"),
        (["--dry-run=yes"], {}, "the queue cannot be reached"),
        (["--dry-run", "true"], {}, "the queue cannot be reached"),
        (["--dry-run=ON"], {}, "the queue cannot be reached"),
        ([], {"DRY_RUN": "1"}, "the queue cannot be reached"),
        ([], {"DRY_RUN": "yes"}, "the queue cannot be reached"),
        ([], {"DRY_RUN": "True"}, "the queue cannot be reached"),
        ([], {"DRY_RUN": " on "}, "the queue cannot be reached"),
        # said to be real: it is asked back
        ([], {}, "is asked back"),
        (["--dry-run=no"], {}, "is asked back"),
        (["--dry-run=no"], {"DRY_RUN": "yes"}, "is asked back"),
        ([], {"DRY_RUN": "0"}, "is asked back"),
        ([], {"DRY_RUN": "false"}, "is asked back"),
        # unclear or misspelt: refused
        (["--dry-run=maybe"], {}, "DRY_RUN: 'maybe' is neither yes nor no"),
        (["--dryrun"], {}, "unrecognized arguments: --dryrun"),
        (["--dry"], {}, "unrecognized arguments: --dry"),
        ([], {"DRY_RUN": "maybe"}, "DRY_RUN: 'maybe' is neither yes nor no"),
        ([], {"DRY_RUN": "2"}, "DRY_RUN: '2' is neither yes nor no"),
        ([], {"DRYRUN": "1"}, "DRYRUN: unknown variable; did you mean DRY_RUN?"),
        ([], {"dry_run": "1"}, "dry_run: unknown variable; did you mean DRY_RUN?"),
        ([], {"DRY-RUN": "1"}, "DRY-RUN: unknown variable; did you mean DRY_RUN?"),
    ],
)
def test_a_dry_run_is_one_in_every_spelling_and_nothing_else_is(
    arguments: list[str],
    variables: dict[str, str],
    words: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (HERE | REAL).items():
        monkeypatch.setenv(name, value)

    code = main(["request", "salesforce-prod", *arguments], CLEAN | HERE | REAL | variables)

    said = capsys.readouterr().err
    assert code in {1, 2}
    assert words in said
    assert "nothing was sent" in said


def test_on_loopback_nobody_is_asked_back(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HERE.items():
        monkeypatch.setenv(name, value)

    assert main(["request", "salesforce-prod"], CLEAN | HERE) == 1
    assert "the queue cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("", {}),
        (" --no-print-directory", {}),
        ("s --no-print-directory -- A=1", {"A": "1"}),
        (
            r"-- REASON=costs\ $$5\ and\ $$(date)\ a'b\ \"q\"\ back\\slash A=x=y\ --\ z",
            {"REASON": 'costs $5 and $(date) a\'b "q" back\\slash', "A": "x=y -- z"},
        ),
    ],
)
def test_what_make_was_given_is_read_word_for_word(flags: str, found: dict[str, str]) -> None:
    assert overrides(flags) == found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("DRYRUN=1", "DRYRUN: unknown variable; did you mean DRY_RUN?"),
        ("TARGTE=x", "TARGTE: unknown variable; did you mean TARGET?"),
        ("COLOUR=red", "COLOUR: unknown variable; known are BY, "),
    ],
)
def test_a_variable_of_make_that_a_command_does_not_know_is_refused(
    given: str, words: str, capsys: Capture
) -> None:
    environ = CLEAN | {"MAKEFLAGS": f" -- TARGET=salesforce-prod {given}"}

    assert main(["--make", "request"], environ) == 2

    said = capsys.readouterr().err
    assert words in said
    assert "nothing was sent" in said


@pytest.mark.parametrize(
    "reason",
    [
        "costs $5",
        "$HOME",
        "$(shell id)",
        "a 'b' \"c\" # d \\ é",
        "`x` & y",
        "two\nlines",
        "a\n\nDRY_RUN=0 b",
        "a\\\nb",
        "tab\tthere",
        "$",
        "a -- B=1",
    ],
)
def test_make_alters_no_reason(reason: str, tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text('MAKEFLAGS += --no-print-directory\nx:\n\t@printf "%s" "$$MAKEFLAGS"\n')

    flags = subprocess.run(
        ["make", "-f", str(makefile), "x", f"REASON={reason}"],
        capture_output=True,
        text=True,
        check=True,
        env=CLEAN,
    ).stdout

    assert overrides(flags) == {"REASON": reason}


def on_a_terminal(width: int, *arguments: str, environ: dict[str, str]) -> tuple[int, list[str]]:
    """Run `python -m local` on a terminal of so many columns; return its code and its lines."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, width))
    with subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=CLEAN | {"TERM": "xterm", "PYTHONDONTWRITEBYTECODE": "1"} | environ,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so of a terminal that the other side has closed.
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    return process.returncode, re.split(r"[\r\n]+", text)


@pytest.mark.parametrize(
    ("width", "line", "code", "words"),
    [
        (80, "", 0, "python -m local <command>"),
        (80, "request --help", 0, "--not-before TIME"),
        (80, "request salesforce-prod --not-before tomorrow", 2, "nothing was sent"),
        (80, "list", 1, "does not answer"),
        (80, "plan", 1, "GRAPH_ENDPOINT"),
        (80, "bogus", 2, "faults"),
        (200, "bogus", 2, "faults"),
    ],
)
def test_nothing_is_wider_than_the_terminal(width: int, line: str, code: int, words: str) -> None:
    bad = {"RELINK_URL": "http://127.0.0.1:9"} | REAL
    if line == "plan":
        bad["GRAPH_ENDPOINT"] = "http://relink.example/graph/that/is/not/https"

    ended, lines = on_a_terminal(width, *line.split(), environ=bad)

    assert ended == code
    assert words in " ".join(each.strip() for each in lines)
    assert max(map(len, lines)) <= width


def test_a_python_without_the_packages_is_told_which_has_them() -> None:
    """-S hides what is installed, as another Python would."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "local", "list", "a target"],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
    )

    (said,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert f"is not installed for {sys.executable}; run " in said
    assert said.endswith(("-m local list 'a target'", "`make setup`"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {
                "id": "r1",
                "state": "awaiting_approval",
                "detail": "this target always needs an approval",
                "events": [{"detail": "asked"}, {"detail": "approved 1 of 2 (signed in)"}],
            },
            "r1: awaiting_approval. approved 1 of 2 (signed in)",
        ),
        ({"id": "r1", "state": "cancelled", "detail": "it was"}, "r1: cancelled. it was"),
    ],
)
def test_a_decision_is_answered_with_what_it_did(answer: dict[str, object], words: str) -> None:
    assert _became(answer) == words


STORAGE = "ResetStorage: is not a connection string"


@pytest.mark.parametrize(
    ("line", "environ", "code", "words"),
    [
        ("resend", {}, 1, "ResetStorage: missing; give a connection string"),
        ("resend", {"ResetStorage": "bogus"}, 1, STORAGE),
        ("mappings r1", {}, 1, "ResetStorage: missing; give a connection string"),
        ("mappings r1", {"ResetStorage": "bogus"}, 1, STORAGE),
        # Not to Azurite, which is where a request goes without any storage in the settings.
        ("request x --dry-run", {"ResetStorage": "bogus"}, 1, f"{STORAGE}; "),
        ("link a@contoso.com x", {}, 1, "RESET_TARGETS: missing"),
        ("link a@contoso.com x", {"RESET_TARGETS": "{"}, 1, "RESET_TARGETS: "),
        ("azurite --blob-port abc", {}, 2, "BLOB_PORT: 'abc' is not a port"),
        ("azurite", {"QUEUE_PORT": "99999"}, 2, "QUEUE_PORT: '99999' is not a port"),
        ("package", {"TELEMETRY": "bogus"}, 1, "TELEMETRY: 'bogus' is not known"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line(
    line: str,
    environ: dict[str, str],
    code: int,
    words: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert main(line.split(), CLEAN | environ) == code

    out, err = capsys.readouterr()
    (said,) = err.splitlines()
    assert out == ""
    assert words in said


@pytest.mark.parametrize(
    ("line", "environ", "code", "words"),
    [
        ("bench", {"ONLY": "nothing"}, 1, "ONLY: 'nothing' is not known; known are busy, "),
        ("faults", {"ONLY": "nothing"}, 1, "ONLY: 'nothing' is not known; known are killed, "),
        ("host", {"PORT": "abc"}, 2, "PORT: 'abc' is not a number"),
        ("emulator", {"GRAPH_EMULATOR_PORT": "abc"}, 2, "GRAPH_EMULATOR_PORT: 'abc' is not"),
    ],
)
def test_what_is_run_as_it_stands_says_what_is_wrong_too(
    line: str, environ: dict[str, str], code: int, words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local", line],
        cwd=ROOT,
        env=CLEAN | {"PYTHONDONTWRITEBYTECODE": "1"} | environ,
        capture_output=True,
        text=True,
        check=False,
    )

    (said,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, "")
    assert words in said


@pytest.mark.parametrize("given", ["x", "0", "-1", "1.5", "²"])
def test_a_number_that_is_none_ends_the_program_in_one_line(given: str) -> None:
    with pytest.raises(SystemExit, match=r"^ROUNDS: .* is not a whole number above 0; correct it$"):
        whole_number({"ROUNDS": given}, "ROUNDS", 3)
    assert [whole_number(e, "ROUNDS", 3) for e in ({}, {"ROUNDS": ""}, {"ROUNDS": "7"})] == [
        3,
        3,
        7,
    ]
