"""The links of a reset's subjects, looked up before a restart and judged after it."""

import asyncio
import json
import random
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.config import Settings
from shared.domain.errors import FateUnknown, NotSent, Throttled
from shared.domain.links import (
    ConnectionRead,
    LinkSource,
    LinkVerdict,
    ProvisioningEntry,
    StoredLink,
)
from shared.domain.reset import Link, Reset
from shared.use_cases.trace_links import LATE_ROWS, Traced, TraceLinks
from tests.support.faults import Faults
from tests.support.link_graph import FakeLinkGraph
from tests.support.storage import Storage
from tests.support.world import ENVIRON, SP, START, TARGET, Clock

ADELE, ALEX = "cea097b7-2680-50c3-84bf-94c9323d3363", "15dda826-149b-536c-a064-479b2c0901b6"
ADELE_UPN, ALEX_UPN = "adele@contoso.com", "alex@contoso.com"
OLD, NEW, OTHER = "0051OLD", "0051NEW", "0051OTHER"
JOB = "job-1"
MINUTE = timedelta(minutes=1)
RESTART = START + MINUTE
NEEDED = "the provisioning logs cannot be read: grant ProvisioningLog.Read.All"


def entry(user: str, target: str, at: datetime, **changes: object) -> ProvisioningEntry:
    row = ProvisioningEntry(
        source_id=user, source_type="User", target_id=target, at=at, status="success"
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def reset(*subjects: str, reset_id: str = "r1") -> Reset:
    return Reset(
        id=reset_id,
        target=TARGET,
        requested_at=START,
        service_principal_id=SP,
        job_id=JOB,
        subjects=subjects,
    )


@dataclass
class Desk:
    """Everything that a look-up needs, with a clock set by hand."""

    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    graph: FakeLinkGraph = field(default_factory=FakeLinkGraph)
    entry: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = Storage(self.clock, self.faults)
        self.store = self.storage.store()
        self.graph.add(ADELE_UPN, ADELE)
        self.graph.add(ALEX_UPN, ALEX)

    @property
    def tracing(self) -> TraceLinks:
        async def graph() -> FakeLinkGraph:
            return self.graph

        targets = {TARGET: {"servicePrincipalId": SP, "jobId": JOB, **self.entry}}
        environ = {**ENVIRON, "RESET_TARGETS": json.dumps(targets)}
        settings = Settings.from_environ(environ, app_dir=Path("/nowhere"))
        assert not settings.problems
        return TraceLinks(rows=self.store, graph=graph, settings=settings, clock=self.clock)

    async def before(self, of: Reset) -> Traced:
        return await self.tracing.before(of, JOB)

    async def after(self, of: Reset) -> Traced:
        """Poll as the engine does until nothing more is to be waited for."""
        for _ in range(100):
            traced = await self.tracing.after(of, JOB, since=RESTART)
            if traced.again_at is None:
                return traced
            self.clock.now = traced.again_at
        raise AssertionError("it waits for ever")


def timed(desk: Desk) -> list[datetime]:
    """When a page of the log is asked for, from now on."""
    asked: list[datetime] = []
    page = desk.graph.provisioning_page

    async def counted(*args: object, **options: object) -> object:
        asked.append(desk.clock())
        return await page(*args, **options)  # type: ignore[arg-type]

    desk.graph.provisioning_page = counted  # type: ignore[method-assign, assignment]
    return asked


def within_the_limit(asked: list[datetime]) -> None:
    for at in asked:
        assert sum(at <= other < at + timedelta(seconds=10) for other in asked) <= 5


async def test_before_the_restart_the_link_and_what_decides_a_match_are_recorded() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]

    traced = await desk.before(reset(ADELE_UPN))

    (link,) = await desk.store.links(reset(ADELE_UPN))
    assert traced == Traced(links=(link,))
    assert (link.subject, link.object_id, link.before) == (ADELE_UPN, ADELE, OLD)
    assert (link.before_at, link.before_from) == (START - MINUTE, "provisioning log")
    assert "userPrincipalName" in link.matching
    assert ADELE_UPN in link.matching
    assert await desk.store.schema(reset(ADELE_UPN)) == b'{"id": "schema"}'


