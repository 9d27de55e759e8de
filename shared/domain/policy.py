"""
Rule whether a reset may go now: go, wait until, ask a person, or refuse, with the reason. Pure.

The engine asks at execution time, in two halves: what needs no Graph, then what the job itself
shows. The timer `remediate` and a dry run ask the same two. All questions to a person are in the
second half, so that a person is asked only what an approval can open, and everything at once. Two
aliases may name one service principal (with a job each); each has its own job row and history.
"""

from collections.abc import Iterable
from copy import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from shared.domain import approvals, evidence, quarantine
from shared.domain.approvals import Question, Standard
from shared.domain.catalogue import Approval, Catalogue, Remediate, Target, unknown_target
from shared.domain.quarantine import Treatment
from shared.domain.reset import (
    Budget,
    Fleet,
    JobObservation,
    JobRow,
    Reset,
    Scope,
    WaitingFor,
    asked_by_timer,
)
from shared.domain.sync_job import SyncJob

SWITCHED_OFF_WAIT: Final = timedelta(minutes=5)
NOT_RUN_WAIT: Final = timedelta(minutes=15)
IN_FLIGHT_WAIT: Final = timedelta(hours=1)
STALE_AFTER_INTERVALS: Final = 3
LATE_AT_LEAST: Final = timedelta(hours=1)

FLEET_PERCENT: Final = 40
FLEET_LEAST: Final = 3
RELAPSE_WITHIN: Final = timedelta(days=1)

QUARANTINE_PREFIX: Final = "quarantine-"
"""Of the ids of what `remediate` asks for because of a quarantine."""


class Go(Struct, frozen=True, kw_only=True):
    """No rule objects."""


class Wait(Struct, frozen=True, kw_only=True):
    waiting_for: WaitingFor
    until: datetime
    reason: str


class Ask(Struct, frozen=True, kw_only=True):
    """Every reason for which a person must approve, in one question."""

    questions: tuple[Question, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(each.words for each in self.questions)

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)


class Refuse(Struct, frozen=True, kw_only=True):
    reason: str


Ruling = Go | Wait | Ask | Refuse


class Rules(Struct, frozen=True, kw_only=True):
    """What the settings allow, as the policy needs it."""

    catalogue: Catalogue | None
    enabled: bool
    daily_budget: int
    problem: str = ""
    sign_in: bool = False
    approval_valid: timedelta = timedelta(hours=4)

    def standard(self, target: Target) -> Standard:
        """What an approval for this target is held against."""
        return Standard(approvers=target.approvers, sign_in=self.sign_in, valid=self.approval_valid)


class History(Struct, frozen=True, kw_only=True):
    """What the rows know: of this job, of today's (UTC) budget, and of all the targets."""

    job: JobRow
    budget: Budget
    fleet: Fleet
    observation: JobObservation


def of_job(history: History, job_id: str) -> History:
    """
    Return what the rows know of this job: a job made again under the alias starts clean.

    An empty id in a row was written before the rows kept one.
    """
    job, observation = history.job, history.observation
    if job.last_job_id not in {"", job_id}:
        job = replace(
            job, last_job_id="", last_restart_at=None, last_steady_at=None, last_approved_at=None
        )
    if observation.job_id not in {"", job_id}:
        observation = JobObservation(target=observation.target)
    return replace(history, job=job, observation=observation)


def decide(
    reset: Reset, snapshot: SyncJob, history: History, rules: Rules, *, now: datetime
) -> Ruling:
    """Ask both halves at once, where the job has been read already."""
    first = before_reading(reset, history, rules, now=now)
    if not isinstance(first, Go):
        return first
    return after_reading(reset, snapshot, history, rules, now=now)


def before_reading(reset: Reset, history: History, rules: Rules, *, now: datetime) -> Ruling:
    """Decide what needs no Graph; Go means: read the job and ask `after_reading`."""
    if rules.problem or rules.catalogue is None:
        why = rules.problem or "RESET_TARGETS cannot be read"
        return _switched_off(f"a setting must be put right: {why}", now)
    if (no := _not_in_catalogue(reset, rules.catalogue)) is not None:
        return no
    target = rules.catalogue[reset.target]
    if asked_by_timer(reset):
        if not asked_for_by(reset.id, target):
            return Refuse(reason="the catalogue does not ask for this any more")
        if fleet_stopped(history.fleet):
            return Refuse(reason=_fleet_words(history.fleet))
    if not rules.enabled:
        return _switched_off("resets are switched off (RESETS_ENABLED is not `true`)", now)
    if (shut := window_shut(reset, now=now)) is not None:
        return shut
    if history.job.head not in {"", reset.id}:
        return Wait(
            waiting_for=WaitingFor.OTHER,
            until=now + IN_FLIGHT_WAIT,
            reason=f"another reset of this job is under way: {history.job.head}",
        )
    past = _past_known(history, target)
    return (
        (_cooldown(reset, past.job, target, now) if past is not None else None)
        or _budget(reset, history.budget, rules, now)
        or Go()
    )


