"""Every entry point of the app: bytes in, one call, out."""

import azure.functions as func

from shared.bootstrap import remediation_schedule, services, sweep_schedule
from shared.names import CONNECTION, FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, RESETS_QUEUE
from shared.web.messages import HttpRequest, HttpResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def _call(req: func.HttpRequest) -> HttpRequest:
    return HttpRequest(
        body=req.get_body(),
        url=req.url,
        headers=req.headers,
        query=req.params,
        path=req.route_params,
    )


def _response(reply: HttpResponse) -> func.HttpResponse:
    return func.HttpResponse(
        reply.body, status_code=reply.status, mimetype=reply.content_type, headers=reply.headers
    )


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


@app.route(route="resets", methods=["POST"])
async def submit_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Take a reset request in."""
    return _response(await services().submit(_call(req)))


@app.route(route="webhooks/{sender}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def receive_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Take in what a ticket system asks for; its signature is the key."""
    return _response(await services().receive_webhook(_call(req)))


@app.route(route="resets", methods=["GET", "HEAD"])
async def list_resets(req: func.HttpRequest) -> func.HttpResponse:
    """What is open, or what a target has seen."""
    return _response(await services().list_resets(_call(req)))


@app.route(route="resets/{id}", methods=["GET", "HEAD"])
async def get_reset(req: func.HttpRequest) -> func.HttpResponse:
    """One reset with its history."""
    return _response(await services().get_reset(_call(req)))


@app.route(route="resets/{id}/decision", methods=["POST"])
async def decide_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Approve, reject, cancel, confirm or resend."""
    return _response(await services().decide(_call(req)))


@app.route(route="resets/{id}/page", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def show_reset(req: func.HttpRequest) -> func.HttpResponse:
    """One reset as a page, for who is signed in."""
    return _response(await services().show_reset(_call(req)))


@app.route(route="openapi.json", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- always the same
    """Describe the HTTP API."""
    return _response(await services().describe())


@app.route(route="health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the app can do its work."""
    return _response(await services().report_health(_call(req)))
