metadata description = 'The second witness: who wrote to storage or read a secret, in a workspace that strangers cannot fill.'

import { tagMap } from 'types.bicep'

@description('Name of the storage account.')
param storageName string

@description('Name of the vault.')
param vaultName string

@description('Name of the workspace that is made; empty: none is.')
param workspaceName string

@description('Resource id of the workspace that is written to.')
param workspaceId string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('How long it is kept, in days.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Whether writes to blobs are logged too; most are the host renewing its locks.')
param withBlobs bool

var storageLogs = [
  {
    category: 'StorageWrite'
    enabled: true
  }
  {
    category: 'StorageDelete'
    enabled: true
  }
]

// Without a cap: what is written here follows from resets, not from what strangers send. The logs'
// workspace has one, and who fills it must not silence this.
resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = if (!empty(workspaceName)) {
  name: empty(workspaceName) ? 'none' : workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionInDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName

  resource blobs 'blobServices' existing = {
    name: 'default'
  }

  resource queues 'queueServices' existing = {
    name: 'default'
  }

  resource tables 'tableServices' existing = {
    name: 'default'
  }
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

// The only version that knows resource logs by category and a workspace; no newer one was published.
#disable-next-line use-recent-api-versions
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (withBlobs) {
  scope: account::blobs
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: storageLogs
  }
  dependsOn: [workspace]
}

#disable-next-line use-recent-api-versions
resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::queues
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: storageLogs
  }
  dependsOn: [workspace]
}

#disable-next-line use-recent-api-versions
resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::tables
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: storageLogs
  }
  dependsOn: [workspace]
}

#disable-next-line use-recent-api-versions
resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
  dependsOn: [workspace]
}
