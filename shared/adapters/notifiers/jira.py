"""
Comments of Jira issues, as Atlassian documents: `jira` of its platform, `jsm` of service projects.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-comments
https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request
https://developer.atlassian.com/cloud/jira/platform/apis/document/structure
"""

import re
from typing import Any
from urllib.parse import quote

from shared.adapters.notifiers.tickets import Caller
from shared.domain.reset import Notification
from shared.domain.ticket_message import Message


class Jira:
    """A comment in the Atlassian Document Format: text nodes, in which nothing is markup."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        path = f"/rest/api/3/issue/{quote(ticket, safe='')}/comment"
        await self._caller.ask("POST", path, payload={"body": document(message)})

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        del answer
        return await holds(self._caller, ticket, mark)


class ServiceProject:
    """An internal comment of a request: agents read it, customers do not."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def write(self, ticket: str, message: Message, answer: Notification) -> None:
        del answer
        path = f"/rest/servicedeskapi/request/{quote(ticket, safe='')}/comment"
        payload = {"body": _unmarked(message), "public": False}
        await self._caller.ask("POST", path, payload=payload)

    async def holds(self, ticket: str, mark: str, answer: Notification) -> bool:
        """By the platform's list, which can be had newest first."""
        del answer
        return await holds(self._caller, ticket, mark)


async def holds(caller: Caller, ticket: str, mark: str) -> bool:
    """Look at the newest comments: ours was written a short while ago."""
    reply = await caller.ask(
        "GET",
        f"/rest/api/3/issue/{quote(ticket, safe='')}/comment",
        params={"orderBy": "-created", "maxResults": "20"},
    )
    return reply.holds(mark)


def document(message: Message) -> dict[str, Any]:
    content: list[dict[str, Any]] = [_paragraph(_text(line)) for line in message.own_lines]
    last = [_text(message.last_line)]
    if message.link:
        label = message.last_line.removesuffix(message.link)
        mark = {"type": "link", "attrs": {"href": message.link}}
        last = [_text(label), {**_text(message.link), "marks": [mark]}]
    content.append(_paragraph(*last))
    if message.quotes:
        quoted = [_paragraph(_text(line)) for line in message.quoted_lines]
        content.append({"type": "blockquote", "content": quoted})
    return {"type": "doc", "version": 1, "content": content}


def _paragraph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(nodes)}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _unmarked(message: Message) -> str:
    """The body is wiki markup: braces, brackets and the like are taken literally after a slash."""
    lines = [*message.own_lines, message.last_line]
    quotes = [re.sub(r"([{}\[\]!*_^~+|\\-])", r"\\\1", line) for line in message.quoted_lines]
    return "\n".join((*lines, *quotes))
