import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

from local import processes
from tests.azurite import start_azurite
from tests.support import canaries, soak


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator for the whole run."""
    with start_azurite() as connection_string:
        yield connection_string


def pytest_configure(config: pytest.Config) -> None:
    """Look at every log of the run for what must never be in one; draw new cases in soaks alone."""
    settings.register_profile("the same each time", derandomize=True, deadline=None)
    settings.load_profile("default" if soak.at_length(0, 1) else "the same each time")
    soak.progress.capture = config.pluginmanager.getplugin("capturemanager")
    logging.getLogger().addHandler(canaries.Listener())
    logging.getLogger("relink").setLevel(logging.DEBUG)
    processes.listeners.append(canaries.look_at)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if canaries.leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.line(f"canaries: {canaries.seen:,} log lines, {len(canaries.leaks)} leaks")
    for leak in canaries.leaks[:20]:
        terminalreporter.line(f"  a secret, a signature or a body was logged by {leak}", red=True)
