// What a first deployment gives; the snapshot of it is what tests/infra asserts on.
using '../main.bicep'

param environmentName = 'test'
param location = 'westeurope'
param alertEmails = ['identity-team@example.com']
param thisMonth = '2026-12-01'
param settings = {
  RESET_TARGETS: '{"salesforce-prod": {"servicePrincipalId": "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"}}'
  RESETS_ENABLED: 'false'
  RESET_DAILY_BUDGET: '10'
  RESET_MAX_AGE: 'P3D'
  RESET_MAX_OPEN: '20000'
  APPROVAL_EXPIRY: 'P1D'
  APPROVAL_VALID: 'PT4H'
  FOLLOW_UP_INTERVAL: 'PT5M'
  RESET_RETENTION: 'P400D'
  SWEEP_SCHEDULE: '0 * * * * *'
  REMEDIATION_SCHEDULE: '0 */15 * * * *'
  WEBHOOK_SENDERS: '{}'
  GRAPH_ENDPOINT: 'https://graph.microsoft.com'
}
