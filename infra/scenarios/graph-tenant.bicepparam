// The whole tenant's jobs, and everything that may be read.
using '../graph/main.bicep'

param identityPrincipalId = '0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90'
param readProvisioningLogs = true
param readAuditLogs = true
param readUsers = true
param readLinks = true
