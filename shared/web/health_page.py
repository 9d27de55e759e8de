"""Write the health report for people: as a page, or as plain text for a terminal. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from shared.domain.concerns import Level
from shared.use_cases.health import Report
from shared.web.html import EMPTY, HEALTH, Markup, described, document, element, user_text
from shared.web.times import clock, distance

WORDS: Final = {
    Level.OK: ("good", "OK", "The app can do its work, and nothing waits for a person."),
    Level.ATTENTION: ("wait", "Attention", "The app works. A person should look at this:"),
    Level.UNHEALTHY: ("bad", "Unhealthy", "The app cannot do its work until this is put right:"),
}
"""Of each level its tone, its word and what it means."""

FOR_STRANGERS: Final = "The app answers. With its key, or signed in, there is more to see."


def render(report: Report, *, now: datetime) -> str:
    """Return the page."""
    tone, word, means = WORDS[report.level]
    facts = list(_facts(report.body, now))
    if report.level is Level.OK and not facts:
        means = FOR_STRANGERS
    parts: list[Markup] = [
        element("h1", "Health"),
        element(
            "section",
            element("p", word, class_="word"),
            element("p", means),
            _listed(_told(report)),
            class_=f"state {tone}",
        ),
    ]
    if warnings := report.body.get("warnings"):
        heading = element("h2", "Good to know")
        parts.append(element("section", heading, _listed(warnings)))
    if facts:
        shown = described((name, user_text(words)) for name, words in facts)
        parts.append(element("section", element("h2", "In detail"), shown))
    again = element("a", "Look again", href=HEALTH)
    foot = element("p", f"As of {now:%Y-%m-%d %H:%M:%S} UTC. ", again)
    return document(f"Health: {word}", *parts, foot=foot)


def _told(report: Report) -> list[str]:
    problems: list[str] = report.body["problems"]
    return problems


def _listed(sentences: Sequence[str]) -> Markup:
    if not sentences:
        return EMPTY
    return element("ul", *(element("li", user_text(each)) for each in sentences))


def as_text(report: Report, *, now: datetime) -> str:
    """Return lines that fit a terminal: the level, what is wrong, then the facts."""
    version = report.body.get("version", "")
    lines = [f"{report.level.upper()}  Relink {version}".rstrip(), *_told(report)]
    if warnings := report.body.get("warnings"):
        lines += ["", *(f"note: {each}" for each in warnings)]
    if facts := list(_facts(report.body, now)):
        width = max(len(name) for name, _ in facts)
        lines += ["", *(f"{name.lower():<{width}}  {words}" for name, words in facts)]
    return "\n".join(lines) + "\n"


def _facts(body: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    """The detail in words; nothing of it where the caller may not see it."""
    if "version" not in body:
        return
    yield "Version", str(body["version"])
    yield "Resets", "switched on" if body["resetsEnabled"] else "switched off (RESETS_ENABLED)"
    yield "Targets", ", ".join(body["targets"]) or "none"
    for name, timer in body.get("timers", {}).items():
        yield f"Timer {name}", _timer(timer, now)
    if "people" in body:
        yield "Waits for people", _people(body)
    if graph := body.get("graph"):
        yield "Microsoft Graph", "; ".join(_seen(mood, seen, now) for mood, seen in graph.items())
    if queues := body.get("queues"):
        yield "Queues", "; ".join(_queue(name, queue) for name, queue in queues.items())
    if fleet := body.get("fleet"):
        yield "Jobs", f"{fleet['seen']} seen, {fleet['quarantined']} of them in quarantine"
    yield "Budget", f"{body['dailyBudget']} restarts a day"
    yield "Notifiers", ", ".join(body["notifiers"]) or "none"
    yield "Senders", ", ".join(body["senders"]) or "none"
    yield "Storage", str(body["storage"])
    yield "Graph by", f"{body['credential']}, {body['graphEndpoint']}"


def _people(body: Mapping[str, Any]) -> str:
    people, answers, messages = body["people"], body["answers"], body["messages"]
    return (
        f"{people['approvals']} for an approval, {people['fates']} about a restart's fate; "
        f"messages that became no reset: {messages['unreadable']}; answers that were not "
        f"delivered: {answers['undeliverable']}"
    )


def _timer(timer: Mapping[str, Any], now: datetime) -> str:
    late = ", late" if timer["late"] else ""
    if not timer["lastRun"]:
        return f"has not run yet{late}"
    return f"last ran {_when(timer['lastRun'], now)}{late}"


def _seen(mood: str, seen: Mapping[str, str], now: datetime) -> str:
    what = re.sub("([A-Z])", lambda found: f" {found[0].lower()}", mood)
    why = f": {seen['why']}" if seen["why"] else ""
    return f"{what} {_when(seen['at'], now)} ({seen['call']}){why}"


def _queue(name: str, queue: Mapping[str, Any]) -> str:
    age = queue["oldestMessageSeconds"]
    return f"{name} {'empty' if age is None else f'oldest message {age} s'}"


def _when(text: str, now: datetime) -> str:
    at = datetime.fromisoformat(text)
    return f"{clock(at, now)} ({distance(at, now)})"
