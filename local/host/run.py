"""Starts, announces, runs and drains the host."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType

from aiohttp import web

from local.folding import note
from local.host.arguments import PROJECT, Arguments, find_app_dir
from local.host.connections import find_connection
from local.host.errors import StartError
from local.host.host_json import load_host_json
from local.host.logs import configure_logging
from local.host.preflight import PACKAGE, check_settings, declared_names
from local.host.provision import create_queues, create_tables
from local.host.routes import RouteTable
from local.host.settings import load_values
from local.host.triggers import Plan, Planner
from local.host.web import WebHost
from local.host.worker import Worker

logger = logging.getLogger("host")

HOST = "127.0.0.1"
STOPPING = b"stopping: what runs is finished, nothing new begins; a second signal ends at once\n"


def main() -> int:
    """Run until a signal, and return the exit code."""
    started = time.perf_counter()
    configure_logging()
    try:
        app_dir = find_app_dir(os.environ)
        load_values(app_dir, os.environ)
        arguments = Arguments.from_environ(os.environ)
        _become_the_app(arguments)
        asyncio.run(serve(arguments, started))
    except StartError as error:
        note(str(error))
        return error.exit_code
    except KeyboardInterrupt:  # before the handlers were in place
        return 128 + signal.SIGINT
    return 0


async def serve(arguments: Arguments, started: float) -> None:
    stopping = asyncio.Event()
    _on_signals(stopping)
    options = load_host_json(arguments.app_dir, os.environ)
    check_settings(arguments.app_dir, os.environ)
    limit = options.function_timeout
    timeout = None if limit is None else limit.total_seconds()
    worker = Worker(arguments.app_dir, timeout=timeout)
    functions = await worker.start()
    async with AsyncExitStack() as closing:
        # In a thread: a function that hangs in its own thread must not keep signals from us.
        closing.push_async_callback(asyncio.to_thread, worker.stop)
        planner = Planner(
            worker=worker,
            options=options,
            environ=os.environ,
            app_dir=arguments.app_dir,
            lease_seconds=arguments.lease_seconds,
            closing=closing,
        )
        plan = planner.plan(functions)
        if arguments.creates:
            await _provision(arguments.app_dir, plan)
        application = WebHost(
            worker,
            RouteTable(plan.routes),
            key=arguments.key,
            principal=arguments.principal,
            names=arguments.names,
        ).application()
        # No access log: addresses carry keys. Requests under way may end in their own time.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=timeout or 86400)
        await runner.setup()
        try:
            address = await _listen(runner, arguments.port)
            running = _start(plan)
            _announce(plan, address, time.perf_counter() - started)
            if arguments.key_is_new:
                print(f"function key of this run: {arguments.key} (LOCAL_FUNCTION_KEY sets one)")
                sys.stdout.flush()
            await stopping.wait()
        finally:
            for listener in plan.background:
                listener.stop()
            await runner.cleanup()
        await asyncio.gather(*running)
    # The app's own clients stay open, as they do in Azure, where the worker simply ends.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


async def _provision(app_dir: Path, plan: Plan) -> None:
    names = declared_names(app_dir)
    wanted = dict.fromkeys(plan.queues)
    if names.queues or names.tables:
        connection = find_connection(names.connection, os.environ, wanted_by="shared/names.py")
        wanted |= dict.fromkeys((connection, queue) for queue in names.queues)
        await create_tables(connection, names.tables)
    for connection, queue in wanted:
        await create_queues(connection, [queue])


async def _listen(runner: web.AppRunner, port: int) -> str:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise StartError(
            f"PORT: {port} cannot be used ({error.strerror}); set another, or 0 for any free one"
        ) from error
    return f"http://{HOST}:{runner.addresses[0][1]}"


def _start(plan: Plan) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(_logged(listener.run())) for listener in plan.background]


async def _logged(work: Coroutine[None, None, None]) -> None:
    # One broken listener must neither pass unseen nor take the others down.
    try:
        await work
    except Exception:
        logger.exception("a listener has ended; the others go on")


def _announce(plan: Plan, address: str, seconds: float) -> None:
    for warning in plan.warnings:
        logger.warning("%s", warning)
    names = ", ".join(name for name, _ in plan.lines)
    print(f"host ready on {address} in {seconds:.2f} s: {names}")
    width = max((len(name) for name, _ in plan.lines), default=0)
    for name, what in plan.lines:
        print(f"  {name:<{width}}  {what}")
    sys.stdout.flush()


def _on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        # Not the logger: its lock may be held by the very line that was interrupted.
        os.write(sys.stderr.fileno(), STOPPING)
        loop.call_soon_threadsafe(stopping.set)

    # Not the loop's own handlers: those wait for a function that blocks the loop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _become_the_app(arguments: Arguments) -> None:
    """Set up this process as the platform sets up the worker's."""
    if arguments.principal:
        os.environ["WEBSITE_AUTH_ENABLED"] = "True"
    # The app compares the key of its health report itself.
    os.environ["LOCAL_FUNCTION_KEY"] = arguments.key
    os.environ.setdefault("AzureWebJobsScriptRoot", str(arguments.app_dir))
    # Without this project's folder, or another app would find our modules in place of its own.
    others = [entry for entry in sys.path if Path(entry).resolve() != PROJECT]
    sys.path[:] = [str(arguments.app_dir), *others]
    if arguments.app_dir.resolve() != PROJECT:
        # The host's parser of schedules came out of our `shared`; the app may have its own.
        for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
    os.chdir(arguments.app_dir)
