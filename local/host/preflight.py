"""
Checks the app's settings before the host listens, and reads which queues and tables it needs.

Relink declares both in its folder `shared`: `config.problem`, and `names.QUEUES` and `TABLES`.
An app without such a folder declares nothing; one that has it must declare both, or a module that
was moved would leave the settings unchecked and the queues missing.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.host.errors import StartError

PACKAGE: Final = "shared"


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Queues and tables to create, and the setting with the connection string for it."""

    queues: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    connection: str = "ResetStorage"


def check_settings(app_dir: Path, environ: Mapping[str, str]) -> None:
    """Ask the app's `shared.config.problem`; raise StartError with its answer."""
    if not _declares(app_dir):
        return
    problem = _declared(app_dir, "config", "problem")
    if (found := problem(environ)) is not None:
        raise StartError(str(found))


def declared_names(app_dir: Path) -> Names:
    """Read the queues and tables that the app's `shared.names` declares."""
    if not _declares(app_dir):
        return Names()
    return Names(
        queues=tuple(_declared(app_dir, "names", "QUEUES")),
        tables=tuple(_declared(app_dir, "names", "TABLES")),
    )


def _declares(app_dir: Path) -> bool:
    return (app_dir / PACKAGE).is_dir()


def _declared(app_dir: Path, name: str, wanted: str) -> Any:
    where = f"{PACKAGE}/{name}.py"
    if not (app_dir / where).exists():
        raise StartError(
            f"{where}: missing in {app_dir}; the host asks it for `{wanted}` before it listens: "
            "put it back, or correct local/host/preflight.py where it was moved"
        )
    try:
        module = importlib.import_module(f"{PACKAGE}.{name}")
    except Exception as error:
        raise StartError(f"{where}: cannot be imported: {error!r}; correct it") from error
    try:
        return getattr(module, wanted)
    except AttributeError as error:
        raise StartError(
            f"{where}: declares no {wanted}, which the host asks for before it listens; add it"
        ) from error
