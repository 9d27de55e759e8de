"""
Notes of PagerDuty incidents.

https://developer.pagerduty.com/api-reference/a1ac30885eb7a-create-a-note-on-an-incident
"""

from typing import Final
from urllib.parse import quote

from shared.adapters.notifiers.tickets import Caller
from shared.domain.errors import NotDelivered
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

ACCEPT: Final = "application/vnd.pagerduty+json;version=2"


class PagerDuty:
    """`From` is the address of a user of the account, in whose name the note is written."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        await self._caller.ask("POST", _path(ticket), payload={"note": {"content": message.text}})

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """All notes come at once, in an order that is not documented: they must be whole."""
        del answer
        reply = await self._caller.ask("GET", _path(ticket))
        if reply.holds(mark):
            return True
        if not reply.whole:
            raise NotDelivered(f"{self._caller.found.name}: too many notes to look through")
        return False


def _path(ticket: str) -> str:
    return f"/incidents/{quote(ticket, safe='')}/notes"
