metadata description = 'Ask for a reset when the provisioning logs show users whose stored link leads to no account.'

@description('The Log Analytics workspace that holds AADProvisioningLogs.')
param workspaceId string

@description('The action group that posts the alert, with the common alert schema (docs/use/senders.md).')
param actionGroupId string

param location string = resourceGroup().location

@description('So many users with a stale link within the window make one alert.')
param threshold int = 1

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'relink-stale-links'
  location: location
  properties: {
    displayName: 'Provisioning: stored links lead to no account'
    description: 'Its dimensions name the job: results of a search are not in the alert.'
    severity: 3
    enabled: true
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    scopes: [workspaceId]
    criteria: {
      allOf: [
        {
          query: '''
            AADProvisioningLogs
            | extend Status = parse_json(ProvisioningStatusInfo)
            | where tostring(Status.errorInformation.errorCode) == 'InvalidAnchor' or ResultSignature == 'InvalidAnchor'
            | extend ServicePrincipalId = tostring(parse_json(ServicePrincipal).id)
            | project TimeGenerated, ServicePrincipalId, JobId, User = tostring(parse_json(SourceIdentity).id)
          '''
          timeAggregation: 'Count'
          operator: 'GreaterThanOrEqual'
          threshold: threshold
          dimensions: [
            { name: 'ServicePrincipalId', operator: 'Include', values: ['*'] }
            { name: 'JobId', operator: 'Include', values: ['*'] }
          ]
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [actionGroupId] }
  }
}

output ruleId string = rule.id
