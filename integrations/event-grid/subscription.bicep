metadata description = 'Bring the events of a topic to the queue provisioning-resets, by the identity of the topic; messages never expire.'

@description('An Event Grid topic of this resource group, with a system-assigned identity.')
param topicName string

@description('The storage account of the app, in this resource group.')
param storageAccountName string

@description('Only events of this type are requests; their data is the request (docs/use/requests.md).')
param eventType string = 'relink.reset.asked'

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageAccountName

  resource queues 'queueServices' existing = {
    name: 'default'

    resource requests 'queues' existing = {
      name: 'provisioning-resets'
    }
  }
}

@description('Storage Queue Data Message Sender, on this one queue.')
resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::queues::requests.id, topic.id, 'sender')
  scope: account::queues::requests
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
    )
  }
}

resource subscription 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'relink'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: { includedEventTypes: [eventType] }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: account.id
          queueName: account::queues::requests.name
          queueMessageTimeToLiveInSeconds: -1
        }
      }
    }
  }
  dependsOn: [sender]
}
