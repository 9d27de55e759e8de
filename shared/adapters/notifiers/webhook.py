"""
Everything else: the answer as JSON to an address, signed as https://www.standardwebhooks.com says.

`{"type": "reset.completed", "timestamp": "…", "data": {…}}`; several secrets sign at once, so that
one can be replaced without a gap, and a receiver that answers 410 is told no more.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from shared.adapters.notifiers.channel import Channel, delivery_id
from shared.adapters.notifiers.tickets import message_of
from shared.domain import ticket_facts
from shared.domain.notifier_entries import signing_key
from shared.domain.reset import Notification, NotificationKind


class WebhookNotifier:
    """The `webhook-id` is the same at each try, by which the receiver drops a repetition."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def deliver(self, answer: Notification, *, again: bool) -> None:
        del again  # the webhook-id says it
        raw = json.dumps(event(answer), ensure_ascii=False).encode()
        at = str(int(self._channel.exchange.clock().timestamp()))
        extra = {"Content-Type": "application/json", "webhook-timestamp": at}
        if keys := [signing_key(each) for each in self._channel.found.secrets.signing]:
            extra["webhook-signature"] = signature(keys, delivery_id(answer), at, raw)
        await self._channel.post(answer, raw=raw, extra=extra)

    async def close(self) -> None:
        await self._channel.close()


def event(answer: Notification) -> dict[str, Any]:
    """The facts as data and the whole text; what a stranger wrote is a field of its own."""
    moment = answer.state if answer.kind is NotificationKind.END else answer.kind
    facts = json.loads(answer.facts) if answer.facts else {"id": answer.id, "target": answer.target}
    ticket = {"system": answer.notifier, "id": answer.ticket_id, "url": answer.ticket_url}
    return {
        "type": f"reset.{moment}",
        "timestamp": answer.at.isoformat(),
        "data": {
            **facts,
            "kind": str(answer.kind),
            "state": str(answer.state),
            "ticket": ticket,
            "text": message_of(answer).text if ticket_facts.load(answer.facts) else answer.text,
        },
    }


def signature(keys: Sequence[bytes], delivery: str, at: str, raw: bytes) -> str:
    """One for each secret, the newest first; any of them is good to the receiver."""
    content = f"{delivery}.{at}.".encode() + raw
    digests = [hmac.digest(key, content, hashlib.sha256) for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
