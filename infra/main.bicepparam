using 'main.bicep'

// Everything comes from the environment: `azd env set NAME VALUE`, or `export NAME=VALUE` for az.
// The settings have the names and the defaults of docs/use/settings.md.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')

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
  APPROVAL_EXPIRY: readEnvironmentVariable('APPROVAL_EXPIRY', 'P1D')
  FOLLOW_UP_INTERVAL: readEnvironmentVariable('FOLLOW_UP_INTERVAL', 'PT5M')
  RESET_RETENTION: readEnvironmentVariable('RESET_RETENTION', 'P400D')
  SWEEP_SCHEDULE: readEnvironmentVariable('SWEEP_SCHEDULE', '0 * * * * *')
  REMEDIATION_SCHEDULE: readEnvironmentVariable('REMEDIATION_SCHEDULE', '0 */15 * * * *')
  WEBHOOK_SENDERS: senders
  GRAPH_ENDPOINT: readEnvironmentVariable('GRAPH_ENDPOINT', 'https://graph.microsoft.com')
}
param publicUrl = readEnvironmentVariable('PUBLIC_URL', '')

// A sender's webhook must reach the app without a sign-in; its signature is what is checked.
var givenSenders = readEnvironmentVariable('WEBHOOK_SENDERS', '{}')
var senders = empty(givenSenders) ? '{}' : givenSenders
var isFile = startsWith(senders, '@')
var senderNames = isFile
  ? split(readEnvironmentVariable('WEBHOOK_SENDER_NAMES', ''), ',')
  : objectKeys(json(isFile ? '{}' : senders))

param signInWith = {
  clientId: readEnvironmentVariable('SIGN_IN_CLIENT_ID', '')
  openPaths: map(senderNames, sender => '/api/webhooks/${sender}')
}

param privateNetwork = bool(readEnvironmentVariable('PRIVATE_NETWORK', 'false'))
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param lockStorage = bool(readEnvironmentVariable('LOCK_STORAGE', 'false'))
param instanceMemoryMB = int(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param alwaysReadyHttp = int(readEnvironmentVariable('ALWAYS_READY_HTTP', '0'))
param auditAccess = bool(readEnvironmentVariable('AUDIT_ACCESS', 'true'))
param monthlyBudget = int(readEnvironmentVariable('MONTHLY_BUDGET', '30'))
