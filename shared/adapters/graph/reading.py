"""Turns an answer of Graph into JSON or a page of a list, or into the fault that it means."""

from collections.abc import Sequence

from msgspec import Struct

from shared.adapters.graph import json_reader as read
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.errors import fault
from shared.domain.errors import FateUnknown


class Page(Struct, frozen=True, kw_only=True):
    """A page of a list; `next_link` leads to the next one."""

    rows: Sequence[object]
    next_link: str = ""


def json_of(answer: Answer, *, needs: str) -> object:
    """Return the body; raise what an answer other than success means to a call that needs that."""
    if not answer.succeeded:
        raise fault(answer, needs=needs)
    try:
        return read.decoded(answer.body)
    except ValueError as error:
        raise FateUnknown("the answer of Microsoft Graph is unreadable: not JSON") from error


def page_of(answer: Answer, *, needs: str) -> Page:
    page = read.members(json_of(answer, needs=needs))
    rows = read.items(page.get("value"))
    if rows is None:
        raise FateUnknown("the answer of Microsoft Graph is not a list")
    return Page(rows=rows, next_link=read.text(page.get("@odata.nextLink")))
