// Every option at once, so that the tests see what each of them makes.
using '../main.bicep'

param environmentName = 'test'
param location = 'westeurope'
param telemetry = 'opentelemetry'
param principalId = '5d6f6a70-3a2f-4c55-8f0b-8a0c5a1d2e3f'
param alertEmails = ['identity-team@example.com', 'on-call@example.com']
param alertsOn = false
param runbookUrl = 'https://docs.example.com/relink/runbook'
param remediationMayBeSilent = 'P1D'
param thisMonth = '2026-12-01'
param publicUrl = 'https://relink.example.com'
param signInWith = {
  clientId: 'c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f'
  clients: ['461e8683-5575-4561-ac7f-899cc907d62a']
  isRequired: true
  openPaths: ['/api/webhooks/sn']
}
param privateNetwork = true
param zoneRedundant = true
param lockStorage = true
param alwaysReadyHttp = 1
param alwaysReadySweep = 1
param natGateway = true
param auditBlobs = true
param budgetStartsOn = '2026-11-01'
param principalType = 'User'
param settings = {
  RESET_TARGETS: '{"salesforce-prod": {"servicePrincipalId": "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"}}'
  RESETS_ENABLED: 'true'
  RESET_DAILY_BUDGET: '20'
  RESET_MAX_AGE: 'P3D'
  RESET_MAX_OPEN: '20000'
  APPROVAL_EXPIRY: 'P1D'
  APPROVAL_VALID: 'PT4H'
  FOLLOW_UP_INTERVAL: 'PT5M'
  RESET_RETENTION: 'P400D'
  SWEEP_SCHEDULE: '0 * * * * *'
  REMEDIATION_SCHEDULE: '0 0 * * * *'
  WEBHOOK_SENDERS: '{"sn": {"scheme": "header", "header": "x-relink-secret", "format": "relink", "targets": ["salesforce-prod"]}}'
  GRAPH_ENDPOINT: 'https://graph.microsoft.com'
}