async def test_a_second_look_asks_nobody_again() -> None:
    desk = Desk()
    await desk.before(reset(ADELE_UPN))
    asked = len(desk.graph.calls)

    await desk.before(reset(ADELE_UPN))

    assert len(desk.graph.calls) == asked


async def test_a_reset_without_subjects_asks_nobody() -> None:
    desk = Desk()

    await desk.before(reset())
    await desk.after(reset())

    assert desk.graph.calls == []
    assert await desk.store.links(reset()) == []


async def test_without_user_read_all_an_object_id_will_do_and_a_upn_says_what_is_missing() -> None:
    desk = Desk()
    desk.graph.users_refused = "a user cannot be read: grant User.Read.All"
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]

    traced = await desk.before(reset(ADELE, ALEX_UPN))

    by_id, by_name = traced.links
    assert (by_id.before, by_id.object_id) == (OLD, ADELE)
    assert (by_name.before, by_name.object_id) == ("", "")
    assert "User.Read.All" in by_name.problem


async def test_after_the_restart_each_subject_has_its_verdict_from_one_query() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE), entry(ALEX, OTHER, START - MINUTE)]
    asked = reset(ADELE_UPN, ALEX_UPN)
    await desk.before(asked)
    desk.graph.entries += [
        entry(ALEX, OTHER, RESTART + MINUTE, status="skipped", error_code="RedundantExport"),
        entry(ADELE, NEW, RESTART + MINUTE),
    ]
    desk.graph.calls.clear()

    traced = await desk.after(asked)

    adele, alex = traced.links
    assert (adele.verdict, adele.before, adele.after) == ("relinked", OLD, NEW)
    assert (alex.verdict, alex.before, alex.after) == ("still_linked", OTHER, OTHER)
    assert "userPrincipalName (alex@contoso.com) equals its Username" in alex.evidence
    assert (
        alex.remedy
        == f"change Username of account {OTHER} in the application first, then ask again"
    )
    assert desk.graph.calls == ["provisioning_page"]


async def test_rows_from_before_the_restart_still_tell_the_old_link_afterwards() -> None:
    desk = Desk()
    desk.graph.entries = [
        entry(ADELE, NEW, RESTART + MINUTE),
        entry(ADELE, OLD, START - MINUTE),
    ]

    await desk.tracing.before(reset(ADELE_UPN), JOB, until=RESTART)
    traced = await desk.after(reset(ADELE_UPN))

    assert [(x.verdict, x.before, x.after) for x in traced.links] == [("relinked", OLD, NEW)]


async def test_a_row_that_comes_late_is_waited_for_and_then_counts() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE_UPN))

    first = await desk.tracing.after(reset(ADELE_UPN), JOB, since=RESTART)
    desk.graph.entries.append(entry(ADELE, NEW, RESTART + MINUTE))
    traced = await desk.after(reset(ADELE_UPN))

    assert first.again_at is not None
    assert [x.verdict for x in traced.links] == ["relinked"]


async def test_a_row_that_never_comes_holds_the_end_back_for_ten_minutes_and_no_longer() -> None:
    desk = Desk()
    await desk.before(reset(ADELE_UPN))

    traced = await desk.after(reset(ADELE_UPN))

    assert [x.verdict for x in traced.links] == ["not_seen"]
    assert desk.clock() - START <= LATE_ROWS + MINUTE


async def test_without_the_permission_the_verdict_is_unknown_at_once_and_names_it() -> None:
    desk = Desk()
    desk.graph.logs_refused = NEEDED
    await desk.before(reset(ADELE_UPN))

    traced = await desk.after(reset(ADELE_UPN))

    (link,) = traced.links
    assert link.verdict == "unknown"
    assert "ProvisioningLog.Read.All" in link.evidence
    assert desk.clock() == START


