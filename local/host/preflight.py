"""What the app itself wants checked before the host listens, and the names it needs to exist."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.host.errors import StartError


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Queues and tables to create, and the setting with the connection string for it."""

    queues: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    connection: str = "ResetStorage"


def check_settings(app_dir: Path, environ: Mapping[str, str]) -> None:
    """Ask `shared.config.problem`, where the app has it; an answer stops the start."""
    module = _load(app_dir, "config")
    problem = getattr(module, "problem", None)
    if problem is not None and (found := problem(environ)) is not None:
        raise StartError(str(found))


def declared_names(app_dir: Path) -> Names:
    """What `shared.names` declares, where the app has it."""
    module = _load(app_dir, "names")
    return Names(
        queues=tuple(getattr(module, "QUEUES", ())), tables=tuple(getattr(module, "TABLES", ()))
    )


def _load(app_dir: Path, name: str) -> Any:
    if not (app_dir / "shared" / f"{name}.py").exists():
        return None
    try:
        return importlib.import_module(f"shared.{name}")
    except Exception as error:
        raise StartError(f"shared/{name}.py: cannot be imported: {error!r}; correct it") from error
