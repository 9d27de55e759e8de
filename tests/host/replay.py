"""
Plays a recorded scenario of the genuine listener again, with ours, against a real emulator.

Times are scaled by SCALE through the listener's `sleep`: a run of 320 s takes 3.2 s or less, and
the wire still says 600. Only what the storage service itself waits for cannot be scaled.
"""

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from copy import replace
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.host.backoff import Backoff
from local.host.binding_data import queue_metadata
from local.host.connections import Connection, queue_client
from local.host.encoding import decode
from local.host.host_json import QueueOptions, load_host_json
from local.host.listener import QueueListener, Queues, poison_name
from local.host.queue_store import QueueStore
from local.host.queue_wire import Message
from tests.host.wire_proxy import Call, Fault, WireProxy
from tests.support.patience import PATIENCE

RECORDINGS = Path(__file__).parent / "recordings"
SETTLE_SECONDS = 0.25

# The visibility that the service enforces, in its own time; compared as what was recorded.
SHORTER_VISIBILITY = {"b2-fails-always-vt5": (5, 1)}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return found


@dataclass
class Standin:
    """
    A function that does what its message's body says.

    With *begun_before_end* its nth run ends only after so many have begun: on a slow machine, too,
    as many run when the listener fetches as ran in the recording.
    """

    scale: float
    begun_before_end: Sequence[int] = ()
    begins: Counter[tuple[str, int]] = field(default_factory=Counter)
    ends: Counter[tuple[str, bool]] = field(default_factory=Counter)
    untouched: list[Message] = field(default_factory=list)
    most_running: int = 0
    metadata: list[dict[str, Any]] = field(default_factory=list)

    @property
    def running(self) -> int:
        return self.begins.total() - self.ends.total()

    async def invoke(self, message: Message, body: bytes) -> bool:
        text = shorten(body.decode("utf-8", errors="surrogateescape"), 60)
        self.begins[text, message.dequeue_count] += 1
        self.metadata.append({k: vars(v) for k, v in queue_metadata(message, body).items()})
        self.untouched.append(message)
        self.most_running = max(self.most_running, self.running)
        ok = await self._behave(_behaviour(text), message.dequeue_count)
        async with asyncio.timeout(PATIENCE):
            while not self._may_end():
                await asyncio.sleep(0.005)
        self.ends[text, ok] += 1
        return ok

    def _may_end(self) -> bool:
        number = self.ends.total()
        return (
            number >= len(self.begun_before_end)
            or self.begins.total() >= self.begun_before_end[number]
        )

    async def _behave(self, behaviour: str, dequeue_count: int) -> bool:
        verb, _, number = behaviour.partition(":")
        if verb.startswith("sleep"):
            await asyncio.sleep(float(number) * self.scale)
        if verb == "failfirst":
            return dequeue_count > int(number)
        return verb not in {"throw", "sleepthrow"}


@dataclass(kw_only=True)
class Replay:
    """What our listener did."""

    calls: list[Call]
    standin: Standin
    waits: list[float]
    final: dict[str, dict[str, Any]]

    @property
    def texts(self) -> dict[str, str]:
        return {id_: shorten(text) for call in self.calls for id_, text in call.returned}


async def replay(
    name: str,
    connection_string: str,
    *,
    scale: float,
    fault: Fault = lambda _method, _path: None,
    binary: bool = False,
    ends_as_recorded: bool = False,
    until: Callable[[list[Call], Standin], bool] | None = None,
) -> Replay:
    recording = load(name)
    queue = recording["finalState"][0]["queue"]
    direct = Connection(setting="direct", connection_string=connection_string)
    endpoint = next(
        part.removeprefix("QueueEndpoint=")
        for part in connection_string.split(";")
        if part.startswith("QueueEndpoint=")
    )
    base = "{0.scheme}://{0.netloc}".format(urlsplit(endpoint))
    proxy = WireProxy(base, fault)
    standin = Standin(scale, begun_before_each_end(recording) if ends_as_recorded else ())
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(seconds * scale)

    async with AsyncExitStack() as closing:
        address = await closing.enter_async_context(proxy.listening())
        outside = await closing.enter_async_context(queue_client(direct, queue))
        through = Connection(
            setting="proxy", connection_string=connection_string.replace(base, address)
        )
        options = queue_options(recording)
        if name in SHORTER_VISIBILITY:
            seconds = SHORTER_VISIBILITY[name][1]
            options = replace(options, visibility_timeout=timedelta(seconds=seconds))
        poison = poison_name(queue)
        stores = [
            QueueStore(queue_client(through, each), sleep=sleep)
            for each in (queue, poison)
            if each is not None
        ]
        for store in stores:
            closing.push_async_callback(store.aclose)
        listener = QueueListener(
            Queues(work=stores[0], poison=stores[1] if poison else None),
            options,
            standin.invoke,
            backoff=Backoff(options.max_polling_interval.total_seconds(), random.uniform),
            binary=binary,
            sleep=sleep,
        )
        running: asyncio.Task[None] | None = None
        stage = Stage(recording, proxy.calls, standin, until)
        for action in recording["actions"]:
            if action["action"] == "start host":
                running = asyncio.create_task(listener.run())
                continue
            if running is not None:
                await stage.reached(action["t"])
            if action["action"] == "command":
                listener.stop()
            elif not action["action"].startswith("state"):
                await act(action, outside, connection_string, standin)
        assert running is not None
        if not any(action["action"] == "command" for action in recording["actions"]):
            await stage.reached(10**9)
            listener.stop()
        await asyncio.wait_for(running, PATIENCE)
        final = {
            state["queue"]: await state_of(state["queue"], direct)
            for state in recording["finalState"]
        }
    return Replay(calls=proxy.calls, standin=standin, waits=waits, final=final)


