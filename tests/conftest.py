import logging
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import pytest

from local import processes
from tests.azurite import start_azurite
from tests.support import canaries, soak

TESTS: Final = Path(__file__).parent
WAITING: Final = "functional"
"""The folder whose tests wait for processes most of their time."""
LONGEST_FIRST: Final = ("crash", "package", "infra", "project")
"""Folders whose tests take longest; with several workers, none of them is left for the end."""


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator for the whole run."""
    with start_azurite() as connection_string:
        yield connection_string


def pytest_configure(config: pytest.Config) -> None:
    """Look at every log of the run for what must never be in one; draw new cases in soaks alone."""
    if not soak.at_length(0, 1) and find_spec("hypothesis") is not None:
        # The tests of the package run without it.
        from hypothesis import settings  # noqa: PLC0415

        settings.load_profile("ci")
    soak.progress.capture = config.pluginmanager.getplugin("capturemanager")
    logging.getLogger().addHandler(canaries.Listener())
    logging.getLogger("relink").setLevel(logging.DEBUG)
    processes.listeners.append(canaries.look_at)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


def _group(item: pytest.Item) -> str:
    if item.path.name == "test_every_io.py":
        return item.name
    return "package" if _folder(item) == "package" else str(item.path)


def _rank(folder: str) -> int:
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Let tests that wait and tests that compute take turns, the longest first.

    A worker of pytest-xdist takes a module at a time; of the lives one scenario, and all that is
    asked of the one package.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in sorted(items, key=lambda item: (_rank(_folder(item)), str(item.path))):
        group = _group(item)
        item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group, []).append(item)
    waiting = [group for group in groups.values() if _folder(group[0]) == WAITING]
    computing = [group for group in groups.values() if _folder(group[0]) != WAITING]
    turns: zip_longest[tuple[list[pytest.Item], ...]] = zip_longest(
        waiting, computing, fillvalue=[]
    )
    items[:] = [item for turn in turns for group in turn for item in group]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["canaries"] = (canaries.seen, canaries.leaks)
    elif canaries.leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended: what it saw counts for the run."""
    seen, leaks = getattr(node, "workeroutput", {}).get("canaries", (0, []))
    canaries.seen += seen
    canaries.leaks.extend(leaks)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.line(f"canaries: {canaries.seen:,} log lines, {len(canaries.leaks)} leaks")
    for leak in canaries.leaks[:20]:
        terminalreporter.line(f"  a secret, a signature or a body was logged by {leak}", red=True)