@pytest.mark.parametrize("call", ["mappings", "find_user", "provisioning_page"])
async def test_a_look_up_that_fails_is_made_again_later(call: str) -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    desk.graph.failures[call] = [FateUnknown("Graph is down")]

    first = await desk.before(reset(ADELE_UPN))
    second = await desk.before(reset(ADELE_UPN))

    assert (first.links, first.again_at is not None) == ((), True)
    assert [x.before for x in second.links] == [OLD]


async def test_logs_that_never_answer_give_the_verdict_unknown_after_ten_minutes() -> None:
    desk = Desk()
    await desk.before(reset(ADELE_UPN))
    desk.graph.failures["provisioning_page"] = [FateUnknown("Graph is down")] * 200

    traced = await desk.after(reset(ADELE_UPN))

    assert [x.verdict for x in traced.links] == ["unknown"]
    assert "Graph is down" in traced.links[0].evidence
    assert desk.clock() - START <= LATE_ROWS + MINUTE


async def test_object_connections_are_read_where_the_target_has_them_on() -> None:
    desk = Desk(entry={"objectConnections": True})
    link = StoredLink(source_id=ADELE, target_id=OLD, at=None, origin=LinkSource.OBJECT_CONNECTION)
    desk.graph.connections[ADELE] = ConnectionRead(link=link)
    await desk.before(reset(ADELE_UPN))
    desk.graph.connections[ADELE] = ConnectionRead(link=replace(link, target_id=NEW))

    traced = await desk.after(reset(ADELE_UPN))

    (found,) = traced.links
    assert (found.verdict, found.before, found.after) == ("relinked", OLD, NEW)
    assert found.before_from == "object connection"


async def test_provision_on_demand_answers_before_the_cycle_reaches_the_user() -> None:
    desk = Desk(entry={"provisionOnDemand": True})
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE_UPN))
    desk.clock.forward(minutes=2)
    desk.graph.on_demand = [
        replace(entry(ADELE, NEW, START), at=None, origin=LinkSource.PROVISION_ON_DEMAND)
    ]

    traced = await desk.after(reset(ADELE_UPN))

    assert [(x.verdict, x.after) for x in traced.links] == [("relinked", NEW)]
    assert "provision on demand" in traced.links[0].evidence


async def test_an_entry_of_another_kind_is_not_the_user() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE_UPN))
    desk.graph.entries.append(entry(ADELE, NEW, RESTART + MINUTE, source_type="Group"))

    traced = await desk.after(reset(ADELE_UPN))

    assert [x.verdict for x in traced.links] == ["not_seen"]


async def test_a_hundred_subjects_over_ten_resets_keep_to_the_limit_and_all_get_their_verdict() -> (
    None
):
    desk = Desk()
    resets = []
    for number in range(10):
        ids = [f"00000000-0000-0000-{number:04d}-{user:012d}" for user in range(10)]
        for each in ids:
            desk.graph.add(f"{each}@contoso.com", each)
            desk.graph.entries.append(entry(each, OLD, START - MINUTE))
        resets.append(reset(*ids, reset_id=f"r{number}"))
    asked = timed(desk)

    async def look_up(all_known: int) -> None:
        for _ in range(1000):
            found = [await desk.before(each) for each in resets]
            if sum(len(x.links) for x in found) == all_known:
                return
            desk.clock.forward(seconds=1)

    await look_up(100)
    desk.clock.now = max(desk.clock(), RESTART) + MINUTE
    desk.graph.entries += [
        entry(user, NEW, RESTART + MINUTE) for each in resets for user in each.subjects
    ]
    verdicts: dict[str, tuple[Link, ...]] = {}
    for _ in range(600):
        for one in resets:
            if one.id not in verdicts:
                traced = await desk.tracing.after(one, JOB, since=RESTART)
                if traced.again_at is None:
                    verdicts[one.id] = traced.links
        desk.clock.forward(seconds=1)

    assert {x.verdict for links in verdicts.values() for x in links} == {LinkVerdict.RELINKED}
    assert sum(map(len, verdicts.values())) == 100
    within_the_limit(asked)