@dataclass
class Stage:
    """Waits until as much has happened as had when the recording's next action came."""

    recording: dict[str, Any]
    calls: list[Call]
    standin: Standin
    until: Callable[[list[Call], Standin], bool] | None

    async def reached(self, moment: float) -> None:
        events = [e for e in self.recording["invocations"] if e["t"] < moment]
        begins = sum(e["ev"] == "begin" for e in events)
        ends = sum(e["ev"] == "end" for e in events)
        writes = sum(c["method"] != "GET" for c in self.recording["calls"] if c["t"] < moment)
        async with asyncio.timeout(PATIENCE):
            while (
                self.standin.begins.total() < begins
                or self.standin.ends.total() < ends
                or sum(call.method != "GET" for call in self.calls) < writes
                or (self.until is not None and not self.until(self.calls, self.standin))
            ):
                await asyncio.sleep(0.005)
        # Nothing more may come; but where functions still run, what follows must find them so.
        await asyncio.sleep(0 if self.standin.running else SETTLE_SECONDS)


async def act(
    action: dict[str, Any], outside: QueueClient, connection_string: str, standin: Standin
) -> None:
    match action["action"]:
        case "create queue":
            name = action.get("queue", outside.queue_name)
            async with QueueClient.from_connection_string(connection_string, name) as queue:
                await queue.create_queue()
        case "delete queue":
            await outside.delete_queue()
        case "put message":
            await outside.send_message(
                lengthen(action["wire"]), time_to_live=action.get("messagettl")
            )
        case "delete from outside" | "delete message from outside":
            message = standin.untouched.pop()
            await outside.delete_message(message.id, message.pop_receipt)
        case "update visibility (new pop receipt) from outside":
            message = standin.untouched.pop()
            await outside.update_message(message.id, message.pop_receipt, visibility_timeout=600)
        case text if text.startswith("dequeue"):
            times = {"once": 1, "4": 4, "5": 5}
            await dequeue(outside, next(n for word, n in times.items() if word in text))
        case other:
            raise AssertionError(other)


async def dequeue(queue: QueueClient, times: int) -> None:
    for _ in range(times):
        pages = queue.receive_messages(
            messages_per_page=32, max_messages=32, visibility_timeout=30
        ).by_page()
        for found in [message async for message in await anext(pages)]:
            await queue.update_message(found.id, found.pop_receipt, visibility_timeout=0)


def begun_before_each_end(recording: dict[str, Any]) -> list[int]:
    """How many runs had begun when the first, the second, ... of them ended."""
    events = sorted(recording["invocations"], key=lambda event: float(event["t"]))
    begun, found = 0, []
    for event in events:
        if event["ev"] == "begin":
            begun += 1
        elif event["ev"] == "end":
            found.append(begun)
    return found


def queue_options(recording: dict[str, Any]) -> QueueOptions:
    """The settings of the recording, read as host.json would be."""
    settings = dict(recording["settings"])
    environ = {
        f"AzureFunctionsJobHost__extensions__queues__{name}": str(value)
        for name, value in settings.items()
        if name not in {"param", "environment", "shutdownTimeout"}
    }
    if "environment" in settings:
        environ["AZURE_FUNCTIONS_ENVIRONMENT"] = settings["environment"]
    processors = recording["effectiveOptions"]["processorCount"]
    return load_host_json(
        RECORDINGS.parent / "apps" / "plain", environ, processors=processors
    ).queues


def lifetime(message: QueueMessage) -> int:
    assert message.expires_on is not None
    assert message.inserted_on is not None
    return round((message.expires_on - message.inserted_on).total_seconds())


async def state_of(name: str, connection: Connection) -> dict[str, Any]:
    async with queue_client(connection, name) as queue:
        try:
            count = (await queue.get_queue_properties()).approximate_message_count
        except (ResourceNotFoundError, HttpResponseError):
            return {"exists": False}
        visible = [
            (
                shorten(found.content or ""),
                found.dequeue_count,
                lifetime(found),
            )
            for found in await queue.peek_messages(max_messages=32)
        ]
    return {"exists": True, "count": count, "visible": sorted(visible)}


