"""
Pass HTTP on to a service of the lab, count each call, and break calls where a run asks for it.

One connection to the service for each of the client's. So what a client does to a connection, and
how long it waits on one, reaches the service as it is; and a connection that the service closes,
as Azurite does after five idle seconds, is closed to the client.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_ROW: Final = re.compile(r"RowKey='([a-z]+)")
_WITHOUT_BODY: Final = frozenset({b"204", b"304"})


type Answers = dict[bytes, bytes]
"""Whole answers, each under the first line of its request."""


@dataclass(kw_only=True)
class Fault:
    """Break calls whose name contains *what*: the next *times* of them."""

    what: str
    times: int
    seconds: float = 0
    drop: bool = False


@dataclass(kw_only=True)
class Relay:
    """Counts calls by name, for example `GET table job` or `POST queue provisioning-resets`."""

    service: str
    port: int
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Those answered 409 or 412: lost races."""

    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0
    """What each call takes on top."""

    kept: Answers | None = None
    """Where answers are kept meanwhile, for a tape."""

    _idle: set[asyncio.StreamWriter] = field(default_factory=set)
    """Clients' connections on which no call is under way."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Yield the port to talk to."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            # A client keeps its connections, and would be waited for.
            server.close()
            server.abort_clients()

    def total(self) -> int:
        return self.calls.total()

    def drop(self, what: str, times: int) -> None:
        """Close the connection on the next calls whose name contains *what*."""
        self.faults.append(Fault(what=what, times=times, drop=True))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*broken):
            answers, service = await _connected(self.port, on_end=lambda: self._left(writer))
            try:
                while await self._call(reader, writer, answers, service):
                    self._idle.add(writer)
                    if answers.at_eof():
                        break
            finally:
                self._idle.discard(writer)
                service.close()
        writer.close()

    async def _call(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        service: asyncio.StreamWriter,
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self._idle.discard(writer)
        body = await read_body(reader, head)
        name = self._name(head)
        self.calls[name] += 1
        fault = self._fault(name)
        if fault is not None and fault.drop:
            return False
        if wait := self.seconds + (fault.seconds if fault is not None else 0):
            await asyncio.sleep(wait)
        service.write(head + body)
        answer = await answers.readuntil(b"\r\n\r\n")
        status = answer.split(b" ", 2)[1]
        if status in {b"409", b"412"}:
            self.refused[name] += 1
        has_body = status not in _WITHOUT_BODY and not head.startswith(b"HEAD ")
        whole = answer + (await read_body(answers, answer) if has_body else b"")
        if self.kept is not None:
            self.kept[head.split(b"\r\n", 1)[0]] = whole
        writer.write(whole)
        await writer.drain()
        return b"\r\nconnection: close" not in answer.lower()

    def _left(self, client: asyncio.StreamWriter) -> None:
        """The service has closed its end: a client would send its next call into nothing."""
        if client in self._idle:
            client.close()

    def _fault(self, name: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.what in name:
                fault.times -= 1
                return fault
        return None

    def _name(self, head: bytes) -> str:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        row = _ROW.search(path)
        # The account comes first; of a table's row the kind says more than its key.
        what = row[1] if row else path.partition("?")[0].split("/", 2)[-1].partition("(")[0]
        return f"{method} {self.service} {what.partition('/messages')[0]}"


class _Answers(asyncio.StreamReader):
    """What the service says; *on_end* is called when it has closed the connection."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        super().__init__(limit=2**20)
        self._on_end = on_end

    def feed_eof(self) -> None:
        super().feed_eof()
        self._on_end()


async def _connected(
    port: int, *, on_end: Callable[[], None]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `asyncio.open_connection`, which does not tell when the other end closes."""
    answers = _Answers(on_end)
    protocol = asyncio.StreamReaderProtocol(answers)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: protocol, "127.0.0.1", port)
    return answers, asyncio.StreamWriter(transport, protocol, answers, loop)


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read what follows *head*, as it was sent."""
    if found := _LENGTH.search(head):
        return await reader.readexactly(int(found[1]))
    if not _CHUNKED.search(head):
        return b""
    parts: list[bytes] = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.split(b";")[0], 16)
        # The chunk and the line's end behind it; behind the last one there are no trailers.
        chunk = await reader.readexactly(length + 2)
        parts += [size, chunk]
        if length == 0:
            return b"".join(parts)
