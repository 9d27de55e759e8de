"""
Turn (state, event) into the rows of one transaction: the state machine, pure and total.

An event says what was found out: by reading Graph, by asking the policy, by a person. `transition`
returns the rows that it makes, or None where the event does not fit the state; nothing is written
then. The diagram in docs/design/states.md is generated from ALLOWED, and a test holds ALLOWED
against `transition`.
"""

from collections.abc import Mapping
from copy import replace
from datetime import datetime
from typing import Final

from shared.domain.after_sending import restarted, sending, unknown
from shared.domain.before_sending import before_sending
from shared.domain.events import Event
from shared.domain.reset import (
    BEFORE_SENDING,
    ENDED,
    OPEN,
    JobRow,
    Reset,
    State,
    WaitingFor,
    asked_by_timer,
    blocked_words,
)
from shared.domain.transitions import TELL_AFTER, Transition


def transition(reset: Reset, job: JobRow, event: Event, *, now: datetime) -> Transition | None:
    """
    Return what *event* makes of *reset*, or None where it does not fit (protocol rows 1 to 17).

    Behind is emptied by every transition but the one that sets it; what a reset waits for, by
    every one that leads to a state that waits for nothing.
    """
    freed = replace(reset, behind="")
    if reset.state in BEFORE_SENDING:
        return before_sending(freed, job, event, now)
    match reset.state:
        case State.SENDING:
            return sending(freed, job, event, now)
        case State.UNKNOWN:
            return unknown(freed, job, event, now)
        case State.RESTARTED:
            return restarted(freed, job, event, now)
        case _:
            return None


def first_place(reset: Reset, job: JobRow, *, now: datetime) -> Transition:
    """
    Return how an accepted reset is inserted: as Head, behind the Head, or without a place.

    Under a storm one asks, and the others wait at once. A dry run and a change window that is
    still to come stand in nobody's way, and what a timer asks for takes no lock to wait with.
    """
    if reset.dry_run or reset.seen_number is None:
        return Transition(reset=reset)
    if job.head == "":
        head = None if asked_by_timer(reset) else replace(job, head=reset.id)
        return Transition(reset=reset, job=head)
    if job.head == reset.id:
        return Transition(reset=reset)
    behind = replace(
        reset,
        state=State.WAITING,
        waiting_for=WaitingFor.OTHER,
        waiting_since=now,
        behind=job.head,
        due_at=now + TELL_AFTER,
        detail=blocked_words(job.head, None),
    )
    return Transition(reset=behind)


MAY_WAIT: Final = frozenset({State.WAITING, State.AWAITING_APPROVAL, State.UNKNOWN})
"""The states in which `waiting_for` may say something."""

_WHILE_NOTHING_IS_SENT: Final = frozenset(
    {
        State.ACCEPTED,
        State.WAITING,
        State.AWAITING_APPROVAL,
        State.SENDING,
        State.JOINED,
        State.EXPIRED,
        State.REFUSED,
        State.REJECTED,
        State.CANCELLED,
        State.PREVIEWED,
    }
)

ALLOWED: Final[Mapping[State, frozenset[State]]] = {
    **dict.fromkeys(BEFORE_SENDING, _WHILE_NOTHING_IS_SENT),
    State.SENDING: frozenset({State.RESTARTED, State.WAITING, State.FAILED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.RESTARTED, State.WAITING, State.UNKNOWN, State.FAILED}),
    State.RESTARTED: frozenset({State.RESTARTED, State.COMPLETED, State.FAILED}),
    **dict.fromkeys(ENDED, frozenset()),
}
"""Which state may follow which; none follows an end."""

assert set(ALLOWED) == OPEN | ENDED  # noqa: S101 -- a state without a line would be a hole
