"""Puts an emulator on a port of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from local.emulator.clock import Clock
from local.emulator.control_api import ControlApi
from local.emulator.directory import Directory
from local.emulator.emulation import Emulator
from local.emulator.graph_api import GraphApi
from local.emulator.links_api import LinksApi
from local.emulator.seed import PACKAGED, read_seed
from local.emulator.traffic import Traffic
from local.emulator.values import State

HOST = "127.0.0.1"


@asynccontextmanager
async def serve(
    seed: State | Path = PACKAGED,
    *,
    port: int = 0,
    clock: Clock | None = None,
) -> AsyncIterator[Emulator]:
    """
    Serve *seed* until the block ends; port 0 takes a free one.

    A clock that is given wins over the one in the seed.
    """
    state = read_seed(seed) if isinstance(seed, Path) else seed
    if clock is None:
        speed = 60.0 if state.clock.speed is None else state.clock.speed
        clock = Clock(state.clock.now, speed=speed)
    emulator = Emulator(clock=clock, directory=Directory(state, now=clock.now()))
    runner = web.AppRunner(application(emulator), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        emulator.url = f"http://{HOST}:{runner.addresses[0][1]}"
        yield emulator
    finally:
        await runner.cleanup()


def application(emulator: Emulator) -> web.Application:
    app = web.Application(middlewares=[Traffic(emulator).middleware()], client_max_size=64 * 2**20)
    GraphApi(emulator).add_routes(app)
    LinksApi(emulator).add_routes(app)
    ControlApi(emulator).add_routes(app)
    return app
