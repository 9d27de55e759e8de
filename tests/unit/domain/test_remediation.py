"""What the timer would ask for: marks, grace, slots, windows, ids. Pure."""

import hashlib
import json
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain import remediation
from shared.domain.catalogue import Remediate, RemediateScope, Target, parse_catalogue
from shared.domain.errors import SettingsError
from shared.domain.policy import History, Rules
from shared.domain.quarantine import QUARANTINE_RULES, Treatment
from shared.domain.remediation import (
    Candidate,
    Cause,
    Observation,
    Skipped,
    Submit,
    candidates,
    judge,
    observe,
    request_id,
)
from shared.domain.reset import Budget, Fleet, JobObservation, JobRow, Scope
from shared.domain.sync_job import Quarantine, StaleLink, StaleLinks, SyncJob
from tests.support.graph import healthy
from tests.support.world import SP, START, TARGET

JOB = JobRow(target=TARGET)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
PROPORTION = "EncounteredEscrowProportionThreshold"


def entry(**changes: Any) -> Target:
    return Target(**{"service_principal_id": SP, "remediate": Remediate(), **changes})


def quarantined(reason: str = PROPORTION, began: datetime = START) -> SyncJob:
    shown = Quarantine(reason=reason, began=began)
    return replace(healthy(began), code="Quarantine", quarantine=shown)


def seen(
    snapshot: SyncJob,
    target: Target,
    *,
    since: timedelta = timedelta(0),
    job: JobRow = JOB,
) -> Observation:
    """A sight whose mark was first set that long ago."""
    marked = observe(JobObservation(target=TARGET), job, snapshot, target, now=START - since)
    watch = observe(marked, job, snapshot, target, now=START)
    return Observation(alias=TARGET, target=target, job=job, row=watch, snapshot=snapshot)


def due(sight: Observation) -> Candidate | Skipped | None:
    found = list(candidates(sight, now=START))
    assert len(found) <= 1
    return found[0] if found else None


def is_left(found: Candidate | Skipped | None, words: str) -> bool:
    return isinstance(found, Skipped) and words in found.why


# The mark


def test_a_mark_stays_while_the_job_shows_the_same() -> None:
    first = observe(JobObservation(target=TARGET), JOB, quarantined(), entry(), now=START)
    moved = quarantined(began=START + HOUR)
    later = observe(first, JOB, moved, entry(), now=START + HOUR)

    assert (first.since, later.since) == (START, START)
    assert (later.began, later.seen_at) == (START + HOUR, START + HOUR)


@pytest.mark.parametrize(
    "next_seen",
    [healthy(START), quarantined("TooManyDeletes"), replace(quarantined(), code="Active")],
)
def test_a_mark_begins_again_where_the_job_shows_something_else(next_seen: SyncJob) -> None:
    first = observe(JobObservation(target=TARGET), JOB, quarantined(), entry(), now=START)

    assert observe(first, JOB, next_seen, entry(), now=START + HOUR).since == START + HOUR


@pytest.mark.parametrize(
    "changed",
    [entry(service_principal_id="22222222-2222-3333-4444-555555555555"), entry()],
)
def test_what_was_seen_of_another_job_by_the_same_alias_is_forgotten(changed: Target) -> None:
    job = replace(JOB, last_restart_at=START - SECOND)
    first = observe(JobObservation(target=TARGET), job, quarantined(), entry(), now=START)
    there = healthy(START, job_id="another" if changed == entry() else "job-1")

    later = observe(first, job, there, changed, now=START + HOUR)

    assert (first.relapsed_at, later.relapsed_at, later.since) == (START, None, START + HOUR)


@pytest.mark.parametrize(
    ("last", "relapsed"),
    [
        (None, None),
        (START, None),  # it began before the restart, or with it
        (START - SECOND, START),
        (START - 24 * HOUR, START),
        (START - 24 * HOUR - SECOND, None),
    ],
)
def test_a_quarantine_within_a_day_after_a_reset_is_a_relapse(
    last: datetime | None, relapsed: datetime | None
) -> None:
    job = replace(JOB, last_restart_at=last)

    watch = observe(JobObservation(target=TARGET), job, quarantined(), entry(), now=START)

    assert watch.relapsed_at == relapsed
    # And it stays, until a person's approval is later.
    assert observe(watch, job, healthy(START), entry(), now=START + HOUR).relapsed_at == relapsed


# What is due


def test_a_healthy_job_without_a_schedule_needs_nothing() -> None:
    assert due(seen(healthy(START), entry())) is None


@pytest.mark.parametrize(
    ("since", "acts"), [(2 * HOUR - SECOND, False), (2 * HOUR, True), (timedelta(0), False)]
)
def test_a_quarantine_is_acted_on_only_after_the_grace_period(since: timedelta, acts: bool) -> None:
    found = due(seen(quarantined(), entry(), since=since))

    if acts:
        assert isinstance(found, Candidate)
        assert (found.cause, found.scope) == (Cause.QUARANTINE, Scope.QUARANTINE)
        assert PROPORTION in found.reason
    else:
        assert is_left(found, "grace period")


