"""The lines of docs/use/api.md, run as they stand there, one after the other."""

import asyncio
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from local import processes
from local.documents import DOCS
from tests.functional.stack import storage_and_graph

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl in the PATH")


def lines() -> list[tuple[str, str]]:
    """Each command with the status that stands behind it."""
    text = (DOCS / "use" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [each for block in blocks for each in block.strip().split("\n\n")]
    return [(command, status) for command, _, status in (c.rpartition("  # ") for c in commands)]


DATE = "2026-12-01T20:00:00Z"
"""The date of the examples. A change window opens within thirty days, so tomorrow stands for it."""


async def answered(command: str, url: str) -> str:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    asked = command.replace("http://127.0.0.1:7071", url).replace("curl", "curl -sS", 1)
    asked = asked.replace(DATE, f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}")
    process = await asyncio.create_subprocess_shell(
        f"{asked} -o /dev/null -w '%{{http_code}}'", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_the_documented_lines_are_answered_as_documented() -> None:
    found = lines()
    async with storage_and_graph() as stack, processes.host(stack.environ) as (_, url):
        statuses = [await answered(command, url) for command, _ in found]

    assert len(found) >= 9
    assert statuses == [status for _, status in found]
