metadata description = 'The function app on Flex Consumption, its settings, and optional sign-in in front of it.'

import { tagMap, chosenSettings, signIn } from 'types.bicep'

@description('Name of the app.')
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags tagMap

@description('Name of the app\'s identity.')
param identityName string

@description('Client id of the app\'s identity.')
param identityClientId string

@description('Name of the Application Insights component.')
param componentName string

@description('Address of the blob service.')
param blobUri string

@description('Address of the queue service.')
param queueUri string

@description('Address of the table service.')
param tableUri string

@description('Blob container of the deployment package.')
param packageContainerName string

@description('Address of the vault.')
param vaultUri string

@description('Name under which the vault keeps the webhook senders\' secrets.')
param sendersItem string

@description('Name under which the vault keeps the addresses of ticket systems.')
param notifiersItem string

@description('Name under which the vault keeps the secrets with which notifications are signed.')
param signingItem string

@description('Name under which the vault keeps the key of the health report.')
param healthItem string

@description('What the deployer chose.')
param settings chosenSettings

@description('Whether host and worker export by OpenTelemetry; the package must hold the distribution.')
param withOpenTelemetry bool

@description('Base address of links in tickets; empty: the app\'s own.')
param publicUrl string

@description('Sign-in by Microsoft Entra.')
param signInWith signIn

@description('Subnet that the app runs in; empty: none.')
param subnetId string

@description('Whether the plan spreads over zones.')
param zoneRedundant bool

@description('Memory of an instance in megabytes: 512, 2048 or 4096.')
param instanceMemoryMB int

@description('Maximum number of instances of each function; keep it low, because all of them call one throttled API.')
param maximumInstanceCount int

@description('Instances that always wait for webhooks and the API, so that no sender meets a cold start.')
param alwaysReadyHttp int

@description('Instances that always wait for the sweep, so that the platform has no timer to lose.')
param alwaysReadySweep int

@description('Whether publishing by user name and password is forbidden.')
param forbidPublishingCredentials bool

var hasSignIn = !empty(signInWith.clientId)

// A plan that spreads over zones takes no single instance that is always ready.
var alwaysReady = map(
  filter(
    [
      { name: 'http', wanted: alwaysReadyHttp }
      { name: 'function:sweep', wanted: alwaysReadySweep }
    ],
    group => group.wanted > 0
  ),
  group => { name: group.name, instanceCount: zoneRedundant ? max(group.wanted, 2) : group.wanted }
)

// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
var azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'

// Read by the platform alone: with it the sign-in needs no client secret, the app's identity vouches.
var assertionSetting = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: {
    ...tags
    // How azd finds where the service of azure.yaml goes.
    'azd-service-name': 'app'
  }
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      remoteDebuggingEnabled: false
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobUri}${packageContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: alwaysReady
        triggers: {
          http: {
            perInstanceConcurrency: 16
          }
        }
      }
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: {
      ...settings

      // The host's own storage: blobs alone. It keeps neither queues nor tables where it has no address
      // for them, so that its identity needs no right to make any.
      AzureWebJobsStorage__blobServiceUri: blobUri
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId

      ResetStorage__queueServiceUri: queueUri
      ResetStorage__tableServiceUri: tableUri
      ResetStorage__credential: 'managedidentity'
      ResetStorage__clientId: identityClientId

      AZURE_CLIENT_ID: identityClientId

      APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'

      // Of the worker our own logger alone is exported, or each call of a library would be a line.
      ...(withOpenTelemetry
        ? {
            AzureFunctionsJobHost__telemetryMode: 'OpenTelemetry'
            PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
            PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'relink'
          }
        : {})

      // The host reads a body whole, up to 100 MB, before the app can refuse it: a megabyte is more
      // than anything that the app takes.
      FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '1048576'

      PUBLIC_URL: empty(publicUrl) ? 'https://${app.properties.defaultHostName}' : publicUrl

      WEBHOOK_SECRETS: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${sendersItem}/)'
      NOTIFIERS: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${notifiersItem}/)'
      NOTIFIER_SECRETS: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${signingItem}/)'
      HEALTH_KEY: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${healthItem}/)'

      ...(hasSignIn
        ? {
            '${assertionSetting}': identityClientId
            WEBSITE_AUTH_AAD_ALLOWED_TENANTS: tenant().tenantId
          }
        : {})
    }
  }

  resource auth 'config' = if (hasSignIn) {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: true
        runtimeVersion: '~1'
      }
      // Every request goes through the platform's authentication, which reads the token or cookie and
      // takes away identity headers that a caller made up. Who has neither is answered by the app: 401 for
      // a program, a page with a link to the sign-in for a person, and a status address or a webhook, which
      // bring proof of their own, work as ever.
      globalValidation: signInWith.isRequired
        ? {
            requireAuthentication: true
            unauthenticatedClientAction: 'Return401'
            redirectToProvider: 'azureActiveDirectory'
            excludedPaths: concat(['/api/health', '/api/openapi.json'], signInWith.openPaths)
          }
        : {
            requireAuthentication: false
            unauthenticatedClientAction: 'AllowAnonymous'
            redirectToProvider: 'azureActiveDirectory'
          }
      httpSettings: {
        requireHttps: true
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: signInWith.clientId
            clientSecretSettingName: assertionSetting
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: [signInWith.clientId]
            defaultAuthorizationPolicy: {
              allowedApplications: union([signInWith.clientId, azureCli], signInWith.clients)
            }
          }
        }
      }
      login: {
        tokenStore: {
          enabled: false
        }
      }
    }
  }
}

// The package is sent with a token of Entra; a password, which neither expires nor names anybody, is off.
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = [
  for way in forbidPublishingCredentials ? ['ftp', 'scm'] : []: {
    parent: app
    name: way
    properties: {
      allow: false
    }
  }
]

@description('The app\'s own host name.')
output hostName string = app.properties.defaultHostName
