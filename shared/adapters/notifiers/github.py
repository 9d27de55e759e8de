"""
Comments of GitHub issues.

https://docs.github.com/rest/issues/comments
"""

import re
from datetime import timedelta
from typing import Final

from shared.adapters.notifiers.tickets import Caller, number_of
from shared.domain.errors import NotDelivered, Undeliverable
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}
CLOCKS_DIFFER: Final = timedelta(minutes=10)
A_PAGE: Final = 30
PAGES_AT_MOST: Final = 30


class GitHub:
    """Writes only to the configured repositories, whatever a ticket's id names."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        await self._caller.ask("POST", self._path(ticket), payload={"body": markdown(message)})

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """Comments since the first try: oldest first, a page at a time, all are looked through."""
        since = (answer.tried_at or answer.at) - CLOCKS_DIFFER
        for page in range(1, PAGES_AT_MOST + 1):
            reply = await self._caller.ask(
                "GET",
                self._path(ticket),
                params={
                    "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                    "per_page": str(A_PAGE),
                    "page": str(page),
                },
            )
            if reply.holds(mark):
                return True
            found = reply.json()
            if not isinstance(found, list):
                raise NotDelivered(f"{self._caller.found.name}: no list of comments")
            if len(found) < A_PAGE:
                return False
        raise NotDelivered(f"{self._caller.found.name}: too many comments to look through")

    def _path(self, ticket: str) -> str:
        entry = self._caller.found.entry
        named = ticket.rpartition("#")[0] if "#" in ticket else ""
        allowed = {each.lower(): each for each in entry.repositories}
        repository = allowed.get(named.lower()) if named else entry.repositories[0]
        if repository is None or set(repository.split("/")[1]) <= {"."}:
            raise Undeliverable(
                f"{self._caller.found.name}: the ticket's repository is none of NOTIFIERS "
                f"{self._caller.found.name}.repositories"
            )
        return f"/repos/{repository}/issues/{number_of(ticket)}/comments"


def markdown(message: Message) -> str:
    """
    Our words as paragraphs, a stranger's in a code block, in which no @name calls anybody.

    Marks of Markdown in our own lines (a detail that Graph worded) are taken literally as well.
    """
    own = "\n\n".join(_literal(line) for line in message.own_lines)
    parts = [own, message.last_line]
    if message.quotes:
        quoted = "\n".join(message.quoted_lines)
        fence = "`" * (1 + max(map(len, ("``", *re.findall(r"`+", quoted)))))
        parts.append(f"{fence}text\n{quoted}\n{fence}")
    return "\n\n".join(parts)


def _literal(line: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#!|~])", r"\\\1", line).replace("@", "@\u200b")
