"""
Write an answer into a ticket as a comment, once: what all ticket systems have in common.

After a try whose end is not known, the comment is looked up by its reference before another is
written. A system's own module says how it is addressed, searched and written to.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from shared.adapters.notifiers.credentials import Credentials
from shared.adapters.notifiers.exchange import Exchange, Reply
from shared.domain import ticket_facts
from shared.domain.errors import NotDelivered, Undeliverable
from shared.domain.notifier_entries import ConfiguredNotifier
from shared.domain.notifier_kinds import KINDS, ticket_pattern
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message, reference
from shared.domain.ticket_words import compose


class Caller:
    """Calls of one configured system, signed in as it wants."""

    def __init__(
        self,
        found: ConfiguredNotifier,
        exchange: Exchange,
        credentials: Credentials,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.found = found
        self._exchange = exchange
        self._credentials = credentials
        self._extra = extra or {}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        payload: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """*path* begins with a slash, its parts percent-encoded."""
        headers = {**await self._credentials.headers(), **self._extra}
        try:
            return await self._exchange.ask(
                method, f"{self.found.url}{path}", headers=headers, payload=payload, params=params
            )
        except NotDelivered as error:
            if error.refused:
                self._credentials.forget()
            raise

    async def close(self) -> None:
        await self._exchange.close()


class TicketSystem(Protocol):
    """One kind: how a comment is written, and how it is found again."""

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        """Write the comment; raise NotDelivered or Undeliverable."""

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """Whether a comment of the ticket holds *mark*; raise NotDelivered where it cannot say."""


class TicketNotifier:
    """The port `Notifier` over one ticket system."""

    def __init__(self, caller: Caller, system: TicketSystem) -> None:
        self._caller = caller
        self._system = system
        self._pattern = ticket_pattern(caller.found.entry.kind)

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        ticket = self._checked(answer.ticket_id)
        message = message_of(answer)
        if again and await self._system.holds(ticket, message.reference, answer):
            return
        await self._system.write(ticket, message, answer)

    def _checked(self, ticket_id: str) -> str:
        """What the kind's pattern does not match is sent nowhere."""
        found = self._caller.found
        wanted = ticket_id or found.entry.ticket
        kind, example = found.entry.kind, KINDS[found.entry.kind].example
        if not wanted:
            raise Undeliverable(
                f"{found.name}: the request names no ticket; give NOTIFIERS {found.name}.ticket, "
                "where such answers go"
            )
        if self._pattern is None or not self._pattern.fullmatch(wanted):
            raise Undeliverable(
                f"{found.name}: the ticket's id is not one of {kind} (like {example})"
            )
        return wanted

    async def close(self) -> None:
        await self._caller.close()


def message_of(answer: Notification) -> Message:
    """The words, in parts; of a row that an earlier version wrote, its text as it is."""
    facts = ticket_facts.load(answer.facts)
    if facts is None:
        return Message(what=answer.text, reference=reference(answer.id, answer.n))
    return compose(facts)


def number_of(ticket: str) -> str:
    """The digits at the end of an id."""
    return re.sub(r"\A.*?(?=[0-9]+\Z)", "", ticket)
