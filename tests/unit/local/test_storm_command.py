"""What `make storm` counts, and what it calls wrong."""

from collections import Counter
from copy import replace

import pytest

from local.http_client import http_client
from local.storm import HOST, Desk, Log, Result, Storm

STORM = Storm(tickets=200)
RIGHT = Result(
    states=Counter(completed=1, joined=199),
    restarts=1,
    other_restarts=1,
    spent=2,
    answers=Counter({f"storm-{n}": 1 for n in range(200)}),
    other_took=3,
)


async def test_an_answer_that_comes_again_under_its_id_is_one_answer() -> None:
    desk = Desk()
    async with desk.listening() as address, http_client() as client:
        for delivery in ("a", "a", "b"):
            body = {"data": {"id": "storm-1"}}
            await client.post(address, json=body, headers={"webhook-id": delivery})

    assert (desk.answers, desk.repeats) == ({"storm-1": 2}, {"storm-1": 1})


def test_the_app_says_of_which_answers_it_could_not_know_whether_they_came() -> None:
    log = Log()
    put_off = 'answer.put_off {"id": "storm-1", "target": "t", "why": "desk: TimeoutError"}'

    log.hear(HOST, f"12:00:00 {put_off}")
    log.hear(HOST, 'answer.delivered {"id": "storm-2", "target": "t"}')
    log.hear("Azurite", put_off)

    assert log.unclear == {"storm-1": 1}


def test_nothing_is_wrong_with_one_restart_and_one_answer_each() -> None:
    assert RIGHT.problems(STORM) == []
    assert replace(RIGHT, unclear=Counter({"storm-1": 1})).problems(STORM) == []


def test_an_answer_may_come_again_after_each_try_whose_end_was_not_known() -> None:
    unclear = replace(RIGHT, unclear=Counter({"storm-1": 2}))

    assert replace(unclear, repeats=Counter({"storm-1": 2})).problems(STORM) == []
    assert replace(unclear, repeats=Counter({"storm-1": 3})).problems(STORM) != []
    assert replace(unclear, repeats=Counter({"storm-2": 1})).problems(STORM) != []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restarts": 2}, "2 restarts of the job"),
        ({"other_restarts": 0}, "0 restarts of the other target"),
        ({"spent": 3}, "3 places of the budget"),
        ({"states": Counter(completed=1, joined=198, waiting=1)}, "199 of 200 tickets"),
        ({"answers": RIGHT.answers + Counter({"storm-1": 1})}, "1 of them twice"),
        ({"answers": RIGHT.answers - Counter({"storm-1": 1})}, "199 tickets heard"),
        ({"repeats": Counter({"storm-1": 1})}, "for sure: {'storm-1': 1}"),
        ({"other_took": None}, "not restarted in between"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], words: str) -> None:
    assert any(words in line for line in replace(RIGHT, **changes).problems(STORM))  # type: ignore[arg-type]