@pytest.mark.parametrize("reason", [*QUARANTINE_RULES, "BrandNewReason", ""])
def test_only_what_a_restart_helps_is_ever_asked_for(reason: str) -> None:
    every = entry(remediate=Remediate(reasons=(*QUARANTINE_RULES, "BrandNewReason", "")))
    found = due(seen(quarantined(reason), every, since=99 * HOUR))
    helps = reason in QUARANTINE_RULES and QUARANTINE_RULES[reason].automatic is Treatment.GO

    assert isinstance(found, Candidate) is helps
    assert helps or is_left(found, reason or "an unknown reason")


@pytest.mark.parametrize("remediate", [None, Remediate(reasons=())])
def test_a_reason_that_the_target_does_not_name_is_left_alone(remediate: Remediate | None) -> None:
    found = due(seen(quarantined(), entry(remediate=remediate), since=99 * HOUR))

    assert is_left(found, "`remediate.reasons`")


def test_a_target_may_have_its_quarantine_cleared_by_a_full_restart() -> None:
    full = entry(remediate=Remediate(scope=RemediateScope.FULL))
    found = due(seen(quarantined(), full, since=2 * HOUR))

    assert isinstance(found, Candidate)
    assert found.scope is Scope.FULL


def test_a_schedule_is_due_in_each_of_its_slots_and_waits_while_in_quarantine() -> None:
    weekly = entry(schedule=timedelta(days=7))
    slot = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(days=7)
    found = due(seen(healthy(START), weekly))
    held = due(seen(quarantined("TooManyDeletes"), weekly, since=99 * HOUR))

    assert isinstance(found, Candidate)
    assert (found.cause, found.key, found.scope) == (Cause.SCHEDULE, str(slot), Scope.QUARANTINE)
    assert "every 7 days" in found.reason
    assert is_left(held, "TooManyDeletes")


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (timedelta(days=1), "every 1 day)"),
        (timedelta(hours=36), "every 36 hours)"),
        (timedelta(minutes=90), "every 90 minutes)"),
        (timedelta(hours=1, seconds=1), "every 1:00:01)"),
    ],
)
def test_a_schedule_is_told_in_words(every: timedelta, words: str) -> None:
    found = due(seen(healthy(START), entry(schedule=every)))

    assert isinstance(found, Candidate)
    assert words in found.reason


@pytest.mark.parametrize("scope", list(RemediateScope))
def test_a_schedule_has_the_scope_that_the_target_says(scope: RemediateScope) -> None:
    target = entry(schedule=HOUR, remediate=Remediate(scope=scope))
    found = due(seen(healthy(START), target))

    assert isinstance(found, Candidate)
    assert found.scope == str(scope)


def links(*users: str, **changes: Any) -> StaleLinks:
    found = tuple(StaleLink(user_id=user, at=START) for user in users)
    return StaleLinks(**{"readable": True, "links": found, **changes})


STALE = entry(remediate=Remediate(stale_links=2))


def test_logs_are_read_only_where_the_target_asks_for_it_and_no_quarantine_stands() -> None:
    assert remediation.reads_logs(seen(healthy(START), entry())) is None
    assert remediation.reads_logs(seen(healthy(START), entry(remediate=None))) is None
    assert remediation.reads_logs(seen(quarantined(), STALE)) is None
    wish = remediation.reads_logs(seen(healthy(START), STALE))
    assert wish is not None
    assert (wish.cause, wish.scope) == (Cause.STALE, Scope.FULL)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (links("a", "b"), "2 users are linked"),
        (links("a", "b", "c", whole=False), "3 or more users are linked"),
        (links("a", "a"), ""),
        (links("a"), ""),
        (links(), ""),
    ],
)
def test_stale_links_count_from_the_set_number_of_distinct_users(
    found: StaleLinks, words: str
) -> None:
    sight = seen(healthy(START), STALE)
    wish = remediation.reads_logs(sight)
    assert wish is not None

    result = remediation.stale(wish, sight, found)

    if words:
        assert isinstance(result, Candidate)
        assert words in result.reason
    else:
        assert is_left(result, "from 2 on")


def test_logs_that_cannot_be_read_say_which_permission_is_missing() -> None:
    sight = seen(healthy(START), STALE)
    wish = remediation.reads_logs(sight)
    assert wish is not None

    assert is_left(remediation.stale(wish, sight, StaleLinks(readable=False)), "ProvisioningLog")


@pytest.mark.parametrize(
    ("last", "since"),
    [
        (None, START - timedelta(days=7)),
        (START - timedelta(days=8), START - timedelta(days=7)),
        (START - timedelta(days=6), START - timedelta(days=6)),
    ],
)
def test_logs_from_before_our_last_restart_are_old(last: datetime | None, since: datetime) -> None:
    sight = seen(healthy(START), STALE, job=replace(JOB, last_restart_at=last))

    assert remediation.logs_since(sight, now=START) == since


# Ids


