"""Decides when the service quarantines a job, when it tries again, and when it gives up."""

from datetime import datetime, timedelta

from local.emulator.jobs import status_of
from local.emulator.values import Job, JobError, Quarantine, QuarantineRules

TOO_MANY_DELETES = "TooManyDeletes"
CREDENTIALS = "EncounteredQuarantineException"


def too_many_failures(job: Job) -> str | None:
    """The reason for a quarantine, by the failures that are outstanding when a cycle ends."""
    rules, failures = job.quarantine_rules, len(job.escrows)
    if failures == 0 or failures < rules.least:
        return None
    if failures > rules.total:
        return "EncounteredTotalEscrowThreshold"
    if failures > rules.base:
        return "EncounteredBaseEscrowThreshold"
    succeeded = len(job.links.keys() - job.escrows.keys())
    if failures > rules.proportion * (failures + succeeded):
        return "EncounteredEscrowProportionThreshold"
    return None


def impose(job: Job, reason: str, *, now: datetime, error: JobError | None = None) -> None:
    """Put it into quarantine, or leave it there after another look."""
    status = status_of(job)
    before = status.quarantine
    began = now if before is None else before.series_began or now
    status.code = "Quarantine"
    status.quarantine = Quarantine(
        reason=reason,
        current_began=_current_began(job.quarantine_rules, before, now),
        next_attempt=_next_attempt(job.quarantine_rules, began, now),
        series_began=began,
        series_count=1 if before is None else before.series_count + 1,
        error=error,
    )


def _current_began(rules: QuarantineRules, before: Quarantine | None, now: datetime) -> datetime:
    if before is None or before.current_began is None:
        return now
    match rules.current_began:
        case "moves":
            return now
        case "stays":
            return before.current_began
        case "alternates":
            return now if before.series_count % 2 else before.current_began


def next_step(job: Job) -> datetime | None:
    """When a quarantined job is tried again or given up; None where neither ever comes."""
    quarantine = status_of(job).quarantine
    if quarantine is None or quarantine.next_attempt is None:
        return None
    return min(quarantine.next_attempt, _given_up_at(job, quarantine))


def give_up(job: Job, *, now: datetime) -> bool:
    """Disable a job that has been in quarantine for too long."""
    quarantine = status_of(job).quarantine
    if quarantine is None or now < _given_up_at(job, quarantine):
        return False
    quarantine.next_attempt = None
    job.escrows.clear()
    job.schedule_state = "Disabled"
    status_of(job).code = job.quarantine_rules.disabled_code
    return True


def _given_up_at(job: Job, quarantine: Quarantine) -> datetime:
    began = quarantine.series_began or quarantine.next_attempt
    if began is None:
        raise AssertionError("only a job that is tried again is given up")
    return began + timedelta(days=job.quarantine_rules.disabled_after_days)


def _next_attempt(rules: QuarantineRules, began: datetime, now: datetime) -> datetime:
    for hours in rules.retry_hours:
        if (at := began + timedelta(hours=hours)) > now:
            return at
    last = began + timedelta(hours=rules.retry_hours[-1] if rules.retry_hours else 0)
    every = timedelta(hours=rules.then_every_hours)
    return last + ((now - last) // every + 1) * every
