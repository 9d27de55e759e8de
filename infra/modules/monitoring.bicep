metadata description = 'Where the app\'s logs go, by Entra identity only: a workspace, unless there is one, and Application Insights.'

import { tagMap } from 'types.bicep'

@description('Name of the workspace that is made; empty: none is.')
param workspaceName string

@description('Resource id of the workspace that the component writes to.')
param workspaceId string

@description('Name of the Application Insights component.')
param componentName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Maximum gigabytes a day; beyond that, logs are dropped until the next day, and an alert fires.')
@minValue(1)
param dailyQuotaGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = if (!empty(workspaceName)) {
  name: empty(workspaceName) ? 'none' : workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionInDays
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: componentName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
    WorkspaceResourceId: workspaceId
  }
  dependsOn: [workspace]
}
