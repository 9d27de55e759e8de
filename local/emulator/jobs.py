"""Computes what one job shows, without the directory around it."""

from datetime import datetime, timedelta

from local.emulator.values import Cycle, Execution, Job, Status, User


def status_of(job: Job) -> Status:
    """The status as it is; a directory gives every job one."""
    if job.status is None:
        job.status = Status(code="NotRun")
    return job.status


def shown_status(job: Job, now: datetime) -> Status:
    """The status as GET tells it, which may lag."""
    return job.lag.status if job.lag is not None and now < job.lag.until else status_of(job)


def changed(user: User, job: Job) -> bool:
    if job.watermark is None:
        return True
    return user.modified is not None and user.modified >= job.watermark


def execution_of(cycle: Cycle, *, ended: datetime) -> Execution:
    return Execution(
        began=cycle.began,
        ended=ended,
        state="EntryLevelErrors" if cycle.escrowed else "Succeeded",
        entitled=len(cycle.users),
        imported=len(cycle.users),
        exported=cycle.exported,
        escrowed=cycle.escrowed,
    )


def configured_alike(job: Job, new_id: str) -> Job:
    """Build a job with the configuration of *job* and none of its state."""
    return Job(
        id=new_id,
        template_id=job.template_id,
        interval=job.interval,
        matching=list(job.matching),
        seconds_per_user=job.seconds_per_user,
        scope=job.scope,
        quarantine_rules=job.quarantine_rules,
        status=Status(code="NotRun"),
    )


def make_healthy(job: Job, now: datetime) -> None:
    began = now - job.every / 2
    ended = began + job.each
    first = began - timedelta(days=30)
    with_exports = Execution(began=first, ended=first + job.each, exported=len(job.links))
    execution = Execution(began=began, ended=ended)
    job.watermark = began
    job.next_cycle_at = began + job.every
    job.status = Status(
        code={"Active": "Active"}.get(job.schedule_state, "Paused"),
        steady_state_first_achieved=with_exports.ended,
        steady_state_last_achieved=ended,
        last_execution=execution,
        last_successful_execution=execution,
        last_successful_execution_with_exports=with_exports,
        entries=len(job.links),
    )
