"""The host as a process of its own, the way a person starts it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import PATIENCE

APPS = Path(__file__).parent / "apps"
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Host:
    process: subprocess.Popen[bytes]
    output: Path
    log: Path

    @property
    def address(self) -> str:
        found = re.search(r"host ready on (http://\S+)", self.output.read_text())
        assert found, self.log.read_text()
        return found[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def start_host(app: str | Path, folder: Path, environ: dict[str, str]) -> Iterator[Host]:
    """Start the host for apps/*app*, and wait until it is ready or has ended."""
    output, log = folder / "output", folder / "log"
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.host"],
            cwd=PROJECT,
            stdout=out,
            stderr=err,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "APP_DIR": str(APPS / app),
                "PORT": "0",
                **environ,
            },
        )
    host = Host(process=process, output=output, log=log)
    try:
        wait_for(lambda: process.poll() is not None or "host ready" in output.read_text())
        yield host
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
