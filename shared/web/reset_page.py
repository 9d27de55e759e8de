"""Render a reset as a page for people: read-only, without script. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from shared.domain.reset import OPEN, HistoryEntry, Reset, State, vouched
from shared.domain.states import RELINK
from shared.use_cases.lookup import Found
from shared.web import views
from shared.web.html import (
    EMPTY,
    Markup,
    Part,
    described,
    document,
    element,
    joined,
    table,
    user_text,
)

_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?")

RENEWED_EVERY: Final = 30
"""Seconds, while the reset is open."""

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


def render(found: Found) -> str:
    """Return the page; it reloads itself while the reset is open."""
    reset = found.reset
    is_open = reset.state in OPEN
    foot = "Times are UTC."
    if is_open:
        foot += f" This page renews itself every {RENEWED_EVERY} seconds."
    return document(
        f"{reset.target}: {WORDS[reset.state][1]}",
        element("h1", "Reset of ", user_text(reset.target)),
        _state(reset),
        _request(reset),
        _links(found),
        _job(reset),
        _history(found),
        renewed_every=RENEWED_EVERY if is_open else 0,
        foot=element("p", foot),
    )


def _state(reset: Reset) -> Markup:
    tone, words = WORDS[reset.state]
    parts: list[Part] = [
        element("p", words, class_="word"),
        element("p", user_text(_sentence(reset.detail))),
    ]
    if reset.state is State.JOINED and reset.outcome:
        parts.append(element("p", "Its outcome: ", user_text(reset.outcome)))
    if reset.leader:
        parts.append(element("p", "See ", _link_to(reset.leader)))
    if reset.state is State.RESTARTED:
        parts += [_progress(reset), element("p", _expected_end(reset), class_="quiet")]
    return element("section", *parts, class_=f"state {tone}", aria_label="State")


def _progress(reset: Reset) -> Markup:
    done, _, of = reset.progress.partition(" of ")
    if not (done.isdecimal() and of.isdecimal() and int(of)):
        label = "Progress of the initial cycle, not known in numbers"
        return element("progress", reset.progress or "running", aria_label=label)
    words = f"{int(done):,} of {int(of):,} processed ({min(100, 100 * int(done) // int(of))} %)"
    bar = element("progress", words, value=done, max=of, aria_label="Progress of the initial cycle")
    return joined((bar, element("p", words)))


def _expected_end(reset: Reset) -> str:
    expected = views.minutes(reset.expected_minutes)
    if expected is None or reset.restarted_at is None:
        return "How long it takes is not known: Graph gave no number of entries."
    least, most = (reset.restarted_at + timedelta(minutes=each) for each in expected)
    return f"Expected to end between {_clock(least)} and {_clock(most)}."


def _request(reset: Reset) -> Markup:
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
        ("Asked for at", _time(reset.requested_at)),
        ("Change window from", _time(reset.not_before)),
        ("Next look", _time(reset.due_at) if reset.state in OPEN else EMPTY),
        ("Approved by", _approved(reset)),
        ("Restarted at", _time(reset.restarted_at)),
        ("Finished at", _time(reset.finished_at)),
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
    return " to ".join(map(_span, expected)) if expected is not None else ""


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
    rows = [
        (
            user_text(each.subject),
            user_text(each.verdict or "not looked up"),
            _id(each.before or ""),
            _id(each.after or ""),
            _given("; ".join(filter(None, (each.evidence, each.remedy, each.problem)))),
            _given(", ".join(each.matching)),
        )
        for each in views.link_views(found.reset, found.links)
    ]
    columns = ("User", "Verdict", "Linked to before", "Linked to after", "Evidence", "Matched by")
    return element("section", table("Users whose link must change", columns, rows))


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
    head = joined((element("strong", words), element("span", _time(event.at), by, class_="quiet")))
    return element("li", head, element("p", user_text(_sentence(event.detail))), class_=tone)


def _given(text: str) -> Markup:
    return user_text(text) if text else EMPTY


def _id(text: str) -> Markup:
    return element("code", text) if text else EMPTY


def _link_to(reset_id: str) -> Markup:
    return element("a", element("code", reset_id), href=f"../{quote(reset_id, safe='')}/page")


def _time(at: datetime | None) -> Part:
    if at is None:
        return EMPTY
    return element("time", _clock(at, seconds=True), datetime=at.isoformat())


def _clock(at: datetime, *, seconds: bool = False) -> str:
    return f"{at.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}}"


def _stored_time(text: object) -> str:
    return _clock(datetime.fromisoformat(text), seconds=True) if isinstance(text, str) else ""


def _span(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" if text else ""
