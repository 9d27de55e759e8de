"""Plays the ticket system of the demo: it signs what it sends, and keeps what its tickets hear."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import web

from local.http_client import Answer, http_client
from local.listening import listening

SENDER: Final = "desk"


class Desk:
    """`comments` holds each ticket's comments in their order; *host* is where the app listens."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.comments: dict[str, list[str]] = {}
        self.forged = 0
        self.host = ""

    def environ(self, comments_url: str, *, target: str) -> Mapping[str, str]:
        """The app's settings for this sender and its notifier."""
        key = base64.b64encode(self._key).decode()
        sender = {"scheme": "standard-webhooks", "format": "relink", "targets": [target]}
        moments = ["accepted", "waiting", "restarted", "end"]
        notifier = {"kind": "webhook", "url": comments_url, "on": moments}
        return {
            "WEBHOOK_SENDERS": json.dumps({SENDER: sender}),
            "WEBHOOK_SECRETS": json.dumps({SENDER: [key]}),
            "NOTIFIERS": json.dumps({SENDER: notifier}),
            "NOTIFIER_SECRETS": json.dumps({SENDER: {"signing": [key]}}),
        }

    def signed(self, raw: bytes) -> dict[str, str]:
        """https://www.standardwebhooks.com."""
        delivery, at = f"msg_{secrets.token_hex(8)}", str(int(time.time()))
        content = f"{delivery}.{at}.".encode() + raw
        return {
            "webhook-id": delivery,
            "webhook-timestamp": at,
            "webhook-signature": self._signature(content),
            "content-type": "application/json",
        }

    async def send(self, raw: bytes, *, signed: bytes | None = None) -> Answer:
        """Send *raw*, under the signature of *signed* where somebody changed it on the way."""
        async with http_client(seconds=10) as client:
            address = f"{self.host}/api/webhooks/{SENDER}"
            return await client.post(address, data=raw, headers=self.signed(signed or raw))

    async def _comment(self, request: web.Request) -> web.Response:
        """Take what the app has signed, as its own webhooks are signed."""
        raw, headers = await request.read(), request.headers
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        if not hmac.compare_digest(headers["webhook-signature"], self._signature(content)):
            self.forged += 1
            return web.Response(status=401)
        data = json.loads(raw)["data"]
        self.comments.setdefault(data["ticket"]["id"], []).append(data["text"])
        return web.Response(status=204)

    def _signature(self, content: bytes) -> str:
        digest = hmac.digest(self._key, content, hashlib.sha256)
        return f"v1,{base64.b64encode(digest).decode()}"

    def listening(self) -> AbstractAsyncContextManager[str]:
        return listening("/comments", self._comment)
