metadata description = 'The identity that the app runs as. It outlives the app, and so do its permissions.'

import { tagMap } from 'types.bicep'

@description('Name of the identity.')
param name string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Object id of the identity, to which permissions are granted.')
output principalId string = identity.properties.principalId

@description('Client id of the identity, by which the app names it.')
output clientId string = identity.properties.clientId
