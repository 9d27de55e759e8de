"""
Facts of one moment of a reset, as data: what every ticket system is told, each in its own shape.

What a stranger wrote stands apart, in `quoted`: cut, without control characters or line breaks, so
that no template can take it for our own words. Pure.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain import evidence
from shared.domain.approvals import Standard, asks_for_two
from shared.domain.links import known_before
from shared.domain.reset import Link, NotificationKind, Reset, Scope, State
from shared.domain.waits import waits_until

QUOTED_AT_MOST: Final = 200
_SUBJECTS_AT_MOST: Final = 5
_DETAIL_AT_MOST: Final = 600


class Minutes(Struct, frozen=True, kw_only=True):
    """How long an initial cycle takes, by the job's size."""

    least: int
    most: int


class LinkFact(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    One user's link, before and after; `verdict` is empty where it was not looked up.

    `why` is what stood in the way of looking; `remedy` is what to put right before asking again.
    `known` is what is known before a restart, where there is no verdict yet.
    """

    subject: str
    verdict: str = ""
    before: str = ""
    after: str = ""
    why: str = ""
    remedy: str = ""
    known: str = ""


class Quoted(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Text of the person who asked or decided, never ours."""

    requested_by: str = ""
    reason: str = ""
    subjects: tuple[str, ...] = ()
    decided_by: str = ""
    decision_reason: str = ""


class Facts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    Everything that a template may say, and that the generic webhook carries as `data`.

    `message` numbers what one reset tells; with the id it makes the reference by which a comment
    is found again. `until`: when the wait ends, or by when a person must decide.
    `nobody_can_approve`: two signed-in persons are needed, and nobody can sign in.
    """

    id: str
    message: int
    target: str
    kind: NotificationKind
    state: State
    at: datetime
    scope: Scope = Scope.FULL
    dry_run: bool = False
    requested_at: datetime | None = None
    not_before: datetime | None = None
    sent_at: datetime | None = None
    restarted_at: datetime | None = None
    finished_at: datetime | None = None
    waiting_for: str = ""
    until: datetime | None = None
    behind: str = ""
    outcome: str = ""
    detail: str = ""
    leader: str = ""
    accounts: int | None = None
    fewer_accounts: int = 0
    some_entries_failed: bool = False
    failed_entries: int | None = None
    minutes: Minutes | None = None
    expected_from: datetime | None = None
    expected_to: datetime | None = None
    asked_about_users: bool = False
    links_checked: bool = False
    links: tuple[LinkFact, ...] = ()
    sign_in: bool = False
    nobody_can_approve: bool = False
    page: str = ""
    quoted: Quoted = Quoted()


def quote(text: str, most: int = QUOTED_AT_MOST) -> str:
    """
    One line of a stranger's words, cut; nothing in it steers a screen or passes for our reference.

    Python calls no control, format, bidirectional or separator character printable.
    """
    spaced = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    plain = _REFERENCE.sub("[", " ".join(spaced.split()))
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


_REFERENCE: Final = re.compile(r"\((?=reset\b)", re.IGNORECASE)


def link_facts(links: Iterable[Link]) -> tuple[LinkFact, ...]:
    """What was found out about the links, cut and cleaned: users are named as a stranger did."""
    return tuple(
        LinkFact(
            subject=quote(link.subject),
            verdict=link.verdict,
            before=quote(link.before),
            after=quote(link.after),
            why=quote(link.evidence if link.verdict else link.problem, _DETAIL_AT_MOST),
            remedy=quote(link.remedy, _DETAIL_AT_MOST),
            known="" if link.verdict or link.looked_at is None else _known(link),
        )
        for link in links
    )


def _known(link: Link) -> str:
    return quote(known_before(link), _DETAIL_AT_MOST)


def take_facts(
    reset: Reset,
    kind: NotificationKind,
    *,
    at: datetime,
    by: str = "",
    why: str = "",
    public_url: str = "",
    sign_in: bool = False,
    approvers: int = 1,
    links: tuple[LinkFact, ...] = (),
) -> Facts:
    """
    Read the facts off the row that the transaction is about to write.

    *by* is who decided, and *why*, where somebody did. The link leads to a page for signed-in
    people, so where nobody can sign in there is none. *approvers* is the target's own number.
    """
    before, after = evidence.load(reset.before), evidence.load(reset.after)
    minutes = _minutes(reset.expected_minutes)
    started = reset.restarted_at if reset.state is State.RESTARTED else None
    sizes = [job.size for job in (before, after) if job is not None and job.size is not None]
    fell = before is not None and after is not None and len(sizes) == len((before, after))
    return Facts(
        id=reset.id,
        message=reset.sequence,
        target=reset.target,
        kind=kind,
        state=reset.state,
        at=at,
        scope=reset.scope,
        dry_run=reset.dry_run,
        requested_at=reset.requested_at,
        not_before=reset.not_before,
        sent_at=reset.sent_at,
        restarted_at=reset.restarted_at,
        finished_at=reset.finished_at,
        waiting_for=str(reset.waiting_for or ""),
        until=waits_until(reset) if kind in _UNTIL else None,
        behind=reset.behind,
        outcome=reset.outcome,
        detail=quote(reset.detail, _DETAIL_AT_MOST),
        leader=reset.leader,
        accounts=sizes[-1] if sizes else None,
        fewer_accounts=max(0, sizes[0] - sizes[-1]) if fell else 0,
        some_entries_failed=after is not None and after.last_execution.state == _SOME_FAILED,
        failed_entries=after.last_execution.escrowed if after is not None else None,
        minutes=minutes,
        expected_from=_later(started, minutes.least) if minutes else None,
        expected_to=_later(started, minutes.most) if minutes else None,
        asked_about_users=bool(reset.subjects),
        links_checked=any(link.verdict for link in links),
        links=links,
        sign_in=sign_in,
        nobody_can_approve=not sign_in
        and asks_for_two(reset.questions, Standard(approvers=approvers)),
        page=f"{public_url}/api/resets/{reset.id}/page" if public_url and sign_in else "",
        quoted=Quoted(
            requested_by=quote(reset.requested_by),
            reason=quote(reset.reason),
            subjects=tuple(quote(each) for each in reset.subjects[:_SUBJECTS_AT_MOST]),
            decided_by=quote(by),
            decision_reason=quote(why),
        ),
    )


_UNTIL: Final = frozenset(
    {NotificationKind.WAITING, NotificationKind.AWAITING_APPROVAL, NotificationKind.UNKNOWN}
)
_SOME_FAILED: Final = "EntryLevelErrors"


def _minutes(text: str) -> Minutes | None:
    least, dash, most = text.partition("-")
    if not (dash and least.isdigit() and most.isdigit()):
        return None
    return Minutes(least=int(least), most=int(most))


def _later(moment: datetime | None, minutes: int) -> datetime | None:
    return moment + timedelta(minutes=minutes) if moment is not None else None


def dump(facts: Facts) -> str:
    """The facts as JSON, as a column of the outbox keeps them."""
    return msgspec.json.encode(facts).decode()


def load(text: str) -> Facts | None:
    """The facts that `dump` wrote; None for a row of a version that wrote none."""
    return msgspec.json.decode(text, type=Facts) if text else None
