"""`request` by make and by `python -m local`, and `up`, as processes."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest

from local import processes
from shared.domain.reset import State
from tests.functional.stack import Stack, running
from tests.support.patience import PATIENCE

PYTHON = sys.executable


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    async with running() as started:
        yield started


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def run(
    *command: str, environ: Mapping[str, str], stdin: int = asyncio.subprocess.DEVNULL
) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=processes.ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environ},
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ran(code=process.returncode or 0, out=out.decode(), err=err.decode())


async def local(*arguments: str, environ: Mapping[str, str]) -> Ran:
    return await run(PYTHON, "-m", "local", *arguments, environ=environ)


async def test_a_request_is_followed_to_its_end(stack: Stack) -> None:
    ran = await local(
        "request",
        "salesforce-prod",
        "--reason",
        "costs $5",
        "--follow",
        "--id=r-1",
        environ=stack.environ,
    )

    assert (ran.code, ran.err) == (0, "")
    states = [line.split()[1] for line in ran.out.splitlines() if line[2:3] == ":"]
    assert states == ["accepted", "sending", "restarted", "completed"]
    reset = await stack.reset("r-1")
    assert reset is not None
    assert (reset.state, reset.reason, reset.via) == (State.COMPLETED, "costs $5", "queue")


async def test_by_make_a_reason_arrives_word_for_word_and_a_dry_run_restarts_nothing(
    stack: Stack,
) -> None:
    reason = "costs $5 & $HOME, 'quoted' \"twice\" `x` # ü"
    ran = await run(
        "make",
        "request",
        f"RUN={PYTHON}",
        "-o",
        ".venv/.ready",
        "TARGET=servicenow",
        "DRY_RUN=yes",
        f"REASON={reason}",
        "REQUEST_ID=r-2",
        "JSON=1",
        "FOLLOW=1",
        environ=stack.environ,
    )

    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["state"] == "previewed"
    reset = await stack.reset("r-2")
    assert reset is not None
    assert (reset.reason, reset.dry_run) == (reason, True)
    assert await stack.restarts() == []


async def test_a_misspelt_variable_of_make_sends_nothing(stack: Stack) -> None:
    ran = await run(
        "make",
        "request",
        f"RUN={PYTHON}",
        "-o",
        ".venv/.ready",
        "TARGET=servicenow",
        "DRYRUN=1",
        environ=stack.environ,
    )

    assert ran.code == 2
    assert "DRYRUN: unknown variable; did you mean DRY_RUN?; nothing was sent" in ran.err
    assert await stack.messages("provisioning-resets") == 0
    assert await stack.restarts() == []


@pytest.mark.parametrize(("answer", "code"), [("servicenow", 0), ("yes", 2), ("", 2)])
async def test_off_loopback_a_real_restart_is_asked_back_by_the_targets_name(
    stack: Stack, answer: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    environ = stack.environ | {"GRAPH_ENDPOINT": "https://graph.microsoft.com"}
    try:
        ran = await run(
            PYTHON, "-m", "local", "request", "servicenow", stdin=theirs, environ=environ
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert ran.code == code
    assert "Type the target's name to go on" in ran.err
    assert ("nothing was sent" in ran.err) is (code == 2)


async def test_yes_is_for_scripts(stack: Stack) -> None:
    environ = stack.environ | {"GRAPH_ENDPOINT": "https://graph.microsoft.com", "YES": "1"}
    ran = await local("request", "servicenow", environ=environ)

    assert ran.code == 0
    assert "watch it with: python -m local show cli-" in ran.out


async def test_up_starts_everything_and_a_signal_ends_it() -> None:
    async with processes.started("up", [PYTHON, "-m", "local", "up"]) as up:
        app = await up.said(r"^  app +(http://\S+)$", within=PATIENCE)
        await up.said(r"^Ctrl-C ends all of it", within=PATIENCE)
        url = {"RELINK_URL": app[1]}
        listed = await local("list", environ=url)
        missing = await local("show", "r1", environ=url)
        up.process.send_signal(signal.SIGINT)
        await up.said(r"^stopped; everything", within=PATIENCE)
        assert await up.process.wait() == 0

    assert (listed.code, listed.out) == (0, "No reset is open.\n")
    assert (missing.code, missing.err) == (1, "there is no reset r1\n")
