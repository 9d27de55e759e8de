"""Webhooks as their senders make them, signed independently of the code that verifies them."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from tests.support.canaries import guarded

SECRETS = {
    "services": "whsec_" + base64.b64encode(b"canary-services-secret-32-bytes!").decode(),
    "github": "canary-github-secret",
    "jira": "canary-jira-secret-0",
    "jira-automation": "canary-jira-automation",
    "zendesk": "canary-zendesk-secret",
    "pagerduty": "canary-pagerduty-secret",
    "servicenow": "canary-servicenow-secret",
    "servicenow-hmac": "canary-servicenow-hmac",
    "freshservice": "canary-freshservice-1",
    "azure-monitor": "canary-azure-monitor",
}
"""A secret for each sender of docs/use/senders.example.json."""

guarded(*SECRETS.values())


def _hmac(secret: bytes, content: bytes) -> bytes:
    return hmac.new(secret, content, hashlib.sha256).digest()


def standard(
    raw: bytes, at: datetime, *, secret: str = SECRETS["services"], delivery: str = "msg_1"
) -> dict[str, str]:
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(_hmac(key, f"{delivery}.{seconds}.".encode() + raw)).decode()
    return {
        "webhook-id": delivery,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{guarded(digest)}",
    }


def github(raw: bytes, *, secret: str = SECRETS["github"]) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + guarded(_hmac(secret.encode(), raw).hex())}


def jira(raw: bytes, *, secret: str = SECRETS["jira"]) -> dict[str, str]:
    return {"X-Hub-Signature": "sha256=" + guarded(_hmac(secret.encode(), raw).hex())}


def zendesk(
    raw: bytes, at: datetime, *, secret: str = SECRETS["zendesk"], delivery: str = "01HZ"
) -> dict[str, str]:
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = base64.b64encode(_hmac(secret.encode(), time.encode() + raw)).decode()
    return {
        "X-Zendesk-Webhook-Signature": guarded(digest),
        "X-Zendesk-Webhook-Signature-Timestamp": time,
        "X-Zendesk-Webhook-Invocation-Id": delivery,
    }


def pagerduty(raw: bytes, *, secret: str = SECRETS["pagerduty"]) -> dict[str, str]:
    return {"X-PagerDuty-Signature": "v1=" + guarded(_hmac(secret.encode(), raw).hex())}


def servicenow_hmac(raw: bytes, *, secret: str = SECRETS["servicenow-hmac"]) -> dict[str, str]:
    digest = base64.b64encode(_hmac(secret.encode(), raw)).decode()
    return {"X-Hmac-Signature": guarded(digest)}


def signed(sender: str, raw: bytes, at: datetime) -> dict[str, str]:
    """The headers that this sender of docs/use/senders.example.json would send."""
    match sender:
        case "services":
            return standard(raw, at)
        case "github":
            return github(raw)
        case "jira":
            return jira(raw)
        case "zendesk":
            return zendesk(raw, at)
        case "pagerduty":
            return pagerduty(raw)
        case "servicenow-hmac":
            return servicenow_hmac(raw)
        case _:
            return {"X-Relink-Secret": SECRETS[sender]}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()
