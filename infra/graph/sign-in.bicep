metadata description = 'The app registration of the sign-in: people and programs get a token for it, with roles. It needs no client secret: the app\'s identity takes its place.'

extension microsoftGraphV1

@description('Name of this environment, as in main.bicep.')
param environmentName string

@description('Address of the app (output RELINK_URL of main.bicep).')
param appUrl string

@description('Object id of the app\'s identity (output RELINK_IDENTITY_PRINCIPAL_ID of main.bicep).')
@minLength(36)
@maxLength(36)
param identityPrincipalId string

// The Azure CLI: `az account get-access-token` is how a person gets a token outside a browser.
var azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'

// Of the form that a tenant takes by default; the client id in it would not be known yet.
var identifierUri = 'api://${tenant().tenantId}/relink-${environmentName}'

var scopeId = guid(identifierUri, 'user_impersonation')

// What each may do is in docs/operate/deploy.md; the names are read by shared/web/principal.py.
var roles = [
  {
    value: 'Resets.Read'
    displayName: 'Read resets'
    description: 'Sees resets, their history and the overview.'
    members: ['User', 'Application']
  }
  {
    value: 'Resets.Request'
    displayName: 'Ask for resets'
    description: 'Asks for a reset; a person or a program.'
    members: ['User', 'Application']
  }
  {
    value: 'Resets.Approve'
    displayName: 'Decide on resets'
    description: 'Approves, rejects, confirms and sends again. People only, and never what they asked for.'
    members: ['User']
  }
]

resource registration 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'relink-${environmentName}'
  displayName: 'Relink ${environmentName}'
  signInAudience: 'AzureADMyOrg'
  identifierUris: [identifierUri]
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      {
        id: scopeId
        value: 'user_impersonation'
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: 'Use Relink'
        adminConsentDescription: 'Calls Relink as the signed-in person.'
        userConsentDisplayName: 'Use Relink'
        userConsentDescription: 'Calls Relink as you.'
      }
    ]
    preAuthorizedApplications: [
      {
        appId: azureCli
        delegatedPermissionIds: [scopeId]
      }
    ]
  }
  appRoles: [
    for role in roles: {
      id: guid(identifierUri, role.value)
      value: role.value
      displayName: role.displayName
      description: role.description
      allowedMemberTypes: role.members
      isEnabled: true
    }
  ]
  web: {
    redirectUris: ['${appUrl}/.auth/login/aad/callback']
    implicitGrantSettings: {
      enableIdTokenIssuance: true
    }
  }

  resource assertion 'federatedIdentityCredentials@v1.0' = {
    name: '${registration.uniqueName}/identity'
    audiences: ['api://AzureADTokenExchange']
    issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
    subject: identityPrincipalId
  }
}

resource enterpriseApplication 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: registration.appId
  // Only people, groups and programs that are assigned to it get a token.
  appRoleAssignmentRequired: true
}

@description('Set SIGN_IN_CLIENT_ID to it and provision again.')
output clientId string = registration.appId

@description('What a token is asked for: az account get-access-token --scope SCOPE.')
output scope string = '${identifierUri}/.default'

@description('Object id of the enterprise application, to which roles are assigned.')
output servicePrincipalId string = enterpriseApplication.id
