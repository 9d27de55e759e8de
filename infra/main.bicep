metadata description = 'Relink on Azure: one resource group, and no secret that a person typed. docs/operate/deploy.md says how to use it.'

targetScope = 'subscription'

import { chosenSettings, givenNames, signIn, tagMap } from 'modules/types.bicep'

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

@description('Name of the resource group; empty: made from the environment\'s.')
param resourceGroupName string = ''

@description('Whether the resource group is there already: then neither its tags nor its region are touched.')
param resourceGroupExists bool = false

@description('Names of resources in place of the generated ones.')
param resourceNames givenNames = {}

@description('Tags of every resource, beside those that azd and the app need.')
param moreTags tagMap = {}

@description('Object id of the person or pipeline that deploys, which may send the smoke test and write secrets. Empty: nobody.')
param principalId string = ''

@description('What the deployer is; empty: a person where the deployment is signed in as one, else a service principal.')
@allowed(['', 'User', 'Group', 'ServicePrincipal'])
param principalType string = ''

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

@description('Sign-in by Microsoft Entra; an empty clientId leaves it off.')
param signInWith signIn = {
  clientId: ''
  clients: []
  isRequired: false
  openPaths: []
}

@description('Whether storage and vault are reached through a virtual network only.')
param privateNetwork bool = false

@description('Address space of that network.')
param networkAddressPrefix string = '10.84.0.0/24'

@description('Id of a subnet, delegated to Microsoft.App/environments, that the app is to run in; empty: one is made.')
param appSubnetId string = ''

@description('Id of a subnet for the private endpoints, with appSubnetId only; empty: one is made.')
param endpointSubnetId string = ''

@description('own: private DNS zones are made; none: a policy of the network makes the names; else the id of the resource group that has the zones.')
param privateDns string = 'own'

@description('Whether a NAT gateway gives the app\'s way out an address of its own; in a network that is made here.')
param natGateway bool = false

@description('Whether the plan and the storage account spread over zones.')
param zoneRedundant bool = false

@description('Whether a lock keeps the storage account, and with it the audit, from being deleted.')
param lockStorage bool = false

@description('Memory of an instance in megabytes.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Maximum number of instances of each function.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that always wait for webhooks and the API; 0: the first webhook after a pause waits some seconds.')
@minValue(0)
param alwaysReadyHttp int = 0

@description('Instances that always wait for the sweep; 1 where the platform was seen to lose timers.')
@minValue(0)
param alwaysReadySweep int = 0

@description('Whether publishing by user name and password is forbidden.')
param forbidPublishingCredentials bool = true

@description('Whether a deleted vault can be purged by nobody for 90 days; once on, it stays on.')
param purgeProtection bool = true

@description('Resource id of a workspace that is there and takes the logs; empty: one is made.')
param workspaceId string = ''

@description('Resource id of a workspace that is there and takes the audit of storage and vault; empty: one is made.')
param auditWorkspaceId string = ''

@description('opentelemetry: host and worker export by OpenTelemetry, with a package that holds the distribution; empty: the host\'s own way.')
@allowed(['', 'opentelemetry'])
param telemetry string = ''

@description('How long logs are kept, in days.')
param logRetentionInDays int = 90

@description('Maximum gigabytes of logs a day.')
param logDailyQuotaGb int = 1

@description('Whether writes to tables and queues and reads of secrets are logged with their caller.')
param auditAccess bool = true

@description('Whether writes to blobs are logged too; most are the host renewing its locks.')
param auditBlobs bool = false

@description('How long that audit is kept, in days.')
param auditRetentionInDays int = 400

@description('Budget of the resource group a month, in the currency of the bill; it warns, and stops nothing. 0: none.')
@minValue(0)
param monthlyBudget int = 30

@description('First day of the month from which the budget counts, once it exists; empty: it is made with this month, and then left alone.')
param budgetStartsOn string = ''

@description('First day of this month. Not to be given.')
param thisMonth string = '${utcNow('yyyy-MM')}-01'

@description('First value of the key that shows the detail of the health report. An existing key is kept.')
@secure()
param firstHealthKey string = newGuid()

// The same names as in shared/names.py; a test holds them together.
var queueNames = ['provisioning-resets', 'reset-follow-ups', 'reset-notifications']
var tableNames = ['ProvisioningResets', 'ProvisioningResetIds']

// Every name is made here and handed on, so that no module needs another's output for a name: what
// would be changed can then be said before it is.
var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = empty(resourceGroupName) ? 'rg-relink-${environmentName}' : resourceGroupName
var names = {
  actionGroup: resourceNames.?actionGroup ?? 'ag-relink-${token}'
  app: resourceNames.?app ?? 'func-relink-${token}'
  auditWorkspace: resourceNames.?auditWorkspace ?? 'log-relink-audit-${token}'
  budget: resourceNames.?budget ?? 'relink-${token}'
  component: resourceNames.?component ?? 'appi-relink-${token}'
  identity: resourceNames.?identity ?? 'id-relink-${token}'
  network: resourceNames.?network ?? 'vnet-relink-${token}'
  packages: 'packages'
  plan: resourceNames.?plan ?? 'plan-relink-${token}'
  storage: resourceNames.?storage ?? 'st${token}'
  vault: resourceNames.?vault ?? 'kv-${token}'
  workspace: resourceNames.?workspace ?? 'log-relink-${token}'
}
var logsGoTo = empty(workspaceId)
  ? resourceId(subscription().subscriptionId, groupName, 'Microsoft.OperationalInsights/workspaces', names.workspace)
  : workspaceId
