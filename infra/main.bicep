metadata description = 'Relink on Azure: one resource group, and no secret that a person typed. docs/operate/deploy.md says how to use it.'

targetScope = 'subscription'

import { chosenSettings, signIn } from 'modules/types.bicep'

@description('Short name of this environment, for example prod. It is part of the names, so that two environments do not collide.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Region; it must offer Flex Consumption.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Name of the resource group.')
param resourceGroupName string = 'rg-relink-${environmentName}'

@description('Object id of the person or pipeline that deploys, which may send the smoke test and write secrets. Empty: nobody.')
param principalId string = ''

@description('What the deployer is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

@description('E-mail addresses that are told when something needs a person.')
@minLength(1)
param alertEmails string[]

@description('Whether the alerts fire.')
param alertsOn bool = true

@description('Address of the runbook; alerts link to its sections.')
param runbookUrl string = 'docs/operate/runbook.md'

@description('How long scheduled remediation may be silent before an alert; longer than its schedule.')
@allowed(['PT30M', 'PT45M', 'PT1H', 'PT2H', 'PT6H', 'P1D', 'P2D'])
param remediationMayBeSilent string = 'PT1H'

@description('The settings that a deployer chooses.')
param settings chosenSettings

@description('Base address of links in tickets; empty: the app\'s own.')
param publicUrl string = ''

@description('Sign-in by Microsoft Entra in front of the operator endpoints; an empty clientId leaves it off.')
param signInWith signIn = {
  clientId: ''
  openPaths: []
}

@description('Whether storage and vault are reached through a virtual network only.')
param privateNetwork bool = false

@description('Address space of that network.')
param networkAddressPrefix string = '10.84.0.0/24'

@description('Whether the plan and the storage account spread over zones.')
param zoneRedundant bool = false

@description('Whether a lock keeps the storage account, and with it the audit, from being deleted.')
param lockStorage bool = false

@description('Memory of an instance in megabytes: 512, 2048 or 4096.')
@minValue(512)
@maxValue(4096)
param instanceMemoryMB int = 2048

@description('Maximum number of instances of each function.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that always wait for webhooks and the API; 0: the first webhook after a pause waits some seconds.')
@minValue(0)
param alwaysReadyHttp int = 0

@description('How long logs are kept, in days.')
param logRetentionInDays int = 90

@description('Maximum gigabytes of logs a day.')
param logDailyQuotaGb int = 1

@description('Whether writes to storage and reads of secrets are logged with their caller.')
param auditAccess bool = true

@description('Budget of the resource group a month, in the currency of the bill; it warns, and stops nothing.')
param monthlyBudget int = 30

@description('First day of the month from which the budget counts.')
param budgetStartsOn string = '${utcNow('yyyy-MM')}-01'

@description('First value of the key that shows the detail of the health report. An existing key is kept.')
@secure()
param firstHealthKey string = newGuid()

// The same names as in shared/names.py; a test holds them together.
var queueNames = ['provisioning-resets', 'reset-follow-ups', 'reset-notifications']
var tableNames = ['ProvisioningResets', 'ProvisioningResetIds']

// Every name is made here and handed on, so that no module needs another's output for a name: what
// would be changed can then be said before it is.
var token = toLower(uniqueString(subscription().id, environmentName, location))
var names = {
  actionGroup: 'ag-relink-${token}'
  app: 'func-relink-${token}'
  budget: 'relink-${token}'
  component: 'appi-relink-${token}'
  identity: 'id-relink-${token}'
  network: 'vnet-relink-${token}'
  packages: 'packages'
  plan: 'plan-relink-${token}'
  storage: 'st${token}'
  vault: 'kv-${token}'
  workspace: 'log-relink-${token}'
}
var vaultItems = {
  health: 'health-key'
  notifiers: 'notifiers'
  senders: 'webhook-secrets'
}
var tags = {
  'azd-env-name': environmentName
  app: 'relink'
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: resourceGroupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: names.identity
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: names.storage
    location: location
    tags: tags
    queueNames: queueNames
    tableNames: tableNames
    packageContainerName: names.packages
    skuName: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
    isPublic: !privateNetwork
    isLocked: lockStorage
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: names.workspace
    componentName: names.component
    location: location
    tags: tags
    retentionInDays: logRetentionInDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: names.vault
    location: location
    tags: tags
    isPublic: !privateNetwork
    sendersItem: vaultItems.senders
    notifiersItem: vaultItems.notifiers
    healthItem: vaultItems.health
    firstHealthKey: firstHealthKey
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: names.network
    location: location
    tags: tags
    addressPrefix: networkAddressPrefix
  }
}

module privateEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  params: {
    location: location
    tags: tags
    networkId: network.?outputs.id ?? ''
    subnetId: network.?outputs.endpointSubnetId ?? ''
    storageName: names.storage
    vaultName: names.vault
  }
  dependsOn: [storage, vault]
}

module access 'modules/access.bicep' = {
  scope: group
  params: {
    identityName: names.identity
    identityPrincipalId: identity.outputs.principalId
    storageName: names.storage
    queueNames: queueNames
    requestQueueName: queueNames[0]
    tableNames: tableNames
    componentName: names.component
    vaultName: names.vault
    vaultItems: map(items(vaultItems), item => item.value)
    deployerPrincipalId: principalId
    deployerPrincipalType: principalType
  }
  dependsOn: [storage, monitoring, vault]
}

module app 'modules/app.bicep' = {
  scope: group
  params: {
    name: names.app
    planName: names.plan
    location: location
    tags: tags
    identityName: names.identity
    identityClientId: identity.outputs.clientId
    componentName: names.component
    blobUri: storage.outputs.blobUri
    queueUri: storage.outputs.queueUri
    tableUri: storage.outputs.tableUri
    packageContainerName: names.packages
    vaultUri: vault.outputs.uri
    sendersItem: vaultItems.senders
    notifiersItem: vaultItems.notifiers
    healthItem: vaultItems.health
    settings: settings
    publicUrl: publicUrl
    signInWith: signInWith
    subnetId: network.?outputs.appSubnetId ?? ''
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyHttp: alwaysReadyHttp
  }
  // What it may do comes before it: an app that starts without its rights caches the refusal.
  dependsOn: [access, privateEndpoints]
}

module diagnostics 'modules/diagnostics.bicep' = if (auditAccess) {
  scope: group
  params: {
    storageName: names.storage
    vaultName: names.vault
    workspaceName: names.workspace
  }
  dependsOn: [storage, vault, monitoring]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    actionGroupName: names.actionGroup
    location: location
    tags: tags
    workspaceName: names.workspace
    componentName: names.component
    emails: alertEmails
    runbookUrl: runbookUrl
    remediationMayBeSilent: remediationMayBeSilent
    areOn: alertsOn
  }
  dependsOn: [monitoring]
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    displayName: 'Relink ${environmentName}'
    location: location
    tags: tags
    workspaceName: names.workspace
    runbookUrl: runbookUrl
  }
  dependsOn: [monitoring]
}

module budget 'modules/budget.bicep' = {
  scope: group
  params: {
    name: names.budget
    amount: monthlyBudget
    startsOn: budgetStartsOn
    actionGroupId: alerts.outputs.actionGroupId
  }
}

@description('Region.')
output AZURE_LOCATION string = location

@description('Tenant.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('Resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The function app.')
output AZURE_FUNCTION_NAME string = names.app

@description('Address of the app.')
output RELINK_URL string = 'https://${app.outputs.hostName}'

@description('Name of the app\'s identity.')
output RELINK_IDENTITY_NAME string = names.identity

@description('Object id of the app\'s identity: what Microsoft Graph permissions are granted to.')
output RELINK_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Client id of the app\'s identity.')
output RELINK_IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('Address of the queue service, for the smoke test and for other senders.')
output RELINK_QUEUE_URI string = storage.outputs.queueUri

@description('Address of the table service, for the smoke test.')
output RELINK_TABLE_URI string = storage.outputs.tableUri

@description('Name of the vault.')
output RELINK_VAULT_NAME string = names.vault

@description('Whether storage answers from the Internet; the smoke test can only run from the network where it does not.')
output RELINK_STORAGE_IS_PUBLIC bool = !privateNetwork
