"""
Make the rows of one transition, which every state needs: move, wait, end.

A transition is written in one transaction. A history entry stands in it where the state or its
reason changes.
"""

from copy import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from shared.domain.events import Event
from shared.domain.evidence import load
from shared.domain.reset import (
    HistoryEntry,
    JobRow,
    NotificationKind,
    Reset,
    State,
    WaitingFor,
)

POST_BEGINS_WITHIN: Final = timedelta(seconds=10)

POST_TAKES_AT_MOST: Final = timedelta(seconds=30)

GONE_AFTER: Final = timedelta(minutes=30)

GONE_READS: Final = 3
"""A job that Graph has not shown for so long, at so many reads, is gone."""

TELL_AFTER: Final = timedelta(minutes=15)
"""A longer wait is told to the ticket."""

TOLD_SLACK: Final = timedelta(minutes=1)
"""A wait whose end moves by less is not told again."""

RELINK: Final = "relink"
"""Who did it, in the history, where no person did."""


class Transition(Struct, frozen=True, kw_only=True):
    """
    The rows of one transaction.

    These are the reset, the job row where it changes, and at most one history entry and one
    notification.
    """

    reset: Reset
    job: JobRow | None = None
    event: HistoryEntry | None = None
    answer: NotificationKind | None = None


class StateMachine(Protocol):
    """The signature of `transition`."""

    def __call__(
        self, reset: Reset, job: JobRow, event: Event, /, *, now: datetime
    ) -> Transition | None: ...


def wait(
    reset: Reset, waiting_for: WaitingFor, until: datetime, why: str, now: datetime
) -> Transition:
    """Wait until then; tell the ticket once a wait is long, and again where its end moves."""
    same = reset.state is State.WAITING and reset.waiting_for is waiting_for
    since = (reset.waiting_since if same else None) or now
    told = reset.told if same else None
    first = told is None and until - since > TELL_AFTER
    # Short steps, such as looking again every five minutes, say nothing about the end.
    moved = (
        told is not None
        and waiting_for is not WaitingFor.OTHER
        and until - now > TELL_AFTER
        and abs(until - told) > TOLD_SLACK
    )
    waiting = replace(
        reset,
        state=State.WAITING,
        waiting_for=waiting_for,
        waiting_since=since,
        told=until if first or moved else told,
        due_at=until,
        detail=why,
    )
    step = move(reset, waiting, now)
    return replace(step, answer=NotificationKind.WAITING) if first or moved else step


def found_job_id(reset: Reset) -> str:
    """The job's id as Graph had it when the restart was sent."""
    before = load(reset.before)
    return before.id if before is not None else reset.job_id


def is_gone(reset: Reset, *, now: datetime) -> bool:
    """Whether one more read that does not show the job says that it is gone."""
    if reset.missing_since is None:
        return False
    return now - reset.missing_since >= GONE_AFTER and reset.tries + 1 >= GONE_READS


def read_counted(reset: Reset, now: datetime, *, failed: bool, missing: bool) -> Reset:
    """Count the reads that failed; since the job is missing, only those that did not show it."""
    if missing:
        first = reset.missing_since is None
        return replace(
            reset,
            missing_since=reset.missing_since or now,
            tries=1 if first else reset.tries + 1,
        )
    if failed:
        return replace(
            reset, tries=reset.tries if reset.missing_since is not None else reset.tries + 1
        )
    return replace(reset, missing_since=None, tries=0)


def move(
    before: Reset, after: Reset, now: datetime, *, by: str = RELINK, said: str = ""
) -> Transition:
    """Add a history entry where the state or its reason changes, or where *said* stands in it."""
    changed = (after.state, after.detail, after.number) != (
        before.state,
        before.detail,
        before.number,
    )
    if not changed and not said:
        return Transition(reset=after)
    moved = replace(after, sequence=before.sequence + 1)
    entry = HistoryEntry(
        sequence=moved.sequence, at=now, state=moved.state, by=by, detail=said or moved.detail
    )
    return Transition(reset=moved, event=entry)


def end(
    before: Reset, after: Reset, lock: JobRow | None, now: datetime, *, by: str = RELINK
) -> Transition:
    """End the reset; where it held the lock, free the job row."""
    ended = move(before, replace(after, finished_at=now, due_at=None), now, by=by)
    freed = replace(lock, head="") if lock is not None and lock.head == before.id else None
    return replace(ended, job=freed, answer=NotificationKind.END)
