using 'main.bicep'

param identityPrincipalId = readEnvironmentVariable('RELINK_IDENTITY_PRINCIPAL_ID')
param access = readEnvironmentVariable('GRAPH_ACCESS', 'Synchronization.ReadWrite.All')
param ownedApplicationIds = filter(
  split(readEnvironmentVariable('GRAPH_OWNED_APPLICATIONS', ''), ','),
  id => !empty(id)
)
param readProvisioningLogs = bool(readEnvironmentVariable('GRAPH_READ_PROVISIONING_LOGS', 'false'))
param readAuditLogs = bool(readEnvironmentVariable('GRAPH_READ_AUDIT_LOGS', 'false'))
param readUsers = bool(readEnvironmentVariable('GRAPH_READ_USERS', 'false'))
param readLinks = bool(readEnvironmentVariable('GRAPH_READ_LINKS', 'false'))
