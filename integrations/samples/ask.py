# pip install azure-identity azure-storage-queue; role: Storage Queue Data Message Sender
import json
import uuid
from azure.identity import DefaultAzureCredential
from azure.storage.queue import QueueClient

request = {"requestId": f"hr-{uuid.uuid4()}", "target": "salesforce-prod", "requestedBy": "hr-sync"}
queue = QueueClient(
    "https://ACCOUNT.queue.core.windows.net",
    "provisioning-resets",
    credential=DefaultAzureCredential(),
)
queue.send_message(json.dumps(request), time_to_live=-1)
print(f"https://APP.azurewebsites.net/api/resets/{request['requestId']}")
