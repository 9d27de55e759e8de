"""Render a reset as a page for people: what it is, what it needs, what they can decide. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from shared.domain import approvals, evidence
from shared.domain.approvals import Standard
from shared.domain.links import LinkVerdict
from shared.domain.people import Person
from shared.domain.reset import OPEN, HistoryEntry, Reset, Scope, State, vouched
from shared.domain.transitions import RELINK
from shared.domain.waits import waits_until
from shared.use_cases.lookup import Found
from shared.web import views
from shared.web.forms import choices, decision_form
from shared.web.html import (
    EMPTY,
    Markup,
    Part,
    described,
    document,
    element,
    escaped,
    joined,
    table,
    user_text,
)
from shared.web.times import clock, distance, exact, moment, range_in_words

_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?")

WORDS: Final[Mapping[State, tuple[str, str]]] = {
    State.ACCEPTED: ("run", "Accepted"),
    State.WAITING: ("wait", "Waiting"),
    State.AWAITING_APPROVAL: ("wait", "Waiting for approval"),
    State.SENDING: ("run", "Being sent"),
    State.UNKNOWN: ("bad", "Not known whether the restart happened"),
    State.RESTARTED: ("run", "Restarted, initial cycle running"),
    State.COMPLETED: ("good", "Completed"),
    State.FAILED: ("bad", "Failed"),
    State.REFUSED: ("bad", "Refused"),
    State.REJECTED: ("bad", "Rejected"),
    State.CANCELLED: ("wait", "Cancelled"),
    State.EXPIRED: ("bad", "Expired"),
    State.PREVIEWED: ("good", "Dry run answered"),
    State.JOINED: ("good", "Joined another restart"),
}
"""The colour and the name of each state; the name alone must be enough."""


class Viewing(Struct, frozen=True, kw_only=True):
    """
    Who looks, and when, and what they are to know beside the reset itself.

    `earlier` are the target's newest resets. `entra` is the portal's address, empty where the
    tenant's portal is not known. `said` is why a decision did not count. With `renews` the page is
    asked for again by the browser, as its reader chose.
    """

    now: datetime
    person: Person
    standard: Standard
    earlier: Sequence[Reset] = ()
    entra: str = ""
    said: str = ""
    reason: str = ""
    renews: bool = False


RENEWED_EVERY: Final = 30
"""Seconds, where the reader chose so."""


def render(found: Found, viewing: Viewing) -> str:
    """Return the page."""
    reset = found.reset
    return document(
        f"{reset.target}: {WORDS[reset.state][1]}",
        element("h1", "Reset of ", user_text(reset.target)),
        _said(viewing),
        _state(found, viewing),
        _needs(reset, viewing),
        decision_form(reset, viewing.person, action=page_of(reset.id), reason=viewing.reason),
        _request(reset, viewing),
        _links(found),
        _job(reset),
        _history(found),
        head=element("span", "Signed in as ", user_text(viewing.person.name)),
        foot=_foot(reset, viewing),
    )


def page_of(reset_id: str) -> str:
    return f"/api/resets/{quote(reset_id, safe='')}/page"


def _said(viewing: Viewing) -> Markup:
    if not viewing.said:
        return EMPTY
    words = element("p", "Not decided: ", user_text(viewing.said), ".")
    return element("section", words, class_="said", role="alert")


def _foot(reset: Reset, viewing: Viewing) -> Markup:
    words: list[Part] = [f"As of {viewing.now:%Y-%m-%d %H:%M:%S} UTC. "]
    if reset.state in OPEN:
        here = page_of(reset.id)
        words.append(element("a", "Look again", href=here))
        words.append(" · ")
        words.append(
            element("a", "Stop renewing", href=here)
            if viewing.renews
            else element("a", f"Renew every {RENEWED_EVERY} seconds", href=f"{here}?renew=yes")
        )
    return element("p", *words)


def _headline(found: Found) -> tuple[str, str]:
    """Colour and word: green only where it ended as wanted, links included."""
    reset = found.reset
    tone, words = WORDS[reset.state]
    if reset.state is State.JOINED and reset.outcome != "completed":
        return "bad", f"{words}, which did not end well"
    if reset.state not in {State.COMPLETED, State.JOINED} or reset.scope is not Scope.FULL:
        return tone, words
    verdicts = {link.verdict for link in found.links if link.verdict}
    if verdicts <= {LinkVerdict.UNKNOWN}:
        return "wait", f"{words}, links not checked"
    return (
        (tone, words) if verdicts == {LinkVerdict.RELINKED} else ("wait", f"{words}, but see Users")
    )


def _state(found: Found, viewing: Viewing) -> Markup:
    reset = found.reset
    tone, words = _headline(found)
    parts: list[Part] = [
        element("p", words, class_="word"),
        element("p", user_text(_sentence(reset.detail))),
    ]
    if reset.state is State.JOINED and reset.outcome:
        parts.append(element("p", "Its outcome: ", user_text(reset.outcome)))
    others = filter(None, (reset.leader, reset.behind))
    parts.extend(element("p", "See ", _link_to(other)) for other in others)
    if reset.state is State.RESTARTED:
        parts += [_progress(reset), element("p", _expected_end(reset, viewing), class_="quiet")]
    parts.extend(
        element("p", user_text(_sentence(each)), class_="quiet") for each in reset.warnings
    )
    if (label := _deadline(reset)) and (until := waits_until(reset)) is not None:
        parts.append(element("p", f"{label} ", moment(until, viewing.now)))
    if now_what := WHAT_NOW.get(reset.state):
        parts.append(element("p", now_what, class_="quiet"))
    return element("section", *parts, class_=f"state {tone}", aria_label="State")


def _deadline(reset: Reset) -> str:
    if reset.state is State.AWAITING_APPROVAL or reset.operator_asked:
        return "Decide until"
    return "Waits until" if reset.state is State.WAITING else ""


WHAT_NOW: Final[Mapping[State, str]] = {
    State.WAITING: "Nothing needs to be done: it goes on by itself when the wait is over.",
    State.AWAITING_APPROVAL: "Without a decision in that time the request expires and nothing is "
    "sent.",
    State.UNKNOWN: "The answer of Microsoft Entra was lost. Evidence is looked for by itself; a "
    "person is asked where there is none.",
    State.RESTARTED: "Nothing needs to be done: the cycle is watched to its end.",
    State.COMPLETED: "Look below whether each user is linked to the right account. One that is "
    "not is matched to the old account again, because that account still carries what accounts "
    "are matched by: rename it first, then ask again.",
    State.FAILED: "Put the cause right, then ask again. It is not tried again by itself.",
    State.REFUSED: "Put the cause right, then ask again.",
    State.REJECTED: "Speak to the person who decided, then ask again if it is still needed.",
    State.EXPIRED: "Ask again if it is still needed.",
    State.PREVIEWED: "Nothing was restarted. To have it done, ask again without the dry run.",
}
"""What people can do next, by state; nothing where there is nothing to say."""


def _progress(reset: Reset) -> Markup:
    done, _, of = reset.progress.partition(" of ")
    if not (done.isdecimal() and of.isdecimal() and int(of)):
        label = "Progress of the initial cycle, not known in numbers"
        return element("progress", reset.progress or "running", aria_label=label)
    words = f"{int(done):,} of {int(of):,} processed ({min(100, 100 * int(done) // int(of))} %)"
    bar = element("progress", words, value=done, max=of, aria_label="Progress of the initial cycle")
    return joined((bar, element("p", words)))


def _expected_end(reset: Reset, viewing: Viewing) -> str:
    expected = views.minutes(reset.expected_minutes)
    if expected is None or reset.restarted_at is None:
        return "How long it takes is not known: Graph gave no number of entries."
    least, most = (reset.restarted_at + timedelta(minutes=each) for each in expected)
    first, last = clock(least, viewing.now), clock(most, viewing.now)
    return (
        f"Expected to end between {first} and {last} ({distance(most, viewing.now)} at the latest)."
    )


def _needs(reset: Reset, viewing: Viewing) -> Markup:
    """What somebody must know to decide."""
    if reset.state not in OPEN or not choices(reset):
        return EMPTY
    restarts = [
        each for each in viewing.earlier if each.id != reset.id and each.restarted_at is not None
    ][:3]
    job = views.job(reset.before)
    size = evidence.load(reset.before)
    entries = size.size if size is not None else None
    pairs: list[tuple[str, Part]] = [
        ("What is asked", user_text(_sentence(reset.detail))),
        ("Approvals", _approvals(reset, viewing)),
        ("What the restart does", _CYCLE if reset.scope is Scope.FULL else _CLEARING),
        (
            "Accounts",
            f"{entries:,}" if entries is not None else "not known" if job else EMPTY,
        ),
        ("Expected duration", _duration(reset)),
        (
            "Last restarts",
            joined(map(_earlier(viewing.now), restarts)) if restarts else "none known",
        ),
        ("Application in Entra", _in_entra(reset, viewing.entra)),
        ("Ticket", _ticket(reset)),
    ]
    return element("section", element("h2", "Before you decide"), described(pairs))


_CYCLE: Final = (
    "Every link between Microsoft Entra and the application is broken, and all accounts are "
    "matched again by the matching attributes. Accounts whose attributes match are found again; "
    "who is still matched by an old account stays with it. Entries that failed are tried again, "
    "and removals that were not exported yet can be lost."
)
_CLEARING: Final = (
    "The quarantine, its failed entries and the watermark are cleared; links stay as they are."
)


def _approvals(reset: Reset, viewing: Viewing) -> Part:
    if reset.state is not State.AWAITING_APPROVAL:
        return EMPTY
    needed, _ = approvals.approvers_needed(reset, reset.questions, viewing.standard)
    given = approvals.load(reset.approvals)
    names = [
        element("span", user_text(each.by), " (", moment(each.at, viewing.now), ")")
        for each in given
    ]
    two = approvals.asks_for_two(reset.questions, viewing.standard)
    first = " Who asked is the first of two persons." if two and needed == 1 else ""
    count = len({each.identity for each in given})
    return joined((f"{count} of {needed} given.{first}", *(joined((" ", each)) for each in names)))


def _earlier(now: datetime) -> Callable[[Reset], Markup]:
    def line(reset: Reset) -> Markup:
        words = f" {WORDS[reset.state][1].lower()} "
        return element("span", _link_to(reset.id), words, moment(reset.restarted_at, now), "\n")

    return line


def _in_entra(reset: Reset, entra: str) -> Part:
    if not entra or not reset.service_principal_id:
        return EMPTY
    blade = "#view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/"
    address = f"{entra}/{blade}{quote(reset.service_principal_id, safe='')}"
    return element("a", "open it (Provisioning)", href=address, rel="noopener noreferrer")


def _request(reset: Reset, viewing: Viewing) -> Markup:
    now = viewing.now
    pairs: list[tuple[str, Part]] = [
        ("Id", element("code", reset.id)),
        (
            "Asked for by",
            user_text(reset.requested_by or "nobody named"),
        ),
        ("Came by", user_text(reset.via)),
        ("Reason", _given(reset.reason)),
        ("Ticket", _ticket(reset)),
        ("What is cleared", _scope(reset)),
        ("Asked for at", moment(reset.requested_at, now)),
        ("Change window from", moment(reset.not_before, now)),
        (
            "Next look",
            moment(reset.due_at, now) if reset.state in OPEN and not _deadline(reset) else EMPTY,
        ),
        ("Approved by", _approved(reset)),
        ("Restarted at", moment(reset.restarted_at, now)),
        ("Finished at", moment(reset.finished_at, now)),
        ("Outcome", _given(reset.outcome if reset.outcome != reset.state else "")),
        ("Expected duration", _duration(reset)),
        ("Graph's request id", _id(reset.graph_request_id)),
    ]
    return element("section", element("h2", "Request"), described(pairs))


def _scope(reset: Reset) -> str:
    words = "everything, all links included" if reset.scope == "full" else f"scope {reset.scope}"
    return f"nothing: a dry run ({words})" if reset.dry_run else words


def _approved(reset: Reset) -> Part:
    if not reset.approved_by:
        return EMPTY
    return joined((user_text(reset.approved_by), f" ({vouched(reset.approver_signed_in)})"))


def _duration(reset: Reset) -> str:
    expected = views.minutes(reset.expected_minutes)
    return range_in_words(*expected) if expected is not None else ""


def _ticket(reset: Reset) -> Part:
    if not reset.ticket_id:
        return EMPTY
    name = joined((user_text(reset.ticket_id), " (", user_text(reset.ticket_system), ")"))
    host = _web_host(reset.ticket_url)
    if not host:
        return joined((name, " ", user_text(reset.ticket_url))) if reset.ticket_url else name
    link = element("a", name, href=reset.ticket_url, rel="noopener noreferrer")
    return joined((link, " at ", user_text(host)))


def _web_host(url: str) -> str:
    """Return the host of a web address. The requester wrote it: nothing else becomes a link."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    # Browsers read other characters as they like, a backslash as a slash: then it stays text.
    plain = url.isascii() and url.isprintable() and _HOST.fullmatch(parts.netloc) is not None
    return host if parts.scheme in {"http", "https"} and plain else ""


