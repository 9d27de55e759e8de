"""
Decide what the timer `remediate` submits, from what it saw of a job. Pure: no clock, no I/O.

`observe` gives the observation row; `candidates` yields what is due by the observation or the
slot; `judge` puts a candidate to the policy. Only what the policy lets go, or puts to a person, is
submitted. Refused and waiting candidates are skipped, and come up again at the next tick, with
their id still unused.
"""

import hashlib
from collections.abc import Iterator
from copy import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

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

NOTED_AGAIN_AFTER: Final = timedelta(hours=1)
"""An observation that shows nothing new is written so seldom."""

_NOT_GRANTED: Final = "the app's identity needs ProvisioningLog.Read.All on Microsoft Graph"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Cause(StrEnum):
    """Why something is asked for; the first part of its id."""

    QUARANTINE = "quarantine"
    SCHEDULE = "schedule"
    STALE = "stale"


class Observation(Struct, frozen=True, kw_only=True):
    """A target as one tick saw it; `row` is the observation row after it."""

    alias: str
    target: Target
    job: JobRow
    row: JobObservation
    snapshot: SyncJob


class Candidate(Struct, frozen=True, kw_only=True):
    """What is due; `key` is the slot, seriesBegan or cooldown window that makes it one request."""

    cause: Cause
    key: str
    scope: Scope
    reason: str


class Submit(Struct, frozen=True, kw_only=True):
    """What is to be submitted; `why` adds what the policy said where it asks a person."""

    received: Received
    why: str


class Skipped(Struct, frozen=True, kw_only=True):
    """What is left alone, and why: for the log, and for `make plan`."""

    cause: Cause
    why: str


def observe(
    before: JobObservation, job: JobRow, snapshot: SyncJob, target: Target, *, now: datetime
) -> JobObservation:
    """Return the observation row as of now; `since` stays while the job shows the same."""
    there = (target.service_principal_id, snapshot.id)
    if (before.service_principal_id, before.job_id) != there:
        # Another job by the same alias: what was seen says nothing of this one.
        before = JobObservation(target=before.target)
    quarantined = policy.in_quarantine(snapshot)
    reason = snapshot.quarantine.reason if snapshot.quarantine is not None else ""
    began = snapshot.quarantine.began if snapshot.quarantine is not None else None
    same = (before.code, before.quarantined, before.reason) == (snapshot.code, quarantined, reason)
    series = snapshot.quarantine.series_began if snapshot.quarantine is not None else None
    relapsed = policy.relapsed(snapshot, _row_of(job, snapshot))
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
        series_began=series,
        since=before.since if same and before.since is not None else now,
        seen_at=now,
        relapsed_at=relapsed or before.relapsed_at,
    )


def is_news(before: JobObservation, after: JobObservation) -> bool:
    """Whether it is worth a write: something has changed, or the row would seem old."""
    if before.seen_at is None or after.seen_at is None:
        return True
    if after.seen_at - before.seen_at >= NOTED_AGAIN_AFTER:
        return True
    return after != replace(before, seen_at=after.seen_at)


def concerns(snapshot: SyncJob, target: Target) -> bool:
    """Whether anything may be due: by what the job shows, by the clock, or by the logs."""
    remediate = target.remediate
    logs = remediate is not None and remediate.stale_links is not None
    return policy.in_quarantine(snapshot) or target.schedule is not None or logs


def _row_of(job: JobRow, snapshot: SyncJob) -> JobRow:
    """What the job row knows of the job as read; nothing where it speaks of another."""
    if job.last_job_id in {"", snapshot.id}:
        return job
    return JobRow(target=job.target, number=job.number)


