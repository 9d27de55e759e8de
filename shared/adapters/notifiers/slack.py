"""
Messages in a Slack channel, by the address of an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from typing import Any, Final

from shared.adapters.notifiers.channel import Channel
from shared.adapters.notifiers.tickets import message_of
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message

_BLOCK_AT_MOST: Final = 3000


class Slack:
    """Slack cannot be asked what it shows: after a lost answer the message may come twice."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        del again  # the reference in the message tells a repetition
        await self._channel.post(answer, payload=payload(message_of(answer)))

    async def close(self) -> None:
        await self._channel.close()


def payload(message: Message) -> dict[str, Any]:
    """Plain text but for the link: a button of an app without interactivity warns its reader."""
    own = "\n".join(message.own_lines)
    blocks: list[dict[str, Any]] = [_section("plain_text", own)]
    link = f"<{message.link}|Details> " if message.link else "Reference "
    blocks.append(_section("mrkdwn", f"{link}{_escaped(message.reference)}"))
    if message.quotes:
        quoted = {"type": "plain_text", "text": "\n".join(message.quoted_lines)[:_BLOCK_AT_MOST]}
        blocks.append({"type": "context", "elements": [quoted]})
    # The text is what a notification shows; there < and & are markup.
    return {"text": _escaped(message.what), "blocks": blocks}


def _section(kind: str, text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": kind, "text": text[:_BLOCK_AT_MOST]}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