def recorded_state(recording: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        state["queue"]: {
            "exists": True,
            "count": state["approximateCount"],
            "visible": sorted(
                (m["wire"], m["dequeueCount"], m["ttlSeconds"]) for m in state["visible"]
            ),
        }
        if state["exists"]
        else {"exists": False}
        for state in recording["finalState"]
    }


Write = tuple[str, str, str, int, str | None]
"""Method, path with the message's text for its id, parameters, status, MessageText."""


def recorded_writes(recording: dict[str, Any]) -> list[Write]:
    puts = [a["wire"] for a in recording["actions"] if a["action"] == "put message"]
    texts = {f"m{number}": wire for number, wire in enumerate(puts, 1)}
    # Ids are numbered as fetched, which may not be as put: trust what the function was given.
    by_body = {shorten(_body(recording, wire), 60): wire for wire in puts}
    for event in recording["invocations"]:
        if event["ev"] == "begin" and event["body"] in by_body:
            texts[event["id"]] = by_body[event["body"]]
    return [
        (
            call["method"],
            _named(call["path"], texts),
            _parameters(call["query"]),
            call["status"],
            call.get("requestBody", {}).get("MessageText"),
        )
        for call in recording["calls"]
        if call["method"] != "GET"
    ]


def our_writes(name: str, ours: Replay) -> list[Write]:
    recorded, played = SHORTER_VISIBILITY.get(name, (0, 0))

    def visibility(call: Call) -> str:
        given = _parameters(call.query)
        return given.replace(f"={played}", f"={recorded}") if played else given

    return [
        (
            call.method,
            _named(call.path, ours.texts),
            visibility(call),
            call.status,
            None if call.message_text is None else shorten(call.message_text),
        )
        for call in ours.calls
        if call.method != "GET"
    ]


def per_message(writes: list[Write]) -> Counter[tuple[str, tuple[Write, ...]]]:
    """The ordered writes of each message, without what is said of no message."""
    sequences: dict[str, list[Write]] = {}
    for write in writes:
        parts = write[1].split("/", 3)
        key = parts[3] if len(parts) > 3 else write[4]
        if key is not None:
            sequences.setdefault(key, []).append(write)
    return Counter((key, tuple(sequence)) for key, sequence in sequences.items())


def fetches(calls: list[dict[str, Any]] | list[Call]) -> set[tuple[str, str]]:
    found = set()
    for call in calls:
        method, path, query = (
            (call.method, call.path, call.query)
            if isinstance(call, Call)
            else (call["method"], call["path"], call["query"])
        )
        if method == "GET" and path.endswith("/messages"):
            found.add((query["numofmessages"], query["visibilitytimeout"]))
    return found


def begun(recording: dict[str, Any]) -> Counter[tuple[str, int]]:
    return Counter(
        (e["body"], e["dequeueCount"]) for e in recording["invocations"] if e["ev"] == "begin"
    )


def ended(recording: dict[str, Any]) -> Counter[tuple[str, bool]]:
    bodies = {e["id"]: e["body"] for e in recording["invocations"] if e["ev"] == "begin"}
    return Counter(
        (bodies[e["id"]], e["result"] == "ok") for e in recording["invocations"] if e["ev"] == "end"
    )


def shorten(text: str, limit: int = 40) -> str:
    """As the recordings write long texts."""
    return text if len(text) <= 200 else f"{text[:limit]}...({len(text)} chars)"


def lengthen(text: str) -> str:
    """The text that a shortened one stands for: the last letter shown goes on to the end."""
    head, dots, rest = text.rpartition("...(")
    if not dots or not rest.endswith(" chars)"):
        return text
    length = int(rest.removesuffix(" chars)"))
    try:
        return base64.b64encode(
            _filled(base64.b64decode(head, validate=True).decode(), length // 4 * 3)
        ).decode()
    except ValueError:
        return _filled(head, length).decode()


def _filled(head: str, length: int) -> bytes:
    return head.ljust(length, head[-1]).encode()


def _body(recording: dict[str, Any], wire: str) -> str:
    options = recording["effectiveOptions"]
    body = decode(lengthen(wire), as_base64=options["MessageEncoding"] == "Base64")
    return (body or b"").decode(errors="replace")


def _behaviour(text: str) -> str:
    if text.startswith("{"):
        return str(json.loads(text).get("do", "ok"))
    return text.partition("|")[0]


def _parameters(query: dict[str, str]) -> str:
    # A wrong receipt shows in the status; its value is never the same twice.
    return "&".join(f"{k}={v}" for k, v in sorted(query.items()) if k != "popreceipt")


def _named(path: str, texts: dict[str, str]) -> str:
    parts = path.split("/", 3)
    if len(parts) > 3:
        parts[3] = texts[parts[3]]
    return "/".join(parts)


def scenarios(*skipped: str) -> Iterator[str]:
    for path in sorted(RECORDINGS.glob("*.json")):
        if path.stem not in skipped:
            yield path.stem
