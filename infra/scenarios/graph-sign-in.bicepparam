// The registration of the sign-in.
using '../graph/sign-in.bicep'

param environmentName = 'test'
param appUrl = 'https://func-relink.azurewebsites.net'
param identityPrincipalId = '0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90'