def _switched_off(why: str, now: datetime) -> Wait:
    return Wait(waiting_for=WaitingFor.SWITCH, until=now + SWITCHED_OFF_WAIT, reason=why)


def _budget(reset: Reset, budget: Budget, rules: Rules, now: datetime) -> Wait | None:
    if budget.spent < rules.daily_budget or budget_lifted(reset, now=now):
        return None
    return over_budget(rules.daily_budget, now=now)


def budget_lifted(reset: Reset, *, now: datetime) -> bool:
    """Whether a person let this reset go although the budget of the day is spent."""
    return reset.budget_lifted_until is not None and now < reset.budget_lifted_until


def _cooldown(reset: Reset, job: JobRow, target: Target, now: datetime) -> Wait | None:
    """
    Wait from our own last restart on; a timer also from the last one that Graph refused.

    A person may have lifted exactly this wait.
    """
    words = [(job.last_restart_at, "the last restart was at")]
    if asked_by_timer(reset):
        words.append((job.last_refused_at, "Graph refused the last restart at"))
    waits = [
        (last + target.cooldown, f"{why} {_at(last)}") for last, why in words if last is not None
    ]
    free, why = max(waits, default=(now, ""))
    lifted = reset.cooldown_lifted_until
    if free <= now or (lifted is not None and free <= lifted):
        return None
    return _cooling(why, free)


def asked_for_by(reset_id: str, target: Target) -> bool:
    """Whether the entry still wants what the timer asked for under such an id."""
    if reset_id.startswith("schedule-"):
        return target.schedule is not None
    if reset_id.startswith("stale-"):
        return target.remediate is not None and target.remediate.stale_links is not None
    return target.remediate is not None


def window_shut(reset: Reset, *, now: datetime) -> Wait | None:
    if reset.not_before is None or reset.not_before <= now:
        return None
    return Wait(
        waiting_for=WaitingFor.WINDOW,
        until=reset.not_before,
        reason=f"the change window opens at {_at(reset.not_before)}",
    )


def over_budget(limit: int, *, now: datetime) -> Wait:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Wait(
        waiting_for=WaitingFor.BUDGET,
        until=midnight,
        reason=f"today's budget of {limit} restarts is spent (RESET_DAILY_BUDGET)",
    )


def fleet_of(observations: Iterable[JobObservation]) -> Fleet:
    """Of what was ever seen: a target without a look at its job counts on neither side."""
    seen = [observation for observation in observations if observation.seen_at is not None]
    return Fleet(seen=len(seen), quarantined=sum(observation.quarantined for observation in seen))


def fleet_stopped(fleet: Fleet) -> bool:
    """
    Many in quarantine at once is a fault of the platform or of a credential, not of the links.

    The share allowed is rounded down, as Kubernetes' MachineHealthCheck rounds its `maxUnhealthy`.
    """
    allowed = fleet.seen * FLEET_PERCENT // 100
    return fleet.quarantined >= FLEET_LEAST and fleet.quarantined > allowed


def relapsed(job: SyncJob, row: JobRow) -> datetime | None:
    """
    When the quarantine began that says that our last restart did not help; None where none does.

    One whose beginning cannot be read may have begun in that time.
    """
    last, quarantine = row.last_restart_at, job.quarantine
    if last is None or quarantine is None:
        return None
    began = quarantine.began
    if began is None:
        first = quarantine.series_began
        began = first if first is not None and first > last else last + timedelta(seconds=1)
    return began if last < began <= last + RELAPSE_WITHIN else None


