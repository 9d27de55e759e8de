"""`python -m local.emulator`: serve until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local.emulator.clock import Clock
from local.emulator.seed import PACKAGED, BadSeed, read_seed
from local.emulator.server import serve
from local.emulator.values import State
from local.folding import note


class BadSetting(ValueError):
    """The text names the setting."""


def settings(environ: Mapping[str, str]) -> tuple[State, int, float]:
    """The seed, the port and the speed."""
    try:
        seed = read_seed(Path(environ.get("GRAPH_EMULATOR_SEED") or PACKAGED))
    except BadSeed as error:
        raise BadSetting(f"GRAPH_EMULATOR_SEED: {error}") from error
    port = environ.get("GRAPH_EMULATOR_PORT") or "7072"
    if not port.isdecimal() or int(port) > 65535:
        raise BadSetting(f"GRAPH_EMULATOR_PORT: {port!r} is not a port; give 0 for a free one")
    given = environ.get("GRAPH_EMULATOR_SPEED")
    fallback = 60.0 if seed.clock.speed is None else seed.clock.speed
    try:
        speed = float(given) if given else fallback
    except ValueError as error:
        raise BadSetting(f"GRAPH_EMULATOR_SPEED: {given!r} is not a number") from error
    if not 0 <= speed < 1e6:
        raise BadSetting(f"GRAPH_EMULATOR_SPEED: {given} is not from 0 to 1000000")
    return seed, int(port), speed


async def run(seed: State, port: int, speed: float) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(seed, port=port, clock=Clock(seed.clock.now, speed=speed)) as emulator:
        print(f"Graph emulator ready on {emulator.url} at {speed:g}x{_told(speed)}", flush=True)
        await stopped.wait()


def _told(speed: float) -> str:
    """Its dates run away from those of everything else, which looks like an error."""
    if speed == 1:
        return ""
    if speed == 0:
        return ": its clock stands still until it is advanced"
    return f": its clock runs {speed:g} times as fast as yours (GRAPH_EMULATOR_SPEED)"


def main() -> int:
    try:
        seed, port, speed = settings(os.environ)
    except BadSetting as error:
        note(str(error))
        return 2
    try:
        asyncio.run(run(seed, port, speed))
    except OSError as error:
        note(f"GRAPH_EMULATOR_PORT: {port}: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
