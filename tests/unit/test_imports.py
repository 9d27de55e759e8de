"""
Which modules starting and the first restart import: counted, since each costs a cold start.

And who imports httpx, which nobody maintains: the Graph SDK's transport, and nothing else.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


GIVES_THE_SDK_A_TRANSPORT = {
    "shared/adapters/graph/client.py",
    "shared/adapters/graph/errors.py",
    "tests/emulator/emulator_support.py",
}


def test_only_what_gives_the_graph_sdk_its_transport_imports_httpx() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        if "httpx" in imports(path.read_text(encoding="utf-8"))
    }

    assert found == GIVES_THE_SDK_A_TRANSPORT


@pytest.mark.parametrize(
    "line",
    [
        "import httpx",
        "import json, httpx",
        "import httpx as client",
        "import httpx._client",
        "from httpx import codes",
        "from httpx._types import URLTypes",
        "def late() -> None:\n    import httpx",
        "import importlib\nimportlib.import_module('httpx')",
        "__import__('httpx')",
    ],
)
def test_no_way_to_import_is_overlooked(line: str) -> None:
    assert "httpx" in imports(line)


def test_a_word_is_not_an_import() -> None:
    assert "httpx" not in imports("LOGGERS = ('httpx',)\nfrom .httpx import x\nimport httpx2\n")


def python_files() -> Iterator[Path]:
    for folder, below, names in os.walk(ROOT):
        below[:] = [b for b in below if b not in {"node_modules", "dist"} and b[0] != "."]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def imports(source: str) -> set[str]:
    """The packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                found.update(each.name for each in node.names)
            case ast.ImportFrom(module=str(name), level=0):
                found.add(name)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
    return {name.partition(".")[0] for name in found}


def test_the_app_makes_no_dataclass_but_where_a_field_is_hidden_or_not_compared() -> None:
    """Each takes a start up to a millisecond; a struct of msgspec takes none."""
    source = {
        path: path.read_text(encoding="utf-8")
        for path in python_files()
        if path.is_relative_to(ROOT / "shared")
    }
    found = {
        (path.relative_to(ROOT).as_posix(), text.count("@dataclass"))
        for path, text in source.items()
        if "dataclasses" in imports(text)
    }

    assert found == {
        ("shared/domain/notifier_entries.py", 1),
        ("shared/domain/reset.py", 1),
        ("shared/webhooks/senders.py", 1),
    }
