"""Render the overview: what waits for people, what is open, the targets, a search. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from shared.domain.people import Person, Role
from shared.domain.requests import LONGEST_REASON
from shared.domain.reset import Reset
from shared.domain.waits import waits_until
from shared.use_cases.lookup import ListPage
from shared.use_cases.overview import Sights, TargetSight
from shared.web.html import EMPTY, OVERVIEW, Markup, Part, document, element, table, user_text, void
from shared.web.reset_page import WORDS
from shared.web.times import moment
from shared.web.waiting_parts import link_to, waiting_parts

SEARCHES: Final = {"id": "Id", "ticket": "Ticket", "asker": "Asked for by", "subject": "User"}
"""By what a reset is searched for, and what a person calls that."""


class Asked(Struct, frozen=True, kw_only=True):
    """What stands in the form to ask for a reset; `request_id` makes a second click harmless."""

    request_id: str
    target: str = ""
    reason: str = ""
    users: str = ""
    dry_run: bool = True
    problem: str = ""


class Looking(Struct, frozen=True, kw_only=True):
    """
    Who looks, when, and for what: the words of a search, or a target's last resets.

    `found` is what that brought; None where nothing was searched for.
    """

    now: datetime
    person: Person
    asked: Asked
    targets: Sequence[str] = ()
    by: str = "ticket"
    words: str = ""
    target: str = ""
    found: ListPage | None = None
    problem: str = ""


def render(sights: Sights, looking: Looking) -> str:
    """Return the page."""
    now = looking.now
    return document(
        "Overview",
        element("h1", "Resets of provisioning jobs"),
        *waiting_parts(sights.backlog, now),
        _found(looking),
        _open(sights, now),
        _targets(sights, now),
        _search(looking),
        _ask(looking),
        head=element("span", "Signed in as ", user_text(looking.person.name)),
        foot=element("p", f"As of {now:%Y-%m-%d %H:%M:%S} UTC. ", _link("Look again", OVERVIEW)),
    )


def _open(sights: Sights, now: datetime) -> Markup:
    heading = element("h2", "Open")
    if not sights.open.resets:
        return element("section", heading, element("p", "Nothing is open."))
    rows: list[Sequence[Part]] = [
        (link_to(each.id), user_text(each.target), WORDS[each.state][1], _progress(each, now))
        for each in sights.open.resets
    ]
    columns = ("Reset", "Target", "State", "Progress")
    parts = [heading, table("Open resets", columns, rows)]
    if sights.open.continuation:
        query = urlencode({"continuation": sights.open.continuation})
        parts.append(element("p", _link("More open resets", f"{OVERVIEW}?{query}")))
    return element("section", *parts)


def _progress(reset: Reset, now: datetime) -> Part:
    if reset.progress:
        return reset.progress
    if (until := waits_until(reset)) is not None:
        return element("span", "until ", moment(until, now))
    return element("span", "asked ", moment(reset.requested_at, now))


def _targets(sights: Sights, now: datetime) -> Markup:
    left = max(0, sights.daily_budget - sights.spent)
    budget = f"{left} of {sights.daily_budget} restarts are left for today (UTC)."
    rows: list[Sequence[Part]] = [
        (
            _link(each.alias, f"{OVERVIEW}?{urlencode({'target': each.alias})}"),
            _state_seen(each, now),
            _last(each, now),
            moment(each.cooldown_until, now) if each.cooldown_until else "free",
        )
        for each in sights.targets
    ]
    parts: list[Part] = [element("h2", "Targets"), element("p", budget)]
    columns = ("Target", "Job as last seen", "Last reset", "Cooldown until")
    if rows:
        parts.append(table("Targets of the catalogue", columns, rows))
    if sights.next_target:
        query = urlencode({"from": sights.next_target})
        parts.append(element("p", _link("More targets", f"{OVERVIEW}?{query}")))
    return element("section", *parts)


def _state_seen(each: TargetSight, now: datetime) -> Part:
    observation = each.observation
    if observation.seen_at is None:
        return "not seen yet"
    words = observation.code or "not known"
    if observation.quarantined:
        words = f"quarantine: {observation.reason or 'no reason given'}"
    return element("span", user_text(words), ", ", moment(observation.seen_at, now))


def _last(each: TargetSight, now: datetime) -> Part:
    if each.last is None:
        return "none"
    words = f" {WORDS[each.last.state][1].lower()}, "
    return element("span", link_to(each.last.id), words, moment(each.last.requested_at, now))


def _found(looking: Looking) -> Markup:
    if looking.problem:
        words = element("p", user_text(looking.problem))
        return element("section", words, class_="said", role="alert")
    if looking.found is None:
        return EMPTY
    what = (
        f"Last resets of {looking.target}"
        if looking.target
        else f"{SEARCHES[looking.by]}: {looking.words}"
    )
    heading = element("h2", "Found")
    if not looking.found.resets:
        words = element("p", "Nothing was found for “", user_text(what), "”.")
        return element("section", heading, words)
    rows: list[Sequence[Part]] = [
        (
            link_to(each.id),
            user_text(each.target),
            WORDS[each.state][1],
            user_text(each.ticket_id),
            user_text(each.requested_by),
            moment(each.requested_at, looking.now),
        )
        for each in looking.found.resets
    ]
    columns = ("Reset", "Target", "State", "Ticket", "Asked for by", "Asked for")
    parts = [heading, table(what, columns, rows)]
    if looking.found.continuation:
        query = {"continuation": looking.found.continuation}
        query |= (
            {"target": looking.target}
            if looking.target
            else {"by": looking.by, "words": looking.words}
        )
        parts.append(element("p", _link("Older ones", f"{OVERVIEW}?{urlencode(query)}")))
    return element("section", *parts, id="found")


def _search(looking: Looking) -> Markup:
    options = [_option(words, key, chosen=key == looking.by) for key, words in SEARCHES.items()]
    return element(
        "section",
        element("h2", "Search"),
        element(
            "form",
            _field("by", "Search by", element("select", *options, id="by", name="by")),
            _field(
                "words",
                "For exactly",
                void(
                    "input",
                    type="text",
                    id="words",
                    name="words",
                    value=looking.words,
                    maxlength="256",
                    required="required",
                ),
            ),
            element("button", "Search", type="submit"),
            method="get",
            action=OVERVIEW,
            role="search",
        ),
    )


def _ask(looking: Looking) -> Markup:
    heading = element("h2", "Ask for a reset")
    if Role.REQUEST not in looking.person.roles:
        why = f"You cannot ask for one: the app role {Role.REQUEST} is needed for that."
        return element("section", heading, element("p", why, class_="barred"), id="ask")
    asked = looking.asked
    targets = [_option(each, each, chosen=each == asked.target) for each in looking.targets]
    tick = {"checked": "checked"} if asked.dry_run else {}
    parts: list[Part] = [heading]
    if asked.problem:
        words = element("p", "Not asked: ", user_text(asked.problem))
        parts.append(element("div", words, role="alert"))
    parts.append(
        element(
            "form",
            void("input", type="hidden", name="requestId", value=asked.request_id),
            _field("target", "Target", element("select", *targets, id="target", name="target")),
            _field(
                "reason",
                "Reason",
                element(
                    "textarea",
                    asked.reason,
                    id="reason",
                    name="reason",
                    rows="2",
                    maxlength=str(LONGEST_REASON),
                ),
            ),
            _field(
                "users",
                "Users whose link must change, one a line (object id or user principal name)",
                element("textarea", asked.users, id="users", name="users", rows="3"),
            ),
            element(
                "div",
                void("input", type="checkbox", id="dryRun", name="dryRun", value="yes", **tick),
                element("label", "Dry run first", for_="dryRun", class_="inline"),
                element(
                    "p",
                    "A dry run restarts nothing: it says what would be decided, and about how long "
                    "the cycle would take.",
                ),
                class_="field",
            ),
            element("button", "Ask", type="submit"),
            method="post",
            action=OVERVIEW,
            accept_charset="utf-8",
        )
    )
    return element("section", *parts, id="ask")


def _field(name: str, label: str, control: Markup) -> Markup:
    return element("div", element("label", label, for_=name), control, class_="field")


def _option(words: str, value: str, *, chosen: bool) -> Markup:
    marked = {"selected": "selected"} if chosen else {}
    return element("option", words, value=value, **marked)


def _link(words: str, href: str) -> Markup:
    return element("a", words, href=href)
