"""Render what waits for a person, for the top of the overview: each with what to do. Pure."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.backlog import Backlog
from shared.domain.notifications import is_of_reset
from shared.domain.reset import GivenUp, Reset, Unreadable
from shared.domain.waits import Asks, asks, waits_until
from shared.web.html import EMPTY, Markup, Part, element, table, user_text
from shared.web.reset_page import page_of
from shared.web.times import moment


def waiting_parts(backlog: Backlog, now: datetime) -> tuple[Markup, ...]:
    """The questions always; the other lists where there is something in them."""
    return (
        _questions(backlog.questions, now),
        _unreadable(backlog.unreadable, now),
        _undelivered(backlog.undelivered, now),
    )


def link_to(reset_id: str) -> Markup:
    return element("a", element("code", reset_id), href=page_of(reset_id))


def _questions(questions: Sequence[Reset], now: datetime) -> Markup:
    heading = element("h2", "Waiting for a person")
    if not questions:
        return element("section", heading, element("p", "Nothing waits for a person."))
    rows: list[Sequence[Part]] = [
        (
            link_to(each.id),
            user_text(each.target),
            "Did the restart happen?" if asks(each) is Asks.FATE else "Approve or reject",
            user_text(each.detail),
            moment(waits_until(each), now),
        )
        for each in questions
    ]
    columns = ("Reset", "Target", "Question", "Why", "Decide until")
    return element(
        "section", heading, table("Decide about these", columns, rows), class_="state wait"
    )


def _unreadable(messages: Sequence[Unreadable], now: datetime) -> Markup:
    if not messages:
        return EMPTY
    rows: list[Sequence[Part]] = [
        (
            element("code", each.key),
            user_text(each.request_id),
            user_text(each.queue),
            user_text(each.reason),
            moment(each.at, now),
        )
        for each in messages
    ]
    columns = ("Key", "Its requestId", "From", "What is wrong with it", "Came")
    return element(
        "section",
        element("h2", "Messages that became no reset"),
        element(
            "p",
            "Nothing was thrown away. Have the sender correct and send it again, or send it again "
            "from here, corrected: ",
            element("code", "POST /api/unreadable/KEY/retry"),
            ". It is listed for a week, or until then.",
        ),
        table("Unreadable messages", columns, rows),
        class_="state wait",
    )


def _undelivered(given_up: Sequence[GivenUp], now: datetime) -> Markup:
    if not given_up:
        return EMPTY
    rows: list[Sequence[Part]] = [
        (
            # An answer about a request that became no reset has no page.
            link_to(each.answer.id)
            if is_of_reset(each.answer)
            else element("code", each.answer.id),
            user_text(f"{each.answer.notifier} {each.answer.ticket_id}".rstrip()),
            each.answer.state.replace("_", " "),
            user_text(each.why),
            moment(each.at, now),
        )
        for each in given_up
    ]
    columns = ("Reset", "Ticket", "It was to read", "Why it was not told", "Given up")
    return element(
        "section",
        element("h2", "Tickets that were not told"),
        element(
            "p",
            "The resets themselves are not affected. Put the cause right (the ticket, the "
            "notifier's address or its secret), then run ",
            element("code", "make resend"),
            ": all of them are sent again, and tried for three days.",
        ),
        table("Answers that were given up", columns, rows),
        class_="state wait",
    )
