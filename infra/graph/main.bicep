metadata description = 'What the app may do in Microsoft Graph. It is separate from main.bicep, because it needs rights in Entra that few deployers hold.'

extension microsoftGraphV1

@description('Object id of the app\'s identity (output RELINK_IDENTITY_PRINCIPAL_ID of main.bicep).')
@minLength(36)
@maxLength(36)
param identityPrincipalId string

@description('How the app may restart jobs: every provisioning job of the tenant, or those of the applications that its identity owns.')
@allowed(['Synchronization.ReadWrite.All', 'Application.ReadWrite.OwnedBy'])
param access string = 'Synchronization.ReadWrite.All'

@description('Application (client) ids of the enterprise applications that the identity is to own; for Application.ReadWrite.OwnedBy only.')
param ownedApplicationIds string[] = []

@description('ProvisioningLog.Read.All: shows which account each subject is linked to, before and after, and lets the timer see links to accounts that no longer exist (remediate.staleLinks).')
param readProvisioningLogs bool = false

@description('AuditLog.Read.All: shows whether a restart happened whose answer was lost, so that no person has to decide.')
param readAuditLogs bool = false

@description('User.Read.All: finds a subject that is given by user principal name, and shows its matching attributes as they are now.')
param readUsers bool = false

@description('SynchronizationMetadata.Read.All: reads the stored link of one account (objectConnections, beta), where a target has that switched on.')
param readLinks bool = false

var permissions = concat(
  [access],
  readProvisioningLogs ? ['ProvisioningLog.Read.All'] : [],
  readAuditLogs ? ['AuditLog.Read.All'] : [],
  readUsers ? ['User.Read.All'] : [],
  readLinks ? ['SynchronizationMetadata.Read.All'] : []
)

var isOwner = access == 'Application.ReadWrite.OwnedBy'

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

resource grants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for permission in permissions: {
    principalId: identityPrincipalId
    resourceId: graph.id
    // By name: no table of ids that could be wrong.
    appRoleId: filter(
      graph.appRoles,
      role => role.value == permission && contains(role.allowedMemberTypes, 'Application')
    )[0].id
  }
]

// Owner of the enterprise application: owning the app registration is not enough.
resource owned 'Microsoft.Graph/servicePrincipals@v1.0' = [
  for applicationId in isOwner ? ownedApplicationIds : []: {
    appId: applicationId
    owners: {
      relationshipSemantics: 'append'
      relationships: [identityPrincipalId]
    }
  }
]

@description('What was granted.')
output granted string[] = permissions
