"""`python -m local.emulator`, its settings and its seed."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from local.emulator import BadSeed, Clock, parse_state, read_seed
from local.emulator.__main__ import BadSetting, settings
from local.emulator.scopes import FULL, PORTAL
from tests.emulator.emulator_support import Story

ROOT = Path(__file__).parents[2]
READY = re.compile(r"Graph emulator ready on (http://127\.0\.0\.1:\d+) at 60x[^\n]*\n")


@contextmanager
def _start(**environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.emulator"],
        cwd=ROOT,
        env=os.environ | {"GRAPH_EMULATOR_PORT": "0"} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            # A test that failed would wait for its end for ever.
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_when_told(number: signal.Signals) -> None:
    with _start() as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready, line
        with urlopen(f"{ready[1]}/v1.0/servicePrincipals", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (0, "", "")


def test_a_bad_seed_ends_it_with_one_line_that_names_the_field(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"users": [{"id": 5}], "servicePrincipals": []}))
    with _start(GRAPH_EMULATOR_SEED=str(seed)) as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert err == f"GRAPH_EMULATOR_SEED: {seed}: Expected `str`, got `int` - at `$.users[0].id`\n"


def test_a_port_in_use_ends_it_with_one_line() -> None:
    with _start() as first:
        assert first.stdout is not None
        ready = READY.fullmatch(first.stdout.readline())
        assert ready
        port = ready[1].rpartition(":")[2]
        with _start(GRAPH_EMULATOR_PORT=port) as second:
            _, err = second.communicate(timeout=60)
        first.terminate()
        first.communicate(timeout=60)

    assert second.returncode == 1
    assert err.startswith(f"GRAPH_EMULATOR_PORT: {port}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPH_EMULATOR_PORT", "many"),
        ("GRAPH_EMULATOR_PORT", "70000"),
        ("GRAPH_EMULATOR_SPEED", "fast"),
        ("GRAPH_EMULATOR_SPEED", "-1"),
        ("GRAPH_EMULATOR_SPEED", "nan"),
        ("GRAPH_EMULATOR_SEED", "/nowhere.json"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name}: "):
        settings({name: value})


def test_settings_have_defaults() -> None:
    _, port, speed = settings({})
    assert (port, speed) == (7072, 60)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": [{"id": "a"}]}, "userPrincipalName"),
        ({"servicePrincipals": [{"id": "a", "appId": "b"}]}, "$.servicePrincipals[0]"),
        ({"users": [{"id": "a", "userPrincipalName": "a"}] * 2}, "`$.users[1].id`"),
        ({"auditDelay": "soon"}, "$.auditDelay"),
        ({"clock": {"speed": -1}}, "speed"),
    ],
)
def test_a_bad_seed_names_the_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSeed, match=re.escape(words)):
        parse_state({"users": [], "servicePrincipals": []} | change)


@pytest.mark.parametrize(
    "change", [{"interval": "40 minutes"}, {"interval": "PT0S"}, {"secondsPerUser": 0}]
)
def test_a_bad_job_names_the_field(change: dict[str, Any]) -> None:
    sp = {"id": "a", "appId": "b", "displayName": "c", "jobs": [{"id": "j"} | change]}
    with pytest.raises(BadSeed, match=next(iter(change))):
        parse_state({"users": [], "servicePrincipals": [sp]})


def test_the_packaged_seed_tells_the_story() -> None:
    story = Story(read_seed())
    adele = story.directory.user("adele.vance@contoso.com")
    assert adele is not None
    accounts = {account.id: account for account in story.sp.target_accounts}
    old = accounts[story.job.links[adele.id]]
    assert not old.active

    story.restart(PORTAL)
    story.advance(600)
    assert story.job.links[adele.id] == old.id

    story.restart(FULL)
    story.advance(600)
    new = accounts[story.job.links[adele.id]]
    assert new.active
    assert new.attributes["Username"] == adele.user_principal_name
    assert len(story.sp.target_accounts) == len(accounts)


def test_the_packaged_cycle_takes_between_eight_and_ten_seconds_at_60x() -> None:
    story = Story(read_seed())
    story.restart(FULL)
    story.advance(600)

    execution = story.status.last_execution
    assert execution is not None
    assert 8 <= (execution.ended - execution.began).total_seconds() / 60 <= 10


def test_the_packaged_seed_has_a_service_principal_with_two_jobs_and_one_with_a_stuck_name() -> (
    None
):
    story = Story(read_seed())
    _, several, service_now = story.directory.state.service_principals
    assert len(several.jobs) == 2

    (job,) = service_now.jobs
    lee = story.directory.user("lee.gu@contoso.com")
    assert lee is not None
    before = job.links[lee.id]
    story.directory.restart(service_now, job, FULL)
    story.advance(600)
    assert job.links[lee.id] == before


def test_in_the_packaged_seed_a_stuck_name_is_freed_by_renaming_the_old_account() -> None:
    story = Story(read_seed())
    lee = story.directory.user("lee.gu@contoso.com")
    assert lee is not None
    accounts = {account.id: account for account in story.sp.target_accounts}
    old = accounts[story.job.links[lee.id]]

    story.restart(FULL)
    story.advance(600)
    assert (story.job.links[lee.id], old.active) == (old.id, False)

    old.attributes["Username"] += ".old"
    accounts["0055e000007cLEEAA2"].attributes["Username"] = lee.user_principal_name
    story.restart(FULL)
    story.advance(600)
    assert story.job.links[lee.id] == "0055e000007cLEEAA2"


def test_the_packaged_seed_remembers_the_links_of_the_day_before() -> None:
    story = Story(read_seed())

    told = {(e["user"], e["target"]) for e in story.happened("EntryEvaluated")}
    assert set(story.job.links.items()) <= told
    adele = story.directory.user("adele.vance@contoso.com")
    assert adele is not None
    row = next(e for e in story.happened("EntryEvaluated") if e["user"] == adele.id)
    assert (row["target"], row["attributes"]) == ("0055e000001aOLDAA2", "0055e000009bNEWAA2")


def test_the_clock_runs_at_its_speed_and_can_be_set() -> None:
    real = [100.0]
    clock = Clock(Story().now, speed=60, monotonic=lambda: real[0])
    start = clock.now()

    real[0] += 2
    assert (clock.now() - start).total_seconds() == 120

    clock.advance(30)
    clock.set(speed=0)
    real[0] += 5
    assert (clock.now() - start).total_seconds() == 150

    clock.set(start)
    assert clock.now() == start
