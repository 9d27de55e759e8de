"""
Trace the links of a reset's subjects: what they were before, and what became of them.

Nothing here changes a reset. A look-up that fails is noted in the subject's row and tried again at
the reset's next step. Turns at the logs are shared by all instances, because Graph counts them for
the whole tenant.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.catalogue import Target
from shared.domain.errors import GraphError, StorageUnavailable, Throttled
from shared.domain.links import (
    LinkSource,
    LinkVerdict,
    MappingsRead,
    MatchingAttribute,
    ProvisioningEntry,
    StoredLink,
    Subject,
    dump_matching,
    judge_link,
    link_before,
    load_matching,
    matched_differently,
    object_id_of,
    with_values,
)
from shared.domain.ports import Clock, LinkGraph, Links
from shared.domain.reset import Link, Reset
from shared.telemetry import emit
from shared.use_cases.log_turns import ON_DEMAND, LogRead, LogTurns

LOG_REACHES_BACK: Final = timedelta(days=30)
LATE_ROWS: Final = timedelta(minutes=10)
"""How long the end of a reset is held back for rows that come late, and for a turn to read them."""

LOOK_UP_TIMEOUT: Final = timedelta(seconds=20)
LATER: Final = timedelta(seconds=15)

LONGEST_NEXT_LINK: Final = 16_000
"""Characters of a next link that a row keeps."""

NO_TURN: Final = "the provisioning logs are asked too often at the moment"
NOT_WHOLE: Final = "the provisioning log has more rows than could be read in time"


class Traced(Struct, frozen=True, kw_only=True):
    """
    The subjects' links as known; *again_at* where more may be known at a later look.

    *problem* is why a look-up failed as a whole.
    """

    links: tuple[Link, ...] = ()
    again_at: datetime | None = None
    problem: str = ""


class TraceLinks(Struct, frozen=True, kw_only=True):
    """Look up and judge links, over what Graph tells and the rows that keep it."""

    rows: Links
    graph: Callable[[], Awaitable[LinkGraph]]
    settings: Settings
    clock: Clock

    async def before(self, reset: Reset, job_id: str, *, until: datetime | None = None) -> Traced:
        """
        Look up the subjects' links before the restart, and what would decide a new match.

        *until* (Graph's clock) leaves out rows of the log that the restart has caused.
        """
        if not reset.subjects or not job_id:
            return Traced()
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT.total_seconds()):
                return await self._before(reset, job_id, until)
        except (GraphError, StorageUnavailable, TimeoutError) as error:
            _failed(reset, "before", error)
            return Traced(again_at=self._later(error), problem=_words(error))

    async def after(self, reset: Reset, job_id: str, *, since: datetime) -> Traced:
        """
        Judge the subjects' links by what happened after *since* (Graph's clock).

        One query for the job answers for all subjects. What cannot be read gives the verdict
        `unknown`, with the reason; `again_at` is set only while waiting can still help.
        """
        if not reset.subjects or not job_id:
            return Traced()
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT.total_seconds()):
                return await self._after(reset, job_id, since)
        except (GraphError, StorageUnavailable, TimeoutError) as error:
            _failed(reset, "after", error)
            why = f"the look-up failed: {_words(error)}"
            return await self._give_up(reset, why, again_at=self._later(error))

    async def at_once(self, reset: Reset, job_id: str, *, since: datetime) -> None:
        """
        Provision the subjects while the cycle runs, where the target allows it.

        So nobody waits for the end of a long cycle. A new link is final; an old one is not, since
        nobody documents from when on a restart shows: then the cycle's own row decides.
        """
        if not reset.subjects or not job_id or not self._provisions_on_demand(reset):
            return
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT.total_seconds()):
                known = {link.subject: link for link in await self.rows.links(reset)}
                if not any(map(_may_be_provisioned, known.values())):
                    return
                case = _Case(graph=await self.graph(), reset=reset, job_id=job_id)
                for asked, entries in (await self._on_demand(case, known)).items():
                    link = replace(known[asked], on_demand_at=self.clock())
                    judged = await self._judged(case, link, entries, since)
                    is_new = judged.verdict in {LinkVerdict.RELINKED, LinkVerdict.CREATED}
                    number = reset.subjects.index(asked) + 1
                    await self.rows.write_link(reset, number, judged if is_new else link)
        except (GraphError, StorageUnavailable, TimeoutError) as error:
            _failed(reset, "on demand", error)

    # Before

    async def _before(self, reset: Reset, job_id: str, until: datetime | None) -> Traced:
        known = {link.subject: link for link in await self.rows.links(reset)}
        missing = [s for s in reset.subjects if s not in known or known[s].looked_at is None]
        if not missing:
            return Traced(links=_in_order(reset, known))
        graph = await self.graph()
        mappings = await graph.mappings(reset.service_principal_id, job_id)
        if mappings.schema and not known:
            await self.rows.keep_schema(reset, mappings.schema)
        case = _Case(graph=graph, reset=reset, job_id=job_id)
        for number, asked in enumerate(reset.subjects, 1):
            if asked not in missing:
                continue
            link = await self._link_before(case, asked, mappings, until)
            if link is None:
                again_at = self.clock() + LATER
                return Traced(links=_in_order(reset, known), again_at=again_at, problem=NO_TURN)
            # A verdict that came first stays.
            old = known.get(asked)
            if old is not None:
                link = replace(
                    link,
                    verdict=old.verdict,
                    after=old.after,
                    judged_at=old.judged_at,
                    read_on=old.read_on,
                    on_demand_at=old.on_demand_at,
                )
            known[asked] = link
            await self.rows.write_link(reset, number, link)
        return Traced(links=_in_order(reset, known))

    async def _link_before(
        self, case: "_Case", asked: str, mappings: MappingsRead, until: datetime | None
    ) -> Link | None:
        """Return what is known of one subject; None where no turn at the logs is left."""
        graph, reset, job_id = case.graph, case.reset, case.job_id
        subject = await self._subject(graph, asked, mappings.matching)
        matching = with_values(mappings.matching, subject.attributes)
        link = Link(
            subject=asked,
            object_id=subject.object_id,
            matching=dump_matching(matching),
            problem=_joined(subject.problem, mappings.problem),
            looked_at=self.clock(),
        )
        if not subject.object_id:
            return link
        stored, problem, why = None, "", ""
        target = self._target(reset)
        if target is not None and target.object_connections and until is None:
            found = await graph.object_connection(
                reset.service_principal_id, job_id, subject.object_id
            )
            stored, problem = found.link, found.problem
        if stored is None:
            log = await self.turns.pages(
                graph,
                job_id,
                since=self.clock() - LOG_REACHES_BACK,
                user_id=subject.object_id,
            )
            entries = [e for e in log.entries if until is None or e.at is None or e.at <= until]
            stored = link_before(entries, subject.object_id)
            if stored is None and log.out_of_turns:
                return None
            why = matched_differently(entries, subject.object_id)
            problem = log.problem or (NOT_WHOLE if log.next_link else problem)
        return _with_link(link, stored, problem=problem, evidence=why)

    async def _subject(
        self, graph: LinkGraph, asked: str, matching: Sequence[MatchingAttribute]
    ) -> Subject:
        """An object id needs no look-up: without the permission it is the subject all the same."""
        object_id = object_id_of(asked)
        found = await graph.find_user(object_id or asked, [each.source for each in matching])
        return replace(found, asked=asked, object_id=found.object_id or object_id)

    # After

    async def _after(self, reset: Reset, job_id: str, since: datetime) -> Traced:
        known = {link.subject: link for link in await self.rows.links(reset)}
        open_ones = [s for s in reset.subjects if _is_open(known.get(s))]
        if not open_ones:
            return Traced(links=_in_order(reset, known))
        started = await self._start(reset, known)
        graph = await self.graph()
        log = await self.turns.pages(graph, job_id, since=since, link=_read_on(known))
        case = _Case(graph=graph, reset=reset, job_id=job_id)
        done = await self._on_demand(case, known)
        entries = [*log.entries, *chain.from_iterable(done.values())]
        again = False
        for number, asked in enumerate(reset.subjects, 1):
            if asked not in open_ones:
                continue
            link = known.get(asked, Link(subject=asked))
            judged = _doubted(link, await self._judged(case, link, entries, since), log)
            helps = bool(link.object_id or link.looked_at is None) and not log.problem
            again = again or (_is_open(judged) and helps)
            on = log.next_link if len(log.next_link) <= LONGEST_NEXT_LINK else ""
            tried_at = self.clock() if asked in done else link.on_demand_at
            known[asked] = replace(judged, judged_at=started, read_on=on, on_demand_at=tried_at)
            await self.rows.write_link(reset, number, known[asked])
        waits = again and self.clock() - started < LATE_ROWS
        return Traced(
            links=_in_order(reset, known), again_at=self.clock() + LATER if waits else None
        )

    async def _start(self, reset: Reset, known: dict[str, Link]) -> datetime:
        """When a verdict was first tried; kept, so that the waiting ends."""
        tried = [link.judged_at for link in known.values() if link.judged_at is not None]
        if tried:
            return min(tried)
        now = self.clock()
        for number, asked in enumerate(reset.subjects, 1):
            known[asked] = replace(known.get(asked, Link(subject=asked)), judged_at=now)
            await self.rows.write_link(reset, number, known[asked])
        return now

    async def _on_demand(
        self, case: "_Case", known: dict[str, Link]
    ) -> dict[str, list[ProvisioningEntry]]:
        """Provision users at once, each one once; what was done for each that had its turn."""
        graph, reset = case.graph, case.reset
        todo = [s for s in reset.subjects if _may_be_provisioned(known.get(s))]
        if not self._provisions_on_demand(reset) or not todo:
            return {}
        mappings = await graph.mappings(reset.service_principal_id, case.job_id)
        done: dict[str, list[ProvisioningEntry]] = {}
        for asked in todo:
            user = known[asked].object_id
            if not mappings.user_rule or not await self.turns.take(ON_DEMAND):
                break
            try:
                found = await graph.provision_on_demand(
                    reset.service_principal_id,
                    case.job_id,
                    rule_id=mappings.user_rule,
                    user_id=user,
                )
            except GraphError as error:
                # The cycle comes to the user anyway.
                if isinstance(error, Throttled):
                    await self.turns.hold(ON_DEMAND, error)
                _failed(reset, "on demand", error)
                break
            # The result may name the user by another id than Entra's, or have no time.
            done[asked] = [
                replace(each, source_id=user, source_type="User", at=each.at or self.clock())
                for each in found.entries
            ]
        return done

    def _provisions_on_demand(self, reset: Reset) -> bool:
        target = self._target(reset)
        return target is not None and target.provision_on_demand

    async def _judged(
        self, case: "_Case", link: Link, entries: Sequence[ProvisioningEntry], since: datetime
    ) -> Link:
        graph, reset, job_id = case.graph, case.reset, case.job_id
        if not link.object_id:
            why = link.problem or "the user's object id is not known"
            return replace(link, verdict=str(LinkVerdict.UNKNOWN), evidence=why)
        after = None
        target = self._target(reset)
        if target is not None and target.object_connections:
            read = await graph.object_connection(reset.service_principal_id, job_id, link.object_id)
            after = read.link
        found = judge_link(
            _stored(link),
            entries,
            link.object_id,
            restarted_at=since,
            matching=load_matching(link.matching),
            after=after,
        )
        return replace(
            link,
            verdict=str(found.verdict),
            after=found.after,
            evidence=found.evidence,
            remedy=found.remedy,
        )

    async def _give_up(self, reset: Reset, why: str, *, again_at: datetime) -> Traced:
        """Give the verdict `unknown` where waiting has lasted long enough; else wait."""
        try:
            known = {link.subject: link for link in await self.rows.links(reset)}
            started = await self._start(reset, known)
            if self.clock() - started < LATE_ROWS:
                return Traced(links=_in_order(reset, known), again_at=again_at, problem=why)
            for number, asked in enumerate(reset.subjects, 1):
                if _is_open(known.get(asked)):
                    unknown = str(LinkVerdict.UNKNOWN)
                    known[asked] = replace(known[asked], verdict=unknown, evidence=why, read_on="")
                    await self.rows.write_link(reset, number, known[asked])
            return Traced(links=_in_order(reset, known))
        except StorageUnavailable as error:
            # The reset's own write will tell; nothing is held back for this.
            _failed(reset, "rows", error)
            return Traced()

    def _later(self, error: BaseException) -> datetime:
        """When to look again: never earlier than Graph has said."""
        asked = error.retry_after if isinstance(error, GraphError) else None
        return self.clock() + max(LATER, asked or LATER)

    @property
    def turns(self) -> LogTurns:
        return LogTurns(rows=self.rows, clock=self.clock)

    def _target(self, reset: Reset) -> Target | None:
        return (self.settings.catalogue or {}).get(reset.target)


class _Case(Struct, frozen=True, kw_only=True):
    """Whom to ask, about which job, for which reset."""

    graph: LinkGraph
    reset: Reset
    job_id: str


def _is_open(link: Link | None) -> bool:
    """
    A verdict that a later row can still change is open; an account that was found stays.

    So is one whose link before the restart was not looked up: that may still be done.
    """
    if link is None or link.looked_at is None:
        return True
    return link.verdict in {"", LinkVerdict.NOT_SEEN, LinkVerdict.UNKNOWN} and not link.after


def _may_be_provisioned(link: Link | None) -> bool:
    """Once, and where a verdict is still to be had."""
    return (
        link is not None and bool(link.object_id) and link.on_demand_at is None and _is_open(link)
    )


def _read_on(known: dict[str, Link]) -> str:
    """The page at which an earlier look at the log broke off."""
    return next((link.read_on for link in known.values() if link.read_on), "")


def _doubted(known: Link, judged: Link, log: LogRead) -> Link:
    """A user who is in no row was not seen only where all rows were read, now or before."""
    was_seen = judged.verdict != LinkVerdict.NOT_SEEN
    if was_seen or log.is_whole or known.verdict == LinkVerdict.NOT_SEEN:
        return judged
    why = log.problem or (NO_TURN if log.out_of_turns else NOT_WHOLE)
    return replace(judged, verdict=str(LinkVerdict.UNKNOWN), evidence=why, remedy="")


def _in_order(reset: Reset, known: dict[str, Link]) -> tuple[Link, ...]:
    return tuple(known[asked] for asked in reset.subjects if asked in known)


def _with_link(link: Link, stored: StoredLink | None, *, problem: str, evidence: str) -> Link:
    if stored is None:
        why = problem or "no row of the last 30 days names this user"
        return replace(link, problem=_joined(link.problem, why))
    return replace(
        link,
        before=stored.target_id,
        before_at=stored.at,
        before_from=str(stored.origin),
        evidence=evidence,
    )


def _stored(link: Link) -> StoredLink | None:
    if not link.before:
        return None
    return StoredLink(
        source_id=link.object_id,
        target_id=link.before,
        at=link.before_at,
        origin=LinkSource(link.before_from),
    )


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _words(error: BaseException) -> str:
    if isinstance(error, GraphError):
        return error.reason
    return str(error) or type(error).__name__


def _failed(reset: Reset, what: str, error: BaseException) -> None:
    emit("links.failed", id=reset.id, target=reset.target, what=what, why=_words(error))
