"""Reads from the environment what the host runs, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.host.errors import StartError
from local.host.listener import LEASE_SECONDS

PROJECT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    app_dir: Path
    port: int
    lease_seconds: int
    key: str
    principal: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Arguments":
        """APP_DIR comes from the environment alone; the rest may stand in local.settings.json."""
        return cls(
            app_dir=find_app_dir(environ),
            port=_number(environ, "PORT", 7071, 0, 65535),
            lease_seconds=_number(environ, "LOCAL_LEASE_SECONDS", LEASE_SECONDS, 1, 7 * 24 * 3600),
            key=environ.get("LOCAL_FUNCTION_KEY") or "local",
            principal=environ.get("LOCAL_PRINCIPAL", ""),
        )


def find_app_dir(environ: Mapping[str, str]) -> Path:
    path = Path(environ.get("APP_DIR") or PROJECT).resolve()
    if not path.is_dir():
        raise StartError(f"APP_DIR: {path} is not a folder; give the folder that holds host.json")
    return path


def _number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise StartError(f"{name}: {text!r} is not a number from {low} to {high}; correct it")
    return int(text)
