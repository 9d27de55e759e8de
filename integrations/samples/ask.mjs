// npm install @azure/identity @azure/storage-queue; role: Storage Queue Data Message Sender
import { randomUUID } from "node:crypto";
import { DefaultAzureCredential } from "@azure/identity";
import { QueueClient } from "@azure/storage-queue";

const request = { requestId: `hr-${randomUUID()}`, target: "salesforce-prod", requestedBy: "hr-sync" };
const queue = new QueueClient("https://ACCOUNT.queue.core.windows.net/provisioning-resets", new DefaultAzureCredential());
await queue.sendMessage(JSON.stringify(request), { messageTimeToLive: -1 });
console.log(`https://APP.azurewebsites.net/api/resets/${request.requestId}`);
