"""
What the timer `remediate` would ask for, from what it saw of a job. Pure: no clock, no I/O.

`look` marks; `wishes` says what is due by the mark, the slot or the logs; `judge` puts it to the
policy, so that only what it lets go or puts to a person is asked for. Refused and waiting wishes
are left alone, and come up again at the next tick, with their id still unused.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain import policy, quarantine
from shared.domain.catalogue import Remediate, Target
from shared.domain.policy import History, Rules
from shared.domain.quarantine import Treatment
from shared.domain.requests import Received, ResetRequest
from shared.domain.reset import JobObservation, JobRow, Reset, Scope
from shared.domain.sync_job import StaleLinks, SyncJob
from shared.names import REMEDIATE

LOGS_REACH_BACK: Final = timedelta(days=7)
"""What a tenant without a premium licence keeps of its provisioning logs."""

SHORTEST_WINDOW: Final = timedelta(hours=1)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Cause(StrEnum):
    """Why something is asked for; the first part of its id."""

    QUARANTINE = "quarantine"
    SCHEDULE = "schedule"
    STALE = "stale"


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A target as one tick saw it; `watch` is the row after this look."""

    alias: str
    target: Target
    job: JobRow
    watch: JobObservation
    snapshot: SyncJob


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What is due; `key` is the slot, currentBegan or cooldown window that makes it one request."""

    cause: Cause
    key: str
    scope: Scope
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit:
    """What is to be submitted; `why` adds what the policy said where it asks a person."""

    received: Received
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """What is left alone, and why: for the log, and for `make plan`."""

    cause: Cause
    why: str


def look(
    before: JobObservation, job: JobRow, snapshot: SyncJob, target: Target, *, now: datetime
) -> JobObservation:
    """Return the watch row after this look: the mark stays while the job shows the same."""
    there = (target.service_principal_id, snapshot.id)
    if (before.service_principal_id, before.job_id) != there:
        # Another job by the same alias: what was seen says nothing of this one.
        before = JobObservation(target=before.target)
    quarantined = policy.in_quarantine(snapshot)
    reason = snapshot.quarantine.reason if snapshot.quarantine is not None else ""
    began = snapshot.quarantine.began if snapshot.quarantine is not None else None
    same = (before.code, before.quarantined, before.reason) == (snapshot.code, quarantined, reason)
    series = snapshot.quarantine.series_began if snapshot.quarantine is not None else None
    if series is not None and before.seen_at is not None and series > before.seen_at:
        # Another quarantine, which began where nobody looked.
        same = False
    return replace(
        before,
        service_principal_id=target.service_principal_id,
        job_id=snapshot.id,
        code=snapshot.code,
        quarantined=quarantined,
        reason=reason,
        began=began,
        since=before.since if same and before.since is not None else now,
        seen_at=now,
        relapsed_at=began if policy.relapsed(began, job) else before.relapsed_at,
    )


def wishes(sight: Observation, *, now: datetime) -> Iterator[Candidate | Skipped]:
    """What is due by what the job shows and by the clock, the most urgent first."""
    if sight.watch.quarantined:
        # Until that is over nothing else is: a full restart would clear it by the way.
        yield _clearing(sight, now)
        return
    every = sight.target.schedule
    if every is not None:
        yield Candidate(
            cause=Cause.SCHEDULE,
            key=str((now - _EPOCH) // every),
            scope=_scope(sight.target.remediate),
            reason=f"the periodic restart of this target (every {_in_words(every)})",
        )


def _clearing(sight: Observation, now: datetime) -> Candidate | Skipped:
    watch, remediate = sight.watch, sight.target.remediate
    line = quarantine.line(watch.reason)
    words = f"the job is in quarantine ({watch.reason or 'an unknown reason'})"
    since = watch.since or now

    def left(why: str) -> Skipped:
        return Skipped(cause=Cause.QUARANTINE, why=why)

    if line.automatic is not Treatment.GO:
        return left(f"{words}: {line.why}")
    if remediate is None or watch.reason not in remediate.reasons:
        return left(f"{words}, which `remediate.reasons` of this target does not name")
    if now - since < remediate.after:
        return left(
            f"{words}, first seen at {since:%Y-%m-%d %H:%M} UTC; it is looked at again after the "
            "grace period (`remediate.after`)"
        )
    return Candidate(
        cause=Cause.QUARANTINE,
        key=(watch.began or since).astimezone(UTC).isoformat(),
        scope=_scope(remediate),
        reason=f"{words}, first seen at {since:%Y-%m-%d %H:%M} UTC: {line.why}",
    )


def reads_logs(sight: Observation) -> Candidate | None:
    """The wish that the provisioning logs may turn out to grant, where it is worth reading them."""
    remediate = sight.target.remediate
    if remediate is None or remediate.stale_links is None or sight.watch.quarantined:
        return None
    return Candidate(
        cause=Cause.STALE,
        key="",
        scope=Scope.FULL,
        reason=f"links to accounts that no longer exist, of {remediate.stale_links} users or more",
    )


def logs_since(sight: Observation, *, now: datetime) -> datetime:
    """What lies before our last restart has been evaluated anew since."""
    back = now - LOGS_REACH_BACK
    return max(back, sight.job.last_restart_at or back)


def stale(wish: Candidate, sight: Observation, links: StaleLinks) -> Candidate | Skipped:
    """The same wish with what the logs showed; left alone where that is too little."""
    remediate = sight.target.remediate
    least = remediate.stale_links if remediate is not None else None
    if not links.readable:
        return Skipped(
            cause=Cause.STALE,
            why="the provisioning logs cannot be read: the app's identity needs "
            "ProvisioningLog.Read.All on Microsoft Graph",
        )
    users = {link.user_id for link in links.links}
    if least is None or len(users) < least:
        return Skipped(
            cause=Cause.STALE,
            why=f"{len(users)} users with a link to an account that no longer exists; a full "
            f"restart is asked for from {least} on (`remediate.staleLinks`)",
        )
    more = "" if links.whole else " or more"
    return replace(
        wish,
        reason=f"{len(users)}{more} users are linked to accounts that no longer exist "
        "(InvalidAnchor in the provisioning logs); only a full restart breaks these links",
    )


def judge(
    wish: Candidate, sight: Observation, history: History, rules: Rules, *, now: datetime
) -> Submit | Skipped:
    """
    Put it to the policy, as if it were accepted now.

    While resets are switched off it is judged as if they were on, and asked for as a dry run
    under an id of its own, so that the real one can still come in the same slot.
    """
    rehearsed = not rules.enabled
    reset = _as_reset(wish, sight, now)
    decision = policy.decide(reset, sight.snapshot, history, replace(rules, enabled=True), now=now)
    match decision:
        case policy.Go():
            why = wish.reason
        case policy.Ask():
            why = f"{wish.reason}; a person is asked: {decision.reason}"
        case policy.Wait() | policy.Refuse():
            return Skipped(cause=wish.cause, why=decision.reason)
    return Submit(received=received(wish, sight, now=now, dry_run=rehearsed), why=why)


def received(wish: Candidate, sight: Observation, *, now: datetime, dry_run: bool) -> Received:
    """The request, under the id that makes it one however often it is asked for."""
    return Received(
        id=request_id(wish, sight, now=now) + ("-dry" if dry_run else ""),
        request=ResetRequest(
            target=sight.alias,
            scope=wish.scope,
            reason=wish.reason[:1000],
            requested_by=REMEDIATE,
            dry_run=dry_run,
        ),
    )


def request_id(wish: Candidate, sight: Observation, *, now: datetime) -> str:
    """Cause, and 32 hex digits of SHA-256 over alias and key (for stale links: the window)."""
    window = max(sight.target.cooldown, SHORTEST_WINDOW)
    key = str((now - _EPOCH) // window) if wish.cause is Cause.STALE else wish.key
    # Length-prefixed, as `requests.derived_id` is.
    text = "".join(f"{len(part)}:{part}" for part in (sight.alias, key))
    return f"{wish.cause}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _as_reset(wish: Candidate, sight: Observation, now: datetime) -> Reset:
    return Reset(
        id=request_id(wish, sight, now=now),
        target=sight.alias,
        requested_at=now,
        service_principal_id=sight.target.service_principal_id,
        job_id=sight.target.job_id,
        scope=wish.scope,
        requested_by=REMEDIATE,
        via=REMEDIATE,
        reason=wish.reason,
        seen_number=sight.job.number,
    )


def _scope(remediate: Remediate | None) -> Scope:
    """`quarantine` unless the target says otherwise: it is the portal's restart, links survive."""
    return Scope(str(remediate.scope)) if remediate is not None else Scope.QUARANTINE


def _in_words(span: timedelta) -> str:
    units = (
        (timedelta(days=1), "day"),
        (timedelta(hours=1), "hour"),
        (timedelta(minutes=1), "minute"),
    )
    for unit, name in units:
        if span % unit == timedelta(0):
            count = span // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return str(span)
