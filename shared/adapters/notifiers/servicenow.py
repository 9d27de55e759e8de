"""
Work notes of ServiceNow records, internal to the agents.

https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html
"""

import re
from typing import Any, Final

from shared.adapters.notifiers.tickets import Caller
from shared.domain.errors import NotDelivered, Undeliverable
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

TABLES: Final = {
    "INC": "incident",
    "RITM": "sc_req_item",
    "CHG": "change_request",
    "REQ": "sc_request",
    "SCTASK": "sc_task",
}
_SYS_ID: Final = re.compile(r"[0-9a-f]{32}")


class ServiceNow:
    """Looks the record up by its number first: the Table API is addressed by sys_id."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        path = await self._record(ticket)
        # A journal shows what stands between [code] tags as HTML.
        text = re.sub(r"\[(?=/?code)", "[ ", message.text, flags=re.IGNORECASE)
        await self._caller.ask(
            "PATCH", path, payload={"work_notes": text}, params={"sysparm_fields": "sys_id"}
        )

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """The record's own journal, newest first; an account that may write it may read it."""
        del answer
        reply = await self._caller.ask(
            "GET",
            await self._record(ticket),
            params={"sysparm_fields": "work_notes", "sysparm_display_value": "true"},
        )
        return reply.holds(mark)

    async def _record(self, ticket: str) -> str:
        table = TABLES[re.sub(r"[0-9]+\Z", "", ticket)]
        reply = await self._caller.ask(
            "GET",
            f"/api/now/table/{table}",
            params={
                "sysparm_query": f"number={ticket}",
                "sysparm_fields": "sys_id",
                "sysparm_limit": "1",
            },
        )
        return f"/api/now/table/{table}/{_sys_id(reply.json(), self._caller.found.name)}"


def _sys_id(found: Any, name: str) -> str:
    records = found.get("result") if isinstance(found, dict) else None
    if not isinstance(records, list):
        raise NotDelivered(f"{name}: the look-up's answer holds no result")
    if not records:
        raise Undeliverable(f"{name}: there is no such record, or the account may not see it")
    sys_id = records[0].get("sys_id") if isinstance(records[0], dict) else None
    if not isinstance(sys_id, str) or not _SYS_ID.fullmatch(sys_id):
        raise NotDelivered(f"{name}: the look-up's answer holds no sys_id")
    return sys_id
