"""The relay between an app and a service behaves as the service's own connections do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.relay import Relay
from tests.support.patience import PATIENCE

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CALL = b"GET /account/table(PartitionKey='t',RowKey='job') HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def service(*, calls: int) -> AsyncIterator[int]:
    """Answer so many calls on a connection, then close it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(calls):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_connection_that_the_service_has_closed_is_closed_to_the_client() -> None:
    """Or the client sends its next call into nothing, as no client of the service would."""
    async with asyncio.timeout(PATIENCE), service(calls=2) as port:
        relay = Relay(service="table", port=port)
        async with relay.listening() as there:
            reader, writer = await asyncio.open_connection("127.0.0.1", there)
            answers = []
            for _ in range(2):
                writer.write(CALL)
                answers.append(await reader.readexactly(len(ANSWER)))
            end = await reader.read()
            writer.close()

    assert answers == [ANSWER, ANSWER]
    assert end == b""
    assert relay.calls == {"GET table job": 2}
