"""Turn what the rows and queues show into sentences for the health report. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.domain import policy
from shared.domain.backlog import Backlog
from shared.domain.concerns import Concern, Level
from shared.domain.reset import Fleet, Reset, SenderCount
from shared.domain.sync_job import GraphObservation, GraphStatus
from shared.domain.waits import Asks, waits_until

LATELY: Final = timedelta(hours=1)
"""A refusal by Graph counts for so long, although Graph has answered another call since."""

A_DAY: Final = timedelta(days=1)

QUEUED_TOO_LONG: Final = timedelta(minutes=15)


def late_sweep(beat: datetime) -> Concern:
    return _attention(
        "sweep",
        f"the timer last ran at {_at(beat)}, which is late. If it stays away, the runbook says "
        "what to do (sweep-silent)",
    )


def late_remediation(beat: datetime | None) -> Concern:
    last = f"last ran at {_at(beat)}" if beat is not None else "has not run yet"
    return _attention(
        "remediate",
        f"the timer {last}: quarantines are not handled and scheduled restarts do not come; "
        "requests from tickets work (runbook, remediation-silent)",
    )


def of_graph(seen: Iterable[GraphObservation], *, now: datetime) -> Iterator[Concern]:
    """Tell of a refusal or a failure that no later answer has ended."""
    moods = {each.mood: each for each in seen}
    answered = moods.get(GraphStatus.ANSWERED)
    for mood, what in _TROUBLE.items():
        found = moods.get(mood)
        if found is None:
            continue
        lately = mood is GraphStatus.REFUSED and now - found.at < LATELY
        if answered is None or found.at > answered.at or lately:
            words = f"{what} {found.call} at {_at(found.at)}"
            yield _attention("graph", f"{words}: {found.why}" if found.why else words)


_TROUBLE: Final = {
    GraphStatus.REFUSED: "Microsoft Graph refused",
    GraphStatus.FAILED: "Microsoft Graph could not be reached, or failed, at",
}


def of_backlog(backlog: Backlog) -> Iterator[Concern]:
    """Tell of what waits for a person, the most pressing first."""
    if fates := backlog.asking(Asks.FATE):
        yield _attention(
            "people",
            f"{_asked(fates, 'reset asks', 'resets ask')} whether the restart happened; look in "
            "the audit log, then confirm, resend or cancel (runbook, fate-unknown)",
        )
    if approvals := backlog.asking(Asks.APPROVAL):
        yield _attention(
            "people",
            f"{_asked(approvals, 'reset waits', 'resets wait')} for an approval; approve or reject "
            "(runbook, reset-awaiting-approval)",
        )
    if backlog.unreadable:
        last = max(each.at for each in backlog.unreadable)
        yield _attention(
            "messages",
            f"{_many(len(backlog.unreadable), 'message')} became no reset in the last week, the "
            f"last one at {_at(last)}; GET /api/unreadable says why, and sends them again once "
            "they are put right (runbook, message-lost)",
        )
    if backlog.undelivered:
        names = ", ".join(sorted({each.answer.notifier for each in backlog.undelivered}))
        yield _attention(
            "tickets",
            f"{_many(len(backlog.undelivered), 'answer')} could not be brought to the ticket "
            f"({names}); put the cause right, then run `make resend` (runbook, "
            "answer-undeliverable)",
        )


def _asked(resets: Sequence[Reset], one: str, many: str) -> str:
    """How many, and by when the first of them must be decided on."""
    ends = min((until for until in map(waits_until, resets) if until is not None), default=None)
    named = ", ".join(each.id for each in resets[:3]) + (", …" if len(resets) > 3 else "")
    until = f", until {_at(ends)}" if ends is not None else ""
    return f"{len(resets)} {one if len(resets) == 1 else many} ({named}{until})"


def of_queues(ages: Mapping[str, int | None]) -> Iterator[Concern]:
    for name, age in ages.items():
        if age is not None and age > QUEUED_TOO_LONG.total_seconds():
            yield _attention(
                "queues",
                f"the oldest message of {name} has waited for {age // 60} minutes: the functions "
                "do not keep up, or do not run",
            )


def of_fleet(fleet: Fleet) -> Iterator[Concern]:
    if policy.fleet_stopped(fleet):
        yield _attention(
            "fleet",
            f"{fleet.quarantined} of {fleet.seen} jobs are in quarantine at once: what timers ask "
            "for is refused, and tickets need an approval (remediation.md)",
        )


def of_refusals(refusals: Iterable[SenderCount], *, now: datetime) -> Iterator[Concern]:
    for each in refusals:
        if now - each.last_at < A_DAY:
            yield _attention(
                "senders",
                f"requests of {each.via} were refused because too many of them are open, last at "
                f"{_at(each.last_at)} (RESET_MAX_OPEN)",
            )


def of_unheard(counts: Iterable[SenderCount], *, now: datetime) -> Iterator[Concern]:
    for each in counts:
        if now - each.last_at < A_DAY:
            yield _attention(
                "tickets",
                f"requests of {each.via} name a ticket that hears nothing, last at "
                f"{_at(each.last_at)}: `ticket.system` is not a notifier, or one that this sender "
                "may not write to (`warnings` of the reset; runbook, answer-undeliverable)",
            )


def _attention(about: str, words: str) -> Concern:
    return Concern(level=Level.ATTENTION, about=about, words=words)


def _many(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