def candidates(observation: Observation, *, now: datetime) -> Iterator[Candidate | Skipped]:
    """What is due by what the job shows and by the clock, the most urgent first."""
    if observation.row.quarantined:
        # Until that is over nothing else is: a full restart would clear it by the way.
        yield _clearing(observation, now)
        return
    every = observation.target.schedule
    if every is not None:
        yield Candidate(
            cause=Cause.SCHEDULE,
            key=str((now - _EPOCH) // every),
            scope=_scope(observation.target.remediate),
            reason=f"the periodic restart of this target (every {_in_words(every)})",
        )


def _clearing(observation: Observation, now: datetime) -> Candidate | Skipped:
    row, remediate = observation.row, observation.target.remediate
    line = quarantine.line(row.reason)
    words = f"the job is in quarantine ({row.reason or 'an unknown reason'})"
    told = quarantine.told(observation.snapshot.quarantine)
    since = row.since or now

    def left(why: str) -> Skipped:
        return Skipped(cause=Cause.QUARANTINE, why=why)

    if line.automatic is not Treatment.GO:
        return left(told)
    if remediate is None or not quarantine.named_in(row.reason, remediate.reasons):
        return left(f"{words}, which `remediate.reasons` of this target does not name")
    if now - since < remediate.after:
        return left(
            f"{words}, first seen at {since:%Y-%m-%d %H:%M} UTC; it is looked at again after the "
            "grace period (`remediate.after`)"
        )
    return Candidate(
        cause=Cause.QUARANTINE,
        # The whole series, not the last time that it was imposed: a person's No holds for it.
        key=(row.series_began or row.began or since).astimezone(UTC).isoformat(),
        scope=_scope(remediate),
        reason=f"{told}; first seen at {since:%Y-%m-%d %H:%M} UTC",
    )


def reads_logs(observation: Observation) -> Candidate | None:
    """The candidate that the provisioning logs may confirm, where it is worth reading them."""
    remediate = observation.target.remediate
    if remediate is None or remediate.stale_links is None or observation.row.quarantined:
        return None
    return Candidate(
        cause=Cause.STALE,
        key="",
        scope=Scope.FULL,
        reason=f"links to accounts that no longer exist, of {remediate.stale_links} users or more",
    )


def logs_since(observation: Observation, *, now: datetime) -> datetime:
    """What lies before our last restart has been evaluated again since."""
    back = now - LOGS_REACH_BACK
    return max(back, _row_of(observation.job, observation.snapshot).last_restart_at or back)


def stale(candidate: Candidate, observation: Observation, links: StaleLinks) -> Candidate | Skipped:
    """The same candidate with what the logs showed; skipped where that is too little."""
    remediate = observation.target.remediate
    least = remediate.stale_links if remediate is not None else None
    if not links.readable:
        return Skipped(
            cause=Cause.STALE,
            why=f"the provisioning logs cannot be read: {links.why or _NOT_GRANTED}",
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
        candidate,
        reason=f"{len(users)}{more} users are linked to accounts that no longer exist "
        "(InvalidAnchor in the provisioning logs); only a full restart breaks these links",
    )


def judge(
    candidate: Candidate, observation: Observation, history: History, rules: Rules, *, now: datetime
) -> Submit | Skipped:
    """
    Put it to the policy, as if it were accepted now.

    While resets are switched off it is judged as if they were on, and asked for as a dry run
    under an id of its own, so that the real one can still come in the same slot.
    """
    rehearsed = not rules.enabled
    reset = _as_reset(candidate, observation, now)
    decision = policy.decide(
        reset, observation.snapshot, history, replace(rules, enabled=True), now=now
    )
    match decision:
        case policy.Go():
            why = candidate.reason
        case policy.Ask():
            why = f"{candidate.reason}; a person is asked: {decision.reason}"
        case policy.Wait() | policy.Refuse():
            return Skipped(cause=candidate.cause, why=decision.reason)
    return Submit(received=received(candidate, observation, now=now, dry_run=rehearsed), why=why)


def received(
    candidate: Candidate, observation: Observation, *, now: datetime, dry_run: bool
) -> Received:
    """The request, under the id that makes it one however often it is asked for."""
    return Received(
        id=request_id(candidate, observation, now=now) + ("-dry" if dry_run else ""),
        request=ResetRequest(
            target=observation.alias,
            scope=candidate.scope,
            reason=candidate.reason[:1000],
            requested_by=REMEDIATE,
            dry_run=dry_run,
        ),
    )


def request_id(candidate: Candidate, observation: Observation, *, now: datetime) -> str:
    """Cause, and 32 hex digits of SHA-256 over alias and key (for stale links: the window)."""
    window = max(observation.target.cooldown, SHORTEST_WINDOW)
    key = str((now - _EPOCH) // window) if candidate.cause is Cause.STALE else candidate.key
    # Length-prefixed, as `requests.derived_id` is.
    text = "".join(f"{len(part)}:{part}" for part in (observation.alias, key))
    return f"{candidate.cause}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _as_reset(candidate: Candidate, observation: Observation, now: datetime) -> Reset:
    return Reset(
        id=request_id(candidate, observation, now=now),
        target=observation.alias,
        requested_at=now,
        service_principal_id=observation.target.service_principal_id,
        job_id=observation.target.job_id,
        scope=candidate.scope,
        requested_by=REMEDIATE,
        via=REMEDIATE,
        reason=candidate.reason,
        seen_number=observation.job.number,
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
