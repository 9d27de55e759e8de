"""
Adaptive Cards in a Teams channel, by the address of a workflow.

https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams
https://adaptivecards.io/explorer
"""

from typing import Any, Final

from shared.adapters.notifiers.channel import Channel
from shared.adapters.notifiers.tickets import message_of
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

CARD: Final = "application/vnd.microsoft.card.adaptive"


class Teams:
    """Teams cannot be asked what it shows: after a lost answer the card may come twice."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        del again  # the reference on the card tells a repetition
        await self._channel.post(answer, payload=envelope(message_of(answer)))

    async def close(self) -> None:
        await self._channel.close()


def envelope(message: Message) -> dict[str, Any]:
    attachment = {"contentType": CARD, "contentUrl": None, "content": card(message)}
    return {"type": "message", "attachments": [attachment]}


def card(message: Message) -> dict[str, Any]:
    """Rich text blocks, because a text block reads Markdown and a stranger's words are in here."""
    what, *rest = message.own_lines
    body: list[dict[str, Any]] = [_block(what, weight="Bolder")]
    body += [_block(line) for line in rest]
    if message.facts:
        facts = [{"title": label, "value": value} for label, value in message.facts]
        body.append({"type": "FactSet", "facts": facts})
    body += [_block(line, isSubtle=True) for line in message.quoted_lines]
    body.append(_block(f"Reference {message.reference}", isSubtle=True, size="Small"))
    made: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": what,
        "body": body,
    }
    if message.link:
        made["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.link}]
    return made


def _block(text: str, **look: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **look}]}
