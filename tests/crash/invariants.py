"""What must hold at the end of every life, whatever was broken in it."""

import itertools
from datetime import datetime, timedelta

from shared.domain.catalogue import Remediate
from shared.domain.evidence import load
from shared.domain.reset import ENDED, State
from shared.domain.states import ALLOWED
from shared.domain.transitions import POST_BEGINS_WITHIN
from shared.names import REMEDIATE
from shared.use_cases.decide_reset import REFUSED
from tests.crash.scenarios import COOLDOWN, NEW_ACCOUNT, OLD_ACCOUNT
from tests.support.host import places, resets, target_rows, took_effect, unclear
from tests.support.world import World

SKEW = timedelta(minutes=1)
"""By which the clocks of two processes may differ."""


async def check(world: World, requests: int, *, broken: int = 0) -> None:
    """
    Raise AssertionError naming what does not hold.

    *broken* is how often something was broken: each time at most one place in the budget may be
    spent on a restart that was not sent.
    """
    found = resets(world)
    assert len(found) == requests, f"{len(found)} resets for {requests} requests"
    _nothing_is_left(world)
    _restarts_are_counted(world, requests)
    _budget_counts_what_was_sent(world, broken)
    _no_day_is_over_budget(world)
    _ends_tell_the_truth(world)
    _no_intent_against_the_matrix(world)
    await _audit_is_whole(world)
    await _links_tell_the_truth(world)
    await _each_answer_came_once(world)


async def _links_tell_the_truth(world: World) -> None:
    """A look-up that fails delays a reset, and takes nothing from what its user is told."""
    for x in resets(world):
        # Looking from outside: no I/O of the life, and none that may be broken.
        links = await world.links_of(x.id)
        if not x.subjects or x.outcome not in {"completed", "previewed"}:
            continue
        found = [(link.before, link.verdict, link.after) for link in links]
        if x.state is State.PREVIEWED:
            true = {(OLD_ACCOUNT, "", ""), (NEW_ACCOUNT, "", "")}
        else:
            # Whose own restart was a second one meets what the first has done.
            relinked = (OLD_ACCOUNT, "relinked", NEW_ACCOUNT)
            true = {relinked, (NEW_ACCOUNT, "still_linked", NEW_ACCOUNT)}
        assert len(found) == len(x.subjects), f"{x.id} {x.state}: {found}"
        assert set(found) <= true, f"{x.id} {x.state}: {found}"


def _nothing_is_left(world: World) -> None:
    states = [(x.id, str(x.state)) for x in resets(world)]
    assert all(x.state in ENDED for x in resets(world)), states
    assert target_rows(world, "due:") == [], "due rows of ended resets"
    for name, queue in world.storage.queues.items():
        assert queue.messages == {}, f"messages on {name}"
    job = world.storage.resets.cells.get(("salesforce-prod", "job"))
    assert job is None or job[0]["Head"] == "", "a Head that has ended"
    assert world.unreadable() == []


def _restarts_are_counted(world: World, requests: int) -> None:
    graph = world.graph
    assert len(graph.restarts) <= requests, "more restarts than requests"
    last_effective = None
    for (at, effective), (client_id, _) in zip(graph.post_times, graph.posts, strict=True):
        if last_effective is not None and at - last_effective < COOLDOWN - SKEW:
            free = last_effective + COOLDOWN - 2 * SKEW
            assert _lifted(world, client_id, free), "a POST after one that took effect"
        last_effective = at if effective else last_effective


def _lifted(world: World, client_id: str, free: datetime) -> bool:
    """
    Whether a person let this very restart go before the cooldown ended.

    The row keeps the client-request-id of its last intent alone.
    """
    found = resets(world)
    by = [x for x in found if x.client_request_id == client_id] or found
    return any(x.cooldown_lifted_until and x.cooldown_lifted_until >= free for x in by)


def _no_day_is_over_budget(world: World) -> None:
    if any(x.budget_lifted_until for x in resets(world)):
        return
    cells = world.storage.resets.cells
    for key in cells:
        spent = str(cells[key][0]["Spent"]).split() if key[0] == "budget" else []
        assert len(spent) <= world.settings.daily_budget, f"{key[1]}: over the budget"


