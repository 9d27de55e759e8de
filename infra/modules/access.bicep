metadata description = 'Who may do what: one assignment for each role and resource, each as narrow as possible (docs/operate/threat-model.md).'

@description('Name of the app\'s identity. It goes into the names of the assignments; its object id is only known once it exists.')
param identityName string

@description('Object id of the app\'s identity.')
param identityPrincipalId string

@description('Name of the storage account.')
param storageName string

@description('Queues that the app reads and writes.')
param queueNames string[]

@description('The queue on which requests arrive.')
param requestQueueName string

@description('Name of the Application Insights component.')
param componentName string

@description('Name of the vault.')
param vaultName string

@description('Names of the secrets that the app reads.')
param vaultItems string[]

@description('Object id of the person or pipeline that deploys, for the smoke test and the secrets; empty: nobody.')
param deployerPrincipalId string

@description('What the deployer is: User, Group or ServicePrincipal.')
param deployerPrincipalType string

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var roles = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  queueProcessor: '8a0f0c08-91a1-4084-bc3d-661d67233fed'
  queueSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  tableReader: '76199698-9eea-4c19-bc75-cec21354c6b6'
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  secretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

var hasDeployer = !empty(deployerPrincipalId)

// What the host does to a poison queue is to send, what the sweep does is to receive and delete.
var poisonAssignments = flatten(map(range(0, length(queueNames)), i => [
  { queue: i, role: roles.queueSender, what: 'the host puts a message here that failed too often' }
  { queue: i, role: roles.queueProcessor, what: 'the sweep records such messages and deletes them' }
]))

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName

  resource queueService 'queueServices' existing = {
    name: 'default'

    resource requestQueue 'queues' existing = {
      name: requestQueueName
    }
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [
  for queueName in queueNames: {
    parent: account::queueService
    name: queueName
  }
]

resource poisonQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [
  for queueName in queueNames: {
    parent: account::queueService
    name: '${queueName}-poison'
  }
]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource items 'Microsoft.KeyVault/vaults/secrets@2025-05-01' existing = [
  for item in vaultItems: {
    parent: vault
    name: item
  }
]

// The account, not a container: the host makes containers of its own for its keys and locks.
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, identityName, roles.blobOwner)
  properties: {
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobOwner)
    description: 'the host keeps its keys and locks here, and reads the deployment package'
  }
}

// Contributor, because the host renews and gives back its lease on a message by updating it, which
// Message Processor does not allow.
resource workQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queueName, i) in queueNames: {
    scope: queues[i]
    name: guid(queues[i].id, identityName, roles.queueContributor)
    properties: {
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueContributor)
      description: 'the app sends to ${queueName}, the host receives, renews and deletes'
    }
  }
]

resource poison 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for assignment in poisonAssignments: {
    scope: poisonQueues[assignment.queue]
    name: guid(poisonQueues[assignment.queue].id, identityName, assignment.role)
    properties: {
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', assignment.role)
      description: assignment.what
    }
  }
]

// The account, whose only tables are ours. A transaction is posted to the account's own /$batch, and
// no document says whether a role on one table is enough there.
resource rows 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, identityName, roles.tableContributor)
  properties: {
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableContributor)
    description: 'the app reads and writes its rows'
  }
}

resource telemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: component
  name: guid(component.id, identityName, roles.metricsPublisher)
  properties: {
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
    description: 'the host sends logs, since no key is accepted'
  }
}

resource secrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, i) in vaultItems: {
    scope: items[i]
    name: guid(items[i].id, identityName, roles.secretsUser)
    properties: {
      principalId: identityPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
      description: 'the setting that refers to ${item} is resolved with this identity'
    }
  }
]

resource smokeSender 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasDeployer) {
  scope: account::queueService::requestQueue
  name: guid(account::queueService::requestQueue.id, deployerPrincipalId, roles.queueSender)
  properties: {
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueSender)
    description: 'the smoke test after a deployment sends a dry run'
  }
}

resource smokeReader 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasDeployer) {
  scope: account
  name: guid(account.id, deployerPrincipalId, roles.tableReader)
  properties: {
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableReader)
    description: 'before a deployment: what is being sent; after it: what became of the dry run'
  }
}

resource secretKeeper 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, i) in vaultItems: if (hasDeployer) {
    scope: items[i]
    name: guid(items[i].id, deployerPrincipalId, roles.secretsOfficer)
    properties: {
      principalId: deployerPrincipalId
      principalType: deployerPrincipalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsOfficer)
      description: 'reads and writes ${item}'
    }
  }
]
