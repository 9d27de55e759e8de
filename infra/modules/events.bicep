metadata description = 'RelinkEvents(): the app\'s log lines as a table, for the alerts, the workbook and everybody who asks.'

@description('Name of the workspace that takes the logs.')
param workspaceName string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource relinkEvents 'Microsoft.OperationalInsights/workspaces/savedSearches@2025-07-01' = {
  parent: workspace
  name: 'relink-events'
  properties: {
    category: 'Relink'
    displayName: 'RelinkEvents'
    functionAlias: 'RelinkEvents'
    query: loadTextContent('../functions/relink-events.kql')
    version: 2
  }
}
