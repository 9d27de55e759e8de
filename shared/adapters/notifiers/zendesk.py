"""
Private comments of Zendesk tickets, written by an update of the ticket: nothing else makes one.

https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_comments
"""

from urllib.parse import quote

from shared.adapters.notifiers.tickets import Caller
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message


class Zendesk:
    """`public` must be said: left out, it is true and the requester reads it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        comment = {"body": message.text, "public": False}
        path = f"/api/v2/tickets/{quote(ticket, safe='')}.json"
        await self._caller.ask("PUT", path, payload={"ticket": {"comment": comment}})

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        del answer
        reply = await self._caller.ask(
            "GET",
            f"/api/v2/tickets/{quote(ticket, safe='')}/comments.json",
            params={"sort": "-created_at", "page[size]": "20"},
        )
        return reply.holds(mark)
