"""A sender may leave so many resets open, and no more."""

import json
from typing import Any

import pytest

from shared.domain.errors import TooManyOpen
from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import State
from shared.use_cases import admission
from shared.use_cases.submit import Submission
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.world import TARGET, World


def world(bound: int = 2, **environ: str) -> World:
    made = World()
    made.rebuild(RESET_MAX_OPEN=str(bound), RESETS_ENABLED="false", **environ)
    return made


async def take(made: World, request_id: str, via: str = "webhook:desk") -> bool:
    """True where it was taken in."""
    taking = Submission(acceptance=made.app.runs.acceptance, queues=made.storage.adapter())
    request = Received(id=request_id, request=ResetRequest(target=TARGET))
    try:
        await taking.submit(request, via=via)
    except TooManyOpen:
        return False
    return True


async def test_as_many_as_the_bound_are_taken_and_no_more() -> None:
    made = world(bound=2)

    assert [await take(made, f"r{n}") for n in range(4)] == [True, True, False, False]
    assert not [key for key in made.keys(TARGET) if "r2" in key]


async def test_each_sender_has_a_bound_of_its_own() -> None:
    made = world(bound=1)

    vias = ("webhook:a", "webhook:b", "api", "queue", "webhook:a")
    taken = [await take(made, f"r{n}", via) for n, via in enumerate(vias)]

    assert taken == [True, True, True, True, False]


async def test_the_timer_is_not_bounded() -> None:
    made = world(bound=0)

    assert await take(made, f"schedule-{'0' * 32}", "remediate")


async def test_what_the_timer_asked_for_counts_for_nobody() -> None:
    made = world(bound=2)
    for n in range(5):
        timers = f"schedule-{n:032x}"
        assert await take(made, timers, "remediate")
        # Its message comes by the queue, as that of an API request does.
        await made.send(json.dumps({"requestId": timers, "target": TARGET}), message_id=f"m{n}")

    assert [await take(made, f"q{n}", "queue") for n in range(3)] == [True, True, False]


async def test_a_known_id_is_answered_as_ever() -> None:
    made = world(bound=1)

    assert [await take(made, "r1") for _ in range(3)] == [True, True, True]
    assert not await take(made, "r2")


async def test_what_ended_makes_room_within_a_minute() -> None:
    made = world(bound=1)
    await take(made, "r1")
    assert not await take(made, "r2")
    await made.decide("cancel", request_id="r1")

    soon = await take(made, "r2")
    made.clock.forward(minutes=1)

    assert (soon, await take(made, "r2")) == (False, True)


async def test_another_process_counts_what_it_has_not_taken_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "COUNT_EVERY", 1)
    made = world(bound=3)
    for n in range(3):
        assert await take(made, f"r{n}")
    made.app = made.process()

    assert await take(made, "one-more"), "a process admits some before it counts"
    assert not await take(made, "r9")


async def test_a_sender_at_its_bound_costs_one_count_a_minute() -> None:
    made = world(bound=1)
    await take(made, "r1")
    faults = made.storage.faults
    costs = []
    for n in range(3):
        begin = len(faults.log)
        await take(made, f"x{n}")
        costs.append(faults.log[begin:].count("table query"))

    assert costs == [2, 0, 0], "the targets, and a range of keys in each"


async def test_over_http_it_is_429_with_a_time_and_counted_in_health() -> None:
    made = world(bound=1, HEALTH_KEY="k")

    async def ask(request_id: str) -> Any:
        body = json.dumps({"target": TARGET, "requestId": request_id}).encode()
        return await respond(made.app.api.submit_reset, call(body))

    first, second, third = [await ask(f"r{n}") for n in range(3)]
    made.clock.forward(minutes=1)
    await ask("r3")
    report = await made.app.api.reporter.report("k")

    assert (first.status, second.status, third.status) == (202, 429, 429)
    assert second.extra["Retry-After"] == "60"
    assert "RESET_MAX_OPEN" in json.loads(second.body)["detail"]
    assert report.body["refusals"]["api"]["count"] == 3
    assert report.body["maxOpen"] == 1


async def test_from_the_queue_it_is_kept_and_the_ticket_is_told() -> None:
    made = world(bound=1)
    ticket = {"system": "desk", "id": "INC1"}
    await made.send(json.dumps({"target": TARGET, "requestId": "r1"}))

    for _ in range(2):
        await made.send(json.dumps({"target": TARGET, "requestId": "r2", "ticket": ticket}))
    await made.quiesce()

    (key,) = made.unreadable()
    row, _ = made.storage.resets.cells["unreadable", key]
    assert "RESET_MAX_OPEN" in row["Reason"]
    (told,) = [each for each in made.desk.delivered if each.id == "r2"]
    assert (told.state, told.ticket_id) == (State.REFUSED, "INC1")
    assert "are open" in told.text
