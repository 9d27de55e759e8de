"""A queue function that does what the body says, and notes what it was told."""

import asyncio
import json
import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="WorkStorage")
async def work(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    told = {"body": text, "id": message.id, "dequeue_count": message.dequeue_count}
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps(told) + "\n")
    verb, _, number = text.partition(":")
    match verb:
        case "sleep":
            await asyncio.sleep(float(number))
        case "block":
            time.sleep(float(number))
        case "cancel":
            raise asyncio.CancelledError
        case "exit":
            raise SystemExit(3)
        case "throw":
            raise ValueError("told to throw")


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", run_on_startup=True)
async def tick(timer: func.TimerRequest) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        # Only the class behind the declared type has the status.
        told = {"tick": timer.past_due, "status": getattr(timer, "schedule_status", None)}
        notes.write(json.dumps(told) + "\n")
