"""Where Azure builds from requirements.txt alone, nothing that the app imports is missing."""

import re
import sys

from local.package import lock, sources, wheels
from local.package.build import CACHE, ROOT

SOURCES = [ROOT / "function_app.py", *sorted((ROOT / "shared").rglob("*.py"))]


def modules() -> dict[str, str]:
    """The distribution that holds each module of the locked wheels."""
    locked = lock.read((ROOT / lock.LOCK).read_text(encoding="utf-8"))
    found = {}
    for wheel, path in zip(locked, wheels.fetch(locked, ROOT / CACHE), strict=True):
        for file, _ in wheels.shipped(path):
            if file.endswith(".py"):
                name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                found[name] = wheel.name
            elif file.endswith(".so"):
                found[file.partition(".")[0].replace("/", ".")] = wheel.name
    return found


def test_every_distribution_that_the_app_imports_is_pinned() -> None:
    found = modules()
    pinned = lock.pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    own = {"shared", *sys.stdlib_module_names}
    used = set()
    for path in SOURCES:
        text = path.read_bytes()
        names = {found.module for found in sources.all_imports(text, package="")}
        # import_module("azure.identity.aio")
        names |= {text for text in sources.strings(text) if "." in text and text in found}
        for name in names:
            if name.partition(".")[0] not in own:
                assert name in found, f"{path.name} imports {name}: of which distribution?"
                used.add(found[name])

    assert used - pinned.keys() == set()
    # The worker is imported by the platform, in the version that is pinned here.
    assert pinned.keys() - used == {"azure-functions-runtime"}


def test_every_pin_is_exact() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if line.strip() and not line.startswith("#")]

    assert [line for line in asked if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
