"""
Private notes of Freshservice tickets.

https://api.freshservice.com/#create_note
"""

from html import escape
from typing import Final

from shared.adapters.notifiers.tickets import Caller, number_of
from shared.domain.errors import NotDelivered
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

A_PAGE: Final = 10
PAGES_AT_MOST: Final = 30


class Freshservice:
    """A note's body is HTML; a ticket is addressed by its number alone."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        payload = {"body": html(message), "private": True}
        await self._caller.ask(
            "POST", f"/api/v2/tickets/{number_of(ticket)}/notes", payload=payload
        )

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """Conversations come oldest first, a page at a time; all of them are looked through."""
        del answer
        for page in range(1, PAGES_AT_MOST + 1):
            reply = await self._caller.ask(
                "GET",
                f"/api/v2/tickets/{number_of(ticket)}/conversations",
                params={"per_page": str(A_PAGE), "page": str(page)},
            )
            if reply.holds(mark):
                return True
            found = reply.json()
            listed = found.get("conversations") if isinstance(found, dict) else None
            if not isinstance(listed, list):
                raise NotDelivered(f"{self._caller.found.name}: no list of conversations")
            if len(listed) < A_PAGE:
                return False
        raise NotDelivered(f"{self._caller.found.name}: too many conversations to look through")


def html(message: Message) -> str:
    lines = [f"<p>{escape(line)}</p>" for line in message.own_lines]
    last = escape(message.last_line)
    if message.link:
        label = escape(message.last_line.removesuffix(message.link))
        address = escape(message.link)
        last = f'{label}<a href="{address}" rel="noreferrer">{address}</a>'
    quotes = "<br>".join(escape(line) for line in message.quoted_lines)
    quoted = f"<blockquote>{quotes}</blockquote>" if quotes else ""
    return f"{''.join(lines)}<p>{last}</p>{quoted}"
