"""The checks of `make check` fail on what they are there for: each is run on a changed copy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the checks look at."""
    there = tmp_path_factory.mktemp("project")
    for folder in ("shared", "local"):
        skip = shutil.ignore_patterns("node_modules", "__pycache__")
        shutil.copytree(ROOT / folder, there / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", there)
    return there


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / command[0], *command[1:]], cwd=copy, capture_output=True, text=True, check=False
    )


def mypy(copy: Path) -> subprocess.CompletedProcess[str]:
    return run(copy, "mypy", "--strict", "shared/domain/states.py")


def lint_imports(copy: Path) -> subprocess.CompletedProcess[str]:
    return run(copy, "lint-imports", "--no-cache", "--no-logo", "--config", "pyproject.toml")


def test_a_copy_without_changes_passes(copy: Path) -> None:
    assert mypy(copy).returncode == 0, mypy(copy).stdout
    assert lint_imports(copy).returncode == 0, lint_imports(copy).stdout


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        pytest.param("states", "behind=job.head", "behnid=job.head", id="a field of states"),
        pytest.param("before_sending", "seen_number=job.number", "seen_numbre=0", id="a field"),
        pytest.param(
            "before_sending", "due_at=event.expires", "due_at=event.expiress", id="an event's field"
        ),
        pytest.param("before_sending", "events.TooOld()", "events.TooOlld()", id="an event"),
        pytest.param("before_sending", "sent_at=now", 'sent_at="now"', id="a field's type"),
        pytest.param(
            "after_sending", "last_restart_at=", "last_restartat=", id="a field after the restart"
        ),
    ],
)
def test_a_slip_in_the_state_machine_fails_the_type_check(
    copy: Path, module: str, right: str, wrong: str
) -> None:
    states = copy / f"shared/domain/{module}.py"
    text = states.read_text(encoding="utf-8")
    assert right in text
    states.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    try:
        checked = mypy(copy)
    finally:
        states.write_text(text, encoding="utf-8")

    assert checked.returncode == 1
    assert f"{module}.py" in checked.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        pytest.param(
            "shared/domain/states.py",
            "from shared.adapters import queues",
            "Arrows run one way",
            id="adapters in domain",
        ),
        pytest.param(
            "shared/use_cases/accept.py",
            "import azure.core",
            "Only adapters and bootstrap import a vendor",
            id="azure in use_cases",
        ),
    ],
)
def test_an_import_against_the_architecture_fails_the_check(
    copy: Path, module: str, line: str, contract: str
) -> None:
    path = copy / module
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    try:
        checked = lint_imports(copy)
    finally:
        path.write_text(text, encoding="utf-8")

    assert checked.returncode == 1
    broken = [each for each in checked.stdout.splitlines() if each.endswith("BROKEN")]
    assert [each for each in broken if each.startswith(contract)], checked.stdout
