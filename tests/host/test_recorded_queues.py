"""
Our listener does on the wire what the genuine one was recorded to do.

Left out, with the reason:

* g2, g3: functions that honour a cancellation token; no cancellation ever reaches Python code.
  SIGTERM is tried on a real process in test_process.py.
* h1: SIGKILL and a lease that runs out; tried on a real process with a short lease.
* m3: a POCO parameter, which Python does not have.
* v4: recordings of the listener before 5.x, which no current bundle carries.

In d3, k4 and k6 the genuine listener ends its process; ours must agree up to there.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from local.host.backoff import Backoff
from tests.host.replay import (
    Replay,
    begun,
    ended,
    fetches,
    load,
    our_writes,
    per_message,
    queue_options,
    recorded_state,
    recorded_writes,
    replay,
    scenarios,
)
from tests.host.wire_proxy import Call, Fault

ENDS_THE_GENUINE_PROCESS = ("d3-renewal-5xx", "k4-delete-500", "k6-get-403")
LEFT_OUT = ("h1-sigkill", "ncrontab", "timers")
BACKOFF = ("f1-backoff-default", "f2-backoff-2s", "f3-backoff-development")
ALL = tuple(scenarios(*LEFT_OUT))
WHOLE = tuple(name for name in ALL if name not in ENDS_THE_GENUINE_PROCESS)

USUAL_SCALE = 0.1
SCALES = {
    # 320 seconds become 6.4; the lease on the wire stays 600. The renewal at 300 and the end at
    # 310 are 0.2 s apart: less, and a busy machine takes them for one.
    "d2-renewal-real": 0.02,
    "d3-renewal-5xx": 0.02,
    "d4-renewal-message-gone": 0.02,
    "f1-backoff-default": 0.002,
    "f2-backoff-2s": 0.01,
    "f3-backoff-development": 0.01,
    # The client's retries, 25 seconds.
    "k4-delete-500": 0.01,
    "k5-get-500": 0.01,
}
AT_ONCE = 6


def faults(name: str) -> Fault:
    polls = 0

    def fault(method: str, path: str) -> tuple[int, str] | None:
        nonlocal polls
        is_poll = method == "GET" and path.endswith("/messages")
        polls += is_poll
        match name:
            case "d3-renewal-5xx" if method == "PUT":
                return 503, "ServerBusy"
            case "k3-pop-receipt-changed-400" if method in {"PUT", "DELETE"}:
                return 400, "PopReceiptMismatch"
            case "k4-delete-500" if method == "DELETE":
                return 500, "InternalError"
            case "k5-get-500" if is_poll and polls <= 12:
                return 503, "ServerBusy"
            case "k6-get-403" if is_poll:
                return 403, "AuthorizationFailure"
        return None

    return fault


def polled_twice(calls: list[Call], _standin: object) -> bool:
    return sum(call.path.endswith("/messages") and call.method == "GET" for call in calls) > 1


async def play_all(connection_string: str) -> dict[str, Replay | BaseException]:
    places = asyncio.Semaphore(AT_ONCE)

    async def play(name: str) -> Replay:
        async with places:
            return await replay(
                name,
                connection_string,
                scale=SCALES.get(name, USUAL_SCALE),
                fault=faults(name),
                binary=name.startswith("a7-"),
                ends_as_recorded=name.startswith("e"),
                until=polled_twice if name.startswith("k6-") else None,
            )

    # The long ones first.
    names = sorted(ALL, key=lambda name: not name.startswith("d"))
    found = await asyncio.gather(*(play(name) for name in names), return_exceptions=True)
    return dict(zip(names, found, strict=True))


@pytest.fixture(scope="module")
def replays(azurite: str) -> Mapping[str, Replay | BaseException]:
    # All at once, or the scenarios' waits would add up to minutes.
    return asyncio.run(play_all(azurite))


def played(replays: Mapping[str, Replay | BaseException], name: str) -> Replay:
    found = replays[name]
    if isinstance(found, BaseException):
        raise found
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_the_writes_of_each_message_are_the_recorded_ones(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    recorded, ours = recorded_writes(load(name)), our_writes(name, played(replays, name))

    if name == "g7-stop-failing-at-max":
        # Two at once: whether both or one find the poison queue missing is a race.
        assert without_creation(ours) == without_creation(recorded)
        return
    assert per_message(ours) == per_message(recorded)
    if len({key for key, _ in per_message(recorded)}) == 1:
        # Of one message alone the order of everything is fixed, the queue's creation included.
        assert ours == recorded


def without_creation(writes: list[Any]) -> Counter[Any]:
    return Counter(w for w in writes if w[3] != 404 and (w[0] != "PUT" or "/messages" in w[1]))


@pytest.mark.parametrize("name", WHOLE)
def test_each_fetch_asks_for_the_full_batch_and_ten_minutes(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    asked = fetches(played(replays, name).calls)

    assert asked == fetches(load(name)["calls"])
    assert {lease for _, lease in asked} == {"600"}


@pytest.mark.parametrize("name", WHOLE)
def test_functions_begin_and_end_as_recorded(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    ours, recording = played(replays, name).standin, load(name)

    if name.startswith("a7-"):  # bytes that are no text: recorded as their Latin-1 letters
        assert [count for _, count in ours.begins] == [count for _, count in begun(recording)]
        return
    assert ours.begins == begun(recording)
    assert ours.ends == ended(recording)


@pytest.mark.parametrize("name", WHOLE)
def test_the_queues_are_left_as_recorded(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    assert played(replays, name).final == recorded_state(load(name))


@pytest.mark.parametrize("name", ENDS_THE_GENUINE_PROCESS)
def test_up_to_the_crash_of_the_genuine_process_the_writes_agree(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    recorded, ours = recorded_writes(load(name)), our_writes(name, played(replays, name))

    assert ours[: len(recorded)] == recorded


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("e2-batch-default-threshold", 32),
        ("e3-batch-1-threshold-0", 1),
        ("e4-batch-4-threshold-2-staggered", 6),
        ("e5-batch-16-threshold-8-staggered", 24),
    ],
)
def test_as_many_run_at_once_as_recorded(
    replays: Mapping[str, Replay | BaseException], name: str, most: int
) -> None:
    assert load(name)["note"]["maxConcurrency"] == most
    assert played(replays, name).standin.most_running == most


def test_a_long_run_is_renewed_after_half_of_its_lease(
    replays: Mapping[str, Replay | BaseException],
) -> None:
    assert 300 in played(replays, "d2-renewal-real").waits


def test_undecodable_messages_are_gone_before_the_others_of_the_batch_begin(
    replays: Mapping[str, Replay | BaseException],
) -> None:
    calls = played(replays, "a12-mixed-batch-bad-encoding").calls
    buried = [n for n, call in enumerate(calls) if call.method == "POST"]
    done = [n for n, call in enumerate(calls) if call.method == "DELETE"]

    assert max(buried) < done[1]  # the first two deletes belong to the undecodable ones
    assert calls[max(buried)].message_text == '{"plain": true}'
    assert done[2] > done[1] > max(buried)


def test_a_missing_queue_is_looked_for_until_it_is_there(
    replays: Mapping[str, Replay | BaseException],
) -> None:
    looks = [
        call.status
        for call in played(replays, "f4-queue-missing").calls
        if call.query.get("comp") == "metadata"
    ]

    assert looks.count(200) == 2  # once for each time that it was made, never again
    assert looks[0] == 404


def test_polling_that_fails_looks_for_the_queue_again(
    replays: Mapping[str, Replay | BaseException],
) -> None:
    ours = [
        (call.method, call.path, call.status)
        for call in played(replays, "k5-get-500").calls
        if call.status != 204
    ]
    recorded = [
        (call["method"], call["path"], call["status"])
        for call in load("k5-get-500")["calls"]
        if call["status"] != 204
    ]

    until_the_message = recorded.index(("GET", "/qget500/messages", 200)) + 1
    assert ours[:until_the_message] == recorded[:until_the_message]


def test_the_function_is_told_what_the_recording_says(
    replays: Mapping[str, Replay | BaseException],
) -> None:
    (metadata,) = played(replays, "m1-metadata-string").standin.metadata
    (recorded,) = (e for e in load("m1-metadata-string")["invocations"] if e["ev"] == "begin")

    assert metadata.keys() == recorded["extra"].keys()
    assert metadata["QueueTrigger"] == {"string": "ok"}
    assert metadata["DequeueCount"] == {"json": "1"}


@pytest.mark.parametrize("name", BACKOFF)
def test_waits_between_polls_follow_the_recorded_formula(
    replays: Mapping[str, Replay | BaseException], name: str
) -> None:
    recording = load(name)
    maximum = queue_options(recording).max_polling_interval.total_seconds()
    ours = [wait for wait in played(replays, name).waits if wait != 300]

    assert len(ours) > 5
    assert follows_the_formula(ours, maximum, resets=1)
    planned = [wait / 1000 for wait in recording["note"]["plannedWaitsMs"]]
    assert follows_the_formula(planned, maximum, resets=1)


def follows_the_formula(waits: list[float], maximum: float, *, resets: int) -> bool:
    lowest = Backoff(maximum, lambda low, _high: low)
    highest = Backoff(maximum, lambda _low, high: high)
    for number, wait in enumerate(waits):
        if number and wait == 0.1:
            resets -= 1
            lowest.found()
            highest.found()
        low, high = lowest.next_wait(), highest.next_wait()
        if not low - 0.001 <= wait <= high + 0.001:
            return False
    return resets >= 0
