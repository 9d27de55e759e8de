"""Lives of resets: what happens from outside, and to how many requests."""

import json
from collections.abc import Awaitable, Callable
from copy import replace
from dataclasses import dataclass
from datetime import timedelta

from shared.adapters.table_store import TableStore
from shared.domain.links import ProvisioningEntry
from shared.domain.reset import State
from shared.domain.states import transition
from shared.domain.sync_job import AuditTrail, StaleLink, StaleLinks
from shared.domain.transitions import StateMachine
from shared.names import RESETS_QUEUE
from shared.use_cases.advance import Engine
from tests.support import world as ordinary
from tests.support.faults import Faults
from tests.support.host import Host, resets, waits_for_person
from tests.support.storage import Message
from tests.support.world import SP, START, TARGET, World

CYCLE = timedelta(minutes=20)
COOLDOWN = timedelta(hours=2)
ENTRY = {
    "servicePrincipalId": SP,
    "jobId": "job-1",
    "cooldown": "PT2H",
    "notify": "desk",
    "remediate": {"after": "PT15M", "staleLinks": 2},
}
ENVIRON = {
    **ordinary.ENVIRON,
    # Long steps keep a life short: fewer looks, the same kinds of I/O.
    "FOLLOW_UP_INTERVAL": "PT11M",
    "RESET_TARGETS": json.dumps({TARGET: ENTRY}),
}


def put(world: World, request_id: str, **fields: object) -> None:
    """Another service puts a request on the queue."""
    request = {
        "requestId": request_id,
        "target": TARGET,
        "ticket": {"system": "desk", "id": f"T-{request_id}"},
        **fields,
    }
    queue = world.storage.queues[RESETS_QUEUE]
    queue.messages[request_id] = Message(request_id, json.dumps(request), world.clock())


async def single(host: Host) -> int:
    put(host.world, "r1")
    await finish(host)
    return 1


async def storm(host: Host) -> int:
    """Three come before the first restart is sent, which Graph throttles once."""
    host.world.graph.scripted = ["429"]
    for n in range(3):
        put(host.world, f"r{n}")
    await finish(host)
    return 3


async def during_the_cycle(host: Host) -> int:
    put(host.world, "r1")
    await host.deliver()
    host.world.clock.forward(minutes=1)
    put(host.world, "r2")
    await finish(host)
    return 2


async def restarted_an_hour_ago(host: Host) -> None:
    put(host.world, "r0")
    await host.until_quiet()
    await person_decides(host)
    await host.until_quiet()
    host.world.clock.forward(hours=1)


async def head_and_one_behind(host: Host) -> None:
    """r1 waits out the cooldown as Head, r2 behind it."""
    await restarted_an_hour_ago(host)
    put(host.world, "r1")
    await host.deliver()
    put(host.world, "r2")
    await host.deliver()


async def cooling_down(host: Host) -> int:
    """The job was restarted an hour ago."""
    await restarted_an_hour_ago(host)
    put(host.world, "r1")
    put(host.world, "r2", notBefore=(host.world.clock() + timedelta(minutes=30)).isoformat())
    await finish(host)
    return 3


async def lost_but_effective(host: Host) -> int:
    host.world.graph.scripted = ["lost answer"]
    return await single(host)


async def lost_and_without_effect(host: Host) -> int:
    host.world.graph.scripted = ["timeout"]
    return await single(host)


async def lost_and_unreadable(host: Host) -> int:
    """Nothing shows what happened: a person is asked."""
    host.world.graph.trail = AuditTrail(readable=False)
    host.world.graph.scripted = ["timeout"]
    return await single(host)


async def portal_in_place_of_ours(host: Host) -> int:
    """Ours has no effect, a person restarts a minute later, and the log cannot be read."""
    return await _portal(host, AuditTrail(readable=False), "timeout")


async def portal_and_all_comes_late(host: Host) -> int:
    """Ours takes effect forty seconds late, a person restarts as well; Graph shows it late."""
    graph = host.world.graph
    graph.audit_delay = graph.status_lag = timedelta(hours=2)
    graph.effect_after = timedelta(seconds=40)
    return await _portal(host, AuditTrail(readable=True), "lost answer")


async def _portal(host: Host, trail: AuditTrail, post: str) -> int:
    graph = host.world.graph
    graph.trail, graph.scripted = trail, [post]
    put(host.world, "r1")
    await host.deliver()
    host.world.clock.forward(minutes=1)
    graph.restart_in_the_portal()
    await finish(host)
    return 1


async def put_to_a_person(host: Host) -> int:
    """The job is held for its credentials: a person says that they have been put right."""
    host.world.graph.quarantine("EncounteredQuarantineException")
    return await single(host)


async def throttled(host: Host) -> int:
    host.world.graph.scripted = ["429", "429 with Retry-After"]
    return await single(host)