def _budget_counts_what_was_sent(world: World, broken: int) -> None:
    spent, restarts = places(world), took_effect(world)
    assert spent >= restarts, f"{restarts} restarts sent, and {spent} places spent"
    most = restarts + unclear(world) + broken
    assert spent <= most, f"{spent} places spent, at most {most} restarts were sent"
    for at_crash, then in world.spent_at_crashes:
        assert at_crash <= then + 1, f"{at_crash} places spent for {then} restarts at a crash"


def _ends_tell_the_truth(world: World) -> None:
    by_id = {x.id: x for x in resets(world)}
    effective = {client_id for client_id, took in world.graph.posts if took}
    for x in by_id.values():
        sent = x.client_request_id in effective
        if x.state is State.COMPLETED:
            assert sent, f"{x.id} completed without a restart"
        if x.outcome == "rejected by Graph":
            assert not sent, f"{x.id} failed although its restart took effect"
        if x.state in {State.REFUSED, State.EXPIRED, State.CANCELLED, State.REJECTED}:
            assert not sent, f"{x.id} is {x.state} although its restart took effect"
        if x.state is State.JOINED:
            leader = by_id[x.leader]
            assert leader.sent_at is not None
            # SentAt is taken before the intent is written; a write held up for longer than the
            # POST may wait is not a restart, and its number was not there yet for x to see.
            if leader.state is State.COMPLETED:
                begun_by = leader.sent_at + POST_BEGINS_WITHIN + SKEW
                assert begun_by >= x.requested_at, f"{x.id} joined an older restart"
            assert leader.number is not None
            assert x.seen_number is not None
            assert leader.number > x.seen_number, f"{x.id} joined a restart that it saw"
            assert leader.outcome == x.outcome


def _no_intent_against_the_matrix(world: World) -> None:
    """Whatever was sent: the job, as it was read for it, was in no quarantine that forbids it."""
    for x in resets(world):
        before = load(x.before) if x.number is not None else None
        if before is None or before.quarantine is None or before.read_at != x.snapshot_at:
            # Of another moment than the intent: as it was shown to a person who was asked.
            continue
        reason = before.quarantine.reason
        assert reason != "EncounteredQuarantineException" or x.approved, f"{x.id}: credentials"
        assert reason != "TooManyDeletes" or x.approver_signed_in, f"{x.id}: mass deletion"
        assert x.via != REMEDIATE or reason in ALLOWED_REASONS, f"{x.id}: {reason} by a machine"


ALLOWED_REASONS = Remediate().reasons


async def _audit_is_whole(world: World) -> None:
    for x in resets(world):
        events = await world.events(x.id)
        assert [e.sequence for e in events] == list(range(1, x.sequence + 1)), "a hole in the audit"
        # Neither an answer that was given up nor a decision that did not count is a transition.
        told = [
            e
            for e in events
            if "undeliverable" not in e.detail and not e.detail.startswith(REFUSED)
        ]
        assert (told[-1].state, told[-1].detail) == (x.state, x.detail)
        for one, other in itertools.pairwise(events):
            allowed = ALLOWED[one.state] | {one.state}
            assert other.state in allowed, f"{one.state} -> {other.state} in the audit"
            assert one.at <= other.at + SKEW, "the audit is out of order"


async def _each_answer_came_once(world: World) -> None:
    told = [(a.id, a.n) for a in world.desk.delivered]
    assert len(told) == len(set(told)), f"an answer came twice: {told}"
    kinds = world.told()
    for x in resets(world):
        given_up = [e.detail for e in await world.events(x.id) if "undeliverable" in e.detail]
        for kind in ("accepted", "end"):
            unheard = sum(f"({kind})" in detail for detail in given_up)
            # Delivered, the ticket system's own answer lost, and given up after a day: both.
            heard = kinds.count((x.id, kind))
            assert heard <= 1, f"{x.id} heard {kind} twice"
            assert heard + unheard >= 1, f"{x.id} never heard {kind}"
