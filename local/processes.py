"""Starts and stops the processes of a run, waits until each is ready, and keeps its output."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from local.azurite import connection_string

ROOT: Final = Path(__file__).resolve().parent.parent
STOPS_WITHIN: Final = 15.0
STARTS_WITHIN: Final = 120.0
"""Seconds; a busy machine takes many times what a quiet one does."""
AZURITE: Final = ROOT / "local" / "node_modules" / ".bin" / "azurite"


class NotReady(RuntimeError):
    """A process ended, or said nothing, before it was ready; the text holds what it said."""


listeners: list[Callable[[str, str], None]] = []
"""Each hears every line that a process prints, with the process's name."""


class Started:
    """A running process; `lines` holds the last that it printed."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.lines: deque[str] = deque(maxlen=2000)
        self._arrived = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        stream = self.process.stdout
        if stream is None:
            raise AssertionError("started without a pipe")
        while line := await stream.readline():
            text = line.decode(errors="replace").rstrip()
            for listener in listeners:
                listener(self.name, text)
            async with self._arrived:
                self.lines.append(text)
                self._arrived.notify_all()
        async with self._arrived:
            self._arrived.notify_all()

    async def said(self, pattern: str, *, within: float) -> re.Match[str]:
        """Wait for a line that matches; raise NotReady where none comes."""
        try:
            async with asyncio.timeout(within), self._arrived:
                while True:
                    for line in self.lines:
                        if found := re.search(pattern, line):
                            return found
                    if self._reader.done() or self.process.returncode is not None:
                        break
                    await self._arrived.wait()
        except TimeoutError:
            pass
        tail = "\n".join(list(self.lines)[-20:]) or "(it said nothing)"
        raise NotReady(f"{self.name} did not become ready:\n{tail}")

    async def stop(self) -> int:
        """SIGTERM, and after a while SIGKILL; return the exit code."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
        await self._reader
        return self.process.returncode or 0

    async def kill(self) -> None:
        """SIGKILL: nothing is drained, nothing is released."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def started(
    name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
) -> AsyncIterator[Started]:
    """Run a command until the block ends. It gets no Ctrl-C of its own: this process stops it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=2**20,
    )
    running = Started(name, process)
    try:
        yield running
    finally:
        # Also when this task is being cancelled: what was started is stopped.
        await asyncio.shield(running.stop())


@asynccontextmanager
async def azurite() -> AsyncIterator[str]:
    """Azurite in memory on free ports; yields its connection string."""
    if not AZURITE.exists():
        raise NotReady("Azurite is not installed; run `make setup`")
    command = [str(AZURITE), "--inMemoryPersistence", "--silent"]
    command += ["--disableTelemetry", "--skipApiVersionCheck"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    async with started("Azurite", command) as running:
        ports = {}
        for service in ("Blob", "Queue", "Table"):
            said = await running.said(
                rf"{service} service is success.*:(\d+)$", within=STARTS_WITHIN
            )
            ports[service] = said[1]
        yield connection_string(ports["Blob"], ports["Queue"], ports["Table"])


@asynccontextmanager
async def emulator(environ: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """The Graph emulator on a free port; yields its address."""
    command = [sys.executable, "-m", "local.emulator"]
    given = {"GRAPH_EMULATOR_PORT": "0", **(environ or {})}
    async with started("the Graph emulator", command, given) as running:
        said = await running.said(r"^Graph emulator ready on (http://\S+)", within=STARTS_WITHIN)
        yield said[1]


@asynccontextmanager
async def host(
    environ: Mapping[str, str], *, command: Sequence[str] = (sys.executable, "-m", "local.host")
) -> AsyncIterator[tuple[Started, str]]:
    """The development host on a free port; yields it and its address."""
    async with started("the development host", command, {"PORT": "0", **environ}) as running:
        said = await running.said(r"host ready on (http://\S+)", within=STARTS_WITHIN)
        yield running, said[1]