var auditGoesTo = empty(auditWorkspaceId)
  ? resourceId(
      subscription().subscriptionId,
      groupName,
      'Microsoft.OperationalInsights/workspaces',
      names.auditWorkspace
    )
  : auditWorkspaceId
var vaultItems = {
  health: 'health-key'
  notifiers: 'notifiers'
  notifierSecrets: 'notifier-secrets'
  senders: 'webhook-secrets'
}
var tags = {
  ...moreTags
  'azd-env-name': environmentName
  app: 'relink'
}

resource newGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = if (!resourceGroupExists) {
  name: groupName
  location: location
  tags: tags
}

// The same group, made here or given.
resource group 'Microsoft.Resources/resourceGroups@2025-04-01' existing = {
  name: groupName
}

var isOwnNetwork = privateNetwork && empty(appSubnetId)

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: names.identity
    location: location
    tags: tags
  }
  dependsOn: [newGroup]
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
  dependsOn: [newGroup]
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: empty(workspaceId) ? names.workspace : ''
    workspaceId: logsGoTo
    componentName: names.component
    location: location
    tags: tags
    retentionInDays: logRetentionInDays
    dailyQuotaGb: logDailyQuotaGb
  }
  dependsOn: [newGroup]
}

// In the group of the workspace: one that was there already lies elsewhere.
module events 'modules/events.bicep' = {
  scope: resourceGroup(split(logsGoTo, '/')[2], split(logsGoTo, '/')[4])
  params: {
    workspaceName: last(split(logsGoTo, '/'))
  }
  dependsOn: [monitoring]
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: names.vault
    location: location
    tags: tags
    isPublic: !privateNetwork
    purgeProtection: purgeProtection
    sendersItem: vaultItems.senders
    notifiersItem: vaultItems.notifiers
    signingItem: vaultItems.notifierSecrets
    healthItem: vaultItems.health
    firstHealthKey: firstHealthKey
  }
  dependsOn: [newGroup]
}

module network 'modules/network.bicep' = if (isOwnNetwork) {
  scope: group
  params: {
    name: names.network
    location: location
    tags: tags
    addressPrefix: networkAddressPrefix
    withNatGateway: natGateway
  }
  dependsOn: [newGroup]
}

module privateEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  params: {
    location: location
    tags: tags
    networkId: isOwnNetwork ? (network.?outputs.id ?? '') : join(take(split(endpointSubnetId, '/'), 9), '/')
    subnetId: isOwnNetwork ? (network.?outputs.endpointSubnetId ?? '') : endpointSubnetId
    dns: privateDns
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
    componentName: names.component
    vaultName: names.vault
    vaultItems: map(items(vaultItems), item => item.value)
    deployerPrincipalId: principalId
    deployerPrincipalType: empty(principalType)
      ? (empty(deployer().userPrincipalName) ? 'ServicePrincipal' : 'User')
      : principalType
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
    signingItem: vaultItems.notifierSecrets
    healthItem: vaultItems.health
    settings: settings
    withOpenTelemetry: telemetry == 'opentelemetry'
    publicUrl: publicUrl
    signInWith: signInWith
    subnetId: isOwnNetwork ? (network.?outputs.appSubnetId ?? '') : (privateNetwork ? appSubnetId : '')
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadySweep: alwaysReadySweep
    forbidPublishingCredentials: forbidPublishingCredentials
  }
  // What it may do comes before it: an app that starts without its rights caches the refusal.
  dependsOn: [access, privateEndpoints]
}

module diagnostics 'modules/diagnostics.bicep' = if (auditAccess) {
  scope: group
  params: {
    storageName: names.storage
    vaultName: names.vault
    workspaceName: empty(auditWorkspaceId) ? names.auditWorkspace : ''
    workspaceId: auditGoesTo
    location: location
    tags: tags
    retentionInDays: auditRetentionInDays
    withBlobs: auditBlobs
  }
  dependsOn: [storage, vault]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    actionGroupName: names.actionGroup
    location: location
    tags: tags
    workspaceId: logsGoTo
    isCapped: empty(workspaceId)
    componentName: names.component
    emails: alertEmails
    runbookUrl: runbookUrl
    remediationMayBeSilent: remediationMayBeSilent
    areOn: alertsOn
  }
  // A rule is refused whose query calls a function that is not there yet.
  dependsOn: [monitoring, events]
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    displayName: 'Relink ${environmentName}'
    location: location
    tags: tags
    workspaceId: logsGoTo
    runbookUrl: runbookUrl
  }
  dependsOn: [monitoring, events]
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  scope: group
  params: {
    name: names.budget
    amount: max(monthlyBudget, 1)
    startsOn: budgetStartsOn
    thisMonth: thisMonth
    actionGroupId: alerts.outputs.actionGroupId
  }
}

@description('Region.')
output AZURE_LOCATION string = location

@description('Tenant.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('Resource group.')
output AZURE_RESOURCE_GROUP string = groupName

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
