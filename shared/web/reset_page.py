"""A reset as a page for people: read-only, without script. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from shared.domain.reset import OPEN, AuditEvent, Reset, State, vouched
from shared.use_cases.lookup import Found
from shared.web import views
from shared.web.html import EMPTY, Markup, Part, described, element, joined, page, said, table

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
"""Of each state its tone and what it is called; the words alone must do."""


def render(found: Found) -> str:
    """The page; it renews itself while the reset is open."""
    x = found.reset
    is_open = x.state in OPEN
    foot = "Times are UTC."
    if is_open:
        foot += f" This page renews itself every {RENEWED_EVERY} seconds."
    return page(
        f"{x.target}: {WORDS[x.state][1]}",
        element("h1", "Reset of ", said(x.target)),
        _state(x),
        _request(x),
        _links(found),
        _job(x),
        _history(found),
        renewed_every=RENEWED_EVERY if is_open else 0,
        foot=element("p", foot),
    )


def _state(x: Reset) -> Markup:
    tone, words = WORDS[x.state]
    parts: list[Part] = [
        element("p", words, class_="word"),
        element("p", said(_sentence(x.detail))),
    ]
    if x.state is State.JOINED and x.outcome:
        parts.append(element("p", "Its outcome: ", said(x.outcome)))
    if x.leader:
        parts.append(element("p", "See ", _link_to(x.leader)))
    if x.state is State.RESTARTED:
        parts += [_progress(x), element("p", _expected_end(x), class_="quiet")]
    return element("section", *parts, class_=f"state {tone}", aria_label="State")


def _progress(x: Reset) -> Markup:
    done, _, of = x.progress.partition(" of ")
    if not (done.isdecimal() and of.isdecimal() and int(of)):
        label = "Progress of the initial cycle, not known in numbers"
        return element("progress", x.progress or "running", aria_label=label)
    words = f"{int(done):,} of {int(of):,} processed ({min(100, 100 * int(done) // int(of))} %)"
    bar = element("progress", words, value=done, max=of, aria_label="Progress of the initial cycle")
    return joined((bar, element("p", words)))


def _expected_end(x: Reset) -> str:
    expected = views.minutes(x.expected_minutes)
    if expected is None or x.restarted_at is None:
        return "How long it takes is not known: Graph gave no number of entries."
    least, most = (x.restarted_at + timedelta(minutes=each) for each in expected)
    return f"Expected to end between {_clock(least)} and {_clock(most)}."


def _request(x: Reset) -> Markup:
    pairs: list[tuple[str, Part]] = [
        ("Id", element("code", x.id)),
        (
            "Asked for by",
            said(x.requested_by or "nobody named"),
        ),
        ("Came by", said(x.via)),
        ("Reason", _given(x.reason)),
        ("Ticket", _ticket(x)),
        ("What is cleared", _scope(x)),
        ("Asked for at", _time(x.requested_at)),
        ("Change window from", _time(x.not_before)),
        ("Next look", _time(x.due_at) if x.state in OPEN else EMPTY),
        ("Approved by", _approved(x)),
        ("Restarted at", _time(x.restarted_at)),
        ("Finished at", _time(x.finished_at)),
        ("Outcome", _given(x.outcome if x.outcome != x.state else "")),
        ("Expected duration", _duration(x)),
        ("Graph's request id", _id(x.graph_request_id)),
    ]
    return element("section", element("h2", "Request"), described(pairs))


def _scope(x: Reset) -> str:
    words = "everything, all links included" if x.scope == "full" else f"scope {x.scope}"
    return f"nothing: a dry run ({words})" if x.dry_run else words


def _approved(x: Reset) -> Part:
    if not x.approved_by:
        return EMPTY
    return joined((said(x.approved_by), f" ({vouched(x.approver_signed_in)})"))


def _duration(x: Reset) -> str:
    expected = views.minutes(x.expected_minutes)
    return " to ".join(map(_span, expected)) if expected is not None else ""


def _ticket(x: Reset) -> Part:
    if not x.ticket_id:
        return EMPTY
    name = joined((said(x.ticket_id), " (", said(x.ticket_system), ")"))
    host = _web_host(x.ticket_url)
    if not host:
        return joined((name, " ", said(x.ticket_url))) if x.ticket_url else name
    link = element("a", name, href=x.ticket_url, rel="noopener noreferrer")
    return joined((link, " at ", said(host)))


def _web_host(url: str) -> str:
    """Whoever asked wrote the address: only the web's become links, and the host is shown."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    plain = url.isprintable() and " " not in url and not parts.username
    return host if parts.scheme in {"http", "https"} and plain else ""


def _links(found: Found) -> Markup:
    if not found.reset.subjects:
        return EMPTY
    rows = [
        (
            said(each.subject),
            said(each.verdict or "not looked up"),
            _id(each.before or ""),
            _id(each.after or ""),
            _given(each.evidence or ""),
        )
        for each in views.link_views(found.reset, found.links)
    ]
    columns = ("User", "Verdict", "Linked to before", "Linked to after", "Evidence")
    return element("section", table("Users whose link must change", columns, rows))


def _job(x: Reset) -> Markup:
    before, after = views.job(x.before), views.job(x.after)
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
    """In words what `verdict.dump` kept; a value of another shape is left out."""
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


def _event(event: AuditEvent) -> Markup:
    tone, words = WORDS[event.state]
    by = "" if event.by == "relink" else joined((" by ", said(event.by)))
    head = joined((element("strong", words), element("span", _time(event.at), by, class_="quiet")))
    return element("li", head, element("p", said(_sentence(event.detail))), class_=tone)


def _given(text: str) -> Markup:
    return said(text) if text else EMPTY


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
