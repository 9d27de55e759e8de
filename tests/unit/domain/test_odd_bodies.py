"""
A body of Graph with members missing, null, of another type or unknown, put to the policy.

Whatever is wrong with it: where the same body, read right, would put a restart to a person or
refuse it, the odd one does not let it go.
"""

import copy
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.graph.jobs import job_of
from shared.domain import approvals, policy
from shared.domain.approvals import Approval
from shared.domain.catalogue import Remediate, Target
from shared.domain.errors import FateUnknown
from shared.domain.policy import Ask, Go, History, Refuse, Rules, Ruling
from shared.domain.quarantine import QUARANTINE_RULES, RESTART_HELPS
from shared.domain.reset import Budget, Fleet, JobObservation, JobRow, Reset, Scope
from shared.names import REMEDIATE
from tests.support.stub_graph import ODD, REAL, sample
from tests.support.world import SP, TARGET

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ENTRY = Target(
    service_principal_id=SP,
    job_id="",
    cooldown=timedelta(hours=1),
    approve_above=40,
    remediate=Remediate(reasons=tuple(RESTART_HELPS), after=timedelta(0)),
)
RULES = Rules(catalogue={TARGET: ENTRY}, enabled=True, daily_budget=10)
BASES = [
    *(sample(REAL, name) for name in ("01", "02", "03", "05", "07", "11")),
    *(sample(ODD, name) for name in ("01", "15-job-before", "22", "23", "25", "26", "32")),
]
QUARANTINE = {
    "currentBegan": "2026-11-24T06:00:00Z",
    "seriesBegan": "2026-11-24T06:00:00Z",
    "nextAttempt": "0001-01-01T00:00:00Z",
    "seriesCount": 1,
    "error": {"code": "X", "message": "y", "tenantActionable": True},
}
WRONG = [None, "", "Weird", 3, 1.5, True, [], {}, ["x"], {"x": 1}, "12/31/9999 11:59:59 PM", ...]
WRONG_COUNTS = [value for value in WRONG if value != 3 or isinstance(value, bool)]


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for name, each in inner:
        found.append((*so_far, name))
        if isinstance(each, dict | list):
            found += paths(each, (*so_far, name))
    return found


def broken(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    at = changed
    for name in path[:-1]:
        at = at[name]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Any, Any]:
    """A body as it should be, and with one or two of its members gone wrong."""
    right = copy.deepcopy(draw(st.sampled_from(BASES)))
    if draw(st.booleans()):
        reason = draw(st.sampled_from([*QUARANTINE_RULES]))
        right["status"] |= {"code": "Quarantine", "quarantine": {**QUARANTINE, "reason": reason}}
    wrong = right
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(wrong)))
        values = WRONG_COUNTS if path[-1] == "value" else WRONG
        wrong = broken(wrong, path, draw(st.sampled_from(values)))
    return right, wrong


def ruled(body: Any, reset: Reset, history: History) -> Ruling | None:
    try:
        job = job_of(body, read_at=NOW)
    except FateUnknown:
        # It is read again later.
        return None
    return policy.decide(reset, job, history, RULES, now=NOW)


RESETS = st.builds(
    lambda via, scope: Reset(
        id="quarantine-1" if via == REMEDIATE else "r1",
        target=TARGET,
        requested_at=NOW,
        service_principal_id=SP,
        scope=scope,
        via=via,
    ),
    st.sampled_from(["queue", REMEDIATE]),
    st.sampled_from([Scope.FULL, Scope.QUARANTINE]),
)
RESTARTED = st.none() | st.sampled_from(
    [NOW - timedelta(hours=4), NOW - timedelta(hours=30), NOW - timedelta(days=9)]
)


