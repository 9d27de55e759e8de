"""`make demo`, as a new user would run it, in a pipe."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.processes import ROOT
from tests.support.patience import PATIENCE


async def start_demo() -> asyncio.subprocess.Process:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A run in the background ignores Ctrl-C, and so would every process that it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.demo",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_the_demo_shows_the_story_and_ends_with_0() -> None:
    began = datetime.now(UTC)
    demo = await start_demo()
    async with asyncio.timeout(PATIENCE):
        out, _ = await demo.communicate()
    text = out.decode()

    assert demo.returncode == 0, text
    told = " ".join(text.split())
    assert text.count('{"criteria":{"resetScope":"Full"}} -> 204') == 2
    for user in ("adele.vance@contoso.com", "lee.gu@contoso.com"):
        assert f"{user}: still_linked (nothing changed)" in told
    assert "the matching attributes find 0055e000009bNEWAA2" in told
    assert "changed on the way -> 401" in told
    assert "POST /api/webhooks/desk -> 202" in told
    assert re.search(r"INC0012345 hears: .* Done: Microsoft Entra has matched all \d+ acc", told)
    assert '"adele.vance@contoso.com": relinked, 0055e000001aOLDAA2 -> 0055e000009bNEWAA2' in told
    assert "STILL LINKED to 0055e0000Mh7k9MAQQ" in told
    assert (
        "because userPrincipalName (lee.gu@contoso.com) equals its Username). Change Username "
        "of account 0055e0000Mh7k9MAQQ in the application first"
    ) in told
    assert '"lee.gu@contoso.com": relinked, 0055e0000Mh7k9MAQQ -> 0055e000007cLEEAA2' in told
    assert re.search(r"Reference \(reset [\w.-]+, message \d+\)", told)
    for state in ("accepted", "waiting", "sending", "restarted", "cycle", "completed"):
        assert f" {state} " in text
    assert "of 52 users" in text
    assert text.index("Result") < text.index("Next steps") < text.index("make link USER=")
    assert "\033" not in text
    assert [line for line in text.splitlines() if len(line) > 80] == []
    dates = re.findall(r"(?:log of|ended at|restart was at) (\S+ \d\d:\d\d) UTC", told)
    assert len(dates) >= 4
    for each in dates:
        at = datetime.fromisoformat(each).replace(tzinfo=UTC)
        assert began - timedelta(minutes=1) <= at <= datetime.now(UTC)


async def test_ctrl_c_stops_what_the_demo_has_started() -> None:
    demo = await start_demo()
    assert demo.stdout is not None
    async with asyncio.timeout(PATIENCE):
        seen = b""
        while b"accepted" not in seen:
            seen += await demo.stdout.readline()
        children = _children(demo.pid)
        demo.send_signal(signal.SIGINT)
        rest = await demo.stdout.read()
        code = await demo.wait()

    assert len(children) == 3
    assert code == 130
    assert b"Traceback" not in rest
    assert not [pid for pid in children if _lives(pid)]


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
