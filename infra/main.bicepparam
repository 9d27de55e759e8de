using 'main.bicep'

// Everything comes from the environment: `azd env set NAME VALUE`, or `export NAME=VALUE` for az.
// The settings have the names and the defaults of docs/use/settings.md.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', '')

// What is there already, and what things are to be called.
param resourceGroupName = readEnvironmentVariable('RESOURCE_GROUP_NAME', '')
param resourceGroupExists = bool(readEnvironmentVariable('RESOURCE_GROUP_EXISTS', 'false'))
param resourceNames = json(readEnvironmentVariable('RESOURCE_NAMES', '{}'))
param moreTags = json(readEnvironmentVariable('RESOURCE_TAGS', '{}'))
param workspaceId = readEnvironmentVariable('LOG_WORKSPACE_ID', '')
param auditWorkspaceId = readEnvironmentVariable('AUDIT_WORKSPACE_ID', '')

param alertEmails = filter(
  map(split(readEnvironmentVariable('ALERT_EMAILS'), ','), email => trim(email)),
  email => !empty(email)
)
param alertsOn = bool(readEnvironmentVariable('ALERTS_ON', 'true'))
param runbookUrl = readEnvironmentVariable('RUNBOOK_URL', 'docs/operate/runbook.md')
param remediationMayBeSilent = readEnvironmentVariable('REMEDIATION_MAY_BE_SILENT', 'PT1H')

param settings = {
  RESET_TARGETS: readEnvironmentVariable('RESET_TARGETS')
  // Off until a person has seen a dry run: docs/operate/deploy.md.
  RESETS_ENABLED: readEnvironmentVariable('RESETS_ENABLED', 'false') == 'true' ? 'true' : 'false'
  RESET_DAILY_BUDGET: readEnvironmentVariable('RESET_DAILY_BUDGET', '10')
  RESET_MAX_AGE: readEnvironmentVariable('RESET_MAX_AGE', 'P3D')
  RESET_MAX_OPEN: readEnvironmentVariable('RESET_MAX_OPEN', '20000')
  APPROVAL_EXPIRY: readEnvironmentVariable('APPROVAL_EXPIRY', 'P1D')
  APPROVAL_VALID: readEnvironmentVariable('APPROVAL_VALID', 'PT4H')
  FOLLOW_UP_INTERVAL: readEnvironmentVariable('FOLLOW_UP_INTERVAL', 'PT5M')
  RESET_RETENTION: readEnvironmentVariable('RESET_RETENTION', 'P400D')
  SWEEP_SCHEDULE: readEnvironmentVariable('SWEEP_SCHEDULE', '0 * * * * *')
  REMEDIATION_SCHEDULE: readEnvironmentVariable('REMEDIATION_SCHEDULE', '0 */15 * * * *')
  WEBHOOK_SENDERS: senders
  GRAPH_ENDPOINT: readEnvironmentVariable('GRAPH_ENDPOINT', 'https://graph.microsoft.com')
}
param telemetry = readEnvironmentVariable('TELEMETRY', '')
param publicUrl = readEnvironmentVariable('PUBLIC_URL', '')

// Where the platform turns away who has no sign-in, a sender's webhook must still reach the app: its
// signature is what is checked. Not so a sender whose only proof is the header in which the platform says
// who signed in: on an open path it may say nothing, or hand on what a caller made up.
var givenSenders = readEnvironmentVariable('WEBHOOK_SENDERS', '{}')
var senders = empty(givenSenders) ? '{}' : givenSenders
var isFile = startsWith(senders, '@')
var provenSenders = isFile
  ? filter(split(readEnvironmentVariable('WEBHOOK_SENDER_NAMES', ''), ','), name => !empty(name))
  : map(
      filter(
        items(json(isFile ? '{}' : senders)),
        sender => !startsWith(toLower(sender.value.?header ?? ''), 'x-ms-client-principal')
      ),
      sender => sender.key
    )

param signInWith = {
  clientId: readEnvironmentVariable('SIGN_IN_CLIENT_ID', '')
  clients: filter(split(readEnvironmentVariable('SIGN_IN_CLIENTS', ''), ','), client => !empty(client))
  isRequired: bool(readEnvironmentVariable('SIGN_IN_REQUIRED', 'false'))
  openPaths: map(provenSenders, sender => '/api/webhooks/${sender}')
}

param privateNetwork = bool(readEnvironmentVariable('PRIVATE_NETWORK', 'false'))
param networkAddressPrefix = readEnvironmentVariable('NETWORK_ADDRESS_PREFIX', '10.84.0.0/24')
param appSubnetId = readEnvironmentVariable('APP_SUBNET_ID', '')
param endpointSubnetId = readEnvironmentVariable('ENDPOINT_SUBNET_ID', '')
param privateDns = readEnvironmentVariable('PRIVATE_DNS', 'own')
param natGateway = bool(readEnvironmentVariable('NAT_GATEWAY', 'false'))
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param lockStorage = bool(readEnvironmentVariable('LOCK_STORAGE', 'false'))
param instanceMemoryMB = json(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param alwaysReadyHttp = int(readEnvironmentVariable('ALWAYS_READY_HTTP', '0'))
param alwaysReadySweep = int(readEnvironmentVariable('ALWAYS_READY_SWEEP', '0'))
param forbidPublishingCredentials = bool(readEnvironmentVariable('FORBID_PUBLISHING_CREDENTIALS', 'true'))
param purgeProtection = bool(readEnvironmentVariable('PURGE_PROTECTION', 'true'))
param logRetentionInDays = int(readEnvironmentVariable('LOG_RETENTION_DAYS', '90'))
param logDailyQuotaGb = int(readEnvironmentVariable('LOG_DAILY_QUOTA_GB', '1'))
param auditAccess = bool(readEnvironmentVariable('AUDIT_ACCESS', 'true'))
param auditBlobs = bool(readEnvironmentVariable('AUDIT_BLOBS', 'false'))
param auditRetentionInDays = int(readEnvironmentVariable('AUDIT_RETENTION_DAYS', '400'))
param monthlyBudget = int(readEnvironmentVariable('MONTHLY_BUDGET', '30'))
param budgetStartsOn = readEnvironmentVariable('BUDGET_STARTS_ON', '')
