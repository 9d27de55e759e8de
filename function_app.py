"""Define every entry point of the app: the host's value in, one call, the host's value out."""

import azure.functions as func

from shared import indexing
from shared.bootstrap import application, timer_settings
from shared.names import CONNECTION, FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, RESETS_QUEUE
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import Endpoint
from shared.web.respond import respond as answer

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
settings = timer_settings()


def _request(req: func.HttpRequest) -> HttpRequest:
    return HttpRequest(
        body=req.get_body(),
        url=req.url,
        headers=req.headers,
        query=req.params,
        path=req.route_params,
    )


async def respond(endpoint: Endpoint, request: HttpRequest) -> HttpResponse:
    """Call *endpoint*; then sweep where the sweep's timer is late."""
    return await application().guarded(answer(endpoint, request))


def _response(response: HttpResponse) -> func.HttpResponse:
    return func.HttpResponse(
        response.body,
        status_code=response.status,
        mimetype=response.content_type,
        headers=response.headers,
    )


@app.queue_trigger(arg_name="message", queue_name=RESETS_QUEUE, connection=CONNECTION)
async def run_reset(message: func.QueueMessage) -> None:
    """Accept a reset request and take its first step."""
    await application().run_reset(
        message.get_body(), message_id=message.id or "", came_at=message.insertion_time
    )


@app.queue_trigger(arg_name="message", queue_name=FOLLOW_UPS_QUEUE, connection=CONNECTION)
async def follow_up_reset(message: func.QueueMessage) -> None:
    """Take one step of a reset that is due."""
    await application().follow_up_reset(message.get_body(), message_id=message.id or "")


@app.queue_trigger(arg_name="message", queue_name=NOTIFICATIONS_QUEUE, connection=CONNECTION)
async def notify(message: func.QueueMessage) -> None:
    """Deliver one answer to its ticket."""
    await application().notify(message.get_body())


@app.timer_trigger(arg_name="timer", schedule=settings.sweep_schedule, run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- late or not, it is the same
    """Send what is due."""
    await application().sweep()


@app.timer_trigger(arg_name="timer", schedule=settings.remediation_schedule, run_on_startup=False)
async def remediate(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- late or not, it is the same
    """Observe every target and ask for the resets that are due."""
    await application().remediate()


@app.route(route="resets", methods=["POST"])
async def submit_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Accept a reset request."""
    return _response(await respond(application().api.submit_reset, _request(req)))


@app.route(route="webhooks/{sender}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def receive_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Accept what a ticket system asks for; its signature is the key."""
    return _response(await respond(application().api.receive_webhook, _request(req)))


@app.route(route="resets", methods=["GET", "HEAD"])
async def list_resets(req: func.HttpRequest) -> func.HttpResponse:
    """List what is open, or the resets of one target."""
    return _response(await respond(application().api.list_resets, _request(req)))


@app.route(route="resets/{id}", methods=["GET", "HEAD"])
async def get_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Show one reset with its history."""
    return _response(await respond(application().api.get_reset, _request(req)))


@app.route(route="resets/{id}/status", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_status(req: func.HttpRequest) -> func.HttpResponse:
    """Tell the holder of a status address whether the reset has ended, and how."""
    return _response(await respond(application().api.get_status, _request(req)))


@app.route(route="resets/{id}/decision", methods=["POST"])
async def decide_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Approve, reject, cancel, confirm or resend."""
    return _response(await respond(application().api.decide_reset, _request(req)))


@app.route(route="unreadable", methods=["GET", "HEAD"])
async def list_unreadable(req: func.HttpRequest) -> func.HttpResponse:
    """List the messages that became no reset."""
    return _response(await respond(application().api.list_unreadable, _request(req)))


@app.route(route="unreadable/{key}/retry", methods=["POST"])
async def retry_unreadable(req: func.HttpRequest) -> func.HttpResponse:
    """Send a message again that was put right."""
    return _response(await respond(application().api.retry_unreadable, _request(req)))


@app.route(route="resets/{id}/page", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def show_reset(req: func.HttpRequest) -> func.HttpResponse:
    """Show one reset as a page, to signed-in people."""
    return _response(await respond(application().api.show_reset, _request(req)))


@app.route(route="resets/{id}/page", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def decide_on_page(req: func.HttpRequest) -> func.HttpResponse:
    """Take a signed-in person's decision from the form on the page."""
    return _response(await respond(application().api.decide_on_page, _request(req)))


@app.route(route="overview", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def show_overview(req: func.HttpRequest) -> func.HttpResponse:
    """Show signed-in people what waits for them, what is open, and the targets."""
    return _response(await respond(application().api.show_overview, _request(req)))


@app.route(route="overview", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def ask_on_page(req: func.HttpRequest) -> func.HttpResponse:
    """Accept a reset request from the form on the overview."""
    return _response(await respond(application().api.ask_on_page, _request(req)))


@app.route(route="openapi.json", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe the HTTP API."""
    return _response(await respond(application().api.openapi, _request(req)))


@app.route(route="health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether the app can do its work."""
    return _response(await respond(application().api.health, _request(req)))


indexing.ended()
