"""Reads from the environment what the host runs, and where."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from local.host.errors import StartError
from local.host.listener import LEASE_SECONDS
from local.host.preflight import PACKAGE

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
PROJECT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    app_dir: Path
    port: int
    lease_seconds: int
    #: Opens every function.
    key: str
    #: The key is one of this run's own, so that it must be shown.
    key_is_new: bool = False
    principal: str
    #: Queues and tables that are missing are created.
    creates: bool = True
    #: The names under which the host answers.
    names: frozenset[str] = LOOPBACK

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Arguments":
        """APP_DIR comes from the environment alone; the rest may stand in local.settings.json."""
        app_dir = find_app_dir(environ)
        key = environ.get("LOCAL_FUNCTION_KEY", "")
        new = not key and reaches_a_tenant(app_dir, environ)
        return cls(
            app_dir=app_dir,
            port=_number(environ, "PORT", 7071, 0, 65535),
            lease_seconds=_number(environ, "LOCAL_LEASE_SECONDS", LEASE_SECONDS, 1, 7 * 24 * 3600),
            key=secrets.token_urlsafe(24) if new else key or "local",
            key_is_new=new,
            principal=environ.get("LOCAL_PRINCIPAL", ""),
            creates=_flag(environ, "LOCAL_CREATES"),
            names=LOOPBACK | _public_name(environ),
        )


def reaches_a_tenant(app_dir: Path, environ: Mapping[str, str]) -> bool:
    """
    Whether what is asked of this host may end at a Graph that is not on this machine.

    The key `local` is known to everybody, so it must open nothing then. Only an app with a folder
    `shared`, as Relink has, is taken to call Graph where GRAPH_ENDPOINT does not say so.
    """
    endpoint = environ.get("GRAPH_ENDPOINT", "").strip()
    if not endpoint:
        return (app_dir / PACKAGE).is_dir()
    return _name_in(endpoint) not in LOOPBACK


def _public_name(environ: Mapping[str, str]) -> frozenset[str]:
    """A tunnel to this machine keeps the Host that its callers know."""
    name = _name_in(environ.get("PUBLIC_URL", ""))
    return frozenset({name}) if name else frozenset()


def _name_in(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def find_app_dir(environ: Mapping[str, str]) -> Path:
    path = Path(environ.get("APP_DIR") or PROJECT).resolve()
    if not path.is_dir():
        raise StartError(f"APP_DIR: {path} is not a folder; give the folder that holds host.json")
    return path


def _flag(environ: Mapping[str, str], name: str) -> bool:
    """On where nothing is said."""
    text = environ.get(name, "").strip().lower() or "true"
    if text not in {"true", "false"}:
        raise StartError(f"{name}: {text!r} is neither true nor false; correct it")
    return text == "true"


def _number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise StartError(f"{name}: {text!r} is not a number from {low} to {high}; correct it")
    return int(text)
