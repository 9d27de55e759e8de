# Install-Module Az.Storage; Connect-AzAccount; role: Storage Queue Data Message Sender
$request = @{ requestId = "hr-$(New-Guid)"; target = "salesforce-prod"; requestedBy = "hr-sync" }
$context = New-AzStorageContext -StorageAccountName "ACCOUNT" -UseConnectedAccount
$queue = Get-AzStorageQueue -Name "provisioning-resets" -Context $context
$body = $request | ConvertTo-Json -Compress
$null = $queue.QueueClient.SendMessage($body, [TimeSpan]::Zero, [TimeSpan]::FromSeconds(-1))
"https://APP.azurewebsites.net/api/resets/$($request.requestId)"
