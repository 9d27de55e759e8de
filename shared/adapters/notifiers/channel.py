"""Bring an answer to a channel by its own address: what Teams, Slack and the webhook share."""

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.adapters.notifiers.exchange import Exchange
from shared.domain.notifier_entries import ConfiguredNotifier
from shared.domain.reset import Notification


def delivery_id(answer: Notification) -> str:
    """
    The same at each try of one answer, so that a receiver can drop a repetition.

    A digest, because a request's id is its sender's choice and may hold dots.
    """
    digest = hashlib.sha256(f"{answer.id}\0{answer.n}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


class Channel:
    """POSTs to one address, which is configured and never shown: it may have a key in it."""

    def __init__(self, found: ConfiguredNotifier, exchange: Exchange) -> None:
        self.found = found
        self.exchange = exchange

    async def post(
        self,
        answer: Notification,
        *,
        payload: Any = None,
        raw: bytes | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        headers = {"webhook-id": delivery_id(answer), **(extra or {})}
        await self.exchange.ask("POST", self.found.url, headers=headers, payload=payload, raw=raw)

    async def close(self) -> None:
        await self.exchange.close()
