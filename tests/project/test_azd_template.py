"""The file rules of azd's template validator (microsoft/template-validation-action)."""

import json
import re

import pytest

from local.processes import ROOT

# src/rules.json: what must be there, and where it may stand.
FILES = {
    "README": ("README.md",),
    "LICENSE": ("LICENSE", "LICENSE.md"),
    "SECURITY": ("SECURITY.md", ".github/SECURITY.md"),
    "CODE_OF_CONDUCT": ("CODE_OF_CONDUCT.md", ".github/CODE_OF_CONDUCT.md"),
    "CONTRIBUTING": ("CONTRIBUTING.md", ".github/CONTRIBUTING.md"),
    "ISSUE_TEMPLATE": (".github/ISSUE_TEMPLATE", ".github/ISSUE_TEMPLATE.md"),
    "pipeline": (".github/workflows/azure-dev.yml", ".github/workflows/azure-dev.yaml"),
    "azure.yaml": ("azure.yaml",),
    "infra": ("infra",),
    "devcontainer": (".devcontainer",),
}
HEADINGS = ("Features", "Getting Started", "Guidance", "Resources")


@pytest.mark.parametrize("rule", sorted(FILES))
def test_what_the_validator_looks_for_is_there(rule: str) -> None:
    assert [path for path in FILES[rule] if (ROOT / path).exists()]


def test_the_readme_has_the_headings_that_it_looks_for() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert set(HEADINGS) <= set(found)


@pytest.mark.parametrize(
    "path",
    [
        ".devcontainer/devcontainer.json",
        ".vscode/extensions.json",
        ".vscode/launch.json",
        ".vscode/settings.json",
        ".vscode/tasks.json",
    ],
)
def test_an_editor_can_read_its_files(path: str) -> None:
    assert json.loads((ROOT / path).read_text(encoding="utf-8"))


def test_f5_attaches_where_core_tools_listen() -> None:
    launch = json.loads((ROOT / ".vscode" / "launch.json").read_text(encoding="utf-8"))
    tasks = json.loads((ROOT / ".vscode" / "tasks.json").read_text(encoding="utf-8"))
    first = launch["configurations"][0]
    labels = {task["label"] for task in tasks["tasks"]}

    assert (first["type"], first["connect"]["port"]) == ("debugpy", 9091)
    assert first["preLaunchTask"] in labels
    for task in tasks["tasks"]:
        needs = task.get("dependsOn", [])
        assert {needs} if isinstance(needs, str) else set(needs) <= labels


def test_a_clone_on_windows_keeps_its_line_feeds() -> None:
    lines = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()

    assert "* text=auto eol=lf" in lines