def _links(found: Found) -> Markup:
    if not found.reset.subjects:
        return EMPTY
    links = views.link_views(found.reset, found.links)
    columns = {
        "User": [user_text(each.subject) for each in links],
        "Verdict": [
            user_text((each.verdict or "not looked up").replace("_", " ")) for each in links
        ],
        "Linked to before": [_id(each.before or "") for each in links],
        "Linked to after": [_id(each.after or "") for each in links],
        "Evidence": [
            _given("; ".join(filter(None, (each.evidence, each.remedy, each.problem))))
            for each in links
        ],
        "Matched by": [_given(", ".join(each.matching)) for each in links],
    }
    caption = "Users whose link must change"
    shown = {name: cells for name, cells in columns.items() if any(map(escaped, cells))}
    if not found.links:
        del shown["Verdict"]
        caption += ": not looked up yet"
    return element("section", table(caption, list(shown), list(zip(*shown.values(), strict=True))))


def _job(reset: Reset) -> Markup:
    before, after = views.job(reset.before), views.job(reset.after)
    if not before:
        return EMPTY
    told = [_job_facts(each) for each in (before, after) if each]
    names = [name for name in told[0] | told[-1] if any(facts.get(name) for facts in told)]
    rows: list[list[Part]] = [
        [name, *(_given(facts.get(name, "")) for facts in told)] for name in names
    ]
    columns = ("Of the job", "Before", "After")[: len(told) + 1]
    return element("section", table("The provisioning job", columns, rows))


