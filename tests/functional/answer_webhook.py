"""Answer one webhook through the genuine worker, in a process of its own; print what that took."""

import asyncio
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from local.host.wire import Message, TypedData  # noqa: E402
from local.host.worker import Worker  # noqa: E402


async def main() -> None:
    worker = Worker(ROOT, timeout=None)
    functions = {function.name: function for function in await worker.start()}
    raw = os.environ["WEBHOOK_BODY"].encode()
    call = Message(
        method="POST",
        url="http://127.0.0.1/api/webhooks/servicenow",
        headers={"content-type": "application/json", "x-relink-secret": os.environ["WEBHOOK_KEY"]},
        params={"sender": "servicenow"},
        query={},
        body=TypedData(bytes=raw),
    )
    answer = await worker.invoke(functions["receive_webhook"], TypedData(http=call))
    worker.stop()
    if answer is None:
        sys.exit("the worker did not answer")
    found = answer.return_value.http
    body = found.body.string or (found.body.bytes or b"").decode()
    print(
        json.dumps(
            {
                "status": int(found.status_code),
                "body": json.loads(body),
                "modules": sorted(sys.modules),
            }
        )
    )


asyncio.run(main())
