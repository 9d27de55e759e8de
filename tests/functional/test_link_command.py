"""`link` and `mappings` as processes, against an emulator: in terminals, in a pipe, as JSON."""

import asyncio
import fcntl
import json
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from azure.data.tables.aio import TableServiceClient

from local import processes
from local.http_client import http_client
from local.trial import seed
from shared.adapters.table_store import TableStore
from shared.domain.reset import Claim, HistoryEntry, Reset, State
from shared.names import IDS_TABLE, RESETS_TABLE
from tests.azurite import start_emulator
from tests.functional.stack import SALESFORCE
from tests.support.patience import PATIENCE

LEE: Final = "lee.gu@contoso.com"
LEE_ID: Final = "c2732d58-3a23-5cc7-97f4-3a7e4cfb0643"
OLD: Final = "0055e0000Mh7k9MAQQ"
NEW: Final = "0055e000007cLEEAA2"
OURS: Final = ("ResetStorage", "GRAPH_", "RESET", "IDENTITY_ENDPOINT", "JSON", "USER", "TARGET")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = seed() | {"provisioningLogDelay": 0, "throttle": None}
    for job in state["servicePrincipals"][0]["jobs"]:
        job["secondsPerUser"] = 0.01
    path = tmp_path_factory.mktemp("seed") / "seed.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    with start_emulator(GRAPH_EMULATOR_SPEED="1", GRAPH_EMULATOR_SEED=str(path)) as url:
        yield url


def environ(url: str, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    targets = {"salesforce-prod": {"servicePrincipalId": SALESFORCE}}
    return clean | {"GRAPH_ENDPOINT": url, "RESET_TARGETS": json.dumps(targets)} | more


async def link(url: str, *, width: int = 0, user: str = LEE, **more: str) -> tuple[int, str]:
    """Run `python -m local link`, in a terminal of that width or in a pipe; what it printed."""
    ours, theirs = pty.openpty() if width else os.pipe()
    if width:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    command = [sys.executable, "-m", "local", "link", user, "salesforce-prod"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=processes.ROOT,
        env=environ(url, **more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = asyncio.to_thread(_read_all, ours)
    async with asyncio.timeout(PATIENCE):
        text = await said
        code = await process.wait()
    os.close(ours)
    return code, text


def _read_all(end: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(end, 4096)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode().replace("\r\n", "\n")


async def change(url: str, **state: Any) -> None:
    async with http_client(url, seconds=10) as client:
        (await client.put("/_emulator/state", json=state)).raise_for_status()


@pytest.mark.parametrize("width", [0, 80, 200])
async def test_the_losing_case_fits_one_screen_of_any_width(emulator: str, width: int) -> None:
    code, text = await link(emulator, width=width, NO_COLOR="1")

    assert code == 0, text
    lines = text.splitlines()
    assert len(lines) < 24
    assert all(len(line) <= (width or 10_000) for line in lines)
    told = " ".join(text.split())
    assert f"linked to {OLD}" in told
    assert f"userPrincipalName ({LEE}) = Username" in told
    assert f"change first Username of account {OLD}, wherever it equals {LEE}" in told
    assert "\033" not in text


async def test_in_json_for_machines(emulator: str) -> None:
    code, text = await link(emulator, JSON="1", user=LEE_ID.upper())
    found = json.loads(text)

    assert code == 0
    assert (found["objectId"], found["linkedTo"]) == (LEE_ID, OLD)
    assert found["matching"] == [
        {"priority": 1, "source": "userPrincipalName", "target": "Username", "value": LEE}
    ]
    assert OLD in found["changeFirst"]


async def test_each_permission_that_is_missing_is_named_with_how_to_grant_it(
    emulator: str,
) -> None:
    await change(emulator, usersReadable=False, provisioningLogReadable=False)
    try:
        code, text = await link(emulator, width=80, user=LEE_ID)
    finally:
        await change(emulator, usersReadable=True, provisioningLogReadable=True)
    told = " ".join(text.split())

    assert code == 0
    assert "grant User.Read.All to the app's identity (parameter readUsers" in told
    assert "grant ProvisioningLog.Read.All to the app's identity" in told


async def test_an_unknown_user_and_an_unknown_target_are_one_line(emulator: str) -> None:
    code, text = await link(emulator, user="nobody@contoso.com")
    assert code == 0
    assert "Entra has no user of this object id or user principal name" in text

    code, text = await link(emulator, RESET_TARGETS="{}")
    assert code == 1
    assert text.startswith("target: 'salesforce-prod' is not in RESET_TARGETS")
    assert len(text.splitlines()) == 1


async def test_after_the_rename_and_a_full_restart_it_shows_the_new_account(emulator: str) -> None:
    accounts = [
        {"id": OLD, "attributes": {"Username": f"{LEE}.old"}},
        {"id": NEW, "attributes": {"Username": LEE}},
    ]
    principal = {"id": SALESFORCE, "targetAccounts": accounts}
    await change(emulator, servicePrincipals=[principal])
    async with http_client(emulator, seconds=10) as client:
        asked = {"servicePrincipalId": SALESFORCE, "resetScope": "Full"}
        (await client.post("/_emulator/restarts", json=asked)).raise_for_status()

    async with asyncio.timeout(PATIENCE):
        text = ""
        while f"linked to     {NEW}" not in text:
            code, text = await link(emulator)
            assert code == 0


async def mappings(storage: str, reset_id: str, **more: str) -> tuple[int, bytes, str]:
    command = [sys.executable, "-m", "local", "--make", "mappings"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=processes.ROOT,
        env=environ("http://127.0.0.1:1", ResetStorage=storage, RESET=reset_id, **more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out, err.decode()


async def test_mappings_come_back_as_they_were_kept(azurite: str, tmp_path: Path) -> None:
    schema = json.dumps({"synchronizationRules": [{"id": "ü" * n} for n in range(900)]}).encode()
    now = datetime.now(UTC)
    async with TableServiceClient.from_connection_string(azurite) as tables:
        for name in (RESETS_TABLE, IDS_TABLE):
            await tables.create_table_if_not_exists(name)
        store = TableStore(
            tables.get_table_client(RESETS_TABLE), tables.get_table_client(IDS_TABLE), new_id=str
        )
        for reset_id in ("mappings-1", "mappings-2"):
            reset = Reset(id=reset_id, target="of-mappings", requested_at=now)
            await store.claim(
                Claim(id=reset_id, target=reset.target, requested_at=now, content_hash="h")
            )
            came = HistoryEntry(sequence=1, at=now, state=State.ACCEPTED, by="relink", detail="")
            await store.insert(reset, came, ())
        first = await store.find_reset("mappings-1")
        assert first is not None
        assert await store.keep_schema(first.row, schema)

    file = tmp_path / "schema.json"
    code, _, said = await mappings(azurite, "mappings-1", TO=str(file))
    assert (code, file.read_bytes()) == (0, schema), said
    code, printed, _ = await mappings(azurite, "mappings-1")
    assert (code, printed) == (0, schema + b"\n")
    code, _, said = await mappings(azurite, "mappings-2")
    assert (code, "no schema is kept" in said) == (1, True)
    code, _, said = await mappings(azurite, "mappings-3")
    assert (code, said) == (1, "there is no reset mappings-3\n")
