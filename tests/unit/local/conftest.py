import sys

import pytest

from local.cli import COMMANDS


@pytest.fixture(autouse=True)
def _not_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that runs as a program is not imported before, as other tests may have done."""
    for command in COMMANDS.values():
        for name in (command.runs, f"{command.runs}.__main__"):
            if not hasattr(sys.modules.get(name), "__path__"):
                monkeypatch.delitem(sys.modules, name, raising=False)
