// dotnet add package Azure.Identity; dotnet add package Azure.Storage.Queues; role: Storage Queue Data Message Sender
using System.Text.Json;
using Azure.Identity;
using Azure.Storage.Queues;

var request = new { requestId = $"hr-{Guid.NewGuid()}", target = "salesforce-prod", requestedBy = "hr-sync" };
var queue = new QueueClient(new Uri("https://ACCOUNT.queue.core.windows.net/provisioning-resets"), new DefaultAzureCredential());
await queue.SendMessageAsync(JsonSerializer.Serialize(request), timeToLive: TimeSpan.FromSeconds(-1));
Console.WriteLine($"https://APP.azurewebsites.net/api/resets/{request.requestId}");
