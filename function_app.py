"""Every entry point of the app: bytes in, one call, out."""

import json

import azure.functions as func

from shared.bootstrap import remediation_schedule, services, sweep_schedule
from shared.names import CONNECTION, FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, RESETS_QUEUE
from shared.principal import HEADER

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.queue_trigger(arg_name="message", queue_name=RESETS_QUEUE, connection=CONNECTION)
async def run_reset(message: func.QueueMessage) -> None:
    """Take in a reset request and take its first step."""
    await services().run_reset(
        message.get_body().decode(), message_id=message.id or "", came_at=message.insertion_time
    )


@app.queue_trigger(arg_name="message", queue_name=FOLLOW_UPS_QUEUE, connection=CONNECTION)
async def follow_up_reset(message: func.QueueMessage) -> None:
    """Take one step of a reset that is due."""
    await services().follow_up_reset(message.get_body().decode(), message_id=message.id or "")


@app.queue_trigger(arg_name="message", queue_name=NOTIFICATIONS_QUEUE, connection=CONNECTION)
async def notify(message: func.QueueMessage) -> None:
    """Deliver one answer to its ticket."""
    await services().notify(message.get_body().decode())


@app.timer_trigger(arg_name="timer", schedule=sweep_schedule(), run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- late or not, it is the same
    """Send what is due."""
    await services().sweep()


@app.timer_trigger(arg_name="timer", schedule=remediation_schedule(), run_on_startup=False)
async def remediate(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- late or not, it is the same
    """Look at every target and ask for what is due."""
    await services().remediate()


@app.route(route="resets/{id}/decision", methods=["POST"])
async def decide_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Approve, reject, cancel, confirm or resend."""
    reply = await services().decide(
        req.route_params.get("id", ""), req.get_body(), principal=req.headers.get(HEADER, "")
    )
    return func.HttpResponse(
        reply.body, status_code=reply.status, mimetype=reply.content_type, headers=reply.headers
    )


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the app can do its work."""
    report = await services().report_health(req.headers.get("x-functions-key", ""))
    return func.HttpResponse(
        json.dumps(report.body), status_code=report.status, mimetype="application/json"
    )
