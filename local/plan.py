"""Shows what the policy would do now for every target of the catalogue, and why (`make plan`)."""

import json
from collections.abc import Iterator
from typing import Any, Final

from local.folding import note
from local.planning import Planner, Plans, TargetPlan
from local.screen import Records, Screen
from local.session import (
    Progress,
    job_document,
    open_graph,
    open_store,
    size_of,
    state_of,
)
from shared.bootstrap import utc_now
from shared.config import Settings
from shared.domain.errors import Rejected
from shared.domain.policy import Ask, Go, Refuse, Ruling, Wait
from shared.domain.remediation import Skipped, Submit

HEADER: Final = ("TARGET", "JOB", "ENTRIES", "ASKED BY", "WOULD", "WHY")

REQUEST: Final = "a request"
TIMER: Final = "the timer"


def words(decision: Ruling) -> tuple[str, str]:
    """What would become of a request, and why."""
    match decision:
        case Go():
            return "be sent", "nothing stands against it"
        case Wait():
            return "wait", decision.reason
        case Ask():
            return "ask a person", decision.reason
        case Refuse():
            return "be refused", decision.reason


def timer_words(found: Submit | Skipped) -> tuple[str, str]:
    """What the timer would do, and why."""
    if isinstance(found, Skipped):
        return "ask for nothing", f"{found.cause}: {found.why}"
    request = found.received.request
    rehearsal = " (a dry run)" if request.dry_run else ""
    return f"ask for a {request.scope} restart{rehearsal}", found.why


def as_records(plans: Plans) -> Records:
    rows = [row for plan in plans.targets for row in _rows(plan)]
    return Records(header=HEADER, rows=rows, states=frozenset({"JOB", "WOULD"}))


def _rows(plan: TargetPlan) -> Iterator[tuple[str, ...]]:
    job = state_of(plan.job) if plan.job else "cannot be read"
    first, *others = map(words, plan.request)
    yield (plan.alias, job, size_of(plan.job) if plan.job else "", REQUEST, *first)
    for what, why in others:
        yield ("", "", "", "", f"then {what}", why)
    for what, why in map(timer_words, plan.timer):
        yield ("", "", "", TIMER, what, why)


def as_json(plans: Plans) -> str:
    document = {
        "at": plans.at.isoformat(),
        "rows": {"read": not plans.rows_unread, "why": plans.rows_unread},
        "targets": [_target(plan) for plan in plans.targets],
        "warnings": list(plans.warnings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _target(plan: TargetPlan) -> dict[str, Any]:
    job = plan.job
    return {
        "target": plan.alias,
        "servicePrincipalId": plan.target.service_principal_id,
        "jobId": job.id if job else plan.target.job_id,
        "job": job_document(job) if job else None,
        "request": [_decision(decision) for decision in plan.request],
        "timer": [_wish(found) for found in plan.timer],
    }


def _wish(found: Submit | Skipped) -> dict[str, Any]:
    if isinstance(found, Skipped):
        return {"does": "nothing", "cause": found.cause, "why": found.why}
    request = found.received.request
    return {
        "does": "ask",
        "id": found.received.id,
        "scope": request.scope,
        "dryRun": request.dry_run,
        "why": found.why,
    }


def _decision(decision: Ruling) -> dict[str, Any]:
    found: dict[str, Any] = {"decision": type(decision).__name__.lower()}
    if not isinstance(decision, Go):
        found["reason"] = decision.reason
    if isinstance(decision, Wait):
        found["until"] = decision.until.isoformat()
    return found


async def plan(settings: Settings, *, screen: Screen, machine: bool) -> None:
    async with open_graph(settings) as graph, open_store(settings) as store:
        planner = Planner(store=store, graph=graph, settings=settings, clock=utc_now)
        plans = await planner.plan(progress=Progress("targets looked at"))
    _raise_if_blind(plans)
    print(as_json(plans) if machine else as_records(plans).shown(screen))
    if plans.rows_unread:
        note(f"Cooldowns, the budget and resets under way were not looked at: {plans.rows_unread}")
    for warning in plans.warnings:
        note(f"Approvals: {warning}")


def _raise_if_blind(plans: Plans) -> None:
    """Where no job can be read for one cause, that cause is the answer, and no table."""
    errors = [plan.error for plan in plans.targets if plan.error is not None]
    ids_wrong = any(
        isinstance(error, Rejected) and error.status not in {401, 403} for error in errors
    )
    if len(errors) == len(plans.targets) and not ids_wrong:
        raise errors[0]
