"""Tell of an open reset what it waits for, until when, and what a person is asked. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain.reset import Reset, State, WaitingFor


class Asks(StrEnum):
    """What a person is asked to decide."""

    APPROVAL = "approval"
    FATE = "fate"


_ENDS_ITSELF: Final = frozenset(
    {WaitingFor.COOLDOWN, WaitingFor.WINDOW, WaitingFor.BUDGET, WaitingFor.GRAPH}
)
"""Waits whose next look is also their end, as far as it is known."""


def waits_until(reset: Reset) -> datetime | None:
    """When the wait ends, or by when a person must decide; None where nobody can know."""
    match reset.state:
        case State.AWAITING_APPROVAL:
            return reset.due_at
        case State.UNKNOWN:
            return reset.deadline if reset.operator_asked else None
        case State.WAITING:
            return reset.due_at if reset.waiting_for in _ENDS_ITSELF else None
        case _:
            return None


def asks(reset: Reset) -> Asks | None:
    """What a person is asked, where one is."""
    if reset.state is State.AWAITING_APPROVAL:
        return Asks.APPROVAL
    if reset.state is State.UNKNOWN and reset.operator_asked:
        return Asks.FATE
    return None


def expected_end(reset: Reset) -> datetime | None:
    """When the initial cycle should have ended at the latest, by the size of the job."""
    _, dash, most = reset.expected_minutes.partition("-")
    if reset.state is not State.RESTARTED or reset.restarted_at is None or not dash:
        return None
    return reset.restarted_at + timedelta(minutes=int(most))
