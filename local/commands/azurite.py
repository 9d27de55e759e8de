"""`azurite`: the storage emulator alone."""

import argparse
import os
from collections.abc import Mapping
from typing import Final

from local.errors import Failed, Usage
from local.processes import AZURITE

VARIABLES: Final[Mapping[str, str]] = {
    "BLOB_PORT": "blob_port",
    "QUEUE_PORT": "queue_port",
    "TABLE_PORT": "table_port",
}
_PORTS: Final = {"blob": "10000", "queue": "10001", "table": "10002"}


def configure(parser: argparse.ArgumentParser) -> None:
    for service, port in _PORTS.items():
        parser.add_argument(f"--{service}-port", metavar="PORT", help=f"default {port}")


def main(args: argparse.Namespace) -> int:
    """Become Azurite, so that signals and the exit code are its own."""
    if not AZURITE.exists():
        raise Failed("Azurite is not installed; run `make setup`")
    command = [str(AZURITE), "--location", ".local/azurite"]
    for service, usual in _PORTS.items():
        port = getattr(args, f"{service}_port") or usual
        if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
            raise Usage(f"{service.upper()}_PORT: {port!r} is not a port; give 0 for a free one")
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", port]
    command += ["--disableTelemetry", "--skipApiVersionCheck"]
    os.execv(command[0], command)  # noqa: S606 -- our own node module