async def test_turns_are_shared_by_processes_that_ask_at_once() -> None:
    desk = Desk()
    others = [desk.storage.store() for _ in range(4)]

    taken = await asyncio.gather(
        *(
            store.take_turn("log", at=START, most=5, per=timedelta(seconds=10))
            for store in others
            for _ in range(4)
        )
    )

    assert sum(taken) <= 5
    assert not await desk.store.take_turn("log", at=START, most=0, per=timedelta(seconds=10))


async def test_a_schema_in_many_parts_comes_back_whole_and_one_that_is_too_large_is_not_kept() -> (
    None
):
    desk = Desk()
    of = reset(ADELE)
    body = json.dumps([f"{n * 7919:x}" * 3 for n in range(60_000)]).encode()

    assert await desk.store.keep_schema(of, body)
    assert await desk.store.schema(of) == body
    assert not await desk.store.keep_schema(of, random.Random(1).randbytes(1_000_000))


async def test_after_a_429_nobody_asks_before_the_time_that_graph_has_named() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE))
    desk.graph.entries.append(entry(ADELE, NEW, RESTART + MINUTE))
    desk.graph.failures["provisioning_page"] = [Throttled("429", retry_after=timedelta(seconds=90))]
    desk.clock.forward(minutes=3)
    throttled_at = desk.clock()
    await desk.tracing.after(reset(ADELE), JOB, since=RESTART)
    desk.graph.calls.clear()

    # Another instance, and another reset, hold back as well.
    other = await desk.tracing.before(reset(ALEX, reset_id="r2"), JOB)
    traced = await desk.after(reset(ADELE))

    assert other.again_at is not None
    assert [x.verdict for x in traced.links] == ["relinked"]
    assert desk.clock() - throttled_at >= timedelta(seconds=90)
    assert desk.graph.calls.count("provisioning_page") == 1


@pytest.mark.parametrize("call", ["mappings", "find_user"])
async def test_a_look_up_that_is_throttled_comes_back_when_graph_says(call: str) -> None:
    desk = Desk()
    desk.graph.failures[call] = [Throttled("429", retry_after=timedelta(minutes=4))]

    traced = await desk.before(reset(ADELE))

    assert traced.again_at == START + timedelta(minutes=4)


async def test_a_log_of_many_pages_is_read_on_by_each_look_and_never_faster_than_allowed() -> None:
    desk = Desk()
    desk.graph.page_size = 100
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE, ALEX_UPN))
    ids = [f"00000000-0000-0000-0000-{n:012d}" for n in range(3000)]
    desk.graph.entries += [entry(each, "0051OF", RESTART + MINUTE) for each in ids]
    desk.graph.entries.append(entry(ADELE, NEW, RESTART + MINUTE))
    asked = timed(desk)

    traced = await desk.after(reset(ADELE, ALEX_UPN))

    adele, alex = traced.links
    assert (adele.verdict, adele.after) == ("relinked", NEW)
    assert alex.verdict == "not_seen"
    within_the_limit(asked)


async def test_a_page_that_is_gone_makes_the_log_be_read_from_its_beginning() -> None:
    desk = Desk()
    desk.graph.page_size = 100
    await desk.before(reset(ADELE))
    ids = [f"00000000-0000-0000-0000-{n:012d}" for n in range(600)]
    desk.graph.entries += [entry(each, "0051OF", RESTART + MINUTE) for each in ids]
    desk.graph.entries.append(entry(ADELE, NEW, RESTART + MINUTE))
    await desk.tracing.after(reset(ADELE), JOB, since=RESTART)
    desk.clock.forward(minutes=1)
    desk.graph.expire_links()

    traced = await desk.after(reset(ADELE))

    assert [x.after for x in traced.links] == [NEW]


