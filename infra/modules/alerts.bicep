metadata description = 'Alerts for everything that needs a person; each has a section in docs/operate/runbook.md.'

import { tagMap, alertRule } from 'types.bicep'

@description('Name of the action group.')
param actionGroupName string

@description('Region of the rules.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('Resource id of the workspace that is queried.')
param workspaceId string

@description('Whether that workspace has a daily cap of ours, whose reaching is an alert.')
param isCapped bool

@description('Name of the Application Insights component.')
param componentName string

@description('E-mail addresses that are told.')
param emails string[]

@description('Address of the runbook.')
param runbookUrl string

@description('How long scheduled remediation may be silent; longer than its schedule. ISO 8601 duration.')
param remediationMayBeSilent string

@description('Whether the rules fire.')
param areOn bool

// A schedule is shorter than the silence that is allowed: in twice that it runs at least twice.
var twoRemediations = {
  PT30M: 'PT1H'
  PT45M: 'PT2H'
  PT1H: 'PT2H'
  PT2H: 'PT4H'
  PT6H: 'P1D'
  P1D: 'P2D'
  P2D: 'P2D'
}

// Log rows arrive minutes late: each window is twice as long as the time between two looks, or a row
// at the edge would be seen by neither. What was seen twice still is one alert, since they resolve.
var rules alertRule[] = concat(everywhere, isCapped ? [capReached] : [])

var capReached alertRule = {
  name: 'logs-capped'
  title: 'The logs\' daily cap is reached: the other alerts are blind until tomorrow'
  severity: 1
  query: loadTextContent('../queries/logs-capped.kql')
  every: 'PT15M'
  window: 'PT30M'
  operator: 'GreaterThan'
  threshold: 0
  dimensions: []
}

var everywhere alertRule[] = [
  {
    name: 'reset-failed'
    title: 'A reset failed'
    severity: 1
    query: loadTextContent('../queries/reset-failed.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Target', 'Id']
  }
  {
    name: 'reset-awaiting-approval'
    title: 'A reset waits for a person'
    severity: 2
    query: loadTextContent('../queries/reset-awaiting-approval.kql')
    every: 'PT15M'
    // The longest that there is: it fires as long as the question stands.
    window: 'P2D'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Target', 'Id']
  }
  {
    name: 'fate-unknown'
    title: 'It is not known whether a restart happened'
    severity: 1
    query: loadTextContent('../queries/fate-unknown.kql')
    every: 'PT15M'
    // The longest that there is: it fires as long as the question stands.
    window: 'P2D'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Target', 'Id']
  }
  {
    name: 'message-lost'
    title: 'A message became no reset'
    severity: 2
    query: loadTextContent('../queries/message-lost.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Queue']
  }
  {
    name: 'answer-undeliverable'
    title: 'A ticket could not be told'
    severity: 2
    query: loadTextContent('../queries/answer-undeliverable.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Target', 'Notifier']
  }
  {
    name: 'sweep-silent'
    title: 'The sweep does not run: nothing moves'
    severity: 0
    query: loadTextContent('../queries/sweep-silent.kql')
    every: 'PT5M'
    window: 'PT15M'
    measure: 'Beats'
    operator: 'LessThan'
    threshold: 1
    dimensions: []
  }
  {
    name: 'remediation-silent'
    title: 'Scheduled remediation does not run'
    severity: 2
    query: loadTextContent('../queries/remediation-silent.kql')
    every: 'PT15M'
    window: remediationMayBeSilent
    measure: 'Beats'
    operator: 'LessThan'
    threshold: 1
    dimensions: []
  }
  {
    name: 'remediation-failed'
    title: 'Scheduled remediation cannot look after a target'
    severity: 2
    query: loadTextContent('../queries/remediation-failed.kql')
    every: 'PT30M'
    window: twoRemediations[remediationMayBeSilent]
    operator: 'GreaterThan'
    // Twice in that time; in the longest window a schedule this slow runs once.
    threshold: remediationMayBeSilent == 'P2D' ? 0 : 1
    dimensions: ['Target']
  }
  {
    name: 'graph-throttled'
    title: 'Microsoft Graph holds the app back'
    severity: 3
    query: loadTextContent('../queries/graph-throttled.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
  }
  {
    name: 'graph-permission-lost'
    title: 'Microsoft Graph refuses the app\'s identity'
    severity: 1
    query: loadTextContent('../queries/graph-permission-lost.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Target']
  }
  {
    name: 'settings-bad'
    title: 'A setting is wrong: no restart is sent'
    severity: 1
    query: loadTextContent('../queries/settings-bad.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: ['Setting']
  }
  {
    name: 'storage-failed'
    title: 'Tables or queues do not answer'
    severity: 2
    query: loadTextContent('../queries/storage-failed.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
  }
  {
    name: 'webhook-refused'
    title: 'Webhooks with a wrong signature or secret'
    severity: 3
    query: loadTextContent('../queries/webhook-refused.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 20
    dimensions: ['Sender']
  }
  {
    name: 'function-failed'
    title: 'Invocations end in an exception'
    severity: 2
    query: loadTextContent('../queries/function-failed.kql')
    every: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: ['Function']
  }
]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'relink'
    emailReceivers: [
      for (email, i) in emails: {
        name: 'person-${i + 1}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

#disable-next-line use-recent-api-versions // the newest was seen deployed nowhere; nothing of it is needed
resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'relink-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Relink: ${rule.title}'
      description: '${rule.title}. What to do: ${runbookUrl}#${rule.name}'
      enabled: areOn
      severity: rule.severity
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: true
      // On the first day some tables have no rows yet; tests/infra checks the queries better.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: rule.?measure
            timeAggregation: rule.?measure == null ? 'Count' : 'Total'
            operator: rule.operator
            threshold: rule.threshold
            dimensions: map(rule.dimensions, column => {
              name: column
              operator: 'Include'
              values: ['*']
            })
            failingPeriods: {
              minFailingPeriodsToAlert: 1
              numberOfEvaluationPeriods: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [people.id]
        customProperties: {
          runbook: '${runbookUrl}#${rule.name}'
        }
      }
    }
  }
]

// Application Insights makes a rule of this very name by itself, with an action group of its own: taken
// over, there is one rule, and it tells our people.
resource anomalies 'Microsoft.AlertsManagement/smartDetectorAlertRules@2021-04-01' = {
  name: 'Failure Anomalies - ${componentName}'
  location: 'global'
  tags: tags
  properties: {
    description: 'An unusual rise of failed invocations. What to do: ${runbookUrl}#function-failed'
    state: areOn ? 'Enabled' : 'Disabled'
    severity: 'Sev3'
    frequency: 'PT1M'
    detector: {
      id: 'FailureAnomaliesDetector'
    }
    scope: [component.id]
    actionGroups: {
      groupIds: [people.id]
    }
  }
}

@description('Id of the action group.')
output actionGroupId string = people.id
