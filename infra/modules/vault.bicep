metadata description = 'Key Vault for what must be secret: the senders\' secrets, the addresses that are told, and the key of the health report.'

import { tagMap } from 'types.bicep'

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('Whether the vault answers from the Internet; otherwise only through private endpoints.')
param isPublic bool

@description('Whether a deleted vault can be purged by nobody for 90 days; once on, it stays on.')
param purgeProtection bool

@description('Name under which the vault keeps the webhook senders\' secrets.')
param sendersItem string

@description('Name under which the vault keeps the addresses of ticket systems, which may have a key in them.')
param notifiersItem string

@description('Name under which the vault keeps the secrets with which notifications are signed.')
param signingItem string

@description('Name under which the vault keeps the key of the health report.')
param healthItem string

@description('First value of the health key; an existing secret is kept.')
@secure()
param firstHealthKey string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: {
      family: 'A'
      name: 'standard'
    }
    tenantId: tenant().tenantId
    enableRbacAuthorization: true
    enableSoftDelete: true
    // The platform takes true or nothing.
    enablePurgeProtection: purgeProtection ? true : null
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPublic ? 'Allow' : 'Deny'
    }
  }

  // Made once: a later deployment must never overwrite what an operator has put in.
  @onlyIfNotExists()
  resource webhookSecrets 'secrets' = {
    name: sendersItem
    properties: {
      contentType: 'application/json'
      value: '{}'
    }
  }

  @onlyIfNotExists()
  resource notifiers 'secrets' = {
    name: notifiersItem
    properties: {
      contentType: 'application/json'
      value: '{}'
    }
  }

  @onlyIfNotExists()
  resource notifierSecrets 'secrets' = {
    name: signingItem
    properties: {
      contentType: 'application/json'
      value: '{}'
    }
  }

  @onlyIfNotExists()
  resource healthKey 'secrets' = {
    name: healthItem
    properties: {
      contentType: 'text/plain'
      value: firstHealthKey
    }
  }
}

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
