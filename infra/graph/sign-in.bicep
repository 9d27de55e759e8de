metadata description = 'The app registration for sign-in in front of the operator endpoints. It needs no client secret: the app\'s identity takes its place.'

extension microsoftGraphV1

@description('Name of this environment, as in main.bicep.')
param environmentName string

@description('Address of the app (output RELINK_URL of main.bicep).')
param appUrl string

@description('Object id of the app\'s identity (output RELINK_IDENTITY_PRINCIPAL_ID of main.bicep).')
@minLength(36)
@maxLength(36)
param identityPrincipalId string

resource registration 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: 'relink-${environmentName}'
  displayName: 'Relink ${environmentName}'
  signInAudience: 'AzureADMyOrg'
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
  // Only people and groups that are assigned to it can sign in.
  appRoleAssignmentRequired: true
}

@description('Set SIGN_IN_CLIENT_ID to it and provision again.')
output clientId string = registration.appId
