"""Reads app settings: the environment, and where it is silent the Values of local.settings.json."""

import json
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from local.host.errors import StartError

_PLACEHOLDER = re.compile(r"%([^%]+)%")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in *path*, or a StartError that names the file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except OSError as error:
        raise StartError(f"{path}: cannot be read ({error.strerror}); is APP_DIR right?") from error
    except ValueError as error:
        raise StartError(f"{path}: is not JSON ({error}); correct it") from error
    if not isinstance(found, dict):
        raise StartError(f"{path}: must hold a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two settings of one name the last one would count, without a word."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is given twice")
    return found


def load_values(app_dir: Path, environ: MutableMapping[str, str]) -> None:
    """Add what local.settings.json has and *environ* has not; the file may be absent."""
    path = app_dir / "local.settings.json"
    if not path.exists():
        return
    content = read_json(path)
    if content.get("IsEncrypted"):
        raise StartError(f"{path}: IsEncrypted is true; run `func settings decrypt`")
    values = content.get("Values", {})
    if not isinstance(values, dict):
        raise StartError(f"{path}: Values must be a JSON object of strings")
    for name, value in values.items():
        if not isinstance(value, str):
            raise StartError(f"{path}: the value of {name} must be a string; put it in quotes")
        environ.setdefault(name, value)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Put app settings in for %NAME%, as the host does in bindings."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environ.get(name):
            raise StartError(f"{name}: missing; a binding asks for %{name}%: set it")
        return environ[name]

    return _PLACEHOLDER.sub(value, text)
