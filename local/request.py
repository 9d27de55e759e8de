"""Puts a reset request on the queue, as another service would (`make request TARGET=…`)."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.storage.queue.aio import QueueClient

from shared.config import development_storage
from shared.names import CONNECTION, RESETS_QUEUE

SETTINGS = Path(__file__).resolve().parent.parent / "local.settings.json"


def connection(environ: Mapping[str, str]) -> str:
    """The environment wins over local.settings.json; without both, Azurite on its usual ports."""
    value = environ.get(CONNECTION, "")
    if not value and SETTINGS.exists():
        values = json.loads(SETTINGS.read_text(encoding="utf-8")).get("Values", {})
        value = str(values.get(CONNECTION, ""))
    return development_storage(value or "UseDevelopmentStorage=true")


async def send(environ: Mapping[str, str]) -> str:
    names = {"TARGET": "target", "REASON": "reason", "REQUEST_ID": "requestId", "BY": "requestedBy"}
    request: dict[str, object] = {
        name: environ[variable] for variable, name in names.items() if environ.get(variable)
    }
    if environ.get("DRY_RUN") == "1":
        request["dryRun"] = True
    text = json.dumps(request, ensure_ascii=False)
    async with QueueClient.from_connection_string(
        connection(environ), RESETS_QUEUE, retry_total=1
    ) as queue:
        await queue.send_message(text, time_to_live=-1)
    return text


def main() -> int:
    if not os.environ.get("TARGET"):
        print("TARGET: missing; say make request TARGET=salesforce-prod", file=sys.stderr)
        return 2
    try:
        print(f"sent to {RESETS_QUEUE}: {asyncio.run(send(os.environ))}")
    except AzureError as error:
        print(
            f"{CONNECTION}: the queue cannot be reached ({type(error).__name__}); "
            "are `make azurite` and `make host` running?",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