async def test_provision_on_demand_that_fails_spoils_no_verdict() -> None:
    desk = Desk(entry={"provisionOnDemand": True})
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE), entry(ADELE, NEW, RESTART + MINUTE)]
    await desk.tracing.before(reset(ADELE), JOB, until=RESTART)
    for error in (FateUnknown("lost"), Throttled("429", retry_after=MINUTE), NotSent("refused")):
        desk.graph.failures["provision_on_demand"] = [error]

        traced = await desk.tracing.after(reset(ADELE), JOB, since=RESTART)

    assert [(x.verdict, x.before, x.after) for x in traced.links] == [("relinked", OLD, NEW)]


@pytest.mark.parametrize(
    "asked", [ADELE.upper(), f"{{{ADELE}}}", f"{{{ADELE.upper()}}}", f" {ADELE} "]
)
async def test_an_object_id_is_one_in_any_case_and_in_braces(asked: str) -> None:
    desk = Desk()
    desk.graph.users_refused = "grant User.Read.All"
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]

    traced = await desk.before(reset(asked))

    assert [(x.object_id, x.before) for x in traced.links] == [(ADELE, OLD)]


async def test_two_names_of_one_user_have_a_verdict_each() -> None:
    desk = Desk()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE), entry(ADELE, NEW, RESTART + MINUTE)]
    of = reset(ADELE, ADELE_UPN)
    await desk.tracing.before(of, JOB, until=RESTART)

    traced = await desk.after(of)

    assert [(x.verdict, x.before) for x in traced.links] == [("relinked", OLD)] * 2


async def test_a_user_who_was_deleted_is_still_looked_up_by_object_id() -> None:
    desk = Desk()
    desk.graph.users.clear()
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]

    traced = await desk.before(reset(ADELE, ADELE_UPN))

    by_id, by_name = traced.links
    assert (by_id.before, by_name.before) == (OLD, "")
    assert "no such user" in by_name.problem


async def test_on_demand_links_the_user_while_the_cycle_still_runs_and_does_it_once() -> None:
    desk = Desk(entry={"provisionOnDemand": True})
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE), entry(ALEX, OTHER, START - MINUTE)]
    of = reset(ADELE, ALEX)
    await desk.before(of)
    desk.clock.forward(minutes=2)
    desk.graph.on_demand = [entry(ADELE, NEW, desk.clock()), entry(ALEX, OTHER, desk.clock())]

    for _ in range(3):
        await desk.tracing.at_once(of, JOB, since=RESTART)

    adele, alex = await desk.store.links(of)
    assert (adele.verdict, adele.before, adele.after) == ("relinked", OLD, NEW)
    # An old link may only mean that it was too early: the cycle's own row decides.
    assert (alex.verdict, alex.after) == ("", "")
    assert desk.graph.calls.count("provision_on_demand") == 2
    desk.graph.entries.append(entry(ALEX, "0051LATER", RESTART + 2 * MINUTE))
    traced = await desk.after(of)
    assert [x.after for x in traced.links] == [NEW, "0051LATER"]


@pytest.mark.parametrize("call", ["mappings", "provision_on_demand"])
async def test_on_demand_that_fails_while_the_cycle_runs_is_tried_again(call: str) -> None:
    desk = Desk(entry={"provisionOnDemand": True})
    desk.graph.entries = [entry(ADELE, OLD, START - MINUTE)]
    await desk.before(reset(ADELE))
    desk.clock.forward(minutes=2)
    desk.graph.on_demand = [entry(ADELE, NEW, desk.clock())]
    desk.graph.failures[call] = [FateUnknown("lost")]

    await desk.tracing.at_once(reset(ADELE), JOB, since=RESTART)
    await desk.tracing.at_once(reset(ADELE), JOB, since=RESTART)

    assert [x.verdict for x in await desk.store.links(reset(ADELE))] == ["relinked"]
