"""Webhooks through the genuine worker: taken in without Graph, and without a word in any log."""

import io
import json
import logging
from datetime import UTC, datetime
from typing import Any

from local import processes
from local.http_client import http_client
from local.processes import ROOT
from tests.functional.stack import storage_and_graph
from tests.support import canaries, webhooks
from tests.support.world import SP
from tests.unit.use_cases.test_receive_webhook import EVENTS

CANARY = "canary in a body"


def settings(catalogue: str) -> dict[str, str]:
    # The emulator's service principal in place of the one that the events of an alert name.
    return {
        "RESET_TARGETS": catalogue,
        "WEBHOOK_SENDERS": (ROOT / "docs" / "use" / "senders.example.json").read_text(
            encoding="utf-8"
        ),
        "WEBHOOK_SECRETS": json.dumps({k: [v] for k, v in webhooks.SECRETS.items()}),
    }


def with_canary(event: dict[str, Any]) -> dict[str, Any]:
    """Somewhere in each body, whatever its format."""
    if "target" in event:
        return {**event, "reason": CANARY, "ticket": {"system": "desk", "id": CANARY}}
    return {**event, "extra": CANARY}


JSON = {"content-type": "application/json"}


async def test_no_secret_signature_or_body_reaches_a_log_of_the_host() -> None:
    leaks, seen = len(canaries.leaks), canaries.seen
    async with storage_and_graph() as stack:
        environ = {**stack.environ, **settings(stack.environ["RESET_TARGETS"])}
        async with (
            processes.host(environ) as (running, url),
            http_client(f"{url}/api/webhooks/", seconds=20) as client,
        ):
            statuses: dict[str, list[int]] = {}
            ids: list[str] = []
            for sender, event in EVENTS.items():
                raw = webhooks.body(with_canary(event)).replace(
                    SP.encode(), b"8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
                )
                good = webhooks.signed(sender, raw, datetime.now(UTC))
                got = [
                    await client.post(sender, data=io.BytesIO(body), headers=JSON | headers)
                    for body, headers in (
                        (raw, good),
                        (raw, good),
                        (raw + b" ", good),
                        (raw, {}),
                        (b"canary" * 200_000, good),
                        (raw, {**good, "content-type": "text/canary"}),
                        (raw.decode().encode("utf-16"), good),
                    )
                ]
                statuses[sender] = [answer.status for answer in got]
                ids.append(got[0].json()["id"])
            # Those that came during its cycle wait for the cooldown.
            assert (await stack.ended(ids[0])).outcome == "completed"
            text = "\n".join(running.lines)

    header = [202, 200, 202, 401, 413, 415, 400]
    signing = [202, 200, 401, 401, 413, 415, 401]
    # An alert names itself: a blank more in its body makes it no other.
    alert = [202, 200, 200, 401, 413, 415, 400]
    for sender, found in statuses.items():
        carries_the_secret = "X-Relink-Secret" in webhooks.signed(sender, b"", datetime.now(UTC))
        kind = header if carries_the_secret else signing
        assert found == (alert if sender == "azure-monitor" else kind), sender
    assert text.count("webhook.received") >= 2 * len(EVENTS)
    assert text.count("webhook.refused") >= 4 * len(EVENTS)
    assert canaries.seen > seen
    assert canaries.leaks[leaks:] == []


def test_the_scan_notices_a_canary_a_secret_and_a_signature() -> None:
    leaks = len(canaries.leaks)
    log = logging.getLogger("relink.scan")
    signature = webhooks.github(b"x")["X-Hub-Signature-256"]
    for text in (f"body {CANARY}", f"key {webhooks.SECRETS['github']}", f"header {signature}"):
        log.warning("%s", text)
    canaries.look_at("a process", f"traceback: {signature}")
    noticed = canaries.leaks[leaks:]
    del canaries.leaks[leaks:]

    assert len(noticed) == 4


async def test_only_post_is_for_webhooks() -> None:
    async with (
        storage_and_graph() as stack,
        processes.host(stack.environ) as (_, url),
        http_client() as client,
    ):
        answers = [
            await client.ask(method, f"{url}/api/webhooks/github")
            for method in ("GET", "HEAD", "PUT", "DELETE")
        ]
    assert [answer.status for answer in answers] == [405] * 4
    assert answers[0].headers["allow"] == "POST"
