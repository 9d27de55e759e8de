metadata description = 'The operators\' workbook: what waits for a person, what happened, and the state of the app.'

import { tagMap } from 'types.bicep'

@description('Name of the workbook in the portal.')
param displayName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('Resource id of the workspace that is queried.')
param workspaceId string

@description('Address of the runbook.')
param runbookUrl string

var parts = [
  {
    title: 'What waits for a person'
    query: loadTextContent('../queries/waiting-for-people.kql')
    shownAs: 'table'
    whenEmpty: 'Nothing waits for a person.'
  }
  {
    title: 'Resets, the latest first'
    query: loadTextContent('../queries/resets.kql')
    shownAs: 'table'
    whenEmpty: 'No reset was asked for in this time.'
  }
  {
    title: 'Restarts that Microsoft Graph took, a day'
    query: loadTextContent('../queries/restarts-by-day.kql')
    shownAs: 'barchart'
    whenEmpty: 'No restart was sent in this time.'
  }
  {
    title: 'How resets ended'
    query: loadTextContent('../queries/endings.kql')
    shownAs: 'piechart'
    whenEmpty: 'No reset ended in this time.'
  }
  {
    title: 'Trouble with Microsoft Graph'
    query: loadTextContent('../queries/graph-trouble.kql')
    shownAs: 'table'
    whenEmpty: 'No call to Microsoft Graph failed in this time.'
  }
  {
    title: 'Messages that became no reset'
    query: loadTextContent('../queries/message-lost.kql')
    shownAs: 'table'
    whenEmpty: 'Every message became a reset.'
  }
  {
    title: 'Tickets told'
    query: loadTextContent('../queries/tickets-told.kql')
    shownAs: 'table'
    whenEmpty: 'No ticket was told anything in this time.'
  }
  {
    title: 'Timers'
    query: loadTextContent('../queries/heartbeats.kql')
    shownAs: 'table'
    whenEmpty: 'No timer has run in this time: the app is down.'
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'relink-operators')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: displayName
    description: 'What waits for a person, what happened, and the state of the app.'
    sourceId: workspaceId
    version: 'Notebook/1.0'
    serializedData: string({
      version: 'Notebook/1.0'
      fallbackResourceIds: [workspaceId]
      items: concat(
        [
          {
            type: 1
            name: 'introduction'
            content: {
              json: '## Relink\nFull-scope resets of provisioning jobs. What to do when something is wrong: ${runbookUrl}'
            }
          }
          {
            type: 9
            name: 'time'
            content: {
              version: 'KqlParameterItem/1.0'
              style: 'pills'
              parameters: [
                {
                  id: guid(resourceGroup().id, 'relink-operators', 'time')
                  version: 'KqlParameterItem/1.0'
                  name: 'Time'
                  label: 'Time'
                  type: 4
                  isRequired: true
                  value: {
                    durationMs: 604800000
                  }
                  typeSettings: {
                    allowCustom: true
                    selectableValues: map([3600000, 86400000, 604800000, 2592000000], span => {
                      durationMs: span
                    })
                  }
                }
              ]
            }
          }
        ],
        map(parts, part => {
          type: 3
          name: part.title
          content: {
            version: 'KqlItem/1.0'
            title: part.title
            query: part.query
            size: 0
            queryType: 0
            resourceType: 'microsoft.operationalinsights/workspaces'
            crossComponentResources: [workspaceId]
            timeContextFromParameter: 'Time'
            visualization: part.shownAs
            noDataMessage: part.whenEmpty
          }
        })
      )
    })
  }
}
