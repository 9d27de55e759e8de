"""Which modules starting and the first restart import: counted, since each costs a cold start."""

import json
import subprocess
import sys

from local.processes import ROOT

SHOW = "import json, sys; import {module}; print(json.dumps(sorted(sys.modules)))"


def imported_by(module: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=300,
    )
    found: list[str] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_indexing_imports_neither_the_graph_sdk_nor_the_identity() -> None:
    modules = imported_by("function_app")

    heavy = ("msgraph", "kiota_", "httpx", "azure.identity", "msal")
    assert [name for name in modules if name.startswith(heavy)] == []
    assert len([name for name in modules if name.startswith("shared.")]) <= 160
    # 691 of them, 141 of the app, when this was written.
    assert len(modules) <= 760


def test_the_first_restart_imports_a_dozen_generated_modules_and_no_entity() -> None:
    modules = imported_by("shared.adapters.graph.gateway")

    generated = [name for name in modules if name.startswith("msgraph.generated")]
    assert "msgraph.generated.models.entity" not in modules
    # 13, packages included.
    assert len(generated) <= 16
