"""A Graph that answers what it is told, byte for byte, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "data"
REAL = DATA / "graph"
ODD = DATA / "graph_failing"


def sample(folder: Path, name: str) -> Any:
    """The sample whose file name begins so."""
    (found,) = folder.glob(f"{name}*.json")
    return json.loads(found.read_text())


@dataclass(kw_only=True)
class Reply:
    """One answer; a *body* of another type than bytes is written as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def written(self, now: datetime) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = {
            "Date": format_datetime(now, usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **self.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return f"HTTP/1.1 {self.status} Said\r\n{head}\r\n".encode() + body


@dataclass(kw_only=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True)
class StubGraph:
    """`reply` is asked for each request; what came is kept."""

    reply: Callable[[Asked], Reply]
    url: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    asked: list[Asked] = field(default_factory=list)

    def posts(self) -> list[Asked]:
        return [one for one in self.asked if one.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method=method, path=path, headers=headers, body=body)
        self.asked.append(asked)
        writer.write(self.reply(asked).written(self.now()))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def stub_graph(reply: Callable[[Asked], Reply]) -> AsyncIterator[StubGraph]:
    stub = StubGraph(reply=reply)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    stub.url = f"http://{host}:{port}"
    async with server:
        yield stub
