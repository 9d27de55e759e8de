"""Clients generated from the OpenAPI document: they are made, they are typed, and they work."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import processes
from local.documents import OPENAPI
from local.lint.__main__ import BIN
from tests.functional.stack import storage_and_graph
from tests.support.patience import PATIENCE

_TAKES_AT_MOST = PATIENCE
CONFIG = {
    "project_name_override": "relink-client",
    "package_name_override": "relink_client",
    "post_hooks": [],
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python client, as `openapi-python-client` writes it, without one warning."""
    folder = tmp_path_factory.mktemp("clients")
    config = folder / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    program = Path(sys.executable).with_name("openapi-python-client")
    done = subprocess.run(
        [
            program,
            "generate",
            f"--path={OPENAPI}",
            f"--output-path={folder / 'python'}",
            f"--config={config}",
            "--fail-on-warning",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TAKES_AT_MOST,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout
    return folder / "python"


@pytest.mark.skipif(not (BIN / "tsc").exists(), reason="not installed; run `make check`")
def test_typescript_types_are_generated_and_fit(tmp_path: Path) -> None:
    use = tmp_path / "use.ts"
    use.write_text(
        """
        import type { components, operations } from "./relink";
        type Reset = components["schemas"]["ResetView"];
        export const least = (reset: Reset): number | undefined => reset.expectedMinutes?.least;
        export const query: operations["listResets"]["parameters"]["query"] = { state: "waiting" };
        export const ask: components["schemas"]["ResetRequest"] = { target: "salesforce-prod" };
        // @ts-expect-error -- a target is needed
        export const bad: components["schemas"]["ResetRequest"] = { reason: "x" };
        // @ts-expect-error -- it is no tuple
        export const pair = (reset: Reset): number => reset.expectedMinutes[0];
        """,
        encoding="utf-8",
    )
    types = tmp_path / "relink.d.ts"
    for program, *arguments in (
        # Or what has a default would have to be given.
        ("openapi-typescript", OPENAPI, "--output", types, "--default-non-nullable=false"),
        ("tsc", "--noEmit", "--strict", "--target", "es2022", use),
    ):
        done = subprocess.run(
            [str(BIN / str(program)), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_TAKES_AT_MOST,
        )
        assert done.returncode == 0, done.stdout + done.stderr


async def test_the_python_client_drives_a_reset_to_its_end(
    generated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(generated))
    # Generated: nothing is known of it before.
    package: Any = importlib.import_module("relink_client")
    api: Any = {
        name: importlib.import_module(f"relink_client.api.resets.{name}")
        for name in ("submit_reset", "list_resets", "get_reset", "get_status", "decide_reset")
    }
    models: Any = importlib.import_module("relink_client.models")
    body = models.ResetRequest(
        target="salesforce-prod",
        reason="Both were replaced in Salesforce",
        requested_by="helpdesk@contoso.com",
        ticket=models.Ticket(system="servicenow", id="INC0012345"),
        subjects=["adele.vance@contoso.com"],
    )
    async with (
        asyncio.timeout(PATIENCE),
        storage_and_graph() as stack,
        processes.host(stack.environ) as (_, url),
        package.Client(base_url=url, headers={"x-functions-key": "local"}) as client,
    ):
        taken = await api["submit_reset"].asyncio_detailed(client=client, body=body)
        wrong = await api["submit_reset"].asyncio(
            client=client, body=models.ResetRequest(target="unlisted")
        )
        address = str(taken.headers["location"])
        token = address.partition("token=")[2]
        waited = taken
        while waited.status_code == 202:
            await asyncio.sleep(0.2)
            waited = await api["get_status"].asyncio_detailed(
                taken.parsed.id, client=client, token=token
            )
        read = await api["get_reset"].asyncio(taken.parsed.id, client=client)
        page = await api["list_resets"].asyncio(client=client, target="salesforce-prod")
        late = await api["decide_reset"].asyncio(
            taken.parsed.id,
            client=client,
            body=models.DecisionBody(decision=models.DecisionBodyDecision.CANCEL, by="boss"),
        )

    assert taken.status_code == 202
    assert (wrong.status, "unlisted" in wrong.detail) == (400, True)
    assert (str(waited.parsed.state), waited.parsed.outcome) == ("completed", "completed")
    assert str(read.state) == "completed"
    assert 1 <= read.expected_minutes.least <= read.expected_minutes.most
    assert [each.subject for each in read.subjects] == ["adele.vance@contoso.com"]
    assert [each.id for each in page.value] == [taken.parsed.id]
    assert page.next_link is None
    assert late.status == 409
