metadata description = 'Private endpoints for storage and vault, with their DNS zones.'

import { tagMap } from 'types.bicep'

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('Id of the network.')
param networkId string

@description('Id of the subnet that the endpoints are in.')
param subnetId string

@description('own: zones are made here; none: a policy of the network makes the names; else the id of the resource group that has the zones.')
param dns string

@description('Name of the storage account.')
param storageName string

@description('Name of the vault.')
param vaultName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

// The vault's zone has another word in it than the vault's address (vaultcore).
var vaultZone = replace(environment().suffixes.keyvaultDns, '.vault.', 'privatelink.vaultcore.')

var endpoints = [
  {
    part: 'blob'
    name: 'pe-${storageName}-blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    part: 'queue'
    name: 'pe-${storageName}-queue'
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    part: 'table'
    name: 'pe-${storageName}-table'
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    part: 'vault'
    name: 'pe-${vaultName}'
    zone: vaultZone
  }
]

var ownZones = dns == 'own' ? endpoints : []
var namedEndpoints = dns == 'none' ? [] : endpoints

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in ownZones: {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, i) in ownZones: {
    parent: zones[i]
    name: 'app'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpoints: {
    name: endpoint.name
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.part
          properties: {
            privateLinkServiceId: endpoint.part == 'vault' ? vault.id : account.id
            groupIds: [endpoint.part]
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, i) in namedEndpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.part
          properties: {
            privateDnsZoneId: dns == 'own'
              ? resourceId('Microsoft.Network/privateDnsZones', endpoint.zone)
              : '${dns}/providers/Microsoft.Network/privateDnsZones/${endpoint.zone}'
          }
        }
      ]
    }
    dependsOn: [zones]
  }
]
