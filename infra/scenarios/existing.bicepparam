// Into what is there already: a group, workspaces, a network, zones, names and tags of one's own.
using '../main.bicep'

param environmentName = 'test'
param location = 'westeurope'
param resourceGroupName = 'rg-identity-prod'
param resourceGroupExists = true
param resourceNames = {
  actionGroup: 'ag-identity'
  app: 'func-contoso-relink'
  budget: 'identity-relink'
  component: 'appi-contoso-relink'
  identity: 'id-contoso-relink'
  plan: 'plan-contoso-relink'
  storage: 'stcontosorelink'
  vault: 'kv-contoso-relink'
}
param moreTags = {
  owner: 'identity-team'
  costCenter: '4711'
}
param principalType = 'ServicePrincipal'
param alertEmails = ['identity-team@example.com']
param workspaceId = '/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/log-contoso'
param auditWorkspaceId = '/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/log-contoso-audit'
param privateNetwork = true
param appSubnetId = '/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke/subnets/relink'
param endpointSubnetId = '/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke/subnets/endpoints'
param privateDns = '/subscriptions/00000000-0000-0000-0000-00000000000c/resourceGroups/rg-hub-dns'
param purgeProtection = false
param monthlyBudget = 0
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
