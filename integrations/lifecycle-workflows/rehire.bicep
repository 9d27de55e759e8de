metadata description = 'A Logic App for a custom task extension of Entra Lifecycle Workflows: a rehired user asks for a reset, because the stored link leads to the account of before.'

@description('The storage account of the app, in this resource group.')
param storageAccountName string

@description('The alias in the catalogue.')
param target string

param location string = resourceGroup().location

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageAccountName

  resource queues 'queueServices' existing = {
    name: 'default'

    resource requests 'queues' existing = {
      name: 'provisioning-resets'
    }
  }
}

resource flow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: 'relink-rehire-${target}'
  location: location
  identity: { type: 'SystemAssigned' }
  properties: {
    state: 'Enabled'
    definition: loadJsonContent('rehire.workflow.json')
    parameters: {
      target: { value: target }
      queue: { value: '${account.properties.primaryEndpoints.queue}provisioning-resets' }
    }
  }
}

@description('Storage Queue Data Message Sender, on this one queue.')
resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::queues::requests.id, flow.id, 'sender')
  scope: account::queues::requests
  properties: {
    principalId: flow.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
    )
  }
}

output logicAppId string = flow.id
