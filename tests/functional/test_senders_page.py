"""docs/use/senders.md, tried out: every entry is the example's, every curl line is taken in."""

import asyncio
import json
import re
import shutil
from typing import Any

import pytest

from local import processes
from local.processes import ROOT
from tests.functional.stack import storage_and_graph
from tests.support.patience import PATIENCE

PAGE = (ROOT / "docs" / "use" / "senders.md").read_text(encoding="utf-8")
EXAMPLE: dict[str, Any] = json.loads(
    (ROOT / "docs" / "use" / "senders.example.json").read_text(encoding="utf-8")
)
VALUES: dict[str, str] = json.loads(
    (ROOT / "local.settings.json.example").read_text(encoding="utf-8")
)["Values"]
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


def test_the_pages_entries_are_those_of_the_example() -> None:
    blocks = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    shown = {name: entry for block in blocks[1:] for name, entry in block.items()}

    assert shown == EXAMPLE
    assert len(COMMANDS) == len(EXAMPLE)


async def _run(command: str, host_url: str) -> tuple[int, Any]:
    text = command.replace("http://127.0.0.1:7071", host_url).replace("curl -i", "curl -si")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        text,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    head, _, body = out.decode().replace("\r\n", "\n").partition("\n\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("bash", "curl", "openssl")),
    reason="the page's lines need bash, curl and openssl",
)
async def test_every_line_of_the_page_is_taken_in_and_a_wrong_secret_is_not() -> None:
    async with storage_and_graph() as stack:
        names = ("WEBHOOK_SENDERS", "WEBHOOK_SECRETS")
        environ = {**stack.environ, **{name: VALUES[name] for name in names}}
        async with processes.host(environ) as (_, url):
            answers = [await _run(command, url) for command in COMMANDS]
            spoilt = [
                await _run(re.sub("local-secret-of-|bG9jYWw", "bm9ib2R5", command), url)
                for command in COMMANDS
            ]
            resets = [await stack.reset(body["id"]) for _, body in answers]

    assert [status for status, _ in answers] == [202] * len(EXAMPLE)
    assert [status for status, _ in spoilt] == [401] * len(EXAMPLE)
    assert all(body["detail"] for _, body in spoilt)
    vias = {reset.via for reset in resets if reset is not None}
    assert vias == {f"webhook:{name}" for name in EXAMPLE}
