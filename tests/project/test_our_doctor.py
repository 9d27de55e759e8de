"""`make doctor`: what is there, what is missing, and the line that mends it."""

import json
import os
import subprocess
import sys
from copy import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.doctor import Finding, Machine, examine
from local.processes import ROOT
from shared.domain.sync_job import GraphObservation, GraphStatus
from shared.use_cases.health import evidence_of

SAID = {"make": "GNU Make 4.3", "node": "v22.1.0", "git": "git version 2.39.5", "az": "2.91.0"}


def machine(
    folder: Path, *programs: str, version: tuple[int, ...] = (3, 13, 1), taken: tuple[int, ...] = ()
) -> Machine:
    """A machine with these programs on its PATH, and a clone in which `make setup` was run."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for program in programs:
        (binaries / program).write_text("#!/bin/sh\n", encoding="utf-8")
        (binaries / program).chmod(0o755)
    (folder / ".python-version").write_text("3.13\n", encoding="utf-8")
    (folder / "requirements-dev.lock").write_text("", encoding="utf-8")
    for ready in (".venv/.ready", "local/node_modules/.ready"):
        (folder / ready).parent.mkdir(parents=True, exist_ok=True)
        (folder / ready).touch()
    return Machine(
        {"PATH": str(binaries)},
        root=folder,
        version=version,
        run=lambda command: SAID.get(command[0], ""),
        is_taken=lambda port: port in taken,
    )


def missing(given: Machine) -> dict[str, Finding]:
    return {found.what: found for found in examine(given) if not found.is_there}


def needed(given: Machine) -> set[str]:
    return {what for what, found in missing(given).items() if not found.needed_for}


def test_a_machine_that_has_what_is_needed_is_ready(tmp_path: Path) -> None:
    ready = machine(tmp_path, "make", "node", "npm", "git")

    assert needed(ready) == set()
    # What only some uses need is said, and fails nothing.
    assert {"az", "azd", "bicep", "func"} <= missing(ready).keys()


@pytest.mark.parametrize("program", ["make", "git"])
def test_a_program_that_is_missing_comes_with_what_to_do(tmp_path: Path, program: str) -> None:
    others = [p for p in ("make", "node", "npm", "git") if p != program]
    found = missing(machine(tmp_path, *others))[program]

    assert "not on the PATH" in str(found)
    assert "->" in str(found)


def test_another_python_is_named_with_the_one_that_is_needed(tmp_path: Path) -> None:
    found = missing(machine(tmp_path, "make", "node", "npm", "git", version=(3, 12, 4)))["Python"]

    assert "3.12.4, 3.13 is needed" in str(found)
    assert "make PYTHON=" in found.mend


def test_packages_that_are_older_than_the_lock_are_found(tmp_path: Path) -> None:
    given = machine(tmp_path, "make", "node", "npm", "git")
    os.utime(tmp_path / "requirements-dev.lock", (2_000_000_000, 2_000_000_000))

    assert missing(given)["packages"].mend == "make setup"


def test_a_port_that_is_taken_is_named_with_what_wants_it(tmp_path: Path) -> None:
    found = missing(machine(tmp_path, "make", "node", "npm", "git", taken=(7071,)))

    assert found["port 7071"].needed_for == "the host on its usual port"


def test_it_runs_on_nothing_but_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "local" / "doctor.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )

    assert "Python: " in done.stdout, done.stderr
    assert done.stderr == ""


def asked(folder: Path, answer: bytes) -> dict[str, Finding]:
    given = machine(folder, "make", "node", "npm", "git")
    environ = {**given.environ, "RELINK_URL": "https://relink.example/", "RELINK_KEY": "key"}
    seen: list[tuple[str, str]] = []

    def fetch(url: str, key: str) -> bytes:
        seen.append((url, key))
        return answer

    found = {each.what: each for each in examine(replace(given, environ=environ, fetch=fetch))}
    assert seen == [("https://relink.example/api/health", "key")]
    return found


def test_it_says_which_permission_for_evidence_is_missing_and_what_it_would_buy(
    tmp_path: Path,
) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    moods = (GraphStatus.USERS_UNREADABLE, GraphStatus.PROVISIONING_LOG_READ)
    observed = [GraphObservation(mood=mood, at=now, call="call") for mood in moods]
    body = json.dumps({"status": "ok", "evidence": evidence_of(observed)}).encode()

    found = asked(tmp_path, body)

    assert found["ProvisioningLog.Read.All"].is_there
    users = str(found["User.Read.All"])
    assert "User.Read.All: missing" in users
    assert "readUsers=true in infra/graph" in users
    assert "users named by UPN" in users
    assert not [each for each in found.values() if not each.is_there and not each.needed_for]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": "ok"}', b'{"evidence": [3]}'])
def test_an_app_that_tells_no_detail_is_said_to(tmp_path: Path, body: bytes) -> None:
    found = asked(tmp_path, body)["evidence of links"]

    assert "tells no detail" in str(found)


def test_without_an_address_nobody_is_asked(tmp_path: Path) -> None:
    found = missing(machine(tmp_path, "make", "node", "npm", "git"))["evidence of links"]

    assert "RELINK_URL" in str(found)