@settings(max_examples=600, deadline=None)
@given(bodies(), RESETS, RESTARTED)
def test_an_odd_body_lets_nothing_go_that_the_right_one_holds_back(
    body: tuple[Any, Any], reset: Reset, restarted: datetime | None
) -> None:
    right, wrong = body
    job = JobRow(target=TARGET, last_restart_at=restarted)
    watch = JobObservation(target=TARGET)
    history = History(job=job, budget=Budget(), fleet=Fleet(), observation=watch)

    if isinstance(ruled(right, reset, history), Ask | Refuse):
        assert not isinstance(ruled(wrong, reset, history), Go)


def approved_as_shown(reset: Reset, body: Any, history: History) -> Reset:
    """Two persons approve whatever is asked about this body, as often as anything is."""
    given_: list[Approval] = []
    for _ in range(2):
        ruling = ruled(body, reset, history)
        if not isinstance(ruling, Ask):
            return reset
        keys = tuple(each.key for each in ruling.questions)
        seen = approvals.shown(job_of(body, read_at=NOW))
        given_ += [
            Approval(by=who, at=NOW, reasons=keys, seen=seen, object_id=who, tenant_id="t")
            for who in ("ann", "bob")
        ]
        reset = replace(reset, approved=True, approvals=approvals.dump(given_))
    return reset


@st.composite
def earlier(draw: st.DrawFn, body: Any) -> Any:
    """The body as it may have been when persons approved."""
    was = copy.deepcopy(body)
    reason = draw(st.sampled_from(["as it is", "none", *QUARANTINE_RULES]))
    if reason == "none":
        was["status"] |= {"code": "Active", "quarantine": None}
    elif reason != "as it is":
        was["status"] |= {"code": "Quarantine", "quarantine": {**QUARANTINE, "reason": reason}}
    counts = draw(st.sampled_from([None, 1, 41, 10**6]))
    if counts is not None:
        was["status"]["synchronizedEntryCountByType"] = [{"key": "User to User", "value": counts}]
    return was


@settings(max_examples=600, deadline=None)
@given(st.data(), bodies(), RESETS, RESTARTED)
def test_an_approval_lets_no_odd_body_go_where_it_does_not_open_the_right_one(
    data: st.DataObject, body: tuple[Any, Any], reset: Reset, restarted: datetime | None
) -> None:
    right, wrong = body
    job = JobRow(target=TARGET, last_restart_at=restarted)
    watch = JobObservation(target=TARGET)
    history = History(job=job, budget=Budget(), fleet=Fleet(), observation=watch)
    approved = approved_as_shown(reset, data.draw(earlier(right)), history)

    if isinstance(ruled(right, approved, history), Ask | Refuse):
        assert not isinstance(ruled(wrong, approved, history), Go)


@settings(max_examples=300, deadline=None)
@given(bodies(), RESETS)
def test_an_approval_of_an_odd_body_opens_nothing_that_it_did_not_show(
    body: tuple[Any, Any], reset: Reset
) -> None:
    right, wrong = body
    watch = JobObservation(target=TARGET)
    history = History(job=JobRow(target=TARGET), budget=Budget(), fleet=Fleet(), observation=watch)
    shown, due = ruled(wrong, reset, history), ruled(right, reset, history)
    approved = approved_as_shown(reset, wrong, history)

    if isinstance(ruled(right, approved, history), Go) and isinstance(due, Ask):
        assert isinstance(shown, Ask)
        assert {each.key for each in due.questions} <= {each.key for each in shown.questions}


def test_the_right_bodies_are_held_back_and_let_go_in_both_ways() -> None:
    reset = Reset(id="r1", target=TARGET, requested_at=NOW, service_principal_id=SP)
    history = History(
        job=JobRow(target=TARGET),
        budget=Budget(),
        fleet=Fleet(),
        observation=JobObservation(target=TARGET),
    )
    lenient = replace(RULES, catalogue={TARGET: Target(service_principal_id=SP)})
    kinds = {
        type(policy.decide(reset, job_of(body, read_at=NOW), history, lenient, now=NOW))
        for body in BASES
    }

    assert {Go, Ask} <= kinds
