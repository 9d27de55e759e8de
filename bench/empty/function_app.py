"""The app that does nothing: what the worker and the development host cost by themselves."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.queue_trigger(arg_name="message", queue_name="provisioning-resets", connection="ResetStorage")
async def run_reset(message: func.QueueMessage) -> None:
    """Read the message."""
    message.get_body()


@app.route(route="webhooks/{sender}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def receive_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Read the request."""
    req.get_body()
    return func.HttpResponse(status_code=202)
