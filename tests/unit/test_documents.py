"""What the documentation takes from the code is current, and the list of events is closed."""

import ast
import re
from pathlib import Path

import pytest

from local.answers import examples
from local.documents import DOCS, documents, table, undescribed
from local.wait_table import waits
from shared.domain.notifier_kinds import KINDS, NotifierKind
from shared.domain.reset import ENDED, NotificationKind, State, WaitingFor
from shared.telemetry import EVENTS, emit

ROOT = DOCS.parent
HEAD = "<!-- make docs: t -->\n| name | from the code | from people |\n|---|---|---|\n"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_the_documentation_takes_from_the_code_is_current(path: Path) -> None:
    written = path.read_text(encoding="utf-8")

    assert written == documents()[path], "run `make docs`"
    assert undescribed(written) == [], f"describe them in {path.name}"


def test_a_table_takes_its_rows_from_the_code_and_keeps_what_people_wrote() -> None:
    text = f"{HEAD}| a | old | kept | \n| gone | x | y |\n<!-- end -->\n"

    made = table(text, "t", {"b": ("new", None), "a": ("1", None)})

    assert made == f"{HEAD}| b | new | |\n| a | 1 | kept |\n<!-- end -->\n"
    assert undescribed(made) == ["b"]


def test_a_table_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no table <!-- make docs: u -->"):
        table(f"{HEAD}<!-- end -->\n", "u", {})


def test_every_reason_to_wait_is_told_and_can_be_ended() -> None:
    rows = waits()

    assert {name.partition(",")[0].strip("`") for name in rows} == set(WaitingFor)
    for name, (told, _, decisions, _) in rows.items():
        assert str(told).startswith("`"), f"{name} is never told"
        assert "`cancel`" in str(decisions), f"nobody can end {name}"
    lifted = {name for name, row in rows.items() if "`approve`" in str(row[2])}
    assert lifted == {"`cooldown`", "`budget`", "`person`, to approve"}


PAPERS = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "local").glob("*/README.md")]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_every_link_and_every_path_in_a_document_leads_somewhere(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http|#)([^)#]+)", text)
    folders = "docs|infra|local|shared|tests"
    paths = re.findall(rf"(?<![\w/.@-])((?:{folders})/[\w./-]*\w/?)(?![\w*{{])", text)

    assert [link for link in links if not (paper.parent / link).exists()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_name_that_the_glossary_gives_is_in_the_code() -> None:
    text = (DOCS / "design" / "glossary.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\|.*\| (.*) \|$", re.sub(r"\(.*?\)", "", text), re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`([A-Za-z_]+)`", cell)}
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "shared").rglob("*.py"))
    modules = {path.stem for path in (ROOT / "shared").rglob("*.py")}

    assert names
    assert [n for n in names if n not in modules and not re.search(rf"\b{n}\b", code)] == []


def test_every_event_that_is_logged_is_in_the_list() -> None:
    named = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "emit":
                first = call.args[0]
                if isinstance(first, ast.Constant):
                    named.add(first.value)
    computed = {f"reset.{state}" for state in State} | {"reset.fate_asked"}

    assert named <= set(EVENTS)
    assert set(EVENTS) <= named | computed


def test_an_event_that_is_not_in_the_list_is_a_defect() -> None:
    with pytest.raises(KeyError):
        emit("reset.exploded")


def test_entry_points_hold_no_logic() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))
    logic = (ast.If, ast.Try, ast.For, ast.While, ast.Match, ast.Raise)
    imported = {
        f"shared.{name.name}" if node.module == "shared" else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert imported == {
        "shared.indexing",
        "shared.bootstrap",
        "shared.names",
        "shared.web.messages",
        "shared.web.respond",
    }


def test_every_moment_and_every_end_has_its_text_shown() -> None:
    shown = [facts for _, facts in examples()]

    assert {facts.kind for facts in shown} == set(NotificationKind)
    assert {facts.state for facts in shown if facts.kind is NotificationKind.END} == ENDED


def test_the_table_of_notifiers_is_the_documented_one() -> None:
    text = (DOCS / "use" / "notifiers.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z]+)` \|.*\| (\d+) \|$", text, re.MULTILINE))

    assert rows == {str(kind): str(KINDS[kind].per_minute) for kind in NotifierKind}
    for kind in NotifierKind:
        (row,) = re.findall(rf"^\| `{kind}` \|.*$", text, re.MULTILINE)
        assert f"`{KINDS[kind].example}`" in row or not KINDS[kind].example