def wish(cause: Cause = Cause.SCHEDULE, key: str = "1") -> Candidate:
    return Candidate(cause=cause, key=key, scope=Scope.QUARANTINE, reason="because")


def test_an_id_is_its_cause_and_32_digits_over_alias_and_key() -> None:
    sight = seen(healthy(START), entry())
    digest = hashlib.sha256(b"15:salesforce-prod3:123").hexdigest()[:32]

    assert request_id(wish(key="123"), sight, now=START) == f"schedule-{digest}"
    other = replace(sight, alias="other")
    assert request_id(wish(key="123"), other, now=START) != f"schedule-{digest}"


def test_one_quarantine_is_one_request_and_the_next_is_another() -> None:
    def asked(began: datetime) -> str:
        sight = seen(quarantined(began=began), entry(), since=3 * HOUR)
        found = due(sight)
        assert isinstance(found, Candidate)
        return request_id(found, sight, now=START)

    assert asked(START) == asked(START)
    assert asked(START) != asked(START + SECOND)


def test_stale_links_are_one_request_in_a_cooldown_window() -> None:
    sight = seen(healthy(START), STALE)
    day = START.replace(hour=0)

    def asked(now: datetime) -> str:
        return request_id(wish(Cause.STALE), sight, now=now)

    assert asked(day) == asked(day + timedelta(hours=23, minutes=59))
    assert asked(day) != asked(day + timedelta(days=1))
    without = replace(sight, target=entry(cooldown=timedelta(0)))
    assert request_id(wish(Cause.STALE), without, now=START)


# What the policy says of it


def put(
    sight: Observation,
    wanted: Candidate | None = None,
    *,
    fleet: Fleet | None = None,
    budget: Budget | None = None,
    enabled: bool = True,
    job: JobRow = JOB,
) -> Submit | Skipped:
    rules = Rules(catalogue={TARGET: sight.target}, enabled=enabled, daily_budget=2)
    known = History(
        job=job, budget=budget or Budget(), fleet=fleet or Fleet(), observation=sight.row
    )
    found = wanted or due(sight)
    assert isinstance(found, Candidate)
    return judge(found, sight, known, rules, now=START)


def test_what_the_policy_lets_go_is_asked_for() -> None:
    asked = put(seen(quarantined(), entry(), since=3 * HOUR))

    assert isinstance(asked, Submit)
    request = asked.received.request
    assert asked.received.id.startswith("quarantine-")
    assert (request.target, request.scope, request.requested_by, request.dry_run) == (
        TARGET,
        Scope.QUARANTINE,
        "remediate",
        False,
    )
    assert PROPORTION in request.reason


def test_what_the_policy_asks_a_person_for_is_asked_for_and_says_so() -> None:
    always = parse_catalogue(json.dumps({TARGET: {"servicePrincipalId": SP, "approval": "always"}}))
    target = entry(approval=always[TARGET].approval, schedule=HOUR)

    asked = put(seen(healthy(START), target))

    assert isinstance(asked, Submit)
    assert "a person is asked: this target always needs an approval" in asked.why


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"job": replace(JOB, head="other")}, "another reset of this job is under way"),
        ({"job": replace(JOB, last_restart_at=START - HOUR)}, "cooldown"),
        ({"budget": Budget(spent=2)}, "budget of 2"),
        ({"fleet": Fleet(seen=3, quarantined=3)}, "3 of 3 jobs are in quarantine"),
    ],
)
def test_what_the_policy_holds_back_is_left_alone_with_its_id_unused(
    known: dict[str, Any], words: str
) -> None:
    found = put(seen(healthy(START), entry(schedule=HOUR)), **known)

    assert isinstance(found, Skipped)
    assert words in found.why


def test_while_resets_are_switched_off_a_rehearsal_has_an_id_of_its_own() -> None:
    sight = seen(quarantined(), entry(), since=3 * HOUR)
    real, rehearsed = put(sight), put(sight, enabled=False)

    assert isinstance(real, Submit)
    assert isinstance(rehearsed, Submit)
    assert rehearsed.received.id == f"{real.received.id}-dry"
    assert (real.received.request.dry_run, rehearsed.received.request.dry_run) == (False, True)


@pytest.mark.parametrize(
    ("remediate", "words"),
    [
        ({"reasons": ["TooManyDeletes"]}, "one of them is nothing that a timer may clear"),
        ({"reasons": ["EncounteredQuarantineException"]}, "nothing that a timer may clear"),
        ({"reasons": ["Encountered"]}, "use any of EncounteredBaseEscrowThreshold"),
        ({"after": "-PT1H"}, "remediate.after is negative"),
        ({"staleLinks": 0}, "staleLinks"),
    ],
)
def test_a_catalogue_cannot_name_what_no_timer_may_clear(
    remediate: dict[str, Any], words: str
) -> None:
    text = json.dumps({TARGET: {"servicePrincipalId": SP, "remediate": remediate}})

    with pytest.raises(SettingsError, match=words):
        parse_catalogue(text)