async def head_is_cancelled(host: Host) -> int:
    """A person cancels the Head; the next one asks for itself."""
    await head_and_one_behind(host)
    await host.decide("cancel", "r1")
    await finish(host)
    return 3


async def head_is_refused(host: Host) -> int:
    """Somebody takes the job's settings away: the Head is refused, and so is the next."""
    await head_and_one_behind(host)
    host.world.graph.job = replace(host.world.graph.job, code="NotConfigured")
    await finish(host)
    return 3


async def answers_are_not_taken(host: Host) -> int:
    """The ticket system is down for an hour."""
    host.world.desk.down_until = START + timedelta(hours=1)
    return await single(host)


async def ticks(host: Host) -> None:
    """The other timer, often enough that the tick after a broken one makes up for it."""
    for _ in range(4):
        await host.remediate()
        host.world.clock.forward(minutes=15)


async def quarantine_cleared(host: Host) -> int:
    """The timer marks it, looks again after the grace period, and asks for one restart."""
    host.world.graph.quarantine("EncounteredEscrowProportionThreshold")
    await ticks(host)
    await finish(host)
    return 1


async def stale_links_found(host: Host) -> int:
    links = tuple(StaleLink(user_id=user, at=START) for user in ("u1", "u2"))
    host.world.graph.stale = StaleLinks(readable=True, links=links)
    await ticks(host)
    await finish(host)
    return 1


async def mass_deletion_held_back(host: Host) -> int:
    """Whatever is broken: the timer asks for nothing, and nothing is sent."""
    host.world.graph.quarantine("TooManyDeletes")
    await ticks(host)
    await finish(host)
    assert host.world.graph.posts == []
    return 0


ADELE, ADELE_UPN = "cea097b7-2680-50c3-84bf-94c9323d3363", "adele@contoso.com"
OLD_ACCOUNT, NEW_ACCOUNT = "0051OLD", "0051NEW"


async def users_asked_about(host: Host) -> int:
    """Two requests ask about one user, who is matched to another account."""
    world = host.world
    world.links.add(ADELE_UPN, ADELE)
    world.links.page_size = 1
    old = ProvisioningEntry(
        source_id=ADELE, source_type="User", target_id=OLD_ACCOUNT, at=START - CYCLE
    )
    world.links.entries = [old]
    logged = timedelta(minutes=5)

    def rows_of_new_cycles() -> list[ProvisioningEntry]:
        took = [at + logged for at, effective in world.graph.post_times if effective]
        return [
            replace(old, target_id=NEW_ACCOUNT, at=at, status="success")
            for at in took
            if at <= world.clock()
        ]

    world.links.grown = rows_of_new_cycles
    world.graph.scripted = ["429"]
    put(world, "r1", subjects=[ADELE_UPN])
    put(world, "r2", subjects=[ADELE])
    await finish(host)
    return 2


SCENARIOS: dict[str, Callable[[Host], Awaitable[int]]] = {
    each.__name__: each
    for each in (
        single,
        storm,
        during_the_cycle,
        cooling_down,
        lost_but_effective,
        lost_and_without_effect,
        lost_and_unreadable,
        portal_in_place_of_ours,
        portal_and_all_comes_late,
        put_to_a_person,
        throttled,
        head_is_cancelled,
        head_is_refused,
        answers_are_not_taken,
        users_asked_about,
        quarantine_cleared,
        stale_links_found,
        mass_deletion_held_back,
    )
}


async def finish(host: Host) -> None:
    """To the end, with a person who says the truth where one is asked."""
    for _ in range(6):
        await host.until_quiet()
        if not await person_decides(host):
            return
    raise AssertionError("persons are asked again and again")


async def person_decides(host: Host) -> bool:
    asked = [x for x in resets(host.world) if waits_for_person(x)]
    effective = {client_id for client_id, took in host.world.graph.posts if took}
    for x in asked:
        if x.state is State.AWAITING_APPROVAL:
            decision = "approve"
        else:
            decision = "confirm" if x.client_request_id in effective else "resend"
        await host.decide(decision, x.id)
    return bool(asked)


@dataclass(frozen=True)
class Life:
    """What one life left behind."""

    world: World
    requests: int
    faults: Faults


async def live(
    scenario: str,
    *,
    at: int = 0,
    kind: str = "",
    engine_type: type[Engine] = Engine,
    machine: StateMachine = transition,
    store_type: type[TableStore] = TableStore,
) -> Life:
    """Run a scenario with the I/O number *at* broken in the way of *kind*."""
    faults = Faults(at=at, kind=kind)
    world = World(
        environ=dict(ENVIRON),
        faults=faults,
        engine_type=engine_type,
        machine=machine,
        store_type=store_type,
    )
    world.graph.cycle_takes = CYCLE
    world.graph.trail = AuditTrail(readable=True)
    host = Host(world)
    requests = await SCENARIOS[scenario](host)
    return Life(world=world, requests=requests, faults=faults)
