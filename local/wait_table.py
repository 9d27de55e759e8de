"""
List every reason to wait, for docs/design/states.md: told or not, until when, who can end it.

The cells are found out by asking the state machine and not written down: what it answers to each
wait is what the ticket hears, and the decisions that it takes are what a person can do.
"""

from collections.abc import Sequence
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain import events
from shared.domain.deciders import DECISIONS
from shared.domain.policy import SWITCHED_OFF_WAIT
from shared.domain.reset import JobRow, Reset, State, WaitingFor
from shared.domain.states import transition
from shared.domain.transitions import TELL_AFTER, Transition
from shared.domain.waits import waits_until
from shared.use_cases.job_calls import BACK_OFF_TO

_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_STEP: Final = timedelta(minutes=5)
_LONG: Final = timedelta(hours=12)
_LOOKED_AT_EVERY: Final = {WaitingFor.SWITCH: SWITCHED_OFF_WAIT, WaitingFor.GRAPH: BACK_OFF_TO}
"""Waits of which nobody knows the end."""

_X: Final = Reset(id="x", target="t", requested_at=_NOW, seen_number=0, not_before=_NOW + _LONG)


def waits() -> dict[str, Sequence[str | None]]:
    """Rows for the table: one for each kind, the last cell is written by people."""
    rows: dict[str, Sequence[str | None]] = {}
    for kind in WaitingFor:
        if kind is not WaitingFor.PERSON:
            begun = _begun(kind, _LONG)
            rows[f"`{kind}`"] = (_told(kind), _until(begun.reset), _decisions(begun.reset), None)
    asked = _asked_to_approve()
    rows["`person`, to approve"] = (*_of_person(asked), None)
    rows["`person`, about a fate"] = (*_of_person(_asked_about_a_fate()), None)
    return rows


def _begun(kind: WaitingFor, span: timedelta) -> Transition:
    """The first transaction of a wait that ends after *span*."""
    return _step(_X, kind, _NOW, span)


def _step(reset: Reset, kind: WaitingFor, now: datetime, span: timedelta) -> Transition:
    event: events.Event
    job = JobRow(target="t")
    match kind:
        case WaitingFor.OTHER:
            event, job = events.HeadTaken(reason=""), JobRow(target="t", head="another")
        case WaitingFor.WINDOW:
            event = events.WindowShut()
        case _:
            event = events.MustWait(waiting_for=kind, reason="", until=now + span)
    return _made(transition(reset, job, event, now=now))


def _made(step: Transition | None) -> Transition:
    if step is None:
        raise AssertionError("the state machine does not know this wait")
    return step


def _told(kind: WaitingFor) -> str:
    """Which answer tells of it, and when: at once where the end is known to be far off."""
    looked_at_every = _LOOKED_AT_EVERY.get(kind)
    answer = _begun(kind, _LONG).answer
    if answer is not None and looked_at_every is None:
        return f"`{answer}`, at once where it is longer than {_minutes(TELL_AFTER)}"
    every = looked_at_every or _STEP
    step, now = _begun(kind, every), _NOW
    while step.answer is None:
        now += every
        if now - _NOW > _LONG:
            return "no"
        step = _step(step.reset, kind, now, every)
    return f"`{step.answer}`, after {_minutes(now - _NOW)}"


def _minutes(span: timedelta) -> str:
    return f"{span // timedelta(minutes=1)} minutes"


def _until(reset: Reset) -> str:
    return "known" if waits_until(reset) is not None else "not known"


def _decisions(reset: Reset) -> str:
    """What a person can decide, as the state machine takes it."""
    job = JobRow(target="t", head=reset.id)
    taken = [
        each
        for each in DECISIONS
        if transition(reset, job, _decided(reset, each), now=_NOW) is not None
    ]
    return ", ".join(f"`{each}`" for each in taken)


def _decided(reset: Reset, decision: str) -> events.Event:
    if decision == "confirm":
        return events.RestartAccepted(
            number=reset.number or 0, restarted_at=_NOW, ends_by=_NOW, look_at=_NOW
        )
    return events.Decided(decision=decision, by="ann")


def _asked_to_approve() -> Transition:
    event = events.MustAsk(reason="", expires=_NOW + _LONG)
    return _made(transition(_X, JobRow(target="t"), event, now=_NOW))


def _asked_about_a_fate() -> Transition:
    sent = _NOW - _LONG
    lost = replace(_X, state=State.UNKNOWN, number=1, sent_at=sent, due_at=_NOW)
    event = events.FateStillUnknown(look_at=_NOW, expires=_NOW + _LONG)
    return _made(transition(lost, JobRow(target="t", head="x"), event, now=_NOW))


def _of_person(asked: Transition) -> tuple[str, str, str]:
    return f"`{asked.answer}`, at once", _until(asked.reset), _decisions(asked.reset)