def _job_facts(job: Mapping[str, Any]) -> dict[str, str]:
    """Describe what `evidence.dump` kept; a value of another shape is left out."""
    last, quarantine = job.get("lastExecution") or {}, job.get("quarantine") or {}
    counts = job.get("counts") or {}
    facts = {
        "State": str(job.get("code") or "not known"),
        "Schedule": str(job.get("scheduleState") or ""),
        "Quarantine": str(quarantine.get("reason") or ("yes" if quarantine else "")),
        "Last execution": str(last.get("state") or ""),
        "Last execution began": _stored_time(last.get("began")),
        "Steady state last reached": _stored_time(job.get("steadyStateLast")) or "never",
        "Managed entries": f"{sum(counts.values()):,}" if counts else "",
        "Entries that failed": f"{last['escrowed']:,}" if last.get("escrowed") else "",
    }
    if len(counts) > 1:
        facts |= {f"Managed entries: {kind}": f"{count:,}" for kind, count in counts.items()}
    return facts


def _history(found: Found) -> Markup:
    lines = [_event(each) for each in found.events]
    return element("section", element("h2", "History"), element("ol", *lines))


def _event(event: HistoryEntry) -> Markup:
    tone, words = WORDS[event.state]
    by = (
        ""
        if event.by == RELINK and event.state is not State.ACCEPTED
        else joined((" by ", user_text(event.by)))
    )
    head = joined((element("strong", words), element("span", exact(event.at), by, class_="quiet")))
    return element("li", head, element("p", user_text(_sentence(event.detail))), class_=tone)


def _given(text: str) -> Markup:
    return user_text(text) if text else EMPTY


def _id(text: str) -> Markup:
    return element("code", text) if text else EMPTY


def _link_to(reset_id: str) -> Markup:
    return element("a", element("code", reset_id), href=f"../{quote(reset_id, safe='')}/page")


def _stored_time(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" if text else ""
