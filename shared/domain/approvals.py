"""
Decide what an approval covers: which reasons, of which job, by how many persons, until when. Pure.

The policy asks questions; an approval answers those that were asked, for the job as it was shown.
Asked again are a reason that it did not answer and whatever is new about the job. A newer cycle
alone is not new, nor is what was unknown and still is: otherwise nothing could ever be approved.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.people import Person
from shared.domain.reset import Reset, asked_by_timer
from shared.domain.sync_job import SyncJob

ALWAYS: Final = "always"
AUTOMATIC: Final = "automatic"
SIZE: Final = "size"
SIZE_UNKNOWN: Final = "size-unknown"
LEAVERS: Final = "leavers"
FLEET: Final = "fleet"
BREAKER: Final = "breaker"
QUARANTINE: Final = "quarantine:"
"""Begins the key of a quarantine, which names Graph's reason; another reason is another key."""

STATE: Final = "state:"
"""Begins the key of a state that this version does not know, or in which the job stands still."""

RESTARTED: Final = "restarted since "
"""Begins the key of a restart that somebody else made after an intent, by the intent's number."""

MASS_DELETION: Final = "TooManyDeletes"

PROGRAM: Final = "program:"
"""Begins AskerId where a program asked."""


class Question(Struct, frozen=True, kw_only=True):
    """
    One reason for which a person must approve.

    `key` is what an approval answers, `words` are for people. `since`: what is asked about began
    then, so that an earlier approval cannot have known of it.
    """

    key: str
    words: str
    since: datetime | None = None


class Shown(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    What counts of the job as the approver saw it.

    `quarantine` is Graph's reason, and None outside quarantine. `missing` names what Graph did not
    show, or what could not be read.
    """

    job_id: str = ""
    quarantine: str | None = None
    series: datetime | None = None
    size: int | None = None
    missing: tuple[str, ...] = ()


class Approval(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    One person's yes. Without an object id the name is as claimed: nobody vouched for it.

    `reasons` are the keys of the questions that it answered.
    """

    by: str
    at: datetime
    reasons: tuple[str, ...]
    seen: Shown
    object_id: str = ""
    tenant_id: str = ""

    @property
    def identity(self) -> str:
        """As of `Person`; empty where nobody vouched for the name."""
        return f"{self.tenant_id}/{self.object_id}" if self.object_id else ""


class Standard(Struct, frozen=True, kw_only=True):
    """How many must agree, and for how long they have agreed: of the target and the settings."""

    approvers: int = 1
    sign_in: bool = False
    valid: timedelta = timedelta(hours=4)


def shown(job: SyncJob) -> Shown:
    """Take from the job what an approval is held against."""
    quarantine = job.quarantine
    ends = (job.last_execution.ended, job.steady_state_last)
    missing = {
        "code": not job.code,
        "scheduleState": not job.schedule_state,
        "interval": job.interval is None,
        "size": job.size is None,
        "lastCycleEnded": not any(ends),
    }
    reason = "" if job.code == "Quarantine" else None
    return Shown(
        job_id=job.id,
        quarantine=quarantine.reason if quarantine is not None else reason,
        series=quarantine.series_began if quarantine is not None else None,
        size=job.size,
        missing=tuple(sorted({*job.unknown, *(name for name, gone in missing.items() if gone)})),
    )


def is_new(seen: Shown, now: Shown) -> bool:
    """Whether the job shows what the approver was not shown."""
    if now.job_id != seen.job_id:
        return True
    if now.quarantine is not None and not _same_quarantine(seen, now):
        return True
    if seen.size is not None and now.size is not None and now.size > seen.size:
        return True
    return not set(now.missing) <= set(seen.missing)


def _same_quarantine(seen: Shown, now: Shown) -> bool:
    return (seen.quarantine, seen.series) == (now.quarantine, now.series)


def covers(
    approval: Approval, question: Question, job: Shown, standard: Standard, *, now: datetime
) -> bool:
    """Whether this approval, on its own, answers the question about the job as it is now."""
    if question.key not in approval.reasons or now - approval.at > standard.valid:
        return False
    if is_new(approval.seen, job):
        return False
    known = question.since is None or question.since <= approval.at
    return known or (job.series is not None and _same_quarantine(approval.seen, job))


def unanswered(
    reset: Reset, questions: Iterable[Question], job: SyncJob, standard: Standard, *, now: datetime
) -> tuple[Question, ...]:
    """Return the questions for which no valid approval, or too few of them, was given."""
    given, there = load(reset.approvals), shown(job)
    return tuple(
        question
        for question in questions
        if still_needed(
            reset,
            (question.key,),
            [each for each in given if covers(each, question, there, standard, now=now)],
            standard,
        )
    )


def still_needed(
    reset: Reset, keys: Iterable[str], given: Sequence[Approval], standard: Standard
) -> int:
    """How many more persons must approve before these approvals are enough."""
    needed, vouched = approvers_needed(reset, keys, standard)
    persons = {each.identity for each in given if each.identity or not vouched}
    if reset.asker_id:
        persons.discard(reset.asker_id)
    return max(0, needed - len(persons))


def approvers_needed(reset: Reset, keys: Iterable[str], standard: Standard) -> tuple[int, bool]:
    """
    Return how many must approve, and whether the platform must vouch for them.

    Two persons means the asker and one more where the platform vouched for the asker: who asked
    is the first of them by asking, and never approves. Where it did not, anybody may be the asker,
    the approver too: then `always` needs two approvers, so that one of them is somebody else.
    """
    asked = set(keys)
    if asks_for_two(asked, standard):
        return (1 if asker_is_person(reset) else 2), True
    claimed = standard.sign_in and not reset.asker_id and not asked_by_timer(reset)
    return (2 if claimed and ALWAYS in asked else 1), standard.sign_in


def asks_for_two(keys: Iterable[str], standard: Standard) -> bool:
    """Whether two different persons must agree, the asker among them where vouched for."""
    return standard.approvers > 1 or any(is_mass_deletion(key) for key in keys)


def is_mass_deletion(key: str) -> bool:
    return key.startswith(QUARANTINE) and MASS_DELETION.casefold() in key.casefold()


def asker_is_person(reset: Reset) -> bool:
    """Whether the platform vouched for the asker, and the asker is not a program."""
    return bool(reset.asker_id) and not reset.asker_id.startswith(PROGRAM)


def asker_id(person: Person) -> str:
    """What the column AskerId keeps: the identity, marked where a program asked."""
    return f"{PROGRAM}{person.identity}" if person.is_program else person.identity


def load(text: str) -> tuple[Approval, ...]:
    """Read the column Approvals."""
    return msgspec.json.decode(text, type=tuple[Approval, ...]) if text else ()


def dump(given: Iterable[Approval]) -> str:
    """Write the column Approvals."""
    return msgspec.json.encode(list(given)).decode()
