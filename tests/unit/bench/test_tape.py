"""What a relay has kept is given again as it came, and nothing else is."""

import asyncio

from bench.relay import Answers, Relay
from bench.tape import Tape
from tests.support.patience import PATIENCE
from tests.unit.bench.test_relay import ANSWER, CALL, service

LINE = CALL.split(b"\r\n", 1)[0]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
POST = b"POST /account/$batch HTTP/1.1\r\nContent-Length: 4\r\n\r\nrows"


async def test_a_relay_keeps_whole_answers_while_it_is_told_to() -> None:
    kept: Answers = {}
    async with asyncio.timeout(PATIENCE), service(calls=2) as port:
        relay = Relay(service="table", port=port, kept=kept)
        async with relay.listening() as there:
            reader, writer = await asyncio.open_connection("127.0.0.1", there)
            for keeps in (kept, None):
                relay.kept = keeps
                call = CALL if keeps is not None else CALL.replace(b"'t'", b"'u'")
                writer.write(call)
                await reader.readexactly(len(ANSWER))
            writer.close()

    assert kept == {LINE: ANSWER}


async def test_each_call_is_answered_by_what_is_on_the_tape_at_that_time() -> None:
    tape = Tape(answers={LINE: ANSWER, POST.split(b"\r\n", 1)[0]: CHUNKED})
    async with asyncio.timeout(PATIENCE), tape.playing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = []
        for call, answer in ((CALL, ANSWER), (POST, CHUNKED), (CALL, ANSWER)):
            writer.write(call)
            found.append(await reader.readexactly(len(answer)))
        tape.answers = {LINE: CHUNKED}
        writer.write(CALL)
        found.append(await reader.readexactly(len(CHUNKED)))
        writer.close()

    assert found == [ANSWER, CHUNKED, ANSWER, CHUNKED]
    assert tape.missing == []


async def test_what_is_not_on_the_tape_is_told() -> None:
    tape = Tape(answers={LINE: ANSWER})
    other = CALL.replace(b"'job'", b"'other'")
    async with asyncio.timeout(PATIENCE), tape.playing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(other)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert tape.missing == [other.split(b"\r\n", 1)[0]]