def _cooling(why: str, free: datetime) -> Wait:
    return Wait(
        waiting_for=WaitingFor.COOLDOWN,
        until=free,
        reason=f"{why}; the cooldown ends at {_at(free)}",
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _not_in_catalogue(reset: Reset, catalogue: Catalogue) -> Refuse | None:
    target = catalogue.get(reset.target)
    if target is None:
        return Refuse(reason=unknown_target(reset.target, catalogue))
    if (target.service_principal_id, target.job_id) != (reset.service_principal_id, reset.job_id):
        return Refuse(
            reason="target: the catalogue names another service principal or job than when this "
            "was asked for; ask again"
        )
    return None


def _fleet_words(fleet: Fleet) -> str:
    return (
        f"{fleet.quarantined} of {fleet.seen} jobs are in quarantine at once: that is a fault of "
        "the platform or of a credential, which no restart cures"
    )


def _fleet_stop(fleet: Fleet) -> Ask | None:
    return _ask(approvals.FLEET, _fleet_words(fleet)) if fleet_stopped(fleet) else None


def _ask(key: str, words: str, *, since: datetime | None = None) -> Ask:
    # Graph's own words may stand in a key, which is kept one a line.
    return Ask(questions=(Question(key=" ".join(key.split()), words=words, since=since),))


def _breaker(snapshot: SyncJob, history: History) -> Ask | None:
    """The breaker is open: by what `remediate` saw, or by what the job shows before it does."""
    seen = relapsed(snapshot, history.job)
    at = max((each for each in (history.observation.relapsed_at, seen) if each), default=None)
    approved_at = history.job.last_approved_at
    if at is None or (approved_at is not None and at <= approved_at):
        return None
    return _ask(
        approvals.BREAKER,
        f"after the last reset the job went into quarantine again, at {_at(at)}: until a "
        "person approves one more, none is sent",
        since=at,
    )


def after_reading(
    reset: Reset, snapshot: SyncJob, history: History, rules: Rules, *, now: datetime
) -> Ruling:
    """Decide by the job as Graph shows it; *now* is ours, *snapshot.read_at* Graph's clock."""
    target = (rules.catalogue or {})[reset.target]
    asked_before = _past_known(history, target) is not None
    history = of_job(history, snapshot.id)
    restarted = _restarted_since(reset, snapshot)
    known = tuple(_restarted_before(reset))
    found = (
        restarted,
        *known,
        _stopped_job(reset, snapshot),
        _job_state(reset, snapshot, target, now),
        _too_soon(reset, snapshot, history.observation, target, now),
        None if asked_before else _cooldown(reset, history.job, target, now),
        _held_back_by_others(reset, snapshot, history.job, target, now),
        _fleet_stop(history.fleet),
        _breaker(snapshot, history),
        *_approvals(reset, snapshot, target),
    )
    ruling = _strictest(found)
    if restarted is not None and isinstance(ruling, Wait):
        # Asked at once: what shows it need not show after the wait.
        ruling = _strictest(each for each in found if not isinstance(each, Wait))
    if not isinstance(ruling, Ask):
        return ruling
    left = approvals.unanswered(reset, ruling.questions, snapshot, rules.standard(target), now=now)
    if not left:
        return Go()
    # Asked with every other question until the restart is sent, or it would be forgotten.
    again = (question for ask in known for question in ask.questions)
    return Ask(questions=tuple(dict.fromkeys((*again, *left))))


def _restarted_since(reset: Reset, job: SyncJob) -> Ask | None:
    """
    Compare the job with how it was before an intent of this reset that Graph did not take.

    Graph says 409 or 423 where something else changes the job at that moment. What that was may
    have been a restart, and then another one is a person's decision.
    """
    before = evidence.load(reset.before) if reset.number is not None else None
    if before is None or before.id != job.id:
        return None
    sign = evidence.restarted_since(job, before)
    if not sign:
        return None
    return _ask(
        f"{_restarted_mark(reset)}{job.read_at:%Y-%m-%dT%H:%M:%S}: {sign}",
        f"{_not_taken(reset)}: {sign} ({evidence.PORTAL_OR_FULL}); approve to send another",
    )


def _restarted_before(reset: Reset) -> Iterable[Ask]:
    """The same, as it was asked about already: `before` is the job as it was shown then."""
    for key in reset.questions:
        if reset.number is not None and key.startswith(_restarted_mark(reset)):
            yield _ask(key, f"{_not_taken(reset)}: {key.partition(': ')[2]}")


def _restarted_mark(reset: Reset) -> str:
    return f"{approvals.RESTARTED}{reset.number} "


def _not_taken(reset: Reset) -> str:
    return (
        f"Graph did not take the restart of intent {reset.number}, but the job was restarted since"
    )


def _strictest(found: Iterable[Ruling | None]) -> Ruling:
    """A refusal comes first, then a wait; what is left to ask is asked at once."""
    rulings = [ruling for ruling in found if ruling is not None]
    for kind in (Refuse, Wait):
        for ruling in rulings:
            if isinstance(ruling, kind):
                return ruling
    asked = [one for each in rulings if isinstance(each, Ask) for one in each.questions]
    return Ask(questions=tuple(dict.fromkeys(asked))) if asked else Go()


def _past_known(history: History, target: Target) -> History | None:
    """
    What the rows know of the target's job; None where that depends on which job it is.

    Where the catalogue names none, that shows only when it is read.
    """
    if target.job_id:
        return of_job(history, target.job_id)
    named = {history.job.last_job_id, history.observation.job_id} - {""}
    return None if named else history


def _job_state(reset: Reset, job: SyncJob, target: Target, now: datetime) -> Ruling | None:
    if job.code == "NotConfigured":
        return Refuse(reason="the job is NotConfigured; set it up and start it in the portal first")
    clears = reset.id.startswith(QUARANTINE_PREFIX)
    if in_quarantine(job):
        if asked_by_timer(reset) and not clears:
            return Refuse(
                reason="the job has gone into quarantine: until that is over, neither its "
                "schedule nor its links are looked at"
            )
        return _quarantine(reset, job, target.remediate)
    if clears and asked_by_timer(reset):
        return Refuse(reason="the job has left quarantine; there is nothing to clear")
    if job.code == "NotRun" and not _stopped(job):
        return Wait(
            waiting_for=WaitingFor.GRAPH,
            until=now + NOT_RUN_WAIT,
            reason="the job's initial cycle has not ended yet",
        )
    return _unknown_state(job)


def _stopped(job: SyncJob) -> str:
    if job.code == "Paused":
        return "the job is Paused"
    if job.schedule_state in {"Disabled", "Paused"}:
        return f"the job's schedule is {job.schedule_state}"
    return ""


def _stopped_job(reset: Reset, job: SyncJob) -> Ruling | None:
    stopped = _stopped(job)
    if not stopped or job.code == "NotConfigured":
        return None
    also = f"; {quarantine.told(job.quarantine)}" if in_quarantine(job) else ""
    if asked_by_timer(reset):
        return Refuse(reason=f"{stopped}: a timer starts no job that somebody stopped{also}")
    return _ask(
        f"{approvals.STATE}stopped {job.code}/{job.schedule_state}",
        f"{stopped}: a restart sets it going; starting it first would run a cycle with the "
        f"old links{also}",
    )


def _too_soon(
    reset: Reset, job: SyncJob, observation: JobObservation, target: Target, now: datetime
) -> Wait | None:
    """The grace period once more: between asking and sending the quarantine may be a new one."""
    if not (asked_by_timer(reset) and in_quarantine(job)) or target.remediate is None:
        return None
    if observation.since is None or now >= (free := observation.since + target.remediate.after):
        return None
    return Wait(
        waiting_for=WaitingFor.GRAPH,
        until=free,
        reason=f"this quarantine is given time to pass until {_at(free)}",
    )


def in_quarantine(job: SyncJob) -> bool:
    return job.quarantine is not None or job.code == "Quarantine"


def _unknown_state(job: SyncJob) -> Ask | None:
    for what, word, known in (
        ("code", job.code, {"Active", "NotRun", "Quarantine", *_STANDING}),
        ("schedule", job.schedule_state, {"Active", *_STANDING}),
    ):
        if word not in known:
            shown = f"“{word}”" if word else "nothing that can be read"
            return _ask(
                f"{approvals.STATE}{what} {word}",
                f"Graph shows a state of the job that this version does not know: its "
                f"{what} is {shown}",
            )
    if not job.knows("quarantine"):
        words = "Graph does not show whether the job is in quarantine"
        return _ask(f"{approvals.STATE}quarantine", words)
    return None


_STANDING: Final = ("Paused", "Disabled")
"""Words for a job that somebody stopped, which is a question of its own."""


def _quarantine(reset: Reset, job: SyncJob, remediate: Remediate | None) -> Ruling | None:
    reason = job.quarantine.reason if job.quarantine is not None else ""
    line, words = quarantine.line(reason), quarantine.told(job.quarantine)
    if asked_by_timer(reset):
        if line.automatic is not Treatment.GO:
            return Refuse(reason=words)
        if remediate is None or not quarantine.named_in(reason, remediate.reasons):
            return Refuse(
                reason=f"the job is in quarantine ({reason}), which `remediate.reasons` of this "
                "target does not name"
            )
        return _unknown_state(job)
    match line.person:
        case Treatment.REFUSE:
            return Refuse(reason=words)
        case Treatment.ASK | Treatment.ASK_SIGNED_IN:
            return _ask(f"{approvals.QUARANTINE}{reason}", words)
        case Treatment.GO:
            return _unknown_state(job)


def _held_back_by_others(
    reset: Reset, snapshot: SyncJob, job: JobRow, target: Target, now: datetime
) -> Wait | None:
    """
    A restart made elsewhere holds back what timers ask for, and nothing that a person asks for.

    The portal's button is what people try first, and it breaks no link.
    """
    first = restarted_elsewhere(snapshot, job)
    if first is None or not asked_by_timer(reset):
        return None
    # Both by Graph's clock, which need not be ours.
    left = first + target.cooldown - snapshot.read_at
    if left <= timedelta(0):
        return None
    return Wait(
        waiting_for=WaitingFor.COOLDOWN,
        until=now + left,
        reason=f"{_elsewhere_words(first)}; the cooldown ends at {_at(first + target.cooldown)}",
    )


def restarted_elsewhere(snapshot: SyncJob, job: JobRow) -> datetime | None:
    """
    Return when the initial cycle of a restart ended that is not ours; None where there was none.

    It is seen by its initial cycle: while that runs the job is NotRun; once it has ended, the job
    shows a first steady state that is not the one of our own last restart's cycle. The restart
    was earlier by an unknown time: what counts is the end of its cycle, or the beginning of the
    quarantine that it ended in.
    """
    first = snapshot.steady_state_first
    if first is None and snapshot.quarantine is not None and job.last_steady_at is not None:
        # Ours had reached a steady state that is gone now: of a job that never reached one, nobody
        # knows of a restart. Not `began`, which moves with each retry: the wait would have no end.
        first = snapshot.quarantine.series_began
    if first is None or first == job.last_steady_at:
        return None
    if job.last_restart_at is not None and first <= job.last_restart_at:
        return None
    return first


def warnings(reset: Reset, snapshot: SyncJob, job: JobRow, target: Target) -> tuple[str, ...]:
    """Say what the record should hold about the job, although it stops nothing."""
    first = restarted_elsewhere(snapshot, job)
    if first is None or asked_by_timer(reset) or first + target.cooldown <= snapshot.read_at:
        return ()
    words = (
        f"{_elsewhere_words(first)} (the portal's button breaks no link; a full restart sent by "
        "hand cannot be told from it)"
    )
    return (words,)


def _elsewhere_words(first: datetime) -> str:
    return (
        f"an initial cycle that is not ours ended at {_at(first)}: somebody restarted the job "
        "outside this tool"
    )


def _approvals(reset: Reset, snapshot: SyncJob, target: Target) -> Iterable[Ask]:
    if target.approval is Approval.ALWAYS:
        yield _ask(approvals.ALWAYS, "this target always needs an approval")
    if target.approval is Approval.AUTOMATIC and asked_by_timer(reset):
        yield _ask(approvals.AUTOMATIC, "what timers ask for needs an approval on this target")
    if target.approve_above is not None:
        if snapshot.size is None:
            yield _ask(
                approvals.SIZE_UNKNOWN,
                "Graph gives no count of the entries; the size cannot be judged",
            )
        elif snapshot.size > target.approve_above:
            yield _ask(
                approvals.SIZE,
                f"{snapshot.size:,} entries are managed; above "
                f"{target.approve_above:,} needs an approval",
            )
    if reset.scope is Scope.FULL and (leavers := _leavers(snapshot)) is not None:
        yield leavers


def _leavers(job: SyncJob) -> Ask | None:
    """
    Removals not yet exported are lost by a Full restart: ask where cycles lag behind.

    Where a job runs more often than a cycle takes, three intervals say nothing. The last end is
    the later of that of the last execution, which may be an old error's, and the steady state.
    """
    last = job.last_execution
    # While its first cycle of all runs an execution has no end; the steady state has one then.
    ends = [end for end in (last.ended, job.steady_state_last) if end is not None]
    if not ends or job.interval is None:
        return _ask(
            approvals.LEAVERS,
            "Graph does not show when the last cycle ended, or how often one runs; removals "
            "not yet exported would be lost",
        )
    if job.interval > timedelta(days=30):
        return None
    took = last.ended - last.began if last.ended and last.began else timedelta(0)
    late = max(STALE_AFTER_INTERVALS * max(job.interval, took), LATE_AT_LEAST)
    if job.read_at - max(ends) <= late:
        return None
    return _ask(
        approvals.LEAVERS,
        f"the last cycle ended at {_at(max(ends))}, over {STALE_AFTER_INTERVALS} intervals "
        "ago; removals not yet exported would be lost",
    )
