"""
The app that the documentation leads to: the yardstick for what Relink costs.

Put together from Microsoft's quickstarts for Python functions, azure-data-tables and msgraph-sdk.
A client is made where it is used, and closed; the outcome is one upsert. It does not wait, does
not ask, keeps no history and may restart twice.
"""

import json
import os
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
from azure.data.tables.aio import TableClient
from azure.storage.queue.aio import QueueClient
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from msgraph.generated.models.synchronization_job_restart_criteria import (
    SynchronizationJobRestartCriteria,
)
from msgraph.generated.models.synchronization_job_restart_scope import (
    SynchronizationJobRestartScope,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (  # noqa: E501 -- generated path
    RestartPostRequestBody,
)
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

QUEUE = "provisioning-resets"
TABLE = "ProvisioningResets"
CONNECTION = "ResetStorage"


@app.queue_trigger(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
async def run_reset(message: func.QueueMessage) -> None:
    """Restart the job that the message names, and note it."""
    request = json.loads(message.get_body())
    target = json.loads(os.environ["RESET_TARGETS"])[request["target"]]
    jobs = (
        graph_client()
        .service_principals.by_service_principal_id(target["servicePrincipalId"])
        .synchronization.jobs.by_synchronization_job_id(target["jobId"])
    )
    job = await jobs.get()
    if job is None or job.status is None:
        raise ValueError("the job is not there")
    body = RestartPostRequestBody(
        criteria=SynchronizationJobRestartCriteria(reset_scope=SynchronizationJobRestartScope.Full)
    )
    await jobs.restart.post(body)
    async with TableClient.from_connection_string(os.environ[CONNECTION], TABLE) as table:
        await table.upsert_entity(
            {
                "PartitionKey": request["target"],
                "RowKey": request.get("requestId") or message.id or "",
                "State": "restarted",
                "RestartedAt": datetime.now(UTC),
                "Before": str(job.status.code),
                "Reason": request.get("reason", ""),
            }
        )


@app.route(route="webhooks/{sender}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def receive_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Put what a ticket system asks for on the queue."""
    if req.headers.get("x-relink-secret") != os.environ["SECRET"]:
        return func.HttpResponse(status_code=401)
    async with QueueClient.from_connection_string(os.environ[CONNECTION], QUEUE) as queue:
        await queue.send_message(req.get_body().decode())
    return func.HttpResponse(json.dumps({"state": "accepted"}), status_code=202)


def graph_client() -> GraphServiceClient:
    """Without a credential, since Graph is a stub here; the documented default is one a message."""
    adapter: Any = GraphRequestAdapter(AnonymousAuthenticationProvider())
    adapter.base_url = f"{os.environ['GRAPH_ENDPOINT']}/v1.0"
    return GraphServiceClient(request_adapter=adapter)
