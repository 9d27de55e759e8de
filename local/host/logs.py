"""Writes log lines for a person: on stderr, without colour where that is not a terminal."""

import logging
import sys
from typing import Final

from shared.telemetry import quiet_libraries

_COLOURS: Final = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}
_RESET: Final = "\x1b[0m"

# The host's own server and loop: on the platform that part is no Python.
_OWN: Final = ("aiohttp.access", "asyncio")


class _Formatter(logging.Formatter):
    def __init__(self, *, coloured: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelno, "") if self._coloured else ""
        return f"{colour}{text}{_RESET}" if colour else text


def configure_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(coloured=sys.stderr.isatty()))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # What the app does itself, a moment earlier: the host asks storage before the app has started.
    quiet_libraries()
    for name in _OWN:
        logging.getLogger(name).setLevel(logging.WARNING)
