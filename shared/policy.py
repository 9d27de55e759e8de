"""
May this reset go now? Go, wait until, ask a person, or refuse, with the reason in words. Pure.

Asked at execution time, in two halves: what needs no Graph, then what the job itself shows. Two
aliases may name one service principal (with a job each); each has its own job row and history.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.catalogue import Approval, Catalogue, Target, unknown_target
from shared.models import Budget, JobRow, Reset, SyncJob

SWITCHED_OFF_WAIT: Final = timedelta(minutes=5)
NOT_RUN_WAIT: Final = timedelta(minutes=15)
STALE_AFTER_INTERVALS: Final = 3

CREDENTIALS: Final = "EncounteredQuarantineException"
MASS_DELETE: Final = "TooManyDeletes"
RESTART_HELPS: Final = frozenset(
    {
        "EncounteredBaseEscrowThreshold",
        "EncounteredTotalEscrowThreshold",
        "EncounteredEscrowProportionThreshold",
    }
)
"""https://learn.microsoft.com/entra/identity/app-provisioning/application-provisioning-quarantine-status"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Go:
    """Nothing stands against it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    until: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refuse:
    reason: str


Decision = Go | Wait | Ask | Refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the settings allow, as the policy needs it."""

    catalogue: Catalogue | None
    enabled: bool
    daily_budget: int
    problem: str = ""


def before_reading(
    x: Reset, job: JobRow, rules: Rules, *, budget: Budget, now: datetime
) -> Decision:
    """
    Decide what needs no Graph; Go means: read the job and ask `after_reading`.

    *budget* is today's (UTC).
    """
    if rules.problem or rules.catalogue is None:
        why = rules.problem or "RESET_TARGETS cannot be read"
        return Wait(until=now + SWITCHED_OFF_WAIT, reason=f"a setting must be put right: {why}")
    if (no := _not_in_catalogue(x, rules.catalogue)) is not None:
        return no
    if not rules.enabled:
        return Wait(
            until=now + SWITCHED_OFF_WAIT,
            reason="resets are switched off (RESETS_ENABLED is not `true`)",
        )
    target = rules.catalogue[x.target]
    if job.last_restart_at is not None and now < (free := job.last_restart_at + target.cooldown):
        return Wait(
            until=free,
            reason=f"the last restart was at {job.last_restart_at:%Y-%m-%d %H:%M} UTC; "
            f"the cooldown ends at {free:%Y-%m-%d %H:%M} UTC",
        )
    if not budget.mine and budget.spent >= rules.daily_budget:
        return over_budget(rules.daily_budget, now=now)
    return Go()


def over_budget(limit: int, *, now: datetime) -> Wait:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Wait(until=midnight, reason=f"today's budget of {limit} restarts is spent")


def _not_in_catalogue(x: Reset, catalogue: Catalogue) -> Refuse | None:
    target = catalogue.get(x.target)
    if target is None:
        return Refuse(reason=unknown_target(x.target, catalogue))
    if (target.service_principal_id, target.job_id) != (x.service_principal_id, x.job_id):
        return Refuse(
            reason="target: the catalogue names another service principal or job than when this "
            "was asked for; ask again"
        )
    return None


def after_reading(x: Reset, snapshot: SyncJob, target: Target, *, now: datetime) -> Decision:
    """Decide by the job as Graph shows it; *now* is ours, *snapshot.read_at* Graph's clock."""
    if (blocked := _job_state(x, snapshot, now)) is not None:
        return blocked
    if x.approved:
        return Go()
    if target.approval is Approval.ALWAYS:
        return Ask(reason="this target always needs an approval")
    if target.approval is Approval.AUTOMATIC and x.via == "remediate":
        return Ask(reason="what timers ask for needs an approval on this target")
    if target.approve_above is not None:
        if snapshot.size is None:
            return Ask(reason="Graph gives no count of the entries; the size cannot be judged")
        if snapshot.size > target.approve_above:
            return Ask(
                reason=f"{snapshot.size:,} entries are managed; above "
                f"{target.approve_above:,} needs an approval"
            )
    if (left := _leavers(snapshot)) is not None:
        return left
    return Go()


def _job_state(x: Reset, job: SyncJob, now: datetime) -> Decision | None:
    if job.quarantine is not None or job.code == "Quarantine":
        return _quarantine(x, job)
    if job.code in {"Paused", "NotConfigured"}:
        return Refuse(reason=f"the job is {job.code}; start it in the portal first")
    if job.schedule_state in {"Disabled", "Paused"}:
        return Refuse(reason=f"the job's schedule is {job.schedule_state}; start it first")
    if job.code == "NotRun":
        return Wait(until=now + NOT_RUN_WAIT, reason="the job's initial cycle has not ended yet")
    if (job.code != "Active" or job.schedule_state != "Active") and not x.approved:
        return Ask(reason="Graph shows a state of the job that this version does not know")
    return None


def _quarantine(x: Reset, job: SyncJob) -> Decision | None:
    reason = job.quarantine.reason if job.quarantine is not None else ""
    if reason == CREDENTIALS:
        return Refuse(
            reason="the job is in quarantine because it cannot sign in to the application "
            f"({CREDENTIALS}); put the credentials right first"
        )
    if reason == MASS_DELETE and not (x.approved and x.approver_signed_in):
        return Ask(
            reason=f"the job holds back a mass deletion ({MASS_DELETE}); a restart would let it "
            "go or forget it: a signed-in person must decide"
        )
    if reason in RESTART_HELPS or x.approved:
        return None
    return Ask(reason=f"the job is in quarantine ({reason or 'an unknown reason'})")


def _leavers(job: SyncJob) -> Ask | None:
    """Removals not yet exported are lost by a Full restart: ask where cycles lag behind."""
    ended = job.last_execution.ended
    if ended is None or job.interval is None or job.interval > timedelta(days=30):
        return None
    if job.read_at - ended <= STALE_AFTER_INTERVALS * job.interval:
        return None
    return Ask(
        reason=f"the last cycle ended at {ended:%Y-%m-%d %H:%M} UTC, over "
        f"{STALE_AFTER_INTERVALS} intervals ago; removals not yet exported would be lost"
    )
