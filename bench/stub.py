"""
A Microsoft Graph with many jobs, for measuring: it answers at once and counts what it is asked.

Not the emulator, whose directory of people costs more than what is measured. A job is Active; a
restart begins a cycle, which ends after some seconds.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

_JOB: Final = re.compile(r"/v1\.0/servicePrincipals/([^/]+)/synchronization/jobs/([^/?]+)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def target(number: int) -> dict[str, str]:
    """The catalogue's entry of the stub's job with this number."""
    return {"servicePrincipalId": service_principal(number), "jobId": f"job.{number}"}


def service_principal(number: int) -> str:
    return f"8e6c3c1d-4b7a-4c52-9f0e-{number:012d}"


@dataclass(kw_only=True)
class Graph:
    """Every job that it is asked for is there."""

    cycle: float = 20
    """Seconds that a cycle takes."""

    slow: dict[str, float] = field(default_factory=dict)
    """Seconds that a GET of a job takes, by service principal."""

    fault: dict[str, list[int]] = field(default_factory=dict)
    """Statuses to answer the next calls with, by method."""

    retry_after: int = 0
    """Seconds; sent with 429."""

    drop: list[str] = field(default_factory=list)
    """What becomes of the next POSTs: `before` or `after` the effect no answer comes."""

    reads: Counter[str] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)
    """Every POST that came, by service principal."""

    restarts: Counter[str] = field(default_factory=Counter)
    """Those that took effect."""

    audits: list[tuple[datetime, str]] = field(default_factory=list)
    restarted: dict[str, datetime] = field(default_factory=dict)
    others: int = 0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Before the first restart a job shows the same each time, or it would seem restarted."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            # A client keeps its connections, and would be waited for.
            server.close()
            server.abort_clients()

    def calls(self) -> int:
        return self.reads.total() + self.posts.total() + self.others

    async def until_restarted(self, number: int) -> None:
        """Wait until so many restarts have taken effect."""
        while self.restarts.total() < number:
            self.changed.clear()
            await self.changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await reader.readexactly(int(found[1]) if found else 0)
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
                answer = await self._answer(method, path, body)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _answer(self, method: str, path: str, body: bytes) -> bytes | None:
        found = _JOB.match(path)
        if found is None:
            self.others += 1
            logged = "directoryAudits" in path
            return _written(200, {"value": self._audit_rows() if logged else []})
        owner, job = found[1], found[2]
        if method == "POST":
            return self._restart(owner, body)
        self.reads[owner] += 1
        if wait := self.slow.get(owner):
            await asyncio.sleep(wait)
        if status := self._refusal("GET"):
            return _written(status, _error(status), self.retry_after)
        return _written(200, self._shown(owner, job))

    def _restart(self, owner: str, body: bytes) -> bytes | None:
        self.posts[owner] += 1
        if status := self._refusal("POST"):
            return _written(status, _error(status), self.retry_after)
        lost = self.drop.pop() if self.drop else ""
        if lost == "before":
            return None
        if json.loads(body) != {"criteria": {"resetScope": "Full"}}:
            raise ValueError(f"not a full restart: {body!r}")
        now = datetime.now(UTC)
        self.restarts[owner] += 1
        self.restarted[owner] = now
        self.audits.append((now, owner))
        self.changed.set()
        return None if lost else _written(204, None)

    def _refusal(self, method: str) -> int:
        waiting = self.fault.get(method)
        return waiting.pop() if waiting else 0

    def _shown(self, owner: str, job: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        began = self.restarted.get(owner)
        ends = began + timedelta(seconds=self.cycle) if began is not None else None
        running = ends is not None and now < ends
        last = ends if ends is not None and not running else self.started - timedelta(minutes=20)
        last_began = began if ends is not None and not running else last - timedelta(seconds=20)
        # Before the first restart the only initial cycle lies far back.
        first = last if began is not None else self.started - timedelta(days=90)
        execution = {
            "activityIdentifier": "2dea06a7-2960-420d-931e-f6c807ebda24",
            "countEntitled": 0,
            "countEscrowed": 0,
            "countExported": 3,
            "state": "Succeeded",
            "error": None,
            "timeBegan": _z((last_began or last) + timedelta(milliseconds=1)),
            "timeEnded": _z(last),
        }
        return {
            "id": job,
            "templateId": "salesforce",
            "schedule": {"expiration": None, "interval": "PT40M", "state": "Active"},
            "status": {
                "countSuccessiveCompleteFailures": 0,
                "escrowsPruned": False,
                "code": "NotRun" if running else "Active",
                "lastSuccessfulExecutionWithExports": None,
                "quarantine": None,
                "steadyStateFirstAchievedTime": _z(first),
                "steadyStateLastAchievedTime": _z(last),
                "troubleshootingUrl": "",
                "lastExecution": execution,
                "lastSuccessfulExecution": execution,
                "progress": [],
                "synchronizedEntryCountByType": [{"key": "User to User", "value": 52}],
            },
            "synchronizationJobSettings": [{"name": "Domain", "value": "contoso.com"}],
        }

    def _audit_rows(self) -> list[dict[str, Any]]:
        """The newest, as one page; the app has no identity here, so that none is its own."""
        return []


def _error(status: int) -> dict[str, Any]:
    return {"error": {"code": "TooManyRequests" if status == 429 else "error", "message": "told"}}


def _z(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _written(status: int, content: dict[str, Any] | None, retry_after: int = 0) -> bytes:
    body = json.dumps(content).encode() if content is not None else b""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}",
        "request-id: 6f0b1c9e-2f4d-4d0a-9f3e-0a4f2b8f7c11",
    ]
    if status == 429 and retry_after:
        lines.append(f"Retry-After: {retry_after}")
    if content is not None:
        lines.append("Content-Type: application/json")
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
