"""Everything that is installed is installed by hash; what is released says what is in it."""

import re
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from local import locks
from local.locks import DEVELOPMENT, LOCKS, RUNTIME
from local.package import lock as wheels
from local.processes import ROOT
from local.release import ReleaseError, notes


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The lock files and what they are made of, to be spoilt."""
    for lock in LOCKS:
        shutil.copy(ROOT / lock.path, tmp_path)
        shutil.copy(ROOT / lock.source, tmp_path)
    (tmp_path / wheels.LOCK).parent.mkdir(parents=True)
    shutil.copy(ROOT / wheels.LOCK, tmp_path / wheels.LOCK)
    return tmp_path


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(old, text, re.MULTILINE)
    path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE), encoding="utf-8")


def test_every_lock_is_current_and_no_network_is_needed_to_see_it() -> None:
    assert locks.problems() == []


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("requirements.txt", r"^httpx==.*$", "httpx==0.27.0", "requirements.lock: not made of"),
        ("requirements.txt", r"^httpx==.*$", "httpx==0.27.0", "requirements-dev.lock: not made"),
        ("requirements-dev.txt", r"\Z", "left-pad==1.0\n", "requirements-dev.lock: not made of"),
        ("requirements.lock", r"^httpx==0.28.1 .*(\n +--hash.*)+$", "httpx==0.28.1", "no hash"),
        ("requirements.lock", r"^anyio==\S+", "anyio==1.0.0", "anyio"),
        ("requirements-dev.lock", r"\Z", "--index-url https://x.example/\n", "names a registry"),
    ],
)
def test_a_lock_that_is_not_is_named(
    project: Path, file: str, old: str, new: str, complaint: str
) -> None:
    assert locks.problems(project) == []
    spoil(project / file, old, new)

    assert [each for each in locks.problems(project) if complaint in each]


def test_a_comment_makes_no_lock_stale(project: Path) -> None:
    spoil(project / "requirements.txt", r"^#.*$", "# other words")

    assert locks.problems(project) == []


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda lock: lock.path)
def test_a_lock_holds_everything_that_its_packages_need(lock: locks.LockFile) -> None:
    """pip is told to look for nothing beside the lock (--no-deps), so it must be whole."""
    held = locks.locked((ROOT / lock.path).read_text(encoding="utf-8"))
    missing = {
        (name, need.name)
        for name in held
        for need in _needs(name)
        if wheels.normalized(need.name) not in held
    }

    assert missing == set()


def _needs(name: str) -> list[Requirement]:
    try:
        given = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = map(Requirement, given)
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]


def test_make_installs_by_hash_and_builds_the_package_without_the_development_tools() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install(?:.*\\\n)*.*", makefile)

    assert len(installs) == 2
    assert all("--require-hashes" in each for each in installs)
    assert re.search(r"^package: ##", makefile, re.MULTILINE)
    assert "$(RUN) -m local.package" not in makefile


CHANGELOG = """# Changelog

## Unreleased

- later

## 0.2.0 - 2026-12-01

### Added

- this

## 0.1.0

- before
"""


def test_the_notes_of_a_release_are_those_of_its_version() -> None:
    assert notes("v0.2.0", changelog=CHANGELOG, version="0.2.0") == "### Added\n\n- this\n"
    assert notes("v0.1.0", changelog=CHANGELOG, version="0.1.0") == "- before\n"


@pytest.mark.parametrize(("tag", "version"), [("v0.2.0", "0.1.0"), ("v9.0.0", "9.0.0")])
def test_a_tag_that_fits_nothing_makes_no_release(tag: str, version: str) -> None:
    with pytest.raises(ReleaseError):
        notes(tag, changelog=CHANGELOG, version=version)
